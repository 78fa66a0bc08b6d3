//! How a command ends when it can't do what it was asked: one sentence for people, and the exit code.

use docket_client::ClientError;
use std::fmt;

/// Exit code of a call that the server refused: the same call will be refused again.
pub const REFUSED: u8 = 3;
/// Exit code of a call without an answer, or one that the server can't serve at present: it may succeed later.
pub const UNAVAILABLE: u8 = 4;

/// A command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code: 2 for what the caller can correct (a setting, an unreadable input), 1 for the rest. A command that
    /// makes one call tells more: [`REFUSED`], [`UNAVAILABLE`].
    pub code: u8,
    /// One sentence for people.
    pub message: String,
}

impl Failure {
    /// Something failed on the way: exit code 1.
    pub fn other(message: impl fmt::Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// The caller gave something wrong: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// The end of a command that made one call.
    pub fn of_call(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Url(_) => 2,
            ClientError::Connect(..) | ClientError::Transport(_) => UNAVAILABLE,
            ClientError::Problem { status: 408 | 429 | 500.., .. } => UNAVAILABLE,
            ClientError::Problem { .. } => REFUSED,
            ClientError::Decode(_) => 1,
        };
        Self { code, message: error.to_string() }
    }

    /// Says what was being done when it failed.
    pub fn context(self, doing: &str) -> Self {
        Self { code: self.code, message: format!("{doing}: {}", self.message) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Url(_) => Self::usage(error.to_string()),
            error => Self::other(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::other(error.to_string())
    }
}
