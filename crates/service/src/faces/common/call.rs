//! Who calls, and where the work of a call is done.

use docket_contract::{Code, Error};
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The key of `X-API-KEY`, or else of `Authorization: Bearer`.
pub(in crate::faces) fn presented(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let wrong = || Error::new(Code::Unauthenticated, "The key must be visible ASCII characters.");
    if let Some(value) = headers.get(&API_KEY) {
        return value.to_str().map(Some).map_err(|_| wrong());
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| wrong())?;
    let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()))
}

/// The host that the request was sent to.
pub(in crate::faces) fn host(parts: &Parts) -> Option<&str> {
    let named = parts.uri.authority().map(|authority| authority.as_str());
    // A name that is no text is nobody's.
    named.or_else(|| parts.headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default()))
}

/// Runs what takes long apart from the threads that serve connections.
pub(in crate::faces) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "decoding ended without a result");
        Err(Error::new(Code::Internal, "The server failed; its log has the reason."))
    })
}
