//! One gate a job: many may write its results at once, and nobody while the job is being deleted. Without it an insert
//! that has seen the job could write results behind its deletion, which nobody would ever reach again.
//!
//! The gate also remembers which storages the job is known to write to, which spares a look and a write for each insert.

use docket_contract::JobId;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The gates of the jobs that were written to of late.
#[derive(Debug, Default)]
pub struct Gates {
    jobs: Mutex<HashMap<JobId, Arc<Gate>>>,
}

impl Gates {
    /// Gates that are kept; over it those that nobody holds are dropped.
    const MOST: usize = 50_000;

    /// The gate of a job. All who hold it at a time hold the same one.
    pub(super) fn of(&self, job: JobId) -> Arc<Gate> {
        let mut jobs = lock(&self.jobs);
        if jobs.len() >= Self::MOST && !jobs.contains_key(&job) {
            jobs.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        Arc::clone(jobs.entry(job).or_default())
    }
}

/// What one job's writers and its deletion share.
#[derive(Debug, Default)]
pub(super) struct Gate {
    turns: RwLock<()>,
    storages: Mutex<HashSet<String>>,
}

impl Gate {
    /// Storages remembered; over it the memory begins anew.
    const MOST_STORAGES: usize = 1000;

    /// Waits while the job is being deleted. Look the job up behind it.
    pub(super) async fn write_results(&self) -> RwLockReadGuard<'_, ()> {
        self.turns.read().await
    }

    /// Waits for the writes in flight and keeps new ones out. Look the job up behind it.
    pub(super) async fn delete(&self) -> RwLockWriteGuard<'_, ()> {
        self.turns.write().await
    }

    /// Whether the job is known to write to the storage.
    pub(super) fn knows(&self, storage: &str) -> bool {
        lock(&self.storages).contains(storage)
    }

    /// Remembers that the job writes to the storage.
    pub(super) fn note(&self, storage: &str) {
        let mut storages = lock(&self.storages);
        if storages.len() >= Self::MOST_STORAGES {
            storages.clear();
        }
        storages.insert(storage.to_owned());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use uuid::Uuid;

    fn job(n: usize) -> JobId {
        JobId(Uuid::from_u128(n as u128))
    }

    #[tokio::test]
    async fn a_deletion_waits_for_writers_and_keeps_new_ones_out() {
        let gates = Gates::default();
        let (writer, other, deleter) = (gates.of(job(1)), gates.of(job(1)), gates.of(job(1)));
        let writing = writer.write_results().await;
        assert!(other.write_results().now_or_never().is_some(), "writers share the gate");
        let mut deleting = Box::pin(deleter.delete());
        assert!(deleting.as_mut().now_or_never().is_none(), "a write is in flight");
        let mut late = Box::pin(other.write_results());
        assert!(late.as_mut().now_or_never().is_none(), "a deletion waits");
        drop(writing);
        let deleted = deleting.await;
        assert!(late.as_mut().now_or_never().is_none());
        assert!(gates.of(job(2)).write_results().now_or_never().is_some(), "another job is not held up");
        drop(deleted);
        drop(late.await);
    }

    #[test]
    fn gates_that_are_held_are_never_dropped() {
        let gates = Gates::default();
        let held = gates.of(job(0));
        held.note("s");
        for n in 1..=2 * Gates::MOST {
            gates.of(job(n));
        }
        assert!(Arc::ptr_eq(&held, &gates.of(job(0))));
        assert!(held.knows("s") && !held.knows("t"));
        assert!(lock(&gates.jobs).len() <= Gates::MOST + 1);
    }
}
