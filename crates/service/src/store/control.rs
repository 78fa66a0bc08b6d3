//! The control plane: jobs, and what belongs to them.

use super::jobs::*;
use super::queue::{Due, Limits, Resolved};
use super::records::*;
use super::{CheckEnd, Delivery, DeliveryEnd, DeliveryKey, DueChecks, DueReceivers, StoreError};
use async_trait::async_trait;
use docket_contract::job::{ExecutorKind, Figures};
use docket_contract::{JobId, Timestamp};
use std::sync::Arc;
use tokio::sync::watch;

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

    /// Ended jobs that others depend on by a quality gate and whose results nobody has counted yet, behind a position (0
    /// for the first ones), in the order of positions. `resolve_dependents` leaves their dependents alone until `measure`.
    async fn unmeasured_jobs(&self, after: u64, limit: usize) -> Result<Vec<Unmeasured>, StoreError>;

    /// Writes what the results of ended jobs came to. Whatever was written first stays; a job that has not ended, or is
    /// gone, is passed over.
    async fn measure(&self, measured: Vec<(JobId, Figures)>) -> Result<(), StoreError>;

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

    /// Up to `limit` checks whether records have newly failed that are due, the longest waiting first. An event leaves one,
    /// in its transaction, instead of a delivery for each webhook that is told of newly failed records only.
    async fn due_checks(&self, now: Timestamp, limit: usize) -> Result<DueChecks, StoreError>;

    /// Notes what a check has come to. One that is not there (any more) stays away.
    async fn end_check(&self, key: DeliveryKey, end: CheckEnd) -> Result<(), StoreError>;

    /// The run that a job's results are to be compared with when it has ended: of a rerun the job that it reruns; of a
    /// scheduled job's run the newest FINISHED one before it. None where that is gone.
    async fn previous_run(&self, id: JobId) -> Result<Option<JobId>, StoreError>;

    /// Changes each time that deliveries or checks were added and are durable.
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

    /// Those of some jobs, in their order, that are in the scope and have this type.
    async fn jobs_of_type(&self, scope: &Scope, ids: Vec<JobId>, job_type: &str) -> Result<Vec<JobId>, StoreError>;

    /// Begins a request with an idempotency key; `id` is for the job that it may start.
    async fn begin_request(&self, key: &IdempotencyKey, id: JobId, now: Timestamp) -> Result<Idempotency, StoreError>;

    /// Keeps the answer; `None` forgets the request, so that it can be tried again.
    async fn end_request(&self, key: &IdempotencyKey, reply: Option<StoredReply>) -> Result<(), StoreError>;

    /// Forgets requests older than this; at most `limit` at a time. Answers how many.
    async fn forget_requests(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Forgets kept answers of an organization that hold one of these texts: their requests are made again when they are
    /// repeated, for the same job. It looks at up to `limit` requests behind the key `after`; answers the key that the
    /// next step begins behind, none at the end.
    async fn forget_answers(
        &self,
        organization: &str,
        texts: Arc<[Vec<u8>]>,
        after: &str,
        limit: usize,
    ) -> Result<Option<String>, StoreError>;

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
