//! Answers: outputs, streams and problems, as HTTP responses.

use super::live::{self, Credentials, Guarded};
use crate::faces::common::response::response;
use crate::handler::{Closing, Encoded, Field};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use docket_contract::error::Problem;
use docket_contract::operations::{File, Operation};
use docket_contract::{Code, Error, Reply};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue, header};
use http_body::Frame;
use http_body_util::StreamBody;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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
    let Encoded { mut stream, length, media_type, live, .. } = match reply {
        Reply::Typed(output) => return Ok(response(200, O::MEDIA_TYPE, typed::<O>(&output)?)),
        Reply::Encoded(encoded) => encoded,
        Reply::File(file) => return Ok(download::<O>(file, credentials)),
    };
    if live {
        stream = live::guarded(stream, credentials(), Guarded::Happenings);
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

/// A file, from whoever wrote it: to be saved, whatever it claims to be, and never to run as a page of this server.
fn download<O: Operation>(file: File<Encoded>, credentials: impl FnOnce() -> Credentials) -> Response {
    let Encoded { mut stream, length, headers: told, closing, .. } = file.content;
    if closing.is_some() {
        stream = live::guarded(stream, credentials(), Guarded::File);
    }
    let stream = stream.inspect_err(|error| tracing::error!(%error, "answer broken off"));
    let body = match closing {
        Some(closing) => closed(stream, closing),
        None => Body::from_stream(stream),
    };
    let mut response = response(200, &file.media_type, body);
    let headers = response.headers_mut();
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    headers.extend(told.iter().filter_map(field));
    if !O::TRAILERS.is_empty()
        && let Ok(names) = HeaderValue::from_str(&O::TRAILERS.join(", "))
    {
        headers.insert(header::TRAILER, names);
    }
    // The characters that RFC 8187 lets stand as they are; all others are escaped, so it is a header's value.
    const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    let name = utf8_percent_encode(&file.name, ATTR_CHAR);
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{name}")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    response
}

/// A body with what is told behind its end. One that breaks off has none.
fn closed(stream: impl Stream<Item = Result<Bytes, Error>> + Send + 'static, closing: Closing) -> Body {
    let trailers =
        stream::once(async move { Ok(Frame::trailers(closing.fields().iter().filter_map(field).collect())) });
    Body::new(StreamBody::new(stream.map_ok(Frame::data).chain(trailers)))
}

/// A field as HTTP has it. Names come from the table, and values are ours: both are valid.
fn field((name, value): &Field) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_str(value).ok()?))
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
