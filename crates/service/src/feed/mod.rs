//! Tells listeners what happens to jobs: one task reads new events from the store, as long as anybody listens, encodes
//! each once, and keeps the newest for those who are a little behind.
//!
//! A listener has a position, not a queue: however slow it is, it holds nothing here. One that has fallen behind what is
//! kept reads from the store, in steps and at its own pace ([`Follower`]). `topics` keeps and finds, `tail` reads,
//! `progress` thins out reports of progress, `frame` writes server-sent events, `growth` looks after followed logs. It
//! knows nothing of HTTP, and takes no decision about who may see what: it is told a [`Whose`].

mod follower;
pub mod frame;
mod growth;
mod progress;
mod tail;
mod topics;

pub use follower::{Follower, Next, Whose};
pub use growth::Growth;

use self::progress::Progress;
use self::topics::{Key, Read, Topics};
use crate::store::{ControlStore, StoredJob};
use docket_contract::operations::ProgressEvent;
use docket_contract::{Code, Error, JobId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

/// Most entries kept for listeners that are a little behind, over all topics.
const KEPT: usize = 16_384;
/// Most listeners that read from the store at a time.
const CATCHING_UP: usize = 4;

/// Where listeners come to. Clones are the same feed.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

/// What the listeners and the task share.
struct Shared {
    control: Arc<dyn ControlStore>,
    state: Mutex<State>,
    /// There is something to do that the store does not tell of.
    nudge: Notify,
    catching_up: Semaphore,
    closed: AtomicBool,
    max_listeners: usize,
}

struct State {
    topics: Topics,
    progress: Progress,
    tailing: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change under the lock is whole by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// A feed of this store's events, for at most so many listeners.
    pub fn new(control: Arc<dyn ControlStore>, max_listeners: usize) -> Self {
        Self::keeping(control, max_listeners, KEPT)
    }

    fn keeping(control: Arc<dyn ControlStore>, max_listeners: usize, kept: usize) -> Self {
        let state = State { topics: Topics::new(kept), progress: Progress::default(), tailing: false };
        Self {
            shared: Arc::new(Shared {
                control,
                state: Mutex::new(state),
                nudge: Notify::new(),
                catching_up: Semaphore::new(CATCHING_UP),
                closed: AtomicBool::new(false),
                max_listeners,
            }),
        }
    }

    /// Begins to listen. Everything that is committed from now on will be told; what was before is in the store.
    ///
    /// # Errors
    /// `overloaded` over the bound, `shutting_down` once the feed is closed.
    fn listen(&self, key: Key) -> Result<Listener, Error> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(Error::new(Code::ShuttingDown, "The server is stopping."));
        }
        let mut state = self.shared.state();
        if state.topics.listeners() >= self.shared.max_listeners {
            let detail = format!("More than {} clients follow events or logs.", self.shared.max_listeners);
            return Err(Error::new(Code::Overloaded, detail));
        }
        if !state.tailing {
            state.tailing = true;
            let newest = *self.shared.control.newest_event().borrow();
            state.topics.begin_at(newest);
            tokio::spawn(tail::run(Arc::clone(&self.shared)));
        }
        let woken = state.topics.join(key.clone());
        let seen = state.topics.newest();
        Ok(Listener { shared: Arc::clone(&self.shared), key, woken, seen })
    }

    /// Begins to listen for changes of one job.
    ///
    /// # Errors
    /// See [`Feed::follow`].
    pub fn watch_job(&self, id: JobId) -> Result<Listener, Error> {
        self.listen(Key::Job(id))
    }

    /// A running job reported its progress, and that is durable. Told at most once a second for a job, the newest report
    /// first; nobody hears of those between.
    pub fn progress(&self, job: &StoredJob) {
        let mut state = self.shared.state();
        let State { topics, progress, .. } = &mut *state;
        if !topics.concerns(job.job.id, &job.organization) {
            return;
        }
        let event = ProgressEvent {
            job_id: job.job.id,
            attempt: job.job.attempt,
            progress: job.job.progress,
            status_message: job.job.status_message.clone(),
        };
        let report = progress::Report { organization: job.organization.clone(), status: job.job.status, event };
        match progress.offer(report, Instant::now()) {
            Some(report) => topics.tell_progress(&report),
            None => self.shared.nudge.notify_one(),
        }
    }

    /// A job was deleted: there is nothing more to tell of it.
    pub fn gone(&self, id: JobId) {
        self.shared.state().topics.gone(id);
    }

    /// Ends every listener, now and from now on.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.state().topics.wake_all();
        self.shared.nudge.notify_one();
    }
}

/// Somebody who listens; leaves when it is dropped.
pub struct Listener {
    shared: Arc<Shared>,
    key: Key,
    woken: watch::Receiver<u64>,
    /// The number of the last entry that was read.
    seen: u64,
}

impl Listener {
    /// Waits until there may be something new.
    pub async fn changed(&mut self) {
        // The sender lives as long as its topic, which lives as long as its listeners.
        let _ = self.woken.changed().await;
    }

    /// Whether the feed was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// What was told since the last time.
    fn read(&mut self) -> Read {
        let read = self.shared.state().topics.read(&self.key, self.seen);
        if let Read::Told(told) = &read
            && let Some(last) = told.last()
        {
            self.seen = last.number;
        }
        read
    }

    /// Skips what was told so far. Answers the id of the event up to which the store must be read instead.
    fn skip(&mut self) -> u64 {
        let state = self.shared.state();
        self.seen = state.topics.newest();
        state.topics.position()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.state().topics.leave(&self.key);
    }
}

#[cfg(test)]
mod tests;
