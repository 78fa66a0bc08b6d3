//! Ends of jobs of which a webhook is told only if records have newly failed. Whether any have is not known when the
//! event is written: a check is written with it, and becomes a delivery, or nothing, once the results were compared.

use super::DeliveryKey;
use docket_contract::{JobId, Timestamp};

/// A check as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegressionCheck {
    /// Event and webhook.
    pub key: DeliveryKey,
    /// The job that has ended; it may be deleted by now.
    pub job: JobId,
    /// Whose job it is.
    pub organization: String,
    /// Where to.
    pub url: String,
    /// The [`Notice`](docket_contract::notice::Notice) of the end, in JSON.
    pub payload: String,
    /// Attempts made to compare.
    pub attempts: u32,
    /// When the next one is due.
    pub next_at: Timestamp,
}

/// Checks that are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueChecks {
    /// The longest waiting first.
    pub due: Vec<RegressionCheck>,
    /// When another one gets due.
    pub next: Option<Timestamp>,
}

impl DueChecks {
    /// Of the first checks by time those that are due, and when the first of the others is.
    pub(super) fn of(firsts: Vec<RegressionCheck>, now: Timestamp) -> Self {
        let (due, later): (Vec<_>, Vec<_>) = firsts.into_iter().partition(|check| check.next_at <= now);
        Self { due, next: later.first().map(|check| check.next_at) }
    }
}

/// What a check has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckEnd {
    /// Records have newly failed: a delivery takes the place of the check.
    Regressed {
        /// What is sent.
        payload: String,
        /// When it is due.
        now: Timestamp,
    },
    /// There is nothing to tell.
    Nothing,
    /// The results could not be compared; they are compared again.
    Postponed {
        /// When.
        next_at: Timestamp,
    },
}
