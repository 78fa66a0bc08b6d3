//! `Idempotency-Key`: the same request with the same key is done once, and its answer is given again.
//!
//! Answers that say "try again" (5xx, 408, 429) are not kept, nor streams and answers over 1 MiB: the request is then
//! forgotten, and a repetition is done anew. The work runs apart from the connection, so that a client that hangs up
//! leaves no request in flight.

use super::response::response;
use crate::clock::Clock;
use crate::store::{ControlStore, Idempotency, IdempotencyKey, StoredReply};
use axum::body::Body;
use axum::response::Response;
use docket_contract::{Code, Error, JobId};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::{BodyExt, Limited};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::Instrument;

/// The request header.
pub(in crate::faces) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
pub(in crate::faces) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key.
pub(in crate::faces) const MAX_KEY: usize = 255;
/// Longest answer that is kept.
const MAX_KEPT: usize = 1 << 20;

/// The key that a request carries.
pub(in crate::faces) fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(&KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    if values.next().is_none()
        && (1..=MAX_KEY).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_graphic)
        && let Ok(key) = value.to_str()
    {
        return Ok(Some(key.to_owned()));
    }
    let detail = format!("Idempotency-Key must be given once and have 1 to {MAX_KEY} visible ASCII characters.");
    Err(Error::field("/Idempotency-Key", "invalid_format", detail))
}

/// Hash of what makes a request the same one. Parts are kept apart by their lengths.
pub(in crate::faces) fn request_hash(method: &str, path: &str, query: &str, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [method.as_bytes(), path.as_bytes(), query.as_bytes(), body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Runs `work` once for a key, or gives the answer that it got before. `work` is given the seed of the key; `refuse` brings
/// an error into the face's form.
pub(in crate::faces) async fn once<F>(
    control: Arc<dyn ControlStore>,
    clock: &dyn Clock,
    key: IdempotencyKey,
    refuse: impl FnOnce(&Error) -> Response + Send + 'static,
    work: impl FnOnce(JobId) -> F,
) -> Result<Response, Error>
where
    F: Future<Output = Response> + Send + 'static,
{
    let id = JobId(uuid::Uuid::now_v7());
    let seed = match control.begin_request(&key, id, clock.now()).await? {
        Idempotency::Proceed(seed) => seed,
        Idempotency::Answered(reply) => return Ok(replay(reply)),
        Idempotency::InFlight => {
            return Err(Error::new(Code::IdempotencyInFlight, "The first request with this key is still in flight."));
        }
        Idempotency::Different => {
            let detail = "This Idempotency-Key came before with another method, path, query or body.";
            return Err(Error::new(Code::IdempotencyKeyReused, detail));
        }
    };
    let work = AssertUnwindSafe(work(seed)).catch_unwind();
    let task = tokio::spawn(
        async move {
            let answer = work.await.unwrap_or_else(|_| {
                tracing::error!("request panicked");
                refuse(&Error::new(Code::Internal, "The server failed; its log has the reason."))
            });
            keep(&*control, &key, answer).await
        }
        .in_current_span(),
    );
    task.await.map_err(|error| {
        tracing::error!(%error, "request ended without an answer");
        Error::new(Code::ShuttingDown, "The server is stopping.")
    })
}

fn replay(reply: StoredReply) -> Response {
    let mut response = response(reply.status, &reply.media_type, reply.body);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Keeps the answer, or forgets the request where the answer is none to repeat.
async fn keep(control: &dyn ControlStore, key: &IdempotencyKey, answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let status = parts.status.as_u16();
    let mut stored = None;
    let mut answer = Response::from_parts(parts, Body::empty());
    if status >= 500 || [408, 429].contains(&status) {
        *answer.body_mut() = body;
    } else if http_body::Body::size_hint(&body).exact().is_some_and(|length| length <= MAX_KEPT as u64) {
        // Of known length and in memory already.
        if let Ok(collected) = Limited::new(body, MAX_KEPT).collect().await {
            let body = collected.to_bytes();
            let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.unwrap_or("application/json").to_owned();
            stored = Some(StoredReply { status, media_type, body: body.to_vec() });
            *answer.body_mut() = body.into();
        }
    } else {
        *answer.body_mut() = body;
    }
    if let Err(error) = control.end_request(key, stored).await {
        // The work is done and durable: its answer is true. The key stays in flight until it is forgotten.
        tracing::error!(%error, "answer to a request with an idempotency key could not be kept");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
            }
            key(&headers)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["a-1"]), Ok(Some("a-1".to_owned())));
        assert!(read(&[&"x".repeat(255)]).is_ok());
        for wrong in [&[""][..], &["a b"], &["ü"], &["a", "a"], &[&"x".repeat(256)]] {
            let error = read(wrong).expect_err("not a key");
            assert_eq!(error.errors[0].pointer, "/Idempotency-Key", "{wrong:?}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(request_hash("POST", "/a", "b", b""), request_hash("POST", "/ab", "", b""));
        assert_eq!(request_hash("POST", "/a", "b", b"c"), request_hash("POST", "/a", "b", b"c"));
    }
}
