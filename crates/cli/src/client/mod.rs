//! The typed client of the API: builds requests from the table of operations, reads answers and problems, repeats what
//! may be repeated. It knows no operation by itself.
//!
//! HTTP/1.1 without TLS only: a TLS end point stands in front of a server that is not on loopback.

mod connection;
mod error;
mod pages;
mod request;
mod retry;
mod scan;

#[cfg(test)]
pub(crate) mod tests;

pub use connection::Connection;
pub use error::ClientError;
pub use pages::Pages;
pub use request::{Base, Request, encode, find_next_start_after};
pub use retry::RetryPolicy;
pub use scan::{Scan, Scanner};

use bytes::Bytes;
use docket_contract::Operation;
use http::header;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::{Duration, Instant};

/// Longest answer that is read into memory, in bytes. 5000 results of 65,535 characters fit, unless they are escapes.
const MAX_ANSWER: usize = 512 * 1024 * 1024;
/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer, from the first byte sent to the last one received.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Idle connections that are kept.
const MAX_IDLE: usize = 64;

/// A client of one server, with a pool of connections. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Client {
    base: Base,
    key: Option<http::HeaderValue>,
    retry: RetryPolicy,
    pool: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// A client of the server at `base_url` (`http://host:port`, with or without a path such as `/v2`). Does not
    /// connect yet.
    ///
    /// # Errors
    /// [`ClientError::Url`] when the URL or the key can't be used.
    pub fn new(base_url: &str, key: Option<&str>) -> Result<Self, ClientError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let pool = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector);
        Ok(Self { base: Base::parse(base_url)?, key: key_header(key)?, retry: RetryPolicy::default(), pool })
    }

    /// The same client with another policy of repetition.
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The server.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call<O: Operation>(&self, input: &O::Input) -> Result<O::Output, ClientError> {
        let body = self.send(&Request::of::<O>(input)?).await?;
        let decoded = if O::MEDIA_TYPE.starts_with("application/json") {
            serde_json::from_slice(&body)
        } else {
            let text = String::from_utf8_lossy(&body).into_owned();
            serde_json::from_value(serde_json::Value::String(text))
        };
        decoded.map_err(|error| ClientError::Decode(format!("{}: {error}", O::NAME)))
    }

    /// Sends a request that was built before, and reads the whole body of the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send(&self, request: &Request) -> Result<Bytes, ClientError> {
        let deadline = Instant::now() + self.retry.budget;
        // The same key at each repetition: the server then starts a job only once.
        let idempotency_key = (request.needs_key()).then(|| uuid::Uuid::now_v7().to_string());
        let repeatable = request.repeatable || idempotency_key.is_some();
        let mut attempt = 0;
        loop {
            let error = match self.send_once(request, idempotency_key.as_deref()).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let delay = error.may_repeat(repeatable).and_then(|after| {
                let left = deadline.saturating_duration_since(Instant::now());
                self.retry.delay(attempt, after, left, fastrand::f64())
            });
            let Some(delay) = delay else { return Err(error) };
            tracing::debug!(%error, attempt, ?delay, "repeating {} {}", request.method, request.target);
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, request: &Request, idempotency_key: Option<&str>) -> Result<Bytes, ClientError> {
        let mut message = request.message(&self.base, self.key.as_ref(), true)?;
        if let Some(key) = idempotency_key {
            let key = http::HeaderValue::from_str(key).map_err(|error| ClientError::Url(error.to_string()))?;
            message.headers_mut().insert("idempotency-key", key);
        }
        let exchange = async {
            let answer = self.pool.request(message).await.map_err(|error| {
                if error.is_connect() {
                    ClientError::Connect(self.base.authority.clone(), causes(&error))
                } else {
                    ClientError::Transport(causes(&error))
                }
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| ClientError::Transport(format!("the answer ended early or is too long: {error}")))?;
            Ok((head, body.to_bytes()))
        };
        let (head, body) = match tokio::time::timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(exchange) => exchange?,
            Err(_) => return Err(ClientError::Transport(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
        };
        check(&head, &body).map(|()| body)
    }
}

/// The header that carries a key.
fn key_header(key: Option<&str>) -> Result<Option<http::HeaderValue>, ClientError> {
    let Some(key) = key else { return Ok(None) };
    let mut value = http::HeaderValue::from_str(key)
        .map_err(|_| ClientError::Url("the key holds characters that a header can't carry".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Checks a status; anything but success is the problem that `body` tells of.
fn check(head: &http::response::Parts, body: &[u8]) -> Result<(), ClientError> {
    if head.status.is_success() {
        return Ok(());
    }
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(ClientError::problem(head.status.as_u16(), retry_after, body))
}

/// An error with what caused it: hyper's own texts leave the cause out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
