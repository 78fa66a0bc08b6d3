//! One connection of its own, for load generators: exactly as many connections as asked for, and no pool's bookkeeping.
//! It repeats nothing: what fails is seen.

use super::{ANSWER_TIMEOUT, Base, CONNECT_TIMEOUT, ClientError, Request, Scan, Scanner, causes, check, key_header};
use bytes::Bytes;
use http::HeaderValue;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::Future;
use tokio::net::TcpStream;

/// Longest stretch that is read from the socket at once, in bytes.
const READ_BUFFER: usize = 512 * 1024;

/// A keep-alive connection. Opens when it is first used, and again after it broke.
#[derive(Debug)]
pub struct Connection {
    base: Base,
    key: Option<HeaderValue>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// A connection to be.
    ///
    /// # Errors
    /// [`ClientError::Url`] when the URL or the key can't be used.
    pub fn new(base_url: &str, key: Option<&str>) -> Result<Self, ClientError> {
        Ok(Self { base: Base::parse(base_url)?, key: key_header(key)?, sender: None })
    }

    /// Sends a request and looks at the answer while it streams by; `count` counts its results.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn scan(&mut self, request: &Request, count: bool) -> Result<Scan, ClientError> {
        self.exchange(request, async |head, mut body| {
            let mut scanner = Scanner::new(count);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| ClientError::Transport(causes(&error)))?;
                if let Some(data) = frame.data_ref() {
                    scanner.take(data);
                }
            }
            let scan = scanner.finish();
            check(&head, &scan.head).map(|()| scan)
        })
        .await
    }

    async fn exchange<T, F>(
        &mut self,
        request: &Request,
        read: impl FnOnce(http::response::Parts, Incoming) -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let message = request.message(&self.base, self.key.as_ref(), false)?;
        let sender = self.ready().await?;
        let exchange = async {
            let answer = sender.send_request(message).await.map_err(|error| ClientError::Transport(causes(&error)))?;
            let (head, body) = answer.into_parts();
            read(head, body).await
        };
        let late = || ClientError::Transport(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
        let result = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or_else(|_| Err(late()));
        if matches!(result, Err(ClientError::Transport(_))) {
            self.sender = None;
        }
        result
    }

    /// The connection, opened if need be.
    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, ClientError> {
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.sender = None;
        }
        match &mut self.sender {
            Some(sender) => Ok(sender),
            vacant => Ok(vacant.insert(connect(&self.base).await?)),
        }
    }
}

async fn connect(base: &Base) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let failed = |why: String| ClientError::Connect(base.authority.clone(), why);
    let socket = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(base.socket_name())).await;
    let socket = socket.map_err(|_| failed(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))?;
    let socket = socket.map_err(|error| failed(error.to_string()))?;
    socket.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
    let handshake = Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(socket)).await;
    let (sender, connection) = handshake.map_err(|error| failed(causes(&error)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // The exchange that it broke tells of it.
            tracing::debug!(error = causes(&error), "connection closed");
        }
    });
    Ok(sender)
}
