//! How a command ends when it can't do what it was asked: one sentence for people, and the exit code.

use docket_client::ClientError;
use std::fmt;

/// A command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code: 2 for what the caller can correct (a setting, an unreadable input), 1 for the rest.
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
