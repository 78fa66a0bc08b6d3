//! A behaviour that plays: it answers the examples and keeps nothing but what the tests ask about.

use crate::access::Access;
use crate::handler::{Encoded, Upload};
use crate::store::queue::{Due, Limits, Resolved};
use crate::store::{
    Attached, Changed, ControlStore, Delivery, DeliveryEnd, DeliveryKey, DueReceivers, EventPage, Idempotency,
    IdempotencyKey, JobChange, JobList, JobQuery, NewAttachment, NewJob, Scope, StoreError, StoredAttachment,
    StoredEvent, StoredJob, StoredKey, StoredReply, Transition, Wanted, WorkerClaim,
};
use async_trait::async_trait;
use bytes::Bytes;
use docket_contract::caller::{Call, OwnJob};
use docket_contract::job::{Attachment, ExecutorKind, JobSpec};
use docket_contract::operations::*;
use docket_contract::{Caller, Code, Error, Job, JobId, Role, Timestamp};
use futures_util::TryStreamExt;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, watch};

/// The `tail` that gets a log of refusals.
pub(super) const LOOKS_LIKE_A_REFUSAL: i32 = 7;
/// What hyper writes where it refuses.
pub(super) const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

type Answer<T> = Result<Reply<T, Encoded>, Error>;

#[derive(Default)]
pub(super) struct Fake {
    /// Started jobs.
    pub(super) starts: AtomicUsize,
    /// A start named `wait` has begun.
    pub(super) waiting: Notify,
    /// Lets it go on.
    pub(super) go_on: Notify,
    pub(super) not_ready: Mutex<Option<&'static str>>,
    /// The last inputs, as JSON.
    pub(super) seen: Mutex<Option<serde_json::Value>>,
}

impl Fake {
    fn see(&self, input: &impl serde::Serialize) {
        *self.seen.lock().expect("no panic") = serde_json::to_value(input).ok();
    }

    pub(super) fn seen(&self) -> serde_json::Value {
        self.seen.lock().expect("no panic").clone().expect("an input was seen")
    }

    fn known(&self, id: JobId) -> Result<Job, Error> {
        let job = ReadJob::example().1;
        if job.id == id { Ok(job) } else { Err(Error::not_found()) }
    }
}

impl Behaviour for Fake {
    type Body = Encoded;
    type Upload = Upload;

    async fn start_job(&self, call: Call, input: JobSpec) -> Answer<Job> {
        let number = self.starts.fetch_add(1, Ordering::SeqCst);
        self.see(&input);
        match input.name.as_deref() {
            Some("panic") => panic!("asked for"),
            Some("full") => return Err(Error::new(Code::StorageFull, "The disk is full.")),
            Some("wait") => {
                self.waiting.notify_one();
                self.go_on.notified().await;
            }
            _ => {}
        }
        let id = call.seed.unwrap_or(JobId(uuid::Uuid::now_v7()));
        Ok(Job { id, spec: input, attempt: number as i32, ..StartJob::example().1 }.into())
    }

    async fn list_jobs(&self, call: Call, input: ListJobsInput) -> Answer<JobsPage> {
        self.see(&input);
        let mut page = ListJobs::example().1;
        page.start_after = Some(call.caller.organization);
        Ok(page.into())
    }

    async fn read_job(&self, _: Call, input: JobInput) -> Answer<Job> {
        Ok(self.known(input.job_id)?.into())
    }

    async fn update_job(&self, _: Call, input: UpdateJobInput) -> Answer<Job> {
        self.see(&input);
        Ok(self.known(input.job_id)?.into())
    }

    async fn cancel_job(&self, _: Call, input: CancelJobInput) -> Answer<Job> {
        self.see(&input);
        Ok(self.known(input.job_id)?.into())
    }

    async fn delete_job(&self, _: Call, input: JobInput) -> Answer<Job> {
        Ok(self.known(input.job_id)?.into())
    }

    async fn update_result_data(&self, _: Call, input: UpdateResultDataInput) -> Answer<Job> {
        self.see(&input);
        Ok(self.known(input.job_id)?.into())
    }

    async fn list_job_types(&self, _: Call, _: NoInput) -> Answer<JobTypes> {
        Ok(ListJobTypes::example().1.into())
    }

    async fn read_job_log(&self, _: Call, input: ReadJobLogInput) -> Answer<String> {
        self.known(input.job_id)?;
        if input.tail == Some(LOOKS_LIKE_A_REFUSAL) {
            let pieces = [Ok(Bytes::from_static(REFUSAL)), Ok(Bytes::from_static(REFUSAL))];
            return Ok(Reply::Encoded(Encoded::new(futures_util::stream::iter(pieces))));
        }
        Ok("a \"line\"\n".to_owned().into())
    }

    async fn list_job_run_results(&self, _: Call, input: ListJobRunResultsInput) -> Answer<JobResultsPage> {
        self.see(&input);
        self.known(input.job_id)?;
        let page = serde_json::to_vec(&ListJobRunResults::example().1).expect("JSON");
        let length = Some(page.len() as u64);
        let pieces: Vec<_> = page.chunks(100).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(Reply::Encoded(Encoded { length, ..Encoded::new(futures_util::stream::iter(pieces)) }))
    }

