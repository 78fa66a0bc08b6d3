//! Answers: outputs, streams and problems, as HTTP responses.

use super::live::{self, Credentials};
use crate::faces::common::response::response;
use crate::handler::Encoded;
use axum::body::Body;
use axum::response::Response;
use docket_contract::error::Problem;
use docket_contract::operations::Operation;
use docket_contract::{Code, Error, Reply};
use futures_util::TryStreamExt;
use http::{HeaderValue, header};

/// An error as a problem (RFC 9457). `instance` is a path template, never a path: an id that is unknown and one of
/// another organization answer with the same bytes.
pub(super) fn problem(error: &Error, instance: &str) -> Response {
    let body = serde_json::to_vec(&Problem::new(error, instance)).unwrap_or_default();
    let mut response = response(error.code.status(), "application/problem+json", body);
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if error.code == Code::Unauthenticated {
        let challenge = HeaderValue::from_static("Bearer realm=\"docket\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The answer of an operation.
pub(super) fn answer<O: Operation>(
    result: Result<Reply<O::Output, Encoded>, Error>,
    credentials: impl FnOnce() -> Credentials,
) -> Response {
    match result.and_then(|reply| success::<O>(reply, credentials)) {
        Ok(response) => response,
        Err(error) => {
            let mut response = problem(&error, O::PATH);
            if error.code == Code::MethodNotAllowed {
                // Only a handler that plays gives it: the face itself finds no row for another method.
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(O::METHOD.name()));
            }
            response
        }
    }
}

fn success<O: Operation>(
    reply: Reply<O::Output, Encoded>,
    credentials: impl FnOnce() -> Credentials,
) -> Result<Response, Error> {
    let Encoded { mut stream, length, media_type, live } = match reply {
        Reply::Typed(output) => return Ok(response(200, O::MEDIA_TYPE, typed::<O>(&output)?)),
        Reply::Encoded(encoded) => encoded,
    };
    if live {
        stream = live::guarded(stream, credentials());
    }
    let stream = stream.inspect_err(|error| tracing::error!(%error, "answer broken off"));
    let mut response = response(200, media_type.unwrap_or(O::MEDIA_TYPE), Body::from_stream(stream));
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    if live {
        live::mark(&mut response);
    }
    Ok(response)
}

fn typed<O: Operation>(output: &O::Output) -> Result<Vec<u8>, Error> {
    let fail = |error: serde_json::Error| {
        tracing::error!(%error, operation = O::NAME, "answer can't be encoded");
        Error::new(Code::Internal, "The server failed; its log has the reason.")
    };
    if O::MEDIA_TYPE == "application/json" {
        return serde_json::to_vec(output).map_err(fail);
    }
    // A text is sent as it is, not as a JSON string.
    match serde_json::to_value(output).map_err(fail)? {
        serde_json::Value::String(text) => Ok(text.into_bytes()),
        other => Ok(other.to_string().into_bytes()),
    }
}
