//! What every request gets, whatever it asks for: an id, a span that carries it into each log line, and a log line of
//! its own.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use std::time::{Duration, Instant};
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

/// The id of a request, taken or made, on every answer.
pub(in crate::faces) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a client.
pub(in crate::faces) const MAX_REQUEST_ID: usize = 128;

/// Wraps all of the face. `slow` is the duration from which on a request is logged as slow.
pub(in crate::faces) async fn observe(State(slow): State<Duration>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers().get(&REQUEST_ID));
    // At the level of errors, so that the id stands in their lines whatever the filter lets through.
    let span = tracing::error_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        method = request.method().as_str(),
        path = Empty,
        organization = Empty,
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, id);

    let status = response.status().as_u16();
    let took = began.elapsed();
    let _entered = span.enter();
    if status >= 400 || took >= slow {
        tracing::info!(status, duration_ms = took.as_secs_f64() * 1e3, "request");
    } else {
        tracing::debug!(status, duration_ms = took.as_secs_f64() * 1e3, "request");
    }
    response
}

/// Notes in the span which row of the table answers.
pub(in crate::faces) fn note_path(template: &'static str) {
    Span::current().record("path", template);
}

/// Notes in the span who calls.
pub(in crate::faces) fn note_organization(organization: &str) {
    Span::current().record("organization", display(organization));
}

fn request_id(sent: Option<&HeaderValue>) -> HeaderValue {
    let fits =
        |id: &&HeaderValue| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    if let Some(id) = sent.filter(fits) {
        return id.clone();
    }
    let mut buffer = uuid::Uuid::encode_buffer();
    let id = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("-"))
}
