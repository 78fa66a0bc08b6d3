//! A control plane that remembers requests with an idempotency key, for the tests of the face.

use crate::store::queue::{Due, Limits, Resolved};
use crate::store::{
    Attached, Changed, CheckEnd, ControlStore, Delivery, DeliveryEnd, DeliveryKey, DueChecks, DueReceivers, EventPage,
    Idempotency, IdempotencyKey, JobChange, JobList, JobQuery, NewAttachment, NewJob, Scope, StoreError,
    StoredAttachment, StoredEvent, StoredJob, StoredKey, StoredReply, Transition, Unmeasured, Wanted, WorkerClaim,
};
use async_trait::async_trait;
use docket_contract::job::{ExecutorKind, Figures};
use docket_contract::{JobId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};

type Remembered = ([u8; 32], JobId, JobId, Option<StoredReply>);

/// Remembers requests in memory; knows nothing else.
#[derive(Default)]
pub(super) struct FakeControl {
    requests: Mutex<HashMap<(String, String), Remembered>>,
    /// A request was ended.
    pub(super) ended: Notify,
}

impl FakeControl {
    /// How many requests are remembered with an answer, and without.
    pub(super) fn remembered(&self) -> (usize, usize) {
        let requests = self.requests.lock().expect("no panic");
        let answered = requests.values().filter(|request| request.3.is_some()).count();
        (answered, requests.len() - answered)
    }
}

fn unknown<T>() -> Result<T, StoreError> {
    Err(StoreError::Internal("not played".to_owned()))
}

#[async_trait]
impl ControlStore for FakeControl {
    async fn begin_request(&self, key: &IdempotencyKey, id: JobId, _: Timestamp) -> Result<Idempotency, StoreError> {
        let mut requests = self.requests.lock().expect("no panic");
        let entry = (key.organization.clone(), key.key.clone());
        Ok(match requests.get(&entry) {
            None => {
                requests.insert(entry, (key.request_hash, key.run, id, None));
                Idempotency::Proceed(id)
            }
            Some((hash, ..)) if *hash != key.request_hash => Idempotency::Different,
            Some((.., Some(reply))) => Idempotency::Answered(reply.clone()),
            Some((_, run, seed, None)) if *run != key.run => Idempotency::Proceed(*seed),
            Some(_) => Idempotency::InFlight,
        })
    }

    async fn end_request(&self, key: &IdempotencyKey, reply: Option<StoredReply>) -> Result<(), StoreError> {
        let mut requests = self.requests.lock().expect("no panic");
        let entry = (key.organization.clone(), key.key.clone());
        match reply {
            None => drop(requests.remove(&entry)),
            reply => requests.get_mut(&entry).expect("was begun").3 = reply,
        }
        self.ended.notify_one();
        Ok(())
    }

