//! A behaviour that plays: it answers the examples and keeps nothing but what the tests ask about.

use crate::access::Access;
use crate::handler::{Encoded, Upload};
use async_trait::async_trait;
use bytes::Bytes;
use docket_contract::caller::{Call, OwnJob};
use docket_contract::job::{Attachment, JobSpec};
use docket_contract::operations::*;
use docket_contract::retention::{RetentionPolicy, RetentionRule};
use docket_contract::{Caller, Code, Error, Job, JobId, Role, ScheduledJob, Timestamp};
use futures_util::TryStreamExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

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

    async fn create_scheduled_job(&self, _: Call, input: CreateScheduledJobInput) -> Answer<ScheduledJob> {
        self.see(&input);
        Ok(CreateScheduledJob::example().1.into())
    }

    async fn list_scheduled_jobs(&self, _: Call, input: ListScheduledJobsInput) -> Answer<ScheduledJobsPage> {
        self.see(&input);
        Ok(ListScheduledJobs::example().1.into())
    }

    async fn read_scheduled_job(&self, _: Call, input: ScheduledJobInput) -> Answer<ScheduledJob> {
        self.see(&input);
        Ok(ReadScheduledJob::example().1.into())
    }

    async fn update_scheduled_job(&self, _: Call, input: UpdateScheduledJobInput) -> Answer<ScheduledJob> {
        self.see(&input);
        Ok(UpdateScheduledJob::example().1.into())
    }

    async fn delete_scheduled_job(&self, _: Call, input: ScheduledJobInput) -> Answer<ScheduledJob> {
        self.see(&input);
        Ok(DeleteScheduledJob::example().1.into())
    }

    async fn pause_scheduled_job(&self, _: Call, input: PauseScheduledJobInput) -> Answer<ScheduledJob> {
        self.see(&input);
        Ok(PauseScheduledJob::example().1.into())
    }

    async fn resume_scheduled_job(&self, _: Call, input: ScheduledJobInput) -> Answer<ScheduledJob> {
        self.see(&input);
        Ok(ResumeScheduledJob::example().1.into())
    }

    async fn trigger_scheduled_job(&self, _: Call, input: ScheduledJobInput) -> Answer<Job> {
        self.see(&input);
        Ok(TriggerScheduledJob::example().1.into())
    }

    async fn preview_scheduled_job(&self, _: Call, input: PreviewScheduledJobInput) -> Answer<SchedulePreview> {
        self.see(&input);
        Ok(PreviewScheduledJob::example().1.into())
    }

    async fn list_scheduled_job_runs(&self, _: Call, input: ListScheduledJobRunsInput) -> Answer<ScheduledJobRunsPage> {
        self.see(&input);
        Ok(ListScheduledJobRuns::example().1.into())
    }

    async fn diff_job_results(&self, _: Call, input: DiffJobResultsInput) -> Answer<JobResultsDiff> {
        self.known(input.job_id)?;
        Ok(DiffJobResults::example().1.into())
    }

    async fn erase_records(&self, _: Call, input: EraseRecordsInput) -> Answer<ErasureReceipt> {
        self.see(&input);
        Ok(EraseRecords::example().1.into())
    }

    async fn read_erasure_key(&self, _: Call, _: NoInput) -> Answer<ErasureKey> {
        Ok(ReadErasureKey::example().1.into())
    }

    async fn put_retention_policy(&self, _: Call, input: RetentionRule) -> Answer<RetentionPolicy> {
        self.see(&input);
        Ok(PutRetentionPolicy::example().1.into())
    }

    async fn delete_retention_policy(&self, _: Call, input: DeleteRetentionPolicyInput) -> Answer<RetentionPolicy> {
        self.see(&input);
        Ok(DeleteRetentionPolicy::example().1.into())
    }

    async fn list_retention_policies(&self, _: Call, _: NoInput) -> Answer<RetentionPolicies> {
        Ok(ListRetentionPolicies::example().1.into())
    }

    async fn preview_retention(&self, _: Call, _: NoInput) -> Answer<RetentionPreview> {
        Ok(PreviewRetention::example().1.into())
    }

    async fn run_retention(&self, _: Call, _: NoInput) -> Answer<RetentionStart> {
        Ok(RunRetention::example().1.into())
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

    async fn fetch_last_results(&self, _: Call, input: FetchLastResultsInput) -> Answer<LastResults> {
        self.see(&input);
        Ok(FetchLastResults::example().1.into())
    }

    async fn read_processing_log_statistics(
        &self,
        _: Call,
        input: ReadProcessingLogStatisticsInput,
    ) -> Answer<JobStatistics> {
        self.see(&input);
        Ok(ReadProcessingLogStatistics::example().1.into())
    }

    async fn list_processing_log_data(&self, _: Call, input: ListProcessingLogDataInput) -> Answer<ProcessingLogPage> {
        self.see(&input);
        Ok(ListProcessingLogData::example().1.into())
    }

    async fn insert_processing_log_data(&self, _: Call, input: InsertProcessingLogDataInput) -> Answer<InsertSummary> {
        self.see(&input);
        Ok(InsertSummary::default().into())
    }

    async fn delete_processing_log_data(&self, _: Call, input: DeleteProcessingLogDataInput) -> Answer<DeletedResults> {
        self.see(&input);
        Ok(DeletedResults { deleted: 1 }.into())
    }

    async fn read_job_statistics(&self, _: Call, input: ReadJobStatisticsInput) -> Answer<JobStatistics> {
        self.known(input.job_id)?;
        Ok(ReadJobStatistics::example().1.into())
    }

    async fn export_job_results(&self, _: Call, input: ExportJobResultsInput) -> Answer<FileContent> {
        self.see(&input);
        self.known(input.job_id)?;
        Ok(ExportJobResults::example().1.into())
    }

    async fn export_processing_log(&self, _: Call, input: ExportProcessingLogInput) -> Answer<FileContent> {
        self.see(&input);
        Ok(ExportProcessingLog::example().1.into())
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
