//! Deliveries: what webhooks are still to be told. A delivery is written with its event and holds all that is sent, so
//! it outlives its job.

use super::{StoreError, StoredJob};
use docket_contract::history::JobEvent;
use docket_contract::job::check_webhook_url;
use docket_contract::notice::Notice;
use docket_contract::{JobId, Timestamp};

/// Names a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// The event that is told.
    pub event: u64,
    /// The place of the webhook among those of the job, from 0.
    pub hook: u8,
}

/// A delivery as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub key: DeliveryKey,
    /// The job; it may be deleted by now.
    pub job: JobId,
    /// Whose job it is.
    pub organization: String,
    /// Where to.
    pub url: String,
    /// What is sent: a [`Notice`] in JSON.
    pub payload: String,
    /// Attempts made.
    pub attempts: u32,
    /// When the next attempt is due; `None` when it was given up.
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

impl Delivery {
    /// What identifies it to receivers: the same at each attempt, and no other server's.
    pub fn message_id(&self) -> String {
        format!("evt_{}_{}_{}", self.job.0.simple(), self.key.event, self.key.hook)
    }
}

/// Which receivers are to be told something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueReceivers {
    /// Those with a due delivery, the longest waiting first.
    pub due: Vec<String>,
    /// When another one gets due.
    pub next: Option<Timestamp>,
}

impl DueReceivers {
    /// From receivers and the times of their first deliveries.
    pub(super) fn sort(mut firsts: Vec<(Timestamp, String)>, now: Timestamp, limit: usize) -> Self {
        firsts.sort_unstable();
        let later = firsts.partition_point(|(at, _)| *at <= now);
        let next = firsts.get(later).map(|(at, _)| *at);
        firsts.truncate(later.min(limit));
        Self { due: firsts.into_iter().map(|(_, receiver)| receiver).collect(), next }
    }
}

/// What an attempt to deliver has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// It was taken: the delivery is removed.
    Delivered,
    /// It failed and is tried again.
    Postponed {
        /// When.
        next_at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// It failed for good. It is kept, to be seen, as long as its job.
    GivenUp {
        /// Why it failed.
        error: String,
    },
}

/// What is sent of an event.
pub(super) fn payload(job: &StoredJob, event: JobEvent) -> Result<String, StoreError> {
    let notice = Notice::new(&job.organization, &job.job, event);
    serde_json::to_string(&notice).map_err(|error| StoreError::Internal(format!("a notice can't be written: {error}")))
}

/// Where a url leads, as `host:port`: what can be slow or down as a whole.
pub(super) fn receiver(url: &str) -> String {
    let parsed = check_webhook_url(url).ok();
    let place = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    // Only checked urls are stored; one that isn't is a receiver of its own.
    place.map_or_else(|| url.to_owned(), |(host, port)| format!("{host}:{port}"))
}
