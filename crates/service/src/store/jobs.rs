//! Jobs as the control plane keeps them: what is stored, asked for and changed.

use docket_contract::history::{Actor, Cause, Usage};
use docket_contract::job::{ExecutorKind, JobSpec, NameValue};
use docket_contract::{Job, JobId, ScheduledJobId, Status, Timestamp};

/// Whose jobs a statement may see. Every statement has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One organization's.
    Organization(String),
    /// Everybody's: for administrators that ask for it, and for the engine.
    Everything,
}

/// A job to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Its id: a UUID of version 7, so that ids ascend with time.
    pub id: JobId,
    /// Whose it is.
    pub organization: String,
    /// Who started it.
    pub user: String,
    /// What was started.
    pub spec: JobSpec,
    /// PERSISTED, or SCHEDULED when nothing holds it back: then it is in the queue with the same write. One that has
    /// dependencies or a start time to come must be PERSISTED: the queue decides in the same write what becomes of it.
    pub status: Status,
    /// When.
    pub created_at: Timestamp,
    /// The job that it reruns.
    pub rerun: Option<Rerun>,
    /// The scheduled job that starts it.
    pub scheduled: Option<Scheduled>,
}

/// What a scheduled job starts a job for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The scheduled job.
    pub by: ScheduledJobId,
    /// The time of the timetable, or when the job was asked for.
    pub slot: Timestamp,
}

/// What a job reruns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rerun {
    /// The job that has ended.
    pub of: JobId,
    /// Only for the records that failed there.
    pub only_failed: bool,
}

impl NewJob {
    /// Why it has its status, where that tells more than that it was persisted.
    pub fn first_cause(&self) -> Option<Cause> {
        match self.status {
            Status::Scheduled => Some(Cause::Queued),
            Status::Waiting => Some(Cause::Held),
            _ => None,
        }
    }

    /// The job as it is right after its insertion.
    pub fn stored(self) -> StoredJob {
        let job = Job {
            id: self.id,
            spec: self.spec,
            status: self.status,
            status_message: None,
            progress: 0,
            user: self.user,
            created_at: self.created_at,
            modified_at: self.created_at,
            started_at: None,
            finished_at: None,
            expires_at: None,
            attempt: 0,
            exit_code: None,
            result_data: None,
            rerun_of: self.rerun.map(|rerun| rerun.of),
            only_failed_records: self.rerun.is_some_and(|rerun| rerun.only_failed),
            scheduled_job_id: self.scheduled.map(|scheduled| scheduled.by),
            scheduled_for: self.scheduled.map(|scheduled| scheduled.slot),
            attachments: Vec::new(),
        };
        StoredJob { organization: self.organization, job, claimed: false, followed: false, cancel: None, lease: None }
    }
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// Whose it is.
    pub organization: String,
    /// The job, with unmasked environment.
    pub job: Job,
    /// Whether an executor has it under its present attempt: from the claim on, until a transition to a status other
    /// than SCHEDULED, RUNNING and UNKNOWN. A job that has ended or is held back is never claimed; `attempt` still tells
    /// that it was.
    pub claimed: bool,
    /// Others depend on it, or did until its end and are not told yet.
    pub followed: bool,
    /// Someone asked for its end.
    pub cancel: Option<CancelRequest>,
    /// For a job of pull workers: who got the present attempt.
    pub lease: Option<WorkerLease>,
}

/// Who got an attempt of a job, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLease {
    /// The worker's name.
    pub worker: String,
    /// Seconds that it may be silent.
    pub seconds: i32,
}

/// What a pull worker claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerClaim {
    /// Whose jobs.
    pub organization: String,
    /// Of one of these types; empty for any.
    pub types: Vec<String>,
    /// At most this many.
    pub limit: usize,
    /// To whom, and for how long.
    pub lease: WorkerLease,
    /// When.
    pub now: Timestamp,
}

/// Which jobs of workers somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wanted {
    /// Whose.
    pub organization: String,
    /// Of which type; any if absent.
    pub job_type: Option<String>,
}

impl StoredJob {
    /// What runs it.
    pub fn executor(&self) -> ExecutorKind {
        self.job.spec.executor.unwrap_or_default()
    }
}

/// Someone asked for a job's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// Why, for people.
    pub reason: Option<String>,
    /// Seconds between the polite signal and the kill.
    pub grace_period_seconds: i32,
}

