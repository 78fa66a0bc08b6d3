//! The problem (RFC 9457) for what is no request yet: a head that can't be read or is too large.
//!
//! hyper answers those by itself, with a status, no body, and no hook to change that.

use docket_contract::error::Problem;
use docket_contract::{Code, Error};

/// The answer in place of hyper's; `None` if `bytes` are not the head of such a refusal.
pub(super) fn problem(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let first = lines.next()?;
    let error = match first.strip_prefix("HTTP/1.1 ")?.get(..3)? {
        "400" => Error::new(Code::MalformedRequest, "The request line or a header can't be read."),
        "414" => Error::new(Code::UriTooLong, "The request line must have less than 64 KiB."),
        "431" => Error::new(Code::HeadersTooLarge, "The request's head has too many bytes or too many headers."),
        _ => return None,
    };
    // The id that the client may have sent could not be read.
    let id = uuid::Uuid::now_v7();
    tracing::info!(status = error.code.status(), request_id = %id, "request refused");
    let body = serde_json::to_string(&Problem::new(&error, "/")).unwrap_or_default();
    let mut answer = format!("{first}\r\n");
    for line in lines.filter(|line| !line.starts_with("content-length:") && !line.starts_with("connection:")) {
        answer.push_str(line);
        answer.push_str("\r\n");
    }
    answer.push_str("content-type: application/problem+json\r\nconnection: close\r\n");
    answer.push_str(&format!("x-request-id: {id}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    Some(answer.into_bytes())
}
