//! Scheduled jobs: what is stored, and the trait that keeps it.

use super::{NewJob, Scope, StoreError, StoredJob};
use async_trait::async_trait;
use docket_contract::schedule::{RunKind, ScheduledJobRun, ScheduledJobSpec, SkipReason, SkippedSlots, Slot};
use docket_contract::{JobId, ScheduledJobId, Timestamp};

/// Runs kept of each scheduled job: with the next one the oldest goes. At one a minute the last 16 hours, at one a day
/// almost three years.
pub const KEPT_RUNS: i64 = 1000;

/// Scheduled jobs, in the control plane: the slot of a job is stored in the transaction that stores the job.
#[async_trait]
pub trait ScheduleStore: Send + Sync + 'static {
    /// Stores a scheduled job. One of this id that exists already stays as it is and is answered.
    async fn insert_schedule(&self, schedule: NewSchedule) -> Result<StoredSchedule, StoreError>;

    /// One scheduled job.
    async fn read_schedule(&self, scope: &Scope, id: ScheduledJobId) -> Result<Option<StoredSchedule>, StoreError>;

    /// A page of scheduled jobs, the newest first, behind a position (a [`Page::next`]).
    async fn list_schedules(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<StoredSchedule>, StoreError>;

    /// Up to `limit` scheduled jobs whose next slot is due, the longest waiting first, each with its jobs that have not
    /// ended; and when the next one of all others is due. By an index, however many there are.
    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<DueSchedules, StoreError>;

    /// The jobs of a scheduled job that have not ended, the oldest first.
    async fn active_jobs(&self, id: ScheduledJobId, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// Makes steps in one transaction, each wholly or not at all: only if the scheduled job has the revision that the step
    /// names, which becomes another one with it. A run's row and its job are stored together; a slot that has a row
    /// already gets no other one, and no job. Answers, in order, what became of the steps.
    async fn step_schedules(&self, steps: Vec<ScheduleStep>) -> Result<Vec<Stepped>, StoreError>;

    /// A page of the runs of a scheduled job, the newest first; none if there is no such scheduled job in the scope.
    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduledJobId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Option<Page<ScheduledJobRun>>, StoreError>;

    /// Removes a scheduled job with its runs; answers it as it was. Its jobs stay.
    async fn delete_schedule(&self, scope: &Scope, id: ScheduledJobId) -> Result<Option<StoredSchedule>, StoreError>;
}

/// A scheduled job to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSchedule {
    /// Its id: a UUID of version 7.
    pub id: ScheduledJobId,
    /// Whose it is.
    pub organization: String,
    /// Who made it.
    pub user: String,
    /// What was given, with all defaults.
    pub spec: ScheduledJobSpec,
    /// Slots up to this time are none of its.
    pub decided: Timestamp,
    /// Its first slot; none while it is paused.
    pub next: Option<Slot>,
    /// When.
    pub created_at: Timestamp,
}

impl NewSchedule {
    /// The scheduled job as it is right after its insertion.
    pub fn stored(self) -> StoredSchedule {
        let Self { id, organization, user, spec, decided, next, created_at } = self;
        let (paused_reason, revision, modified_at) = (None, 0, created_at);
        StoredSchedule { id, organization, user, spec, paused_reason, decided, next, revision, created_at, modified_at }
    }
}

/// A scheduled job as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSchedule {
    /// Its id.
    pub id: ScheduledJobId,
    /// Whose it is.
    pub organization: String,
    /// Who made it.
    pub user: String,
    /// What was given, with all defaults; environment values unmasked.
    pub spec: ScheduledJobSpec,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// Slots up to this time are decided about.
    pub decided: Timestamp,
    /// The next slot; none while it is paused, and when none is left.
    pub next: Option<Slot>,
    /// Counts its steps.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by somebody, or paused.
    pub modified_at: Timestamp,
}

impl StoredSchedule {
    /// The scheduled job after a step that was made.
    pub fn after(mut self, step: &ScheduleStep) -> Self {
        if let Some(change) = step.change.clone() {
            (self.spec, self.paused_reason, self.modified_at) = (change.spec, change.paused_reason, change.at);
        }
        (self.decided, self.next, self.revision) = (step.decided, step.next, self.revision + 1);
        self
    }
}

/// A page of something, and where the next one begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What stands on it.
    pub values: Vec<T>,
    /// The position of the last one, if another one stands behind it.
    pub next: Option<u64>,
}

