//! The control plane: jobs, keys and idempotency records.

use super::queue::{Due, Limits, Resolved};
use super::{Delivery, DeliveryEnd, DeliveryKey, DueReceivers, StoreError};
use async_trait::async_trait;
use docket_contract::history::{Actor, Cause, JobEvent, Usage};
use docket_contract::job::{Attachment, ExecutorKind, JobSpec, NameValue};
use docket_contract::{Job, JobId, Role, Status, Timestamp};
use tokio::sync::watch;

/// Whose jobs a statement may see. Every statement has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One organization's.
    Organization(String),
    /// Everybody's: for administrators that ask for it, and for the engine.
    Everything,
}

/// A job to store.
#[derive(Clone, Debug)]
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

/// An attachment whose file has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttachment {
    /// What is told of it.
    pub attachment: Attachment,
    /// The name of its file.
    pub file: String,
    /// Only if the job has this attempt and has not ended.
    pub only_attempt: Option<i32>,
}

impl NewAttachment {
    /// Whether the job is as the attachment expects it.
    pub fn admits(&self, job: &Job) -> bool {
        self.only_attempt.is_none_or(|attempt| attempt == job.attempt && !job.status.is_terminal())
    }
}

/// An attachment as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttachment {
    /// What is told of it.
    pub attachment: Attachment,
    /// The name of its file.
    pub file: String,
}

/// What became of an attachment.
#[derive(Clone, Debug, PartialEq)]
pub enum Attached {
    /// The job lists it; its file is no longer the one that it replaced.
    Done {
        /// The file of the attachment that had the name.
        replaced: Option<String>,
    },
    /// There is no such job in the scope.
    NotFound,
    /// The job stands otherwise than the attachment asked for; the job as it is.
    Refused(Box<StoredJob>),
    /// The job has as many as it may have.
    TooMany,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Grows from event to event, over all jobs, in the order in which they became visible.
    pub id: u64,
    /// Whose job it is of.
    pub organization: String,
    /// The event.
    pub event: JobEvent,
}

/// A page of a job's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<JobEvent>,
    /// Whether others stand behind the last one.
    pub more: bool,
}

/// A key as it is stored: of the secret only a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its public id, a part of the key.
    pub id: String,
    /// Hash of the key's secret.
    pub hash: [u8; 32],
    /// Whose it is.
    pub organization: String,
    /// What it may do.
    pub role: Role,
    /// The name that jobs started with it carry as `user`.
    pub user: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What is known of a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// It is the first with this key, or the first one never got an answer because its server stopped: go on. The job
    /// that it starts gets this id, the same at each repetition.
    Proceed(JobId),
    /// The first one is being worked on.
    InFlight,
    /// The first one was another request.
    Different,
    /// The first one was answered so.
    Answered(StoredReply),
}

/// The answer to the first request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub media_type: String,
    /// Body; at most 1 MiB is kept.
    pub body: Vec<u8>,
}

/// Identifies a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose.
    pub organization: String,
    /// The key that the client chose, 1 to 255 characters.
    pub key: String,
    /// Hash of method, path and body.
    pub request_hash: [u8; 32],
    /// This run of the server: a request that was in flight in another run is not any more.
    pub run: JobId,
}

