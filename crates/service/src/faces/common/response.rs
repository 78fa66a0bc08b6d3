//! What answers of every face are made of.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

/// Names what a request held and the server ignored, so that a typo is seen.
pub(in crate::faces) const IGNORED_FIELDS: HeaderName = HeaderName::from_static("docket-ignored-fields");
/// Longest value of that header.
const MAX_IGNORED_BYTES: usize = 1000;

/// A response with a body in one piece.
pub(in crate::faces) fn response(status: u16, media_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Media types come from the table or from our own records: they are valid header values.
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    }
    response
}

/// Names what was ignored: visible ASCII only, and not at any length.
pub(in crate::faces) fn name_ignored(response: &mut Response, ignored: &[String]) {
    let mut value = String::new();
    for name in ignored {
        let name: String = name
            .chars()
            .take(128)
            .map(|char| if char.is_ascii_graphic() && char != ',' { char } else { '?' })
            .collect();
        if value.len() + name.len() + 2 > MAX_IGNORED_BYTES {
            value.push_str(", ...");
            break;
        }
        value.push_str(if value.is_empty() { "" } else { ", " });
        value.push_str(&name);
    }
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(&value)) {
        response.headers_mut().insert(IGNORED_FIELDS, value);
    }
}
