//! The control plane in memory.

mod attachments;
mod deliveries;
mod events;
mod jobs;
mod queue;
mod requests;
mod retention;
mod schedules;

use self::attachments::Attachments;
use self::jobs::Jobs;
use self::requests::Requests;
use self::retention::Retention;
use self::schedules::Schedules;
use crate::store::queue::{self as turns, Due, Limits, Resolved};
use crate::store::{
    Attached, Changed, CheckEnd, ControlStore, Delivery, DeliveryEnd, DeliveryKey, DueChecks, DueReceivers, EventPage,
    Idempotency, IdempotencyKey, JobChange, JobList, JobQuery, NewAttachment, NewJob, Scope, StoreError,
    StoredAttachment, StoredEvent, StoredJob, StoredKey, StoredReply, Transition, Unmeasured, Wanted, WorkerClaim,
};
use async_trait::async_trait;
use docket_contract::job::{ExecutorKind, Figures};
use docket_contract::{JobId, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Jobs, scheduled jobs, keys and idempotency records in memory.
#[derive(Default)]
pub struct MemoryControl {
    kept: Arc<Mutex<Kept>>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Kept {
    jobs: Jobs,
    attachments: Attachments,
    schedules: Schedules,
    retention: Retention,
    requests: Requests,
    keys: BTreeMap<String, StoredKey>,
}

impl MemoryControl {
    /// Another store on what this one keeps; open also when this one is closed.
    pub fn reopen(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), closed: AtomicBool::new(false) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closing);
        }
        // Nothing panics while it holds the lock half way through a change.
        Ok(work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[async_trait]
impl ControlStore for MemoryControl {
    async fn insert_job(&self, job: NewJob) -> Result<StoredJob, StoreError> {
        self.with(|kept| kept.jobs.insert(job))?
    }

    async fn read_job(&self, scope: &Scope, id: JobId) -> Result<Option<StoredJob>, StoreError> {
        self.with(|kept| kept.jobs.read(scope, id))?
    }

    async fn list_jobs(&self, query: JobQuery) -> Result<JobList, StoreError> {
        self.with(|kept| kept.jobs.list(&query))?
    }

    async fn job_types(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        self.with(|kept| kept.jobs.types(scope))
    }

    async fn change_job(
        &self,
        scope: &Scope,
        id: JobId,
        change: JobChange,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        self.with(|kept| kept.jobs.change(scope, id, change, now))?
    }

    async fn transition(&self, transitions: Vec<Transition>) -> Result<Vec<Option<StoredJob>>, StoreError> {
        self.with(|kept| transitions.into_iter().map(|transition| kept.jobs.transition(transition)).collect())?
    }

    async fn claim_due(
        &self,
        executor: ExecutorKind,
        now: Timestamp,
        free: usize,
    ) -> Result<Vec<StoredJob>, StoreError> {
        self.with(|kept| kept.jobs.claim_due(executor, now, free))?
    }

    async fn limit(&self, limits: &Limits, now: Timestamp, step: usize) -> Result<bool, StoreError> {
        self.with(|kept| kept.jobs.limit(limits, now, step))?
    }

    async fn resolve_dependents(&self, now: Timestamp, step: usize) -> Result<Resolved, StoreError> {
        self.with(|kept| turns::resolve(&mut kept.jobs, now, step))?
    }

    async fn unmeasured_jobs(&self, after: u64, limit: usize) -> Result<Vec<Unmeasured>, StoreError> {
        self.with(|kept| kept.jobs.unmeasured(after, limit))
    }

    async fn measure(&self, measured: Vec<(JobId, Figures)>) -> Result<(), StoreError> {
        self.with(|kept| kept.jobs.measure(&measured))
    }

    async fn release_due(&self, now: Timestamp, step: usize) -> Result<Due, StoreError> {
        self.with(|kept| turns::due(&mut kept.jobs, now, step))?
    }

    async fn expired_jobs(&self, now: Timestamp, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.with(|kept| kept.jobs.expired(now, limit))
    }

    async fn claim_for_worker(&self, claim: WorkerClaim) -> Result<Vec<StoredJob>, StoreError> {
        self.with(|kept| kept.jobs.claim_for_worker(&claim))?
    }

    async fn ready_for_workers(&self, wanted: Vec<(Wanted, usize)>) -> Result<Vec<(Wanted, Vec<String>)>, StoreError> {
        self.with(|kept| kept.jobs.ready_types(wanted))?
    }

    async fn claimed_jobs(&self, executor: ExecutorKind) -> Result<Vec<StoredJob>, StoreError> {
        self.with(|kept| kept.jobs.claimed(executor))
    }

    async fn job_events(
        &self,
        scope: &Scope,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<EventPage>, StoreError> {
        self.with(|kept| kept.jobs.events(scope, id, after, limit))
    }

    async fn last_events(&self, scope: &Scope, id: JobId, limit: usize) -> Result<Option<EventPage>, StoreError> {
        self.with(|kept| kept.jobs.last_events(scope, id, limit))
    }

    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.with(|kept| kept.jobs.events.after(after, limit))
    }

    fn newest_event(&self) -> watch::Receiver<u64> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).jobs.events.newest()
    }

    async fn due_receivers(&self, now: Timestamp, limit: usize) -> Result<DueReceivers, StoreError> {
        self.with(|kept| kept.jobs.events.deliveries.due_receivers(now, limit))
    }

    async fn due_deliveries(&self, receiver: &str, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.with(|kept| kept.jobs.events.deliveries.due(receiver, now, limit))
    }

    async fn end_delivery(&self, key: DeliveryKey, end: DeliveryEnd) -> Result<(), StoreError> {
        self.with(|kept| kept.jobs.end_delivery(key, end))
    }

    async fn job_deliveries(
        &self,
        scope: &Scope,
        id: JobId,
        limit: usize,
    ) -> Result<Option<Vec<Delivery>>, StoreError> {
        self.with(|kept| kept.jobs.deliveries(scope, id, limit))
    }

    fn new_deliveries(&self) -> watch::Receiver<u64> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).jobs.events.deliveries.added()
    }

    async fn due_checks(&self, now: Timestamp, limit: usize) -> Result<DueChecks, StoreError> {
        self.with(|kept| kept.jobs.events.deliveries.due_checks(now, limit))
    }

    async fn end_check(&self, key: DeliveryKey, end: CheckEnd) -> Result<(), StoreError> {
        self.with(|kept| kept.jobs.events.deliveries.end_check(key, end))
    }

    async fn previous_run(&self, id: JobId) -> Result<Option<JobId>, StoreError> {
        self.with(|kept| {
            let Some(stored) = kept.jobs.read(&Scope::Everything, id)? else { return Ok(None) };
            Ok(stored.job.rerun_of.or_else(|| kept.schedules.previous_run(&kept.jobs, &stored.job)))
        })?
    }

    async fn delete_job(&self, scope: &Scope, id: JobId) -> Result<Changed, StoreError> {
        self.with(|kept| {
            let deleted = kept.jobs.delete(scope, id);
            if matches!(deleted, Ok(Changed::Done(_))) {
                kept.attachments.delete_all(id);
            }
            deleted
        })?
    }

    async fn put_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        attachment: NewAttachment,
        most: usize,
    ) -> Result<Attached, StoreError> {
        self.with(|kept| kept.attachments.put(&mut kept.jobs, scope, id, attachment, most))?
    }

    async fn read_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        name: &str,
    ) -> Result<Option<StoredAttachment>, StoreError> {
        self.with(|kept| kept.attachments.read(&kept.jobs, scope, id, name))
    }

    async fn delete_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        name: &str,
    ) -> Result<Option<StoredAttachment>, StoreError> {
        self.with(|kept| kept.attachments.delete(&mut kept.jobs, scope, id, name))
    }

    async fn attachment_files(&self, id: JobId) -> Result<Vec<String>, StoreError> {
        self.with(|kept| kept.attachments.files(id))
    }

    async fn note_storage(&self, id: JobId, storage_id: &str) -> Result<bool, StoreError> {
        self.with(|kept| kept.jobs.note_storage(id, storage_id))
    }

    async fn noted_storages(&self, id: JobId) -> Result<Vec<String>, StoreError> {
        self.with(|kept| kept.jobs.noted_storages(id))
    }

    async fn jobs_of_type(&self, scope: &Scope, ids: Vec<JobId>, job_type: &str) -> Result<Vec<JobId>, StoreError> {
        self.with(|kept| kept.jobs.of_type(scope, ids, job_type))
    }

    async fn begin_request(&self, key: &IdempotencyKey, id: JobId, now: Timestamp) -> Result<Idempotency, StoreError> {
        self.with(|kept| kept.requests.begin(key, id, now))?
    }

    async fn end_request(&self, key: &IdempotencyKey, reply: Option<StoredReply>) -> Result<(), StoreError> {
        self.with(|kept| kept.requests.end(key, reply))
    }

    async fn forget_requests(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.with(|kept| kept.requests.forget(before, limit))
    }

    async fn forget_answers(
        &self,
        organization: &str,
        texts: Arc<[Vec<u8>]>,
        after: &str,
        limit: usize,
    ) -> Result<Option<String>, StoreError> {
        self.with(|kept| kept.requests.forget_answers(organization, &texts, after, limit))
    }

    async fn insert_key(&self, key: StoredKey) -> Result<(), StoreError> {
        self.with(|kept| {
            if kept.keys.contains_key(&key.id) {
                return Err(StoreError::Internal("a key with this id exists".to_owned()));
            }
            kept.keys.insert(key.id.clone(), key);
            Ok(())
        })?
    }

    async fn read_key(&self, id: &str) -> Result<Option<StoredKey>, StoreError> {
        self.with(|kept| kept.keys.get(id).cloned())
    }

    async fn list_keys(&self, scope: &Scope) -> Result<Vec<StoredKey>, StoreError> {
        self.with(|kept| {
            let mut keys: Vec<_> =
                kept.keys.values().filter(|key| jobs::sees(scope, &key.organization)).cloned().collect();
            // By id already; the sort is stable.
            keys.sort_by_key(|key| key.created_at);
            keys
        })
    }

    async fn revoke_key(&self, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.with(|kept| {
            let key = kept.keys.get_mut(id).filter(|key| jobs::sees(scope, &key.organization));
            let found = key.is_some();
            if let Some(key) = key {
                key.revoked_at = key.revoked_at.or(Some(now));
            }
            found
        })
    }

    async fn has_keys(&self) -> Result<bool, StoreError> {
        self.with(|kept| !kept.keys.is_empty())
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}