/// An ended job whose results are to be counted for the quality gates of those who depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmeasured {
    /// Its place in the order.
    pub position: u64,
    /// Whose it is.
    pub organization: String,
    /// Its id.
    pub id: JobId,
}

/// Which jobs to list, in the order of their creation.
#[derive(Clone, Debug)]
pub struct JobQuery {
    /// Whose.
    pub scope: Scope,
    /// Started by this user.
    pub user: Option<String>,
    /// With this result storage.
    pub storage_id: Option<String>,
    /// Of one of these types; empty for any.
    pub types: Vec<String>,
    /// In one of these statuses; empty for any.
    pub statuses: Vec<Status>,
    /// With one of these tags, or all of them; empty for any.
    pub tags: Vec<String>,
    /// All tags instead of one.
    pub all_tags: bool,
    /// Newest first.
    pub descending: bool,
    /// Behind this position (a [`JobList::next`]) in that order.
    pub after: Option<u64>,
    /// At most this many.
    pub limit: usize,
    /// Count all that match.
    pub with_total: bool,
}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<StoredJob>,
    /// The position of the last one, if another one stands behind it.
    pub next: Option<u64>,
    /// All that match, if asked for.
    pub total: Option<u64>,
}

/// Changes that leave the status alone; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobChange {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// New labels.
    pub labels: Option<Vec<NameValue>>,
    /// New tags.
    pub tags: Option<Vec<String>>,
    /// A new priority.
    pub priority: Option<i32>,
    /// Percent done.
    pub progress: Option<i32>,
    /// A message for people.
    pub status_message: Option<String>,
    /// The job's result.
    pub result_data: Option<String>,
    /// Asks for the end of the job.
    pub cancel: Option<CancelRequest>,
    /// Only if the job has this attempt.
    pub only_attempt: Option<i32>,
    /// Only if the job has not ended.
    pub only_active: bool,
}

impl JobChange {
    /// Whether the job is as the change expects it.
    pub fn admits(&self, job: &Job) -> bool {
        self.only_attempt.is_none_or(|attempt| attempt == job.attempt)
            && !(self.only_active && job.status.is_terminal())
    }

    /// Whether it changes what the starter gave.
    pub fn touches_spec(&self) -> bool {
        let Self { name, description, labels, tags, priority, .. } = self;
        name.is_some() || description.is_some() || labels.is_some() || tags.is_some() || priority.is_some()
    }

    /// Changes what the starter gave.
    pub fn apply(&self, spec: &mut JobSpec) {
        let Self { name, description, labels, tags, priority, .. } = self.clone();
        spec.name = name.or(spec.name.take());
        spec.description = description.or(spec.description.take());
        spec.priority = priority.or(spec.priority);
        if let Some(labels) = labels {
            spec.labels = labels;
        }
        if let Some(tags) = tags {
            spec.tags = tags;
        }
    }
}

/// What became of a change to one job.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// Done; the job as it is now. (Boxed: the other cases are small.)
    Done(Box<StoredJob>),
    /// There is no such job in the scope.
    NotFound,
    /// The job stands otherwise than the change asked for; the job as it is.
    Refused(Box<StoredJob>),
}

/// A transition: a compare-and-set from one status and attempt to another status. Computed by the state machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The job.
    pub id: JobId,
    /// Only if the job has this attempt.
    pub attempt: i32,
    /// Only if the job has this status.
    pub from: Status,
    /// Only if the job was claimed, or was not.
    pub claimed: bool,
    /// The status that it gets.
    pub to: Status,
    /// When it happened: becomes `startedAt` with RUNNING and `finishedAt` with a terminal status.
    pub at: Timestamp,
    /// Becomes `startedAt` where the start was never seen by itself.
    pub started_at: Option<Timestamp>,
    /// The message that stands in the job from then on.
    pub status_message: Option<String>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// Why.
    pub cause: Cause,
    /// Who makes it.
    pub actor: Actor,
    /// For the end of an attempt: how it ended, beyond the exit code.
    pub end: AttemptEnd,
    /// With WAITING: when the next attempt is due.
    pub due_at: Option<Timestamp>,
}

/// How an attempt ended, beyond its exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it used.
    pub usage: Usage,
}
