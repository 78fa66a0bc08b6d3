//! The HTTP listener: connections, their number, their deadlines and their end.
//!
//! It knows nothing of what is served. Every wait has a bound: for a whole request head, between requests, for a client
//! that takes no more bytes, and for requests in flight when the server stops. Over the number of connections accepting
//! waits, so that the kernel's queue holds what comes.

mod refusal;
mod stream;

use self::stream::{Activity, Answered, Stream};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::Service;

/// How long accepting rests after it failed, such as for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Settings of the listener.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Longest time from the first byte of a request's head to its last. Default 10 s.
    pub header_timeout: Duration,
    /// Longest time without a request on an open connection. Default 75 s.
    pub idle_timeout: Duration,
    /// Longest time in which a client takes none of the bytes sent to it. Default 60 s.
    pub stall_timeout: Duration,
    /// Most bytes of a request's head; at least 8 KiB. Default 128 KiB. (A request line ends at 64 KiB in any case.)
    pub max_header_bytes: usize,
    /// Most headers of a request. Default 100.
    pub max_headers: usize,
    /// Most connections at a time. Default 10,000.
    pub max_connections: usize,
    /// How long requests in flight may take once the server stops. Default 20 s.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            max_header_bytes: 128 << 10,
            max_headers: 100,
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Serves until `shutdown` is ready; then accepts no more, finishes what is in flight within the bound, and closes.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    let (closing, closed) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(options.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let options = Arc::new(options);
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            // The semaphore is never closed; if it were, accepting would end like the server.
            let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((slot, listener.accept().await?))
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept => match accepted {
                Ok((slot, (stream, _))) => {
                    let connection = Connection::new(stream, Arc::clone(&options), closed.clone());
                    let router = router.clone();
                    connections.spawn(async move {
                        connection.run(router).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    sleep(ACCEPT_REST).await;
                }
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    let drained = timeout(options.drain_timeout, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "requests in flight were broken off");
        connections.shutdown().await;
    }
    Ok(())
}

/// One connection.
struct Connection {
    stream: TcpStream,
    options: Arc<ServerOptions>,
    closed: watch::Receiver<bool>,
}

impl Connection {
    fn new(stream: TcpStream, options: Arc<ServerOptions>, closed: watch::Receiver<bool>) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        // The kernel ends a connection whose peer takes nothing for so long.
        let stall = u32::try_from(options.stall_timeout.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream, stall) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT");
        }
        Self { stream, options, closed }
    }

    async fn run(mut self, router: Router) {
        let activity = Arc::new(Activity::default());
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            activity.begin();
            let answer = router.clone().call(request.map(Body::new));
            let activity = Arc::clone(&activity);
            async move {
                let answer = answer.await;
                activity.answered();
                answer.map(|answer| answer.map(|body| Answered::new(body, activity)))
            }
        });
        let stream = Stream::new(self.stream, Arc::clone(&activity), self.options.header_timeout);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // In hyper this deadline also runs between requests; the stricter one for heads is ours.
            .header_read_timeout(self.options.idle_timeout.max(self.options.header_timeout))
            .max_headers(self.options.max_headers)
            .max_buf_size(self.options.max_header_bytes.max(8192));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = closing(&mut self.closed) => {
                if !activity.begun() {
                    // Opened ahead of need: nothing was asked yet.
                    return;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// Ready when the server stops.
async fn closing(closed: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and the server with it.
    let _ = closed.wait_for(|closed| *closed).await;
}
