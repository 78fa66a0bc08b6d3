//! What a file does for itself beside its writer: index runs, removal of rows that are gone, and checkpoints.
//!
//! One thread a file. It reads and prepares on its own connection; what it writes goes through the writer in slices, so
//! that no request waits long. A checkpoint copies most of the log here, beside the writer, and leaves only a short end
//! to it, after which the log begins anew.

use super::index_runs::{Maintenance, Step};
use super::purge;
use super::queue::{Chore, Queue};
use super::segment::Segment;
use crate::store::StoreError;
use rusqlite::Connection;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Pages that the writer may be left to move at the end of a checkpoint.
const CHECKPOINT_REST: i64 = 1024;
/// Rounds in which a checkpoint follows a log that grows meanwhile.
const CHECKPOINT_ROUNDS: usize = 4;
/// Pause after a failure, such as a full disk.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Wanted {
    tidy: bool,
    checkpoint: bool,
    closing: bool,
}

/// Tells the tidier that there is work.
#[derive(Clone, Default)]
pub struct Wake(Arc<(Mutex<Wanted>, Condvar)>);

impl Wake {
    fn change(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }

    /// The index may have a run to make, or a set may be gone.
    pub fn tidy(&self) {
        self.change(|wanted| wanted.tidy = true);
    }

    /// The log has become long.
    pub fn checkpoint(&self) {
        self.change(|wanted| wanted.checkpoint = true);
    }

    /// The file is being closed.
    pub fn close(&self) {
        self.change(|wanted| wanted.closing = true);
    }

    /// Waits for work, at most for `patience`; `None` when the file is being closed.
    fn wait(&self, patience: Option<Duration>) -> Option<Wanted> {
        let idle = |wanted: &mut Wanted| !(wanted.tidy || wanted.checkpoint || wanted.closing);
        let wanted = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = match patience {
            Some(patience) => {
                self.0.1.wait_timeout_while(wanted, patience, idle).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.0.1.wait_while(wanted, idle).unwrap_or_else(PoisonError::into_inner),
        };
        if wanted.closing { None } else { Some(std::mem::take(&mut *wanted)) }
    }

    /// Pauses; ends early when the file is being closed.
    fn pause(&self) {
        let wanted = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.1.wait_timeout_while(wanted, PAUSE, |wanted| !wanted.closing));
    }

    fn checkpoint_wanted(&self) -> bool {
        std::mem::take(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner).checkpoint)
    }

    fn is_closing(&self) -> bool {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).closing
    }
}

/// The tidier of one file.
pub struct Tidier {
    connection: Connection,
    segment: Arc<Segment>,
    maintenance: Maintenance,
    queue: Arc<Queue>,
    wake: Wake,
}

impl Tidier {
    /// `connection` must be able to write: checkpoints need that.
    pub fn new(
        connection: Connection,
        segment: Arc<Segment>,
        maintenance: Maintenance,
        queue: Arc<Queue>,
        wake: Wake,
    ) -> Self {
        Self { connection, segment, maintenance, queue, wake }
    }

    /// Works until the file is closed.
    pub fn run(mut self) {
        self.wake.tidy();
        // What readers still hold can't be dropped yet: looked after once more when a second has passed.
        let mut again = None;
        while let Some(wanted) = self.wake.wait(again) {
            if wanted.checkpoint {
                self.checkpoint();
            }
            match self.tidy() {
                Ok(()) => again = self.maintenance.is_waiting().then_some(PAUSE),
                Err(StoreError::Closing) => break,
                Err(error) => {
                    tracing::warn!(%error, "the index of a storage falls behind");
                    self.maintenance.failed();
                    self.wake.pause();
                    again = Some(Duration::ZERO);
                }
            }
        }
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        let mut sent: Option<(Step, mpsc::Receiver<_>)> = None;
        loop {
            if self.wake.is_closing() {
                return Err(StoreError::Closing);
            }
            if self.wake.checkpoint_wanted() {
                self.checkpoint();
            }
            // Blocks are prepared while those before them are written. Other steps change what comes next.
            if let Some((step, _)) = &sent
                && !step.may_prepare_next()
            {
                self.settle(sent.take())?;
            }
            let next = self.maintenance.next_step(&self.connection);
            self.settle(sent.take())?;
            match next? {
                Some(step) => {
                    let outcome = self.queue.submit_chore(Chore::Index(step.clone()));
                    sent = Some((step, outcome));
                }
                None => break,
            }
        }
        while let Some(purge) = purge::next_step(&self.connection, &self.segment)? {
            if self.wake.is_closing() {
                return Err(StoreError::Closing);
            }
            if self.wake.checkpoint_wanted() {
                self.checkpoint();
            }
            await_chore(&self.queue.submit_chore(Chore::Purge(purge)))?;
        }
        Ok(())
    }

    fn settle(&mut self, sent: Option<(Step, mpsc::Receiver<Result<usize, StoreError>>)>) -> Result<(), StoreError> {
        if let Some((step, outcome)) = sent {
            self.maintenance.done(&step, await_chore(&outcome)?);
        }
        Ok(())
    }

    fn checkpoint(&self) {
        for _ in 0..CHECKPOINT_ROUNDS {
            let progress = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            });
            match progress {
                Ok((log, moved)) if log - moved <= CHECKPOINT_REST => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the log of a storage stays: its file can't grow");
                    self.wake.pause();
                    return;
                }
            }
        }
        // The outcome does not matter: a log that stays long is reported again by the next commit.
        let _ = await_chore(&self.queue.submit_chore(Chore::EndCheckpoint));
    }
}

fn await_chore(outcome: &mpsc::Receiver<Result<usize, StoreError>>) -> Result<usize, StoreError> {
    outcome.recv().unwrap_or(Err(StoreError::Closing))
}
