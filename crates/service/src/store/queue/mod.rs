//! How a job's turn comes: the one algorithm of all drivers, over the row primitives that they give ([`Rows`]).
//!
//! Every call works within one transaction of the driver. A job that nothing holds back is SCHEDULED and *ready*: it is
//! claimed in the order of its rank. What can hold it back:
//! - Its *start*: dependencies (rows, one an edge) and `startAt`. It is WAITING until neither is left. An edge with a
//!   quality gate needs figures of the results, which another plane has: the ended job is marked, and its edges wait
//!   until somebody has counted and written the figures into its row.
//! - *Gates*, which it must hold from its claim to the end of the claim: its locks, and the limits of its organization
//!   and type. A claim takes all of a job's gates or none. A job that finds one shut waits there, in order of rank;
//!   whoever releases a gate calls the next one of each executor (one without room must not keep the others): WAITING
//!   becomes SCHEDULED, and the job tries again in its turn. A called job that does not take the gate after all (it was
//!   canceled, or another gate is shut) passes the call on. So whenever someone waits at a gate, it is full or someone of
//!   his executor who was called is on his way.
//! - A *retry delay*, which is a time like `startAt`.
//!
//! A job without any of these costs no row and no statement here: flags of its row tell that there is nothing to do.
//!
//! It refuses to read clocks, to know SQL, and to decide which transitions exist (the contract does).

mod claim;
mod dependents;
mod due;
mod explain;
mod gates;
mod limits;
mod start;

pub use claim::{Claims, Taker, claim, claim_for_worker, claimed};
pub use dependents::{Resolved, resolve};
pub use due::{Due, due};
pub use explain::explain;
pub use gates::{Gate, GateKind, Left, leave, recall, release};
pub use limits::{Limits, Room};
pub use start::{Prepared, admit, is_held, prepare};

use super::{StoreError, StoredJob};
use docket_contract::job::{DEFAULT_PRIORITY, DependencyCondition, ExecutorKind, Figures, JobSpec, Share};
use docket_contract::state::Event;
use docket_contract::{JobId, Status, Timestamp};

/// Milliseconds of age that weigh as much as one step of priority: a job of priority 0 goes before fresh ones of
/// priority 100 after an hour, so nothing starves.
pub const AGEING_MS: i64 = 36_000;

/// A job's place in the queue: the smallest goes first, and among equal ones the oldest. It never changes by itself, so
/// ageing costs nothing.
pub fn rank(created_at: Timestamp, priority: Option<i32>) -> i64 {
    let priority = i64::from(priority.unwrap_or(DEFAULT_PRIORITY));
    created_at.as_millis().saturating_sub(priority * AGEING_MS)
}

/// What holds a job back, as its row tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    #[default]
    Nothing,
    /// Dependencies or its start time.
    Start,
    /// A gate: it has a row there.
    Gate,
    /// Nothing any more: it was called to a gate, where it still has its row.
    Called,
    /// A retry delay.
    Retry,
}

impl Wait {
    /// The number under which stores keep it; stable.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What has this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Wait::Nothing, Wait::Start, Wait::Gate, Wait::Called, Wait::Retry].get(usize::from(number)).copied()
    }
}

/// The number under which stores keep a condition; stable.
pub fn condition_number(condition: DependencyCondition) -> u8 {
    match condition {
        DependencyCondition::Finished => 0,
        DependencyCondition::Terminated => 1,
        DependencyCondition::FailedOrDied => 2,
    }
}

/// The condition with this stored number.
pub fn condition_from_number(number: u8) -> Option<DependencyCondition> {
    use DependencyCondition as C;
    [C::Finished, C::Terminated, C::FailedOrDied].get(usize::from(number)).copied()
}