    async fn insert_job(&self, _: NewJob) -> Result<StoredJob, StoreError> {
        unknown()
    }
    async fn read_job(&self, _: &Scope, _: JobId) -> Result<Option<StoredJob>, StoreError> {
        unknown()
    }
    async fn list_jobs(&self, _: JobQuery) -> Result<JobList, StoreError> {
        unknown()
    }
    async fn job_types(&self, _: &Scope) -> Result<Vec<String>, StoreError> {
        unknown()
    }
    async fn change_job(&self, _: &Scope, _: JobId, _: JobChange, _: Timestamp) -> Result<Changed, StoreError> {
        unknown()
    }
    async fn transition(&self, _: Vec<Transition>) -> Result<Vec<Option<StoredJob>>, StoreError> {
        unknown()
    }
    async fn claim_due(&self, _: ExecutorKind, _: Timestamp, _: usize) -> Result<Vec<StoredJob>, StoreError> {
        unknown()
    }
    async fn job_events(&self, _: &Scope, _: JobId, _: u64, _: usize) -> Result<Option<EventPage>, StoreError> {
        unknown()
    }
    async fn last_events(&self, _: &Scope, _: JobId, _: usize) -> Result<Option<EventPage>, StoreError> {
        unknown()
    }
    async fn events_after(&self, _: u64, _: usize) -> Result<Vec<StoredEvent>, StoreError> {
        unknown()
    }
    fn newest_event(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
    async fn limit(&self, _: &Limits, _: Timestamp, _: usize) -> Result<bool, StoreError> {
        unknown()
    }
    async fn resolve_dependents(&self, _: Timestamp, _: usize) -> Result<Resolved, StoreError> {
        unknown()
    }
    async fn unmeasured_jobs(&self, _: u64, _: usize) -> Result<Vec<Unmeasured>, StoreError> {
        unknown()
    }
    async fn measure(&self, _: Vec<(JobId, Figures)>) -> Result<(), StoreError> {
        unknown()
    }
    async fn release_due(&self, _: Timestamp, _: usize) -> Result<Due, StoreError> {
        unknown()
    }
    async fn expired_jobs(&self, _: Timestamp, _: usize) -> Result<Vec<StoredJob>, StoreError> {
        unknown()
    }
    async fn due_receivers(&self, _: Timestamp, _: usize) -> Result<DueReceivers, StoreError> {
        unknown()
    }
    async fn due_deliveries(&self, _: &str, _: Timestamp, _: usize) -> Result<Vec<Delivery>, StoreError> {
        unknown()
    }
    async fn end_delivery(&self, _: DeliveryKey, _: DeliveryEnd) -> Result<(), StoreError> {
        unknown()
    }
    async fn job_deliveries(&self, _: &Scope, _: JobId, _: usize) -> Result<Option<Vec<Delivery>>, StoreError> {
        unknown()
    }
    async fn due_checks(&self, _: Timestamp, _: usize) -> Result<DueChecks, StoreError> {
        unknown()
    }
    async fn end_check(&self, _: DeliveryKey, _: CheckEnd) -> Result<(), StoreError> {
        unknown()
    }
    async fn previous_run(&self, _: JobId) -> Result<Option<JobId>, StoreError> {
        unknown()
    }
    fn new_deliveries(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
    async fn claim_for_worker(&self, _: WorkerClaim) -> Result<Vec<StoredJob>, StoreError> {
        unknown()
    }
    async fn ready_for_workers(&self, _: Vec<(Wanted, usize)>) -> Result<Vec<(Wanted, Vec<String>)>, StoreError> {
        unknown()
    }
    async fn claimed_jobs(&self, _: ExecutorKind) -> Result<Vec<StoredJob>, StoreError> {
        unknown()
    }
    async fn delete_job(&self, _: &Scope, _: JobId) -> Result<Changed, StoreError> {
        unknown()
    }
    async fn put_attachment(&self, _: &Scope, _: JobId, _: NewAttachment, _: usize) -> Result<Attached, StoreError> {
        unknown()
    }
    async fn read_attachment(&self, _: &Scope, _: JobId, _: &str) -> Result<Option<StoredAttachment>, StoreError> {
        unknown()
    }
    async fn delete_attachment(&self, _: &Scope, _: JobId, _: &str) -> Result<Option<StoredAttachment>, StoreError> {
        unknown()
    }
    async fn attachment_files(&self, _: JobId) -> Result<Vec<String>, StoreError> {
        unknown()
    }
    async fn note_storage(&self, _: JobId, _: &str) -> Result<bool, StoreError> {
        unknown()
    }
    async fn noted_storages(&self, _: JobId) -> Result<Vec<String>, StoreError> {
        unknown()
    }
    async fn jobs_of_type(&self, _: &Scope, _: Vec<JobId>, _: &str) -> Result<Vec<JobId>, StoreError> {
        unknown()
    }
    async fn forget_requests(&self, _: Timestamp, _: usize) -> Result<usize, StoreError> {
        unknown()
    }
    async fn forget_answers(
        &self,
        _: &str,
        _: Arc<[Vec<u8>]>,
        _: &str,
        _: usize,
    ) -> Result<Option<String>, StoreError> {
        unknown()
    }
    async fn insert_key(&self, _: StoredKey) -> Result<(), StoreError> {
        unknown()
    }
    async fn read_key(&self, _: &str) -> Result<Option<StoredKey>, StoreError> {
        unknown()
    }
    async fn list_keys(&self, _: &Scope) -> Result<Vec<StoredKey>, StoreError> {
        unknown()
    }
    async fn revoke_key(&self, _: &Scope, _: &str, _: Timestamp) -> Result<bool, StoreError> {
        unknown()
    }
    async fn has_keys(&self) -> Result<bool, StoreError> {
        unknown()
    }
    async fn close(&self) {}
}