/// What is due.
#[derive(Clone, Debug, PartialEq)]
pub struct DueSchedules {
    /// The longest waiting first; each with its jobs that have not ended, [`ACTIVE_JOBS`] at most.
    pub due: Vec<(StoredSchedule, Vec<JobId>)>,
    /// When the next one is due that is not due yet.
    pub next: Option<Timestamp>,
}

/// Jobs of a scheduled job that are looked at when one more is to start: so many a start can replace. Only ALLOW lets
/// more than two run.
pub const ACTIVE_JOBS: usize = 100;

/// A step of a scheduled job: slots are decided about, or somebody changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleStep {
    /// Whose.
    pub scope: Scope,
    /// The scheduled job.
    pub id: ScheduledJobId,
    /// Only if it has this revision.
    pub revision: i64,
    /// What it is from now on, if that changes.
    pub change: Option<ScheduleChange>,
    /// Slots up to this time are decided about.
    pub decided: Timestamp,
    /// The next slot.
    pub next: Option<Slot>,
    /// What to record, in this order, and the jobs to start.
    pub runs: Vec<NewRun>,
}

/// What a scheduled job becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleChange {
    /// What it is, with all defaults.
    pub spec: ScheduledJobSpec,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A run to record.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// What became of it.
    pub kind: RunKind,
    /// The slot, or when a job was asked for.
    pub slot_at: Timestamp,
    /// For skipped slots that are told as one: the last of them, and how many if that was counted.
    pub several: Option<(Timestamp, Option<i64>)>,
    /// When the slot was due, for one that fires.
    pub due_at: Option<Timestamp>,
    /// When this was decided.
    pub decided_at: Timestamp,
    /// Why it was skipped.
    pub reason: Option<SkipReason>,
    /// More about it, for people.
    pub message: Option<String>,
    /// The job to start.
    pub job: Option<Box<NewJob>>,
}

impl NewRun {
    /// A slot that fires.
    pub fn fired(slot: Slot, now: Timestamp, job: NewJob) -> Self {
        let due_at = Some(slot.due);
        Self { due_at, ..Self::started(RunKind::Fired, slot.at, now, job) }
    }

    /// A job that somebody asked for.
    pub fn triggered(now: Timestamp, job: NewJob) -> Self {
        Self::started(RunKind::Triggered, now, now, job)
    }

    fn started(kind: RunKind, slot_at: Timestamp, decided_at: Timestamp, job: NewJob) -> Self {
        let job = Some(Box::new(job));
        Self { kind, slot_at, several: None, due_at: None, decided_at, reason: None, message: None, job }
    }

    /// Slots that are skipped.
    pub fn skipped(slots: SkippedSlots, now: Timestamp) -> Self {
        let SkippedSlots { first, last, count, reason } = slots;
        let count = count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        Self {
            kind: RunKind::Skipped,
            slot_at: first,
            several: (last > first).then_some((last, count)),
            due_at: None,
            decided_at: now,
            reason: Some(reason),
            message: None,
            job: None,
        }
    }

    /// The run as it is answered.
    pub fn told(&self) -> ScheduledJobRun {
        let late = |due: Timestamp| self.decided_at.as_millis() - due.as_millis();
        ScheduledJobRun {
            kind: self.kind,
            slot_at: self.slot_at,
            last_slot_at: self.several.map(|(last, _)| last),
            slots: self.several.and_then(|(_, count)| count),
            decided_at: self.decided_at,
            lateness_ms: self.due_at.map(late),
            job_id: self.job.as_ref().map(|job| job.id),
            reason: self.reason,
            message: self.message.clone(),
        }
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Stepped {
    /// It was made; the jobs that it has stored.
    Done(Vec<StoredJob>),
    /// Nothing was done: the scheduled job has another revision, or is gone.
    Moved,
    /// Nothing was done: this job, on which one of the new jobs depends, is no job of the organization.
    NoDependency(JobId),
}

impl ScheduleStep {
    /// The jobs that new jobs depend on and that are not new themselves.
    pub fn dependencies(&self) -> Vec<JobId> {
        let jobs = || self.runs.iter().filter_map(|run| run.job.as_ref());
        let named = jobs().flat_map(|job| job.spec.job_dependencies.iter().map(|dependency| dependency.job_id));
        named.filter(|id| jobs().all(|job| job.id != *id)).collect()
    }
}
