//! The typed client of the API: builds requests from the table of operations, reads answers and problems, repeats what
//! may be repeated. It knows no operation by itself.
//!
//! HTTP/1.1 without TLS only: a TLS end point stands in front of a server that is not on loopback.
//!
//! ```no_run
//! use docket_client::Client;
//! use docket_contract::operations::{ListJobs, ListJobsInput};
//! use futures_util::TryStreamExt;
//!
//! # async fn example() -> Result<(), docket_client::ClientError> {
//! let client = Client::new("http://127.0.0.1:8080", None)?;
//! let page = client.call::<ListJobs>(&ListJobsInput::default()).await?;
//! println!("{} jobs", page.values.len());
//! // Over all pages, item by item.
//! let jobs = client.pages::<ListJobs>(&ListJobsInput::default())?.items::<docket_contract::Job>();
//! let all: Vec<_> = jobs.try_collect().await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod connection;
mod error;
mod events;
mod export;
mod pages;
mod request;
mod retry;
mod scan;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use connection::Connection;
pub use error::ClientError;
pub use events::{Event, Events, Update};
pub use export::{Export, Told, last_id};
pub use pages::{Page, Pages};
pub use request::{Base, Request, encode, find_next_start_after};
pub use retry::RetryPolicy;
pub use scan::{Scan, Scanner};

use bytes::Bytes;
use docket_contract::Operation;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value};
use std::time::{Duration, Instant, SystemTime};

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

    /// Calls an operation and reads its answer. For one that answers a file take [`Client::open`]: here it becomes text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call<O: Operation>(&self, input: &O::Input) -> Result<O::Output, ClientError> {
        let body = self.send(&Request::of::<O>(input)?).await?;
        let decoded = if O::MEDIA_TYPE.starts_with("application/json") {
            serde_json::from_slice(&body)
        } else {
            let text = String::from_utf8_lossy(&body).into_owned();
            serde_json::from_value(Value::String(text))
        };
        decoded.map_err(|error| ClientError::Decode(format!("{}: {error}", O::NAME)))
    }

    /// Calls an operation that takes a file, with this one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn upload<O: Operation>(
        &self,
        input: &O::Input,
        media_type: &str,
        file: Bytes,
    ) -> Result<O::Output, ClientError> {
        const { assert!(O::TAKES_FILE, "the operation takes no file") }
        let body = self.send(&Request::of::<O>(input)?.with_file(media_type.to_owned(), file)).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Decode(format!("{}: {error}", O::NAME)))
    }

    /// All pages of what `input` asks for, from its `startAfter` on. An operation without pages does not compile.
    ///
    /// # Errors
    /// [`ClientError::Url`] when the input can't be made into a request.
    pub fn pages<O: Operation>(&self, input: &O::Input) -> Result<Pages<O>, ClientError> {
        const { assert!(O::PAGING.is_some(), "the operation has no pages") };
        Pages::of(self.clone(), request::fields::<O>(input)?)
    }

    /// The events that an operation tells, such as those of a job while it runs. A stream that breaks off is opened again
    /// where it was left.
    ///
    /// # Errors
    /// [`ClientError::Url`] when the operation tells no events or the input can't be made into a request.
    pub fn events<O: Operation>(&self, input: &O::Input) -> Result<Events<O>, ClientError> {
        Events::of(self.clone(), input)
    }

    /// The same as [`Client::pages`] from the fields of an input, for callers that know the operation only at run time.
    ///
    /// # Errors
    /// [`ClientError::Url`] when the operation has no pages.
    pub fn pages_of<O: Operation>(&self, fields: Map<String, Value>) -> Result<Pages<O>, ClientError> {
        Pages::of(self.clone(), fields)
    }

    /// Calls an operation and answers as soon as the head of its answer is there: the body, however long, streams.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open<O: Operation>(&self, input: &O::Input) -> Result<Answer, ClientError> {
        self.open_request(&Request::of::<O>(input)?).await
    }

    /// Sends a request that was built before. Repetitions end with the head of the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open_request(&self, request: &Request) -> Result<Answer, ClientError> {
        let key = request.new_key();
        let key = key.as_deref();
        self.repeat(request, || within(self.head(request, key))).await
    }

    /// Sends a request that was built before, and reads the whole body of the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send(&self, request: &Request) -> Result<Bytes, ClientError> {
        let key = request.new_key();
        let key = key.as_deref();
        let attempt = || within(async move { collect(self.head(request, key).await?.into_body()).await });
        self.repeat(request, attempt).await
    }

    /// Attempts until one succeeds, must not be repeated, or the policy gives up.
    async fn repeat<T, F>(&self, request: &Request, attempt: impl Fn() -> F + Send) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let deadline = Instant::now() + self.retry.budget;
        let mut repetitions = 0;
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let delay = error.may_repeat(request.repeatable || request.needs_key()).and_then(|after| {
                let left = deadline.saturating_duration_since(Instant::now());
                self.retry.delay(repetitions, after, left, fastrand::f64())
            });
            let Some(delay) = delay else { return Err(error) };
            tracing::debug!(%error, repetitions, ?delay, "repeating {} {}", request.method, request.target);
            tokio::time::sleep(delay).await;
            repetitions += 1;
        }
    }

    /// One attempt, up to the head of a success.
    async fn head(&self, request: &Request, idempotency_key: Option<&str>) -> Result<Answer, ClientError> {
        let mut message = request.message(&self.base, self.key.as_ref(), true)?;
        if let Some(key) = idempotency_key {
            let key = http::HeaderValue::from_str(key).map_err(|error| ClientError::Url(error.to_string()))?;
            message.headers_mut().insert("idempotency-key", key);
        }
        let answer = self.pool.request(message).await.map_err(|error| {
            if error.is_connect() {
                ClientError::Connect(self.base.authority.clone(), causes(&error))
            } else {
                ClientError::Transport(causes(&error))
            }
        })?;
        let (head, body) = answer.into_parts();
        if head.status.is_success() {
            return Ok(Answer::new(head.headers, body));
        }
        Err(problem(&head, &collect(body).await?))
    }
}

/// Bounds one attempt in time.
async fn within<T>(attempt: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    let late = |_| Err(ClientError::Transport(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())));
    tokio::time::timeout(ANSWER_TIMEOUT, attempt).await.unwrap_or_else(late)
}

/// A whole body, within the bound.
async fn collect(body: hyper::body::Incoming) -> Result<Bytes, ClientError> {
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body =
        body.map_err(|error| ClientError::Transport(format!("the answer ended early or is too long: {error}")))?;
    Ok(body.to_bytes())
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
    if head.status.is_success() { Ok(()) } else { Err(problem(head, body)) }
}

fn problem(head: &http::response::Parts, body: &[u8]) -> ClientError {
    let retry_after = retry::wish(&head.headers, SystemTime::now());
    ClientError::problem(head.status.as_u16(), retry_after, body)
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