    async fn insert_job_results(&self, _: Call, input: InsertJobResultsInput) -> Answer<InsertSummary> {
        self.known(input.job_id)?;
        let created = input.results.0.len() as i32;
        self.see(&input);
        Ok(InsertSummary { created, ..InsertSummary::default() }.into())
    }

    async fn delete_job_results(&self, _: Call, input: DeleteJobResultsInput) -> Answer<DeletedResults> {
        self.see(&input);
        Ok(DeletedResults { deleted: 1 }.into())
    }

    async fn read_job_history(&self, _: Call, input: ReadJobHistoryInput) -> Answer<JobHistory> {
        self.known(input.job_id)?;
        Ok(ReadJobHistory::example().1.into())
    }

    async fn read_job_report(&self, _: Call, input: JobInput) -> Answer<JobReport> {
        self.known(input.job_id)?;
        Ok(ReadJobReport::example().1.into())
    }

    async fn rerun_job(&self, _: Call, input: RerunJobInput) -> Answer<Job> {
        self.known(input.job_id)?;
        Ok(RerunJob::example().1.into())
    }

    async fn list_rerun_records(&self, _: Call, input: ListRerunRecordsInput) -> Answer<JobResultsPage> {
        self.known(input.job_id)?;
        Ok(ListRerunRecords::example().1.into())
    }

    async fn put_attachment(&self, _: Call, input: AttachmentInput, file: Upload) -> Answer<Attachment> {
        self.known(input.job_id)?;
        let pieces: Vec<Bytes> = file.content.try_collect().await?;
        let content_type = file.media_type.unwrap_or_default();
        let size = pieces.iter().map(Bytes::len).sum::<usize>() as i64;
        Ok(Attachment { name: input.name, content_type, size, created_at: Timestamp::default() }.into())
    }

    async fn read_attachment(&self, _: Call, input: AttachmentInput) -> Answer<FileContent> {
        self.known(input.job_id)?;
        let length = Some(2000);
        let stream = futures_util::stream::iter([Ok(Bytes::from(vec![b'x'; 2000]))]);
        let content = Encoded { length, ..Encoded::new(stream) };
        Ok(Reply::File(File { name: input.name, media_type: "text/html".to_owned(), content }))
    }

    async fn delete_attachment(&self, _: Call, input: AttachmentInput) -> Answer<Attachment> {
        self.known(input.job_id)?;
        Ok(DeleteAttachment::example().1.into())
    }

    async fn stream_job_events(&self, _: Call, input: StreamJobEventsInput) -> Answer<String> {
        self.see(&input);
        self.known(input.job_id)?;
        Ok(StreamJobEvents::example().1.into())
    }

    async fn stream_events(&self, _: Call, input: StreamEventsInput) -> Answer<String> {
        self.see(&input);
        Ok(StreamEvents::example().1.into())
    }

    async fn list_job_webhooks(&self, _: Call, input: JobInput) -> Answer<JobWebhooks> {
        self.known(input.job_id)?;
        Ok(ListJobWebhooks::example().1.into())
    }

    async fn claim_jobs(&self, _: Call, input: ClaimJobsInput) -> Answer<ClaimedJobs> {
        self.see(&input);
        Ok(ClaimJobs::example().1.into())
    }

    async fn heartbeat_job(&self, _: Call, input: HeartbeatJobInput) -> Answer<Heartbeat> {
        self.known(input.job_id)?;
        Ok(HeartbeatJob::example().1.into())
    }

    async fn complete_job(&self, _: Call, input: CompleteJobInput) -> Answer<Job> {
        Ok(self.known(input.job_id)?.into())
    }

    async fn read_job_statistics(&self, _: Call, input: ReadJobStatisticsInput) -> Answer<JobStatistics> {
        self.known(input.job_id)?;
        Ok(ReadJobStatistics::example().1.into())
    }
}

/// Keys are the names of roles; `other` is an operator of another organization, `job` the known job's own token.
pub(super) struct FakeAccess;

#[async_trait]
impl Access for FakeAccess {
    async fn caller(&self, presented: Option<&str>, _host: Option<&str>) -> Result<Caller, Error> {
        let refuse = || Error::new(Code::Unauthenticated, "A valid key is needed.");
        let key = presented.ok_or_else(refuse)?;
        let (organization, role, job) = match key {
            "other" => ("other", Role::Operator, None),
            "job" => ("own", Role::Worker, Some(OwnJob { id: ReadJob::example().1.id, attempt: 1 })),
            role => ("own", role.parse().map_err(|_| refuse())?, None),
        };
        Ok(Caller { organization: organization.to_owned(), role, user: key.to_owned(), job })
    }
}

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
    async fn forget_requests(&self, _: Timestamp, _: usize) -> Result<usize, StoreError> {
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
