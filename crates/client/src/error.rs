//! What can go wrong for a client.

use docket_contract::FieldError;
use serde::Deserialize;
use std::time::Duration;

/// A call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The URL, the key or the input can't be made into a request.
    #[error("{0}")]
    Url(String),
    /// There is no connection: nothing was sent.
    #[error("can't connect to {0}: {1}")]
    Connect(String, String),
    /// The connection broke, or no answer came in time: the request may have been carried out or not.
    #[error("the connection failed: {0}")]
    Transport(String),
    /// The server answered with a problem (RFC 9457).
    #[error("{detail} (HTTP {status}, {code})")]
    Problem {
        /// HTTP status.
        status: u16,
        /// The stable code; `unknown` when the answer is no problem document.
        code: String,
        /// What happened, for people.
        detail: String,
        /// The fields at fault.
        errors: Vec<FieldError>,
        /// How long the server wishes the client to wait, by its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the operation promises.
    #[error("the answer can't be read: {0}")]
    Decode(String),
}

/// The part of a problem document that is read; a newer server may know codes that this client does not.
#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

impl ClientError {
    /// From an answer without success.
    pub(super) fn problem(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        match serde_json::from_slice::<Problem>(body) {
            Ok(Problem { code, detail, errors }) => Self::Problem { status, code, detail, errors, retry_after },
            Err(_) => {
                let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
                let detail = if text.trim().is_empty() { "no explanation was given".to_owned() } else { text };
                Self::Problem { status, code: "unknown".to_owned(), detail, errors: Vec::new(), retry_after }
            }
        }
    }

    /// The stable code of a problem.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the request may be sent again, and then what the server wishes: the outer `None` says no.
    ///
    /// A request that is not `repeatable` is sent again only when it was surely not carried out: not after an answer
    /// (502, 504) in which a gateway says that it lost sight of it.
    pub fn may_repeat(&self, repeatable: bool) -> Option<Option<Duration>> {
        match self {
            Self::Connect(..) => Some(None),
            Self::Transport(_) => repeatable.then_some(None),
            Self::Problem { status, code, retry_after, .. } => {
                let refused = matches!(status, 408 | 429 | 503 | 507) || code == "idempotency_in_flight";
                let lost = matches!(status, 502 | 504);
                (refused || lost && repeatable).then_some(*retry_after)
            }
            Self::Url(_) | Self::Decode(_) => None,
        }
    }
}