/// A change of status that the queue makes. The job is not claimed before or after it.
#[derive(Clone, Debug)]
pub struct Move {
    /// The status that the job has.
    pub from: Status,
    /// The status that it gets.
    pub to: Status,
    /// Why.
    pub event: Event,
    /// What holds it back from now on.
    pub wait: Wait,
    /// Until when, for a start time.
    pub due_at: Option<Timestamp>,
    /// When this happens.
    pub at: Timestamp,
    /// The message that stands in the job from then on.
    pub message: Option<String>,
}

impl Move {
    /// The move that `event` makes of a job in the status `from`, as the state machine says.
    fn of(event: Event, from: Status, at: Timestamp) -> Result<Self, StoreError> {
        let to = from.after(event).map_err(|error| StoreError::Internal(error.to_string()))?;
        Ok(Self { from, to, event, wait: Wait::Nothing, due_at: None, at, message: None })
    }
}

/// An end of a dependency: the job that waits.
#[derive(Clone, Copy, Debug)]
pub struct Dependent<K> {
    /// Its row.
    pub key: K,
    /// What must become of the other one.
    pub condition: DependencyCondition,
    /// The quality gate, which goes with FINISHED.
    pub most_failed: Option<Share>,
}

/// The other end of an open dependency: the job that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// The job.
    pub id: JobId,
    /// What must become of it.
    pub condition: DependencyCondition,
    /// The quality gate, which goes with FINISHED.
    pub most_failed: Option<Share>,
}

/// A job that has ended while others depended on it.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<K> {
    /// Its row.
    pub key: K,
    /// Its id.
    pub id: JobId,
    /// How it ended.
    pub status: Status,
    /// What its results came to, once that was asked for and read.
    pub figures: Option<Figures>,
}

/// What messages are made of: reads only.
pub trait Reads {
    /// Names a job's row.
    type Key: Copy + Eq;

    /// What a job depends on that is still open, in the order of those jobs.
    fn dependencies(&self, key: Self::Key) -> Result<Vec<Open>, StoreError>;

    /// The gate where a job has its row, waiting or called.
    fn gate_of(&self, key: Self::Key) -> Result<Option<Gate>, StoreError>;

    /// One of the jobs that hold a gate.
    fn holder(&self, gate: &Gate) -> Result<Option<JobId>, StoreError>;
}

/// The row primitives that the queue asks of a driver. They bind, run and map; no decision is taken in them.
pub trait Rows: Reads {
    /// The row and status of an organization's job.
    fn find(&mut self, organization: &str, id: JobId) -> Result<Option<(Self::Key, Status)>, StoreError>;

    /// A job that is known to be there.
    fn read(&mut self, key: Self::Key) -> Result<StoredJob, StoreError>;

    /// Ready jobs of an executor: SCHEDULED and not claimed, the best rank first; and whether they were called.
    fn ready(&mut self, executor: ExecutorKind, limit: usize) -> Result<Vec<(Self::Key, Wait)>, StoreError>;

    /// The same for one worker: of an organization, and of one of these types, or any if there is none.
    fn ready_for_worker(
        &mut self,
        organization: &str,
        types: &[String],
        limit: usize,
    ) -> Result<Vec<(Self::Key, Wait)>, StoreError>;

    /// A claimed job has begun under its lease: writes its status, start, message and lease, everything kept by status,
    /// and what happened.
    fn start(&mut self, key: Self::Key, job: &StoredJob) -> Result<(), StoreError>;

    /// Writes a claim: the job as `claimed` has made it, and whether it holds gates. Nothing holds it back any more.
    fn claim(&mut self, key: Self::Key, job: &StoredJob, holds: bool) -> Result<(), StoreError>;

    /// Changes the status and everything kept by status, and writes down what happened.
    fn put(&mut self, key: Self::Key, to: &Move) -> Result<(), StoreError>;

    /// Nothing holds the job back any more, and no time is set.
    fn clear_wait(&mut self, key: Self::Key) -> Result<(), StoreError>;

