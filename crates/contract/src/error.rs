//! The one list of errors. REST status, problem details (RFC 9457) and SOAP faults are derived from it.
//!
//! A code is stable: clients may branch on it. The `detail` text is for people and may change.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $status:literal, $title:literal;)+) => {
        /// A stable error code. Its documentation is served at `/docs/errors/{code}`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The stable name, in snake case, as it stands in the `code` member of a problem.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name),+ }
            }

            /// The HTTP status that carries this code.
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status),+ }
            }

            /// A short summary, the same for every occurrence (RFC 9457, `title`).
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }

            /// What the code means and what a client can do, for the documentation.
            pub fn description(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

codes! {
    /// The request line or a header is not HTTP/1.1. Nothing was done, and the connection is closed.
    MalformedRequest = "malformed_request", 400, "The request can't be read";
    /// The body is not JSON, or not UTF-8, or nested too deeply. Nothing was saved.
    MalformedBody = "malformed_body", 400, "The body can't be read";
    /// A parameter or a member of the body is missing, of the wrong type, or outside its limits; `errors` names each.
    InvalidRequest = "invalid_request", 400, "The request is not valid";
    /// The page token was not issued by this server for this storage, job and filters. Begin again without `startAfter`.
    InvalidPageToken = "invalid_page_token", 400, "The page token is not valid";
    /// No key was sent, or it is unknown, revoked or expired.
    Unauthenticated = "unauthenticated", 401, "A valid key is needed";
    /// The key's role, or the job that the key is bound to, does not allow this operation.
    Forbidden = "forbidden", 403, "The key does not allow this";
    /// There is no such thing, or it belongs to another organization: both answer alike.
    NotFound = "not_found", 404, "Not found";
    /// The path exists, but not with this method; `Allow` names those that it has.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here";
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout", 408, "The request took too long to arrive";
    /// The job has not ended yet; cancel it or wait.
    JobNotEnded = "job_not_ended", 409, "The job has not ended";
    /// The job has ended; its status and progress can't change any more.
    JobEnded = "job_ended", 409, "The job has ended";
    /// No result of the job has the verdict FAILED, so there are no failed records to run again.
    NothingFailed = "nothing_failed", 409, "No record failed";
    /// Jobs of the scheduled job have not ended, and its overlap policy lets no other one start.
    RunNotEnded = "run_not_ended", 409, "A run has not ended";
    /// The report carries an attempt that is not the job's present one.
    StaleAttempt = "stale_attempt", 409, "The attempt is outdated";
    /// A request with the same `Idempotency-Key` is still being worked on; try again shortly.
    IdempotencyInFlight = "idempotency_in_flight", 409, "The first request is still in flight";
    /// The body is larger than the limit, as sent or once decompressed.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The request line has 64 KiB or more: send fewer ids at a time. The connection is closed.
    UriTooLong = "uri_too_long", 414, "The request line is too long";
    /// The body must be `application/json`, plain or with `Content-Encoding: gzip`.
    UnsupportedMediaType = "unsupported_media_type", 415, "The media type is not supported";
    /// The same `Idempotency-Key` came before with another request.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The idempotency key was used for another request";
    /// More requests came than this caller may send in this time; try again after `Retry-After` seconds.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// The request's head has too many bytes or headers. The connection is closed.
    HeadersTooLarge = "headers_too_large", 431, "The head of the request is too large";
    /// The server has more to do than it may hold; try again after `Retry-After` seconds.
    Overloaded = "overloaded", 503, "The server is overloaded";
    /// The server is stopping; try again after `Retry-After` seconds.
    ShuttingDown = "shutting_down", 503, "The server is stopping";
    /// The file that holds this storage is damaged; other storages are served. An operator must restore it.
    StorageDamaged = "storage_damaged", 500, "The storage is damaged";
    /// The server failed; its log has the reason under the request id.
    Internal = "internal", 500, "The server failed";
    /// The field or operation is defined, but this server does not honour it yet; it is refused rather than ignored.
    NotSupported = "not_supported", 422, "Not supported by this server";
    /// The disk is full. Reads go on; writes work again once there is space, without a restart.
    StorageFull = "storage_full", 507, "The disk is full";
}

impl Code {
    /// The stable URI of the code (RFC 9457, `type`), relative to the server.
    pub fn type_uri(self) -> String {
        format!("/docs/errors/{}", self.name())
    }
}

impl PartialSchema for Code {
    /// The names on the wire. (The derive does not see names that a macro gives.)
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A stable error code. Its documentation is served at `/docs/errors/{code}`."))
            .enum_values(Some(Code::ALL.iter().map(|code| code.name())))
            .into()
    }
}

impl ToSchema for Code {}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One reason why a request is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `/` and the name of a parameter or header.
    pub pointer: String,
    /// What is wrong, for programs: `required`, `wrong_type`, `too_long`, `too_many`, `out_of_range`, `unknown_value`,
    /// `invalid_characters`, `invalid_format` or `not_supported`.
    pub code: String,
    /// What is wrong, for people: names the limit and what was found.
    pub detail: String,
}

/// An error as every operation returns it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Error {
    /// The stable code.
    pub code: Code,
    /// What happened this time, for people. Never holds an id of another organization.
    pub detail: String,
    /// The fields at fault, for [`Code::InvalidRequest`].
    pub errors: Vec<FieldError>,
    /// After how many seconds to try again, where the code's own number does not fit.
    pub retry_after: Option<u32>,
}

impl Error {
    /// An error with a code and a text.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// There is no such thing, or it is not the caller's. The text is the same for both.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is no such thing, or it is not yours to see.")
    }

    /// This error about a member of the body: the pointers of its fields begin with the one of the member.
    pub fn within(mut self, pointer: &str) -> Self {
        for field in &mut self.errors {
            field.pointer.insert_str(0, pointer);
        }
        self
    }

    /// One field is not valid.
    pub fn field(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            code: Code::InvalidRequest,
            detail: detail.clone(),
            errors: vec![FieldError { pointer: pointer.into(), code: code.to_owned(), detail }],
            retry_after: None,
        }
    }

    /// After how many seconds a client should try again, where that helps.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        if self.retry_after.is_some() {
            return self.retry_after;
        }
        match self.code {
            Code::RateLimited | Code::Overloaded | Code::ShuttingDown | Code::IdempotencyInFlight => Some(1),
            Code::StorageFull => Some(30),
            _ => None,
        }
    }
}

/// The body of every error answer, `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable URI for the code; relative to the server.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", example = "/docs/errors/not_found")]
    pub type_uri: String,
    /// A short summary of the code.
    #[schema(example = "Not found")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The operation's path template, so that answers about an unknown thing and another organization's are the same.
    #[schema(example = "/jobs/{jobId}")]
    pub instance: String,
    /// The stable code.
    pub code: Code,
    /// The fields at fault, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// The problem that tells of `error` in the operation at `instance`.
    pub fn new(error: &Error, instance: &str) -> Self {
        Self {
            type_uri: error.code.type_uri(),
            title: error.code.title().to_owned(),
            status: error.code.status(),
            detail: error.detail.clone(),
            instance: instance.to_owned(),
            code: error.code,
            errors: error.errors.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_survive_json() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for &code in Code::ALL {
            let json = serde_json::to_string(&code).expect("a code is a string");
            assert_eq!(json, format!("\"{}\"", code.name()));
            assert_eq!(serde_json::from_str::<Code>(&json).expect("reads back"), code);
            assert!((400..600).contains(&code.status()), "{code}");
            assert!(!code.description().is_empty());
        }
    }
}
