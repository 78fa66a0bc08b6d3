//! A body that is a file: handed on piece by piece as it comes off the wire, so that whoever writes it slowly is sent it
//! slowly, and nothing is held.

use super::body::{Memory, discard, is_gzip};
use crate::handler::Upload;
use axum::body::Body;
use bytes::Bytes;
use docket_contract::{Code, Error};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest time for a file to arrive, however steadily it does.
const LONGEST: Duration = Duration::from_secs(3600);
/// Longest media type, in bytes.
const MAX_MEDIA_TYPE: usize = 255;

impl Memory {
    /// The body of a request as a file. It is taken as it is: a content coding would be kept as if it were the file.
    pub(in crate::faces) fn upload(&self, headers: &HeaderMap, body: Body) -> Result<Upload, Error> {
        let rest = Rest { headers: headers.clone(), body: Some(body) };
        if is_gzip(headers)? {
            let detail = "Content-Encoding must be absent: a file is kept as it is sent.";
            return Err(Error::new(Code::UnsupportedMediaType, detail));
        }
        let media_type = media_type(headers)?;
        let (pause, end) = (self.read_timeout(), Instant::now() + LONGEST);
        let content = stream::try_unfold(rest, move |mut rest| async move {
            Ok(rest.next(pause, end).await?.map(|piece| (piece, rest)))
        });
        Ok(Upload { media_type, content: content.boxed() })
    }
}

/// What is left of a body. Dropped before its end, it is discarded in the background, so that its sender reads the answer.
struct Rest {
    headers: HeaderMap,
    body: Option<Body>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            discard(&self.headers, body);
        }
    }
}

impl Rest {
    /// The next piece; `None` at the end.
    async fn next(&mut self, pause: Duration, end: Instant) -> Result<Option<Bytes>, Error> {
        while let Some(body) = &mut self.body {
            let frame = timeout_at(end.min(Instant::now() + pause), body.frame()).await.map_err(|_| {
                let detail = format!(
                    "No piece of the file came for {} seconds, or all of it took over {} seconds.",
                    pause.as_secs_f64(),
                    LONGEST.as_secs()
                );
                Error::new(Code::RequestTimeout, detail)
            })?;
            let Some(frame) = frame else {
                self.body = None;
                break;
            };
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "file broke off");
                Error::new(Code::MalformedBody, "The file broke off before its end; nothing of it is kept.")
            })?;
            // Trailers are no part of the file.
            if let Ok(piece) = frame.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

/// `Content-Type`, if it was sent.
fn media_type(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if text.len() <= MAX_MEDIA_TYPE => Ok(Some(text.to_owned())),
        _ => {
            let detail = format!("Content-Type must have at most {MAX_MEDIA_TYPE} visible ASCII characters.");
            Err(Error::new(Code::UnsupportedMediaType, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::BodyLimits;
    use super::*;
    use futures_util::FutureExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// An upload of these many pieces, and how many were asked for.
    fn upload(pieces: usize, limits: BodyLimits) -> (Upload, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let source = stream::unfold(0, move |sent| {
            count.fetch_add(1, Ordering::SeqCst);
            futures_util::future::ready((sent < pieces).then(|| (Ok::<_, Error>(Bytes::from_static(b"x")), sent + 1)))
        });
        let headers = HeaderMap::new();
        let upload = Memory::new(limits).upload(&headers, Body::from_stream(source)).expect("an upload");
        (upload, asked)
    }

    #[tokio::test]
    async fn nothing_is_read_ahead_of_who_takes_it() {
        let (mut upload, asked) = upload(1000, BodyLimits::default());
        for taken in 1..10 {
            assert!(upload.content.next().await.expect("a piece").is_ok());
            assert_eq!(asked.load(Ordering::SeqCst), taken);
        }
    }

    #[tokio::test]
    async fn what_is_not_taken_is_discarded_so_that_the_answer_is_read() {
        let (upload, asked) = upload(1000, BodyLimits::default());
        drop(upload);
        while asked.load(Ordering::SeqCst) <= 1000 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_pauses_too_long_is_refused() {
        let pause = Duration::from_secs(7);
        let limits = BodyLimits { read_timeout: pause, ..BodyLimits::default() };
        let source = stream::iter([Ok::<_, Error>(Bytes::from_static(b"x"))]).chain(stream::pending());
        let mut upload = Memory::new(limits).upload(&HeaderMap::new(), Body::from_stream(source)).expect("an upload");
        assert!(upload.content.next().await.expect("a piece").is_ok());
        assert!(upload.content.next().now_or_never().is_none());
        let began = Instant::now();
        let error = upload.content.next().await.expect("an answer").expect_err("it paused");
        assert_eq!((error.code, began.elapsed() >= pause), (Code::RequestTimeout, true));
    }
}
