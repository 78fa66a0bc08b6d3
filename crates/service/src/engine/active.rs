//! The claimed attempts that have not ended, as this server knows them. A copy of what the store says; only the engine
//! changes claimed jobs, so the copy is true.

use super::key;
use crate::executors::AttemptKey;
use crate::store::{CancelRequest, StoredJob};
use docket_contract::{Status, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One attempt.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub status: Status,
    pub started_at: Option<Timestamp>,
    pub cancel: Option<CancelRequest>,
}

/// All of them, and how many there may be.
pub(super) struct Active {
    most: usize,
    attempts: Mutex<HashMap<AttemptKey, Attempt>>,
}

impl Active {
    /// Room for the running ones and as many handed over ahead, so that the next starts without a round trip.
    pub fn new(slots: usize) -> Self {
        Self { most: slots * 2, attempts: Mutex::default() }
    }

    /// How many more may be claimed.
    pub fn free(&self) -> usize {
        self.most.saturating_sub(self.lock().len())
    }

    /// Takes in a claimed job.
    pub fn add(&self, job: &StoredJob) {
        let attempt = Attempt { status: job.job.status, started_at: job.job.started_at, cancel: job.cancel.clone() };
        self.lock().insert(key(job), attempt);
    }

    /// The attempt, if it has not ended.
    pub fn get(&self, key: AttemptKey) -> Option<Attempt> {
        self.lock().get(&key).cloned()
    }

    /// The attempt ended, and that is durable.
    pub fn remove(&self, key: AttemptKey) {
        self.lock().remove(&key);
    }

    /// The attempt has another status, and that is durable.
    pub fn moved(&self, job: &StoredJob) {
        if let Some(attempt) = self.lock().get_mut(&key(job)) {
            attempt.status = job.job.status;
            attempt.started_at = job.job.started_at;
        }
    }

    /// Someone asked for the attempt's end.
    pub fn request_cancel(&self, key: AttemptKey, request: CancelRequest) {
        if let Some(attempt) = self.lock().get_mut(&key) {
            attempt.cancel = Some(request);
        }
    }

    /// All attempts.
    pub fn all(&self) -> Vec<(AttemptKey, Attempt)> {
        self.lock().iter().map(|(key, attempt)| (*key, attempt.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptKey, Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
