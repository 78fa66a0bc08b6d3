//! Why an attempt to deliver failed.

use std::fmt;
use std::time::Duration;

/// Why an attempt failed, and what follows from it.
#[derive(Debug)]
pub(super) struct Failure {
    /// Why, for people.
    pub(super) reason: String,
    /// No further attempt can help.
    pub(super) is_final: bool,
    /// How long the receiver wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that may be over at the next attempt.
    pub(super) fn passing(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), is_final: false, retry_after: None }
    }

    /// A failure that stays.
    pub(super) fn lasting(reason: impl fmt::Display) -> Self {
        Self { is_final: true, ..Self::passing(reason) }
    }
}