/// The control plane.
#[async_trait]
pub trait ControlStore: Send + Sync + 'static {
    /// Stores a job. A job of this id that exists already stays as it is and is answered. One that depends on a job
    /// that is not there, or not the organization's, is refused with `NoDependency`.
    async fn insert_job(&self, job: NewJob) -> Result<StoredJob, StoreError>;

    /// One job.
    async fn read_job(&self, scope: &Scope, id: JobId) -> Result<Option<StoredJob>, StoreError>;

    /// A page of jobs.
    async fn list_jobs(&self, query: JobQuery) -> Result<JobList, StoreError>;

    /// The types that jobs of the scope have, sorted.
    async fn job_types(&self, scope: &Scope) -> Result<Vec<String>, StoreError>;

    /// Changes a job apart from its status; moves `modifiedAt`.
    async fn change_job(
        &self,
        scope: &Scope,
        id: JobId,
        change: JobChange,
        now: Timestamp,
    ) -> Result<Changed, StoreError>;

    /// Makes transitions in one transaction; each one that finds the job as it expects is made. Answers, in order,
    /// the job as it is now where the transition was made.
    async fn transition(&self, transitions: Vec<Transition>) -> Result<Vec<Option<StoredJob>>, StoreError>;

    /// Hands PERSISTED jobs to the queue (SCHEDULED), then claims up to `free` ready ones of an executor, by rank: each
    /// gets the next attempt and is marked as claimed, and holds its locks and its part of the limits until a transition
    /// ends the claim. One whose locks or limits have no room becomes WAITING. The claim is durable before any launch.
    async fn claim_due(
        &self,
        executor: ExecutorKind,
        now: Timestamp,
        free: usize,
    ) -> Result<Vec<StoredJob>, StoreError>;

    /// Sets the limits of running jobs from now on, and puts up to `step` of those that they let in now into the queue;
    /// true if there may be more of them. A store that was opened has no limits.
    async fn limit(&self, limits: &Limits, now: Timestamp, step: usize) -> Result<bool, StoreError>;

    /// Resolves up to `step` dependencies on jobs that have ended: a dependent is put into the queue, canceled, or waits
    /// for the rest.
    async fn resolve_dependents(&self, now: Timestamp, step: usize) -> Result<Resolved, StoreError>;

    /// Puts up to `step` jobs whose start time or retry delay is over into the queue.
    async fn release_due(&self, now: Timestamp, step: usize) -> Result<Due, StoreError>;

    /// Up to `limit` ended jobs that are to be removed by now, the oldest first.
    async fn expired_jobs(&self, now: Timestamp, limit: usize) -> Result<Vec<StoredJob>, StoreError>;

    /// Claims ready jobs of workers for one of them: of one organization and these types, in the order of `claim_due`.
    /// Each gets the next attempt, is marked as claimed, and is RUNNING with the same write.
    async fn claim_for_worker(&self, claim: WorkerClaim) -> Result<Vec<StoredJob>, StoreError>;

    /// For each entry the types (empty for a job without one) of up to so many jobs that are ready for workers, in the
    /// order in which they would be claimed.
    async fn ready_for_workers(&self, wanted: Vec<(Wanted, usize)>) -> Result<Vec<(Wanted, Vec<String>)>, StoreError>;

    /// All claimed jobs of an executor that have not ended: what a starting server must find again.
    async fn claimed_jobs(&self, executor: ExecutorKind) -> Result<Vec<StoredJob>, StoreError>;

    /// A page of the events of a job behind the event `after` (0 for the first page); none if there is no such job in the
    /// scope. A transition's event is stored with the transition, an inserted job's with the job when it is not
    /// PERSISTED any more; they go with the job.
    async fn job_events(
        &self,
        scope: &Scope,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<EventPage>, StoreError>;

    /// The newest events of a job, oldest first; `more` tells whether others stand before them. None if there is no such
    /// job in the scope.
    async fn last_events(&self, scope: &Scope, id: JobId, limit: usize) -> Result<Option<EventPage>, StoreError>;

    /// Events of all jobs behind the event `after`, oldest first. An event that was committed later has the greater id.
    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// Tells the id of the newest durable event, each time that it has changed; 0 before the first.
    fn newest_event(&self) -> watch::Receiver<u64>;

    /// The receivers (`host:port`) of webhooks that have due deliveries: `limit` at most. An event leaves a delivery, in
    /// its transaction, for each webhook of its job that wants to be told of the status.
    async fn due_receivers(&self, now: Timestamp, limit: usize) -> Result<DueReceivers, StoreError>;

    /// The due deliveries of a receiver, the longest waiting first.
    async fn due_deliveries(&self, receiver: &str, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Notes what an attempt to deliver has come to. A delivery that is not there (any more) stays away.
    async fn end_delivery(&self, key: DeliveryKey, end: DeliveryEnd) -> Result<(), StoreError>;

    /// The deliveries of a job that wait or were given up, oldest first; none if there is no such job in the scope.
    async fn job_deliveries(&self, scope: &Scope, id: JobId, limit: usize)
    -> Result<Option<Vec<Delivery>>, StoreError>;

    /// Changes each time that deliveries were added and are durable.
    fn new_deliveries(&self) -> watch::Receiver<u64>;

    /// Removes a job that has ended; answers it as it was, or `Refused` if it has not ended or is still followed. What its
    /// webhooks are still to be told stays.
    async fn delete_job(&self, scope: &Scope, id: JobId) -> Result<Changed, StoreError>;

    /// Lists an attachment in its job, in place of the one of the same name; a job has at most `most`.
    async fn put_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        attachment: NewAttachment,
        most: usize,
    ) -> Result<Attached, StoreError>;

    /// One attachment of a job of the scope.
    async fn read_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        name: &str,
    ) -> Result<Option<StoredAttachment>, StoreError>;

    /// Forgets an attachment; answers it as it was. They go with their job, too.
    async fn delete_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        name: &str,
    ) -> Result<Option<StoredAttachment>, StoreError>;

    /// The files of a job's attachments.
    async fn attachment_files(&self, id: JobId) -> Result<Vec<String>, StoreError>;

    /// Notes that a job writes to a storage, before it does; false, with nothing noted, if there is no such job (any more).
    async fn note_storage(&self, id: JobId, storage_id: &str) -> Result<bool, StoreError>;

    /// The storages that a job has written to, by their ids.
    async fn noted_storages(&self, id: JobId) -> Result<Vec<String>, StoreError>;

    /// Begins a request with an idempotency key; `id` is for the job that it may start.
    async fn begin_request(&self, key: &IdempotencyKey, id: JobId, now: Timestamp) -> Result<Idempotency, StoreError>;

    /// Keeps the answer; `None` forgets the request, so that it can be tried again.
    async fn end_request(&self, key: &IdempotencyKey, reply: Option<StoredReply>) -> Result<(), StoreError>;

    /// Forgets requests older than this; at most `limit` at a time. Answers how many.
    async fn forget_requests(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Stores a key.
    async fn insert_key(&self, key: StoredKey) -> Result<(), StoreError>;

    /// The key with this id, revoked or not.
    async fn read_key(&self, id: &str) -> Result<Option<StoredKey>, StoreError>;

    /// All keys of the scope.
    async fn list_keys(&self, scope: &Scope) -> Result<Vec<StoredKey>, StoreError>;

    /// Revokes a key; false if there is none.
    async fn revoke_key(&self, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Whether any key was ever made: revoking the last one must not open the server to everybody.
    async fn has_keys(&self) -> Result<bool, StoreError>;

    /// Finishes what is in flight and closes the file.
    async fn close(&self);
}
