//! The claimed attempts that have not ended, as this server knows them. A copy of what the store says; only the engine
//! changes claimed jobs, so the copy is true.

use super::key;
use super::pace::Pace;
use crate::executors::AttemptKey;
use crate::store::{CancelRequest, StoredJob};
use docket_contract::job::Retry;
use docket_contract::{Status, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One attempt.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub status: Status,
    pub started_at: Option<Timestamp>,
    pub cancel: Option<CancelRequest>,
    /// Boxed: few jobs have one.
    pub retry: Option<Box<Retry>>,
}

/// All of them, and how many there may be.
pub(super) struct Active {
    slots: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    attempts: HashMap<AttemptKey, Attempt>,
    pace: Pace,
}

impl Active {
    /// Room for this many running attempts, and for those that are handed over ahead.
    pub fn new(slots: usize) -> Self {
        Self { slots, known: Mutex::default() }
    }

    /// How many more may be claimed. Ahead of the running ones only as many as end within a moment: a short job must not
    /// wait for a round trip, and a long one must not stand before another of higher priority.
    pub fn free(&self, now: Timestamp) -> usize {
        if self.slots == 0 {
            return 0;
        }
        let known = self.lock();
        (self.slots + known.pace.ahead(now)).saturating_sub(known.attempts.len())
    }

    /// Whether so many attempts end that their reports are worth gathering.
    pub fn is_busy(&self, now: Timestamp) -> bool {
        self.lock().pace.ahead(now) > 0
    }

    /// Takes in a claimed job.
    pub fn add(&self, job: &StoredJob) {
        let attempts = &mut self.lock().attempts;
        // A wish that came after the job was read stays.
        let wish = attempts.get_mut(&key(job)).and_then(|attempt| attempt.cancel.take());
        let cancel = wish.or_else(|| job.cancel.clone());
        let retry = job.job.spec.retry.clone().map(Box::new);
        attempts.insert(key(job), Attempt { status: job.job.status, started_at: job.job.started_at, cancel, retry });
    }

    /// The attempt, if it has not ended.
    pub fn get(&self, key: AttemptKey) -> Option<Attempt> {
        self.lock().attempts.get(&key).cloned()
    }

    /// The attempt ended, and that is durable.
    pub fn remove(&self, key: AttemptKey, now: Timestamp) {
        let mut known = self.lock();
        known.attempts.remove(&key);
        known.pace.ended(now);
    }

    /// The attempt has another status, and that is durable.
    pub fn moved(&self, job: &StoredJob) {
        if let Some(attempt) = self.lock().attempts.get_mut(&key(job)) {
            attempt.status = job.job.status;
            attempt.started_at = job.job.started_at;
        }
    }

    /// Someone asked for the attempt's end.
    pub fn request_cancel(&self, key: AttemptKey, request: CancelRequest) {
        if let Some(attempt) = self.lock().attempts.get_mut(&key) {
            attempt.cancel = Some(request);
        }
    }

    /// All attempts.
    pub fn all(&self) -> Vec<(AttemptKey, Attempt)> {
        self.lock().attempts.iter().map(|(key, attempt)| (*key, attempt.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
