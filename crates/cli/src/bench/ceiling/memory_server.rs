//! A tiny server on loopback with the HTTP stack of the service and nothing behind it. It runs in threads of its own,
//! as many as the service would have.

use crate::failure::Failure;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct MemoryServer {
    /// Its URL.
    pub url: String,
    runtime: Option<Runtime>,
}

impl MemoryServer {
    /// Answers every request with what `answer` makes of it; `None` is an internal error.
    pub fn start<F, R>(answer: F) -> Result<Self, Failure>
    where
        F: Fn(http::Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Option<Bytes>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("ceiling").build()?;
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let url = format!("http://{}", socket.local_addr()?);
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(socket)?
        };
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    // Without it small answers wait for the client's acknowledgement.
                    if socket.set_nodelay(true).is_err() {
                        return;
                    }
                    let service = service_fn(move |request| {
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(respond(answer.await)) }
                    });
                    // A client that goes away is no failure here.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Ok(Self { url, runtime: Some(runtime) })
    }
}

impl Drop for MemoryServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be waited for inside another one.
            runtime.shutdown_background();
        }
    }
}

fn respond(body: Option<Bytes>) -> http::Response<Full<Bytes>> {
    let failed = body.is_none();
    let mut response = http::Response::new(Full::new(body.unwrap_or_default()));
    if failed {
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    }
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
