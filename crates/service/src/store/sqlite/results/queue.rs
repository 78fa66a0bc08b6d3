//! What waits for the writer of a file: requests of callers, bounded by their bytes, and chores of the file itself.

use super::index_runs::Step;
use super::keys::Hashes;
use super::purge::Purge;
use super::removal::{Removal, Removed};
use super::wipe::Wiped;
use crate::store::body::Naming;
use crate::store::{SetOwner, StoreError, Upserted};
use docket_contract::Timestamp;
use docket_contract::result::Record;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Unit of the bound on waiting bytes.
const PERMIT_BYTES: usize = 1024;
/// Memory that a record takes beside its texts, for each set that it goes to.
const RECORD_BYTES: usize = 128;
/// Bytes that share a transaction, unless one request is larger.
const GROUP_BYTES: usize = 8 << 20;
/// Chores that share a transaction with requests.
const GROUP_CHORES: usize = 2;

/// What a caller asks of the writer.
pub enum Work {
    /// Write these records, all of them to each target; what became of the first one is told.
    Upsert { targets: Vec<Target>, records: Vec<Record>, hashes: Vec<Hashes>, now: Timestamp },
    /// Remove the set.
    DeleteSet { owner: SetOwner },
    /// Remove the sets of all jobs.
    DeleteJobSets,
    /// Remove single rows, as many as one transaction may.
    Remove(Removal),
}

/// A set that records are written to.
pub struct Target {
    pub owner: SetOwner,
    /// Which job their texts name there.
    pub naming: Naming,
}

impl Work {
    /// Memory that it takes while it waits.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Upsert { targets, records, .. } => {
                let texts = |record: &Record| record.json.len() + record.identity.as_bytes().len();
                records.iter().map(|record| texts(record) + RECORD_BYTES * targets.len()).sum()
            }
            Self::DeleteSet { .. } | Self::DeleteJobSets => RECORD_BYTES,
            Self::Remove(removal) => removal.sequences.len() * size_of::<u64>() + RECORD_BYTES,
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Upserted(Upserted),
    /// So many results.
    Deleted(u64),
    Removed(Removed),
}

/// A caller's request.
pub struct Request {
    pub work: Work,
    bytes: usize,
    answer: oneshot::Sender<Result<Outcome, StoreError>>,
    _room: OwnedSemaphorePermit,
}

impl Request {
    /// Answers; the caller may have gone.
    pub fn answer(self, outcome: Result<Outcome, StoreError>) {
        let _ = self.answer.send(outcome);
    }
}

/// What the file has to do for itself.
#[derive(Clone)]
pub enum Chore {
    Index(Step),
    Purge(Purge),
    Wiped(Wiped),
    /// Moves the rest of the log into the file, so that it can begin anew.
    EndCheckpoint,
}

/// A chore with the one who waits for it. Answers how many rows it found.
pub struct ChoreRequest {
    pub chore: Chore,
    answer: mpsc::SyncSender<Result<usize, StoreError>>,
}

impl ChoreRequest {
    /// Answers; the one who waits may have gone.
    pub fn answer(self, outcome: Result<usize, StoreError>) {
        let _ = self.answer.send(outcome);
    }
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    chores: VecDeque<ChoreRequest>,
    closing: bool,
}

/// The queue of one writer.
pub struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    room: Arc<Semaphore>,
    permits: usize,
    patience: Duration,
}

impl Queue {
    /// Holds at most `bytes`; who finds no room waits for `patience`.
    pub fn new(bytes: usize, patience: Duration) -> Self {
        let permits = (bytes / PERMIT_BYTES).clamp(1, u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(permits));
        Self { waiting: Mutex::default(), arrived: Condvar::new(), room, permits, patience }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock half way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room, then for the outcome.
    pub async fn submit(&self, work: Work) -> Result<Outcome, StoreError> {
        let bytes = work.bytes();
        // A request larger than the whole queue waits until it is alone.
        let permits = bytes.div_ceil(PERMIT_BYTES).clamp(1, self.permits) as u32;
        let room = tokio::time::timeout(self.patience, self.room.clone().acquire_many_owned(permits)).await;
        let room = room.map_err(|_| StoreError::Overloaded)?.map_err(|_| StoreError::Closing)?;
        let (answer, outcome) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.closing {
                return Err(StoreError::Closing);
            }
            waiting.requests.push_back(Request { work, bytes, answer, _room: room });
        }
        self.arrived.notify_one();
        outcome.await.unwrap_or(Err(StoreError::Closing))
    }

    /// Hands a chore to the writer; the outcome comes through the receiver, or the sender is dropped at the end.
    pub fn submit_chore(&self, chore: Chore) -> mpsc::Receiver<Result<usize, StoreError>> {
        let (answer, outcome) = mpsc::sync_channel(1);
        let mut waiting = self.lock();
        if !waiting.closing {
            waiting.chores.push_back(ChoreRequest { chore, answer });
            self.arrived.notify_one();
        }
        outcome
    }

    /// Waits for work; `None` when the queue is closed and no request is left. With `chores_only` requests stay where
    /// they are, for at most a second.
    pub fn take(&self, chores_only: bool) -> Option<(Vec<Request>, Vec<ChoreRequest>)> {
        let mut waiting = self.lock();
        let mut waited = false;
        let chores_only = loop {
            let chores_only = chores_only && !waited && !waiting.closing;
            if !waiting.chores.is_empty() || !waiting.requests.is_empty() && !chores_only {
                break chores_only;
            }
            if waiting.closing {
                return None;
            }
            waiting = if chores_only {
                let (waiting, timeout) =
                    self.arrived.wait_timeout(waiting, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner);
                waited = timeout.timed_out();
                waiting
            } else {
                self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner)
            };
        };
        let mut requests = Vec::new();
        let mut bytes = 0;
        while !chores_only
            && let Some(request) = waiting.requests.front()
            && (requests.is_empty() || bytes + request.bytes <= GROUP_BYTES)
        {
            bytes += request.bytes;
            requests.extend(waiting.requests.pop_front());
        }
        let chores = waiting.chores.len().min(GROUP_CHORES);
        let chores = waiting.chores.drain(..chores).collect();
        Some((requests, chores))
    }

    /// Takes no more; the writer ends when it has done what waits.
    pub fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_all();
    }
}
