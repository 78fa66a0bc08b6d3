//! A success whose body streams: it is never held as a whole.

use super::{ANSWER_TIMEOUT, ClientError, causes};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The head of a success, and its body to come.
#[derive(Debug)]
pub struct Answer {
    /// The headers.
    pub headers: HeaderMap,
    /// What the server told behind the end of the body (RFC 9110, 6.5), once that is reached.
    pub trailers: Option<HeaderMap>,
    body: Incoming,
}

impl Answer {
    pub(super) fn new(headers: HeaderMap, body: Incoming) -> Self {
        Self { headers, trailers: None, body }
    }

    pub(super) fn into_body(self) -> Incoming {
        self.body
    }

    /// The next part of the body; `None` behind its end. Waits for a part no longer than [`ANSWER_TIMEOUT`].
    ///
    /// # Errors
    /// [`ClientError::Transport`] when the body breaks off or stalls.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let late = |_| ClientError::Transport(format!("the answer stalled for {} s", ANSWER_TIMEOUT.as_secs()));
            let frame = tokio::time::timeout(ANSWER_TIMEOUT, self.body.frame()).await.map_err(late)?;
            let Some(frame) = frame else { return Ok(None) };
            match frame.map_err(|error| ClientError::Transport(causes(&error)))?.into_data() {
                Ok(part) => return Ok(Some(part)),
                // Trailers are no part of the body.
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
    }

    /// The parts of the body as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ClientError>> + Send {
        try_unfold(self, async |mut answer| Ok(answer.next().await?.map(|part| (part, answer))))
    }
}
