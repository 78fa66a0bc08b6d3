//! Answers that come as things happen: they are neither kept nor gathered on their way, and they go on only as long as
//! their caller's key is good.

use crate::access::Access;
use crate::faces::common::call::{host, presented};
use axum::response::Response;
use bytes::Bytes;
use docket_contract::{Caller, Code, Error};
use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a key counts as good. Events come with a heartbeat: no stream waits much longer for the next look.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Asks proxies that gather answers (nginx) not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Marks an answer for the layers around the face.
#[derive(Clone, Copy, Debug)]
struct Live;

/// What a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarded {
    /// Things that happen: each is worth something by itself.
    Happenings,
    /// A file, which must not look whole when it is not.
    File,
}

/// Who asked, and how that is found out again.
pub(super) struct Credentials {
    pub(super) access: Arc<dyn Access>,
    pub(super) caller: Caller,
    pub(super) presented: Presented,
}

/// What a request said of who asks.
pub(super) struct Presented {
    key: Option<String>,
    host: Option<String>,
}

impl Presented {
    pub(super) fn of(parts: &Parts) -> Self {
        let key = presented(&parts.headers).ok().flatten().map(str::to_owned);
        Self { key, host: host(parts).map(str::to_owned) }
    }
}

impl Credentials {
    async fn are_good(&self) -> bool {
        match self.access.caller(self.presented.key.as_deref(), self.presented.host.as_deref()).await {
            Ok(caller) => caller == self.caller,
            Err(_) => false,
        }
    }
}

/// Ends a stream once the key behind it is not good any more; a file is broken off.
pub(super) fn guarded(
    stream: BoxStream<'static, Result<Bytes, Error>>,
    credentials: Credentials,
    what: Guarded,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let state = (stream, credentials, Instant::now());
    try_unfold(state, move |(mut stream, credentials, mut seen)| async move {
        let Some(piece) = stream.next().await else { return Ok(None) };
        if seen.elapsed() >= GOOD_FOR {
            // Boxed, for thousands of streams wait above.
            if !Box::pin(credentials.are_good()).await {
                return match what {
                    Guarded::Happenings => Ok(None),
                    Guarded::File => Err(Error::new(Code::Unauthenticated, "The key was revoked meanwhile.")),
                };
            }
            seen = Instant::now();
        }
        Ok(Some((piece?, (stream, credentials, seen))))
    })
    .boxed()
}

/// Marks an answer.
pub(super) fn mark(response: &mut Response) {
    response.extensions_mut().insert(Live);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
}

/// Whether an answer is not marked; for the compression.
pub(super) fn is_not(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<Live>().is_none()
}
