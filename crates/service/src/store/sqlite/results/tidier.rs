//! What a file does for itself beside its writer: index runs, bodies of rows and sets that are gone, and checkpoints.
//!
//! One thread a file. It reads and prepares on its own connection; what it writes goes through the writer in slices, so
//! that no request waits long. A checkpoint copies most of the log here, beside the writer, and leaves only a short end
//! to it, after which the log begins anew.

use super::index_runs::{Maintenance, Step};
use super::purge;
use super::purge_lock::PurgeLock;
use super::queue::{Chore, Queue};
use super::readers::WipeLock;
use super::segment::Segment;
use super::wipe;
use crate::store::StoreError;
use rusqlite::Connection;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Pages that the writer may be left to move at the end of a checkpoint.
const CHECKPOINT_REST: i64 = 1024;
/// Rounds in which a checkpoint follows a log that grows meanwhile.
const CHECKPOINT_ROUNDS: usize = 4;
/// Steps of merges between two steps of a removal.
const MERGE_STEPS: usize = 16;
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

    /// The index may have a run to make, or a set or row may be gone.
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
    purge_lock: PurgeLock,
    wipe_lock: WipeLock,
    maintenance: Maintenance,
    queue: Arc<Queue>,
    wake: Wake,
    removal_time: Duration,
}

impl Tidier {
    /// `connection` must be able to write: checkpoints need that.
    pub fn new(
        connection: Connection,
        segment: Arc<Segment>,
        (purge_lock, wipe_lock): (PurgeLock, WipeLock),
        maintenance: Maintenance,
        (queue, wake): (Arc<Queue>, Wake),
        removal_time: Duration,
    ) -> Self {
        Self { connection, segment, purge_lock, wipe_lock, maintenance, queue, wake, removal_time }
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
                Ok(held_up) => again = (held_up || self.maintenance.is_waiting()).then_some(PAUSE),
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

    /// Answers whether something is left to do that a backup holds up. Between two steps of a removal the runs of memory
    /// come first, as writers wait for them. Merges take turns with removals: under load neither comes to an end.
    fn tidy(&mut self) -> Result<bool, StoreError> {
        loop {
            let merging = self.index()?;
            let chore = match self.purge_lock.try_purge()? {
                Some(_purging) => self.take_away()?,
                None if merging => None,
                None => return Ok(wipe::is_wanted(&self.connection)? || purge::is_wanted(&self.connection)?),
            };
            self.look_up()?;
            match chore {
                Some(chore) => await_chore(&self.queue.submit_chore(chore)).map(drop)?,
                None if merging => {}
                None => return Ok(false),
            }
        }
    }

    /// Takes some bodies away; answers what the database is to forget then.
    fn take_away(&self) -> Result<Option<Chore>, StoreError> {
        if let Some(wiped) = wipe::next_step(&self.connection, &self.segment, &self.wipe_lock, self.removal_time)? {
            return Ok(Some(Chore::Wiped(wiped)));
        }
        Ok(purge::next_step(&self.connection, &self.segment)?.map(Chore::Purge))
    }

    /// Makes runs of memory, and merges runs for a turn; answers whether there may be more to do.
    fn index(&mut self) -> Result<bool, StoreError> {
        let mut sent: Option<(Step, mpsc::Receiver<_>)> = None;
        let mut merged = 0;
        loop {
            self.look_up()?;
            if !self.maintenance.is_urgent() {
                if merged == MERGE_STEPS {
                    self.settle(sent.take())?;
                    return Ok(true);
                }
                merged += 1;
            }
            // Blocks are prepared while those before them are written. Other steps change what comes next.
            if let Some((step, _)) = &sent
                && !step.may_prepare_next()
            {
                self.settle(sent.take())?;
            }
            let next = self.maintenance.next_step(&self.connection);
            self.settle(sent.take())?;
            let Some(step) = next? else { return Ok(false) };
            let outcome = self.queue.submit_chore(Chore::Index(step.clone()));
            sent = Some((step, outcome));
        }
    }

    /// Between two steps: stops when the file is being closed, and looks after the log.
    fn look_up(&self) -> Result<(), StoreError> {
        if self.wake.is_closing() {
            return Err(StoreError::Closing);
        }
        if self.wake.checkpoint_wanted() {
            self.checkpoint();
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