    /// How many jobs hold a gate; counts no further than `most`.
    fn holders(&mut self, gate: &Gate, most: usize) -> Result<usize, StoreError>;

    /// All claimed jobs.
    fn claimed(&mut self) -> Result<Vec<Self::Key>, StoreError>;

    /// The job's row tells that it holds gates.
    fn set_holds(&mut self, key: Self::Key) -> Result<(), StoreError>;

    /// The job holds the gate; it may have before.
    fn hold(&mut self, gate: &Gate, key: Self::Key) -> Result<(), StoreError>;

    /// The job holds no gate any more; answers those that it held.
    fn release(&mut self, key: Self::Key) -> Result<Vec<Gate>, StoreError>;

    /// The job waits at a gate.
    fn wait_at(&mut self, gate: &Gate, executor: ExecutorKind, rank: i64, key: Self::Key) -> Result<(), StoreError>;

    /// The executor's job of the best rank that waits at a gate and was not called.
    fn next_at(&mut self, gate: &Gate, executor: ExecutorKind) -> Result<Option<Self::Key>, StoreError>;

    /// The job was called to the gate where it waits.
    fn call(&mut self, gate: &Gate, key: Self::Key) -> Result<(), StoreError>;

    /// How many of the executor's jobs were called to a gate and have not come yet; counts no further than `most`.
    fn called(&mut self, gate: &Gate, executor: ExecutorKind, most: usize) -> Result<usize, StoreError>;

    /// The job leaves the gate where it waited or was called to; answers which.
    fn leave(&mut self, key: Self::Key) -> Result<Option<Left>, StoreError>;

    /// The first gates behind this one where jobs wait that were not called.
    fn gates_with_waiters(&mut self, after: Option<&Gate>, limit: usize) -> Result<Vec<Gate>, StoreError>;

    /// A job waits for `on`.
    fn depend(&mut self, on: Self::Key, dependent: Dependent<Self::Key>) -> Result<(), StoreError>;

    /// What the results of a job came to, once that was asked for and read.
    fn figures(&mut self, key: Self::Key) -> Result<Option<Figures>, StoreError>;

    /// The results of an ended job are to be counted: until then it is no `ended_upstream`.
    fn await_figures(&mut self, on: Self::Key) -> Result<(), StoreError>;

    /// Jobs that wait for `on`, in their order, those without a gate first; a job that waits in two ways comes twice.
    fn dependents(&mut self, on: Self::Key, limit: usize) -> Result<Vec<Dependent<Self::Key>>, StoreError>;

    /// One dependency is fulfilled; answers whether the job has others.
    fn fulfil(&mut self, on: Self::Key, dependent: Dependent<Self::Key>) -> Result<bool, StoreError>;

    /// The job depends on nothing any more.
    fn drop_dependencies(&mut self, key: Self::Key) -> Result<(), StoreError>;

    /// A job that has ended while others depended on it, and whose results are not still to be counted.
    fn ended_upstream(&mut self) -> Result<Option<Upstream<Self::Key>>, StoreError>;

    /// Nobody depends on the job any more.
    fn clear_followed(&mut self, on: Self::Key) -> Result<(), StoreError>;

    /// When the job's time comes, if it waits for one.
    fn due_at(&mut self, key: Self::Key) -> Result<Option<Timestamp>, StoreError>;

    /// Jobs whose time has come, the earliest first.
    fn due(&mut self, now: Timestamp, limit: usize) -> Result<Vec<(Self::Key, Wait)>, StoreError>;

    /// The earliest time that a job waits for.
    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// The job's time has come.
    fn clear_due(&mut self, key: Self::Key) -> Result<(), StoreError>;
}

/// When a job that ended at `at` is to be removed.
pub fn expires_at(spec: &JobSpec, at: Timestamp) -> Option<Timestamp> {
    spec.ttl_seconds_after_finished.map(|seconds| at.plus_millis(i64::from(seconds) * 1000))
}
