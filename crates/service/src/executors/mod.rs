//! Where attempts of jobs run. Owns the executor trait and the words it speaks: an attempt's key, what is handed over,
//! what is observed. Refuses any decision about jobs: which one runs, what an exit means and when to try again belong
//! to the engine.

pub mod docker;
pub mod files;
mod inbox;
pub mod log;
pub mod process;
pub mod scripted;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use docket_contract::history::Usage;
pub use log::{LogRange, LogReader};

/// One attempt of one job: the deterministic name that fences reports and finds the process again after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The job.
    pub job_id: Uuid,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job_id, self.attempt)
    }
}

/// What an executor needs to run one attempt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Which attempt.
    pub key: AttemptKey,
    /// The argument vector, the program first. No shell reads it.
    pub commands: Vec<String>,
    /// Variables added to the executor's own clean ones; of a name given twice the last counts.
    pub environment: Vec<(String, String)>,
    /// Bytes of log kept: half of them from the start, half from the end.
    pub log_limit_bytes: u64,
    /// Time between the polite signal and the kill when the runner itself is told to stop, and at the time limit.
    pub grace_period: Duration,
    /// The image of a container; a process executor runs the commands on the host and only records it.
    pub image: String,
    /// What the attempt may use.
    pub limits: Limits,
    /// Longest run. The runner measures it by a clock that nobody can set, stops the tree like a cancel, and reports
    /// [`Exit::TimedOut`].
    pub time_limit: Option<Duration>,
}

/// What an attempt may use of the machine. `None` sets no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Processes and threads at a time.
    pub processes: Option<u64>,
}

/// Values of the environment may be secrets: only their number is shown.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("key", &self.key)
            .field("commands", &self.commands)
            .field("environment", &self.environment.len())
            .field("log_limit_bytes", &self.log_limit_bytes)
            .field("grace_period", &self.grace_period)
            .field("image", &self.image)
            .field("limits", &self.limits)
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

/// How an attempt that was started came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Exit {
    /// The main process returned this code (0 to 255).
    Code(i32),
    /// The main process was ended by this signal.
    Signal(i32),
    /// The system killed processes of the attempt because it used more memory than it may, and it did not end well.
    OutOfMemory,
    /// The time limit was over, and the runner stopped the tree for it.
    TimedOut,
    /// The runner was gone and nobody saw the end. Whatever was left of the process has been killed.
    Lost,
}

/// What the runner knows of an attempt. Times are milliseconds since 1970, UTC, of the runner's clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum State {
    /// Accepted, not started. Shown by [`Executor::list`], never sent as an event.
    Queued,
    /// The process is up.
    Running {
        /// When the process was started.
        started_at_ms: i64,
    },
    /// The process ran and is gone, with its whole tree.
    Ended {
        /// How it ended.
        exit: Exit,
        /// When the process was started.
        started_at_ms: i64,
        /// When the last of it ended.
        finished_at_ms: i64,
        /// What it used.
        #[serde(default)]
        usage: Usage,
    },
    /// Never ran: the program can't be started, or the attempt was canceled before its start
    /// (then the reason is [`CANCELED_BEFORE_START`]).
    Refused {
        /// Why, for people.
        reason: String,
        /// When.
        at_ms: i64,
    },
}

impl State {
    /// True for the two states that never change.
    pub fn is_final(&self) -> bool {
        matches!(self, State::Ended { .. } | State::Refused { .. })
    }
}

/// The reason of [`State::Refused`] for an attempt that was canceled while it was queued.
pub const CANCELED_BEFORE_START: &str = "canceled before start";

/// An attempt and its state at the time of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Observed {
    /// Which attempt.
    pub key: AttemptKey,
    /// What is known of it.
    pub state: State,
}

/// Why an executor can't answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecutorError {
    /// The runner does not answer. Its attempts may well be running; nothing is known until it answers again.
    #[error("the runner can't be reached: {0}")]
    Unreachable(String),
    /// Another server has taken over the runner. This executor never answers again.
    #[error("another server has taken over the runner")]
    Replaced,
    /// The runner speaks another protocol version.
    #[error("the runner speaks protocol {theirs}, this server speaks {ours}")]
    Version {
        /// What this server speaks.
        ours: u32,
        /// What the runner speaks.
        theirs: u32,
    },
    /// The runner's queue or its store of unforgotten ends is at its bound. Launch again later.
    #[error("the runner takes no more attempts now: {0}")]
    Full(String),
    /// One launch is larger than a message may be.
    /// It is over the limit.
    #[error("attempt {key} needs a message of {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Which attempt.
        key: AttemptKey,
        /// Its size in bytes.
        bytes: usize,
        /// The most that a message may have.
        limit: usize,
    },
    /// There is no such attempt on this executor, so there is no log either.
    #[error("attempt {0} has no log here")]
    NoLog(AttemptKey),
    /// The runner is stopping or can't write its journal; nothing was accepted.
    #[error("the runner refused: {0}")]
    Refused(String),
    /// A file operation of the executor failed.
    #[error("{0}")]
    Io(String),
}

/// Starts, follows and stops attempts.
///
/// Rules that every executor keeps:
/// - All calls may run at the same time, except `events`, which has one caller.
/// - An event tells the newest state; states in between may be left out. An attempt may be reported again with the same
///   state (after a reconnection). A final state never changes.
/// - A key that `list` does not name was never started, and will not be unless it is launched again; a key that was
///   forgotten counts as never seen.
/// - After `events` gave an error, call `list` once: what was queued when the runner went away is found only by its absence.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Hands over a batch, to be started in this order. Returns when the runner knows the attempts durably; the start
    /// shows as an event. Launching a key that the runner knows, also an ended one, does nothing, so after any error
    /// (the batch may then have been accepted in part) the whole batch can be launched again.
    async fn launch(&self, launches: Vec<Launch>) -> Result<(), ExecutorError>;

    /// Sends the polite signal to the whole tree and kills what is left of it after `grace`. The end shows as an
    /// ordinary event. A queued attempt becomes `Refused` with [`CANCELED_BEFORE_START`]. Canceling again can only shorten
    /// the grace; canceling an unknown or ended attempt does nothing.
    async fn cancel(&self, key: AttemptKey, grace: Duration) -> Result<(), ExecutorError>;

    /// Everything the runner knows: queued, running, and ended but not yet forgotten. No order is promised.
    async fn list(&self) -> Result<Vec<Observed>, ExecutorError>;

    /// The caller has recorded these ends durably; the runner drops its exit records. Keys that have not ended are
    /// kept, unknown ones ignored.
    async fn forget(&self, keys: &[AttemptKey]) -> Result<(), ExecutorError>;

    /// The next batch of events, at least one and at most [`EVENT_BATCH`]; waits for them without a bound. An error says
    /// that the runner is unreachable; the next call connects again.
    async fn events(&self) -> Result<Vec<Observed>, ExecutorError>;

    /// The log of an attempt as it is now, whole or its last lines. Bytes are what the process wrote, of any encoding.
    async fn read_log(&self, key: AttemptKey, range: LogRange) -> Result<LogReader, ExecutorError>;

    /// Removes the working directories and logs of all attempts of a job that has ended. Removing twice is no error.
    async fn remove(&self, job_id: Uuid) -> Result<(), ExecutorError>;
}

/// The most events that one call of [`Executor::events`] returns.
pub const EVENT_BATCH: usize = 512;
