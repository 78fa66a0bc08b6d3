//! What the operations do: one function an operation, and nothing else decides.

mod attachments;
mod diff;
mod erasure;
mod events;
mod executors;
pub mod expire;
mod exports;
mod follow;
mod gates;
mod history;
mod jobs;
mod last;
mod logs;
mod processing_logs;
mod report;
mod rerun;
mod results;
pub mod retention;
mod schedules;
mod start;
mod statistics;
mod webhooks;
mod workers;

use crate::clock::Clock;
use crate::compare::Comparisons;
use crate::engine::Engine;
use crate::feed::{Feed, Growth};
use crate::handler::{Encoded, Upload};
use crate::secrets::Secrets;
use crate::store::{ControlStore, ResultStore, ScheduleStore, Scope, StoredJob};
use crate::webhooks::Guard;
use docket_contract::caller::Call;
use docket_contract::job::{Attachment, JobSpec};
use docket_contract::operations::{
    AttachmentInput, Behaviour, CancelJobInput, ClaimJobsInput, ClaimedJobs, CompleteJobInput, CreateScheduledJobInput,
    DeleteJobResultsInput, DeleteProcessingLogDataInput, DeleteRetentionPolicyInput, DeletedResults,
    DiffJobResultsInput, EraseRecordsInput, ErasureKey, ErasureReceipt, ExportJobResultsInput,
    ExportProcessingLogInput, FetchLastResultsInput, FileContent, Heartbeat, HeartbeatJobInput, InsertJobResultsInput,
    InsertProcessingLogDataInput, InsertSummary, JobHistory, JobInput, JobReport, JobResultsDiff, JobResultsPage,
    JobStatistics, JobTypes, JobWebhooks, JobsPage, LastResults, ListJobRunResultsInput, ListJobsInput,
    ListProcessingLogDataInput, ListRerunRecordsInput, ListScheduledJobRunsInput, ListScheduledJobsInput, NoInput,
    PauseScheduledJobInput, PreviewScheduledJobInput, ProcessingLogPage, ReadJobHistoryInput, ReadJobLogInput,
    ReadJobStatisticsInput, ReadProcessingLogStatisticsInput, RerunJobInput, RetentionPolicies, RetentionPreview,
    RetentionStart, SchedulePreview, ScheduledJobInput, ScheduledJobRunsPage, ScheduledJobsPage, StreamEventsInput,
    StreamJobEventsInput, UpdateJobInput, UpdateResultDataInput, UpdateScheduledJobInput,
};
use docket_contract::retention::{RetentionPolicy, RetentionRule};
use docket_contract::{Caller, Error, Job, JobId, Reply, ScheduledJob};
use std::sync::Arc;

type Answer<T> = Result<Reply<T, Encoded>, Error>;

/// The service: everything that an operation needs.
pub struct Service {
    /// Jobs.
    pub control: Arc<dyn ControlStore>,
    /// Scheduled jobs.
    pub schedules: Arc<dyn ScheduleStore>,
    /// Results.
    pub results: Arc<dyn ResultStore>,
    /// What runs the jobs.
    pub engine: Engine,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Page tokens.
    pub secrets: Arc<Secrets>,
    /// Which images may be started.
    pub images: AllowedImages,
    /// What runs the jobs.
    pub executors: Executors,
    /// Which addresses webhooks may name.
    pub webhooks: Guard,
    /// Makes the ids of jobs.
    pub ids: JobIds,
    /// The files that jobs attach.
    pub attachments: Attachments,
    /// How many exports go on at once.
    pub exports: Exports,
    /// Keep a job's results from being written while it is deleted.
    pub gates: Gates,
    /// Tells of what happens.
    pub feed: Feed,
    /// Tells of logs that grow.
    pub growth: Growth,
    /// Compares result sets.
    pub comparisons: Comparisons,
    /// Bounds the counts that read all results.
    pub counting: Counting,
    /// Whose erasure's turn it is.
    pub erasures: Erasures,
    /// What is removed by itself.
    pub retention: Retention,
}

pub use attachments::{Attachments, sweep};
pub use erasure::Erasures;
pub use executors::Executors;
pub use exports::Exports;
pub use gates::Gates;
pub(crate) use jobs::{cancel_message, job_ended, stale_attempt};
pub use retention::{ConfiguredPolicy, Pacer, Retention, RetentionSettings};
pub use start::{AllowedImages, JobIds};
pub use statistics::Counting;

/// The jobs that the caller may see.
fn scope(caller: &Caller) -> Scope {
    Scope::Organization(caller.organization.clone())
}

/// The job as the caller may see it.
fn view(stored: StoredJob, caller: &Caller) -> Job {
    let mut job = stored.job;
    job.spec = job.spec.masked(!caller.sees_environment());
    job
}

impl Service {
    /// The job, if it is the caller's.
    async fn own_job(&self, caller: &Caller, id: JobId) -> Result<StoredJob, Error> {
        self.control.read_job(&scope(caller), id).await?.ok_or_else(Error::not_found)
    }
}

impl Behaviour for Service {
    type Body = Encoded;
    type Upload = Upload;

    async fn start_job(&self, call: Call, input: JobSpec) -> Answer<Job> {
        start::start(self, call, input).await.map(Reply::Typed)
    }

    async fn list_jobs(&self, call: Call, input: ListJobsInput) -> Answer<JobsPage> {
        jobs::list(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn read_job(&self, call: Call, input: JobInput) -> Answer<Job> {
        jobs::read(self, &call.caller, input.job_id).await.map(Reply::Typed)
    }

    async fn update_job(&self, call: Call, input: UpdateJobInput) -> Answer<Job> {
        jobs::update(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn cancel_job(&self, call: Call, input: CancelJobInput) -> Answer<Job> {
        jobs::cancel(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn delete_job(&self, call: Call, input: JobInput) -> Answer<Job> {
        jobs::delete(self, &call.caller, input.job_id).await.map(Reply::Typed)
    }

    async fn update_result_data(&self, call: Call, input: UpdateResultDataInput) -> Answer<Job> {
        jobs::update_result_data(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn list_job_types(&self, call: Call, _input: NoInput) -> Answer<JobTypes> {
        jobs::types(self, &call.caller).await.map(Reply::Typed)
    }

    async fn read_job_log(&self, call: Call, input: ReadJobLogInput) -> Answer<String> {
        logs::read(self, &call.caller, input).await.map(Reply::Encoded)
    }

    async fn read_job_history(&self, call: Call, input: ReadJobHistoryInput) -> Answer<JobHistory> {
        history::read(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn read_job_report(&self, call: Call, input: JobInput) -> Answer<JobReport> {
        report::read(self, &call.caller, input.job_id).await.map(Reply::Typed)
    }

    async fn rerun_job(&self, call: Call, input: RerunJobInput) -> Answer<Job> {
        rerun::rerun(self, call, input).await.map(Reply::Typed)
    }

    async fn list_rerun_records(&self, call: Call, input: ListRerunRecordsInput) -> Answer<JobResultsPage> {
        rerun::records(self, &call.caller, input).await.map(Reply::Encoded)
    }

    async fn put_attachment(&self, call: Call, input: AttachmentInput, file: Upload) -> Answer<Attachment> {
        attachments::put(self, &call.caller, input, file).await.map(Reply::Typed)
    }

    async fn read_attachment(&self, call: Call, input: AttachmentInput) -> Answer<FileContent> {
        attachments::read(self, &call.caller, input).await.map(Reply::File)
    }

    async fn delete_attachment(&self, call: Call, input: AttachmentInput) -> Answer<Attachment> {
        attachments::delete(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn stream_job_events(&self, call: Call, input: StreamJobEventsInput) -> Answer<String> {
        events::of_job(self, &call.caller, input).await.map(Reply::Encoded)
    }

    async fn stream_events(&self, call: Call, input: StreamEventsInput) -> Answer<String> {
        events::of_jobs(self, &call.caller, input).map(Reply::Encoded)
    }

    async fn list_job_webhooks(&self, call: Call, input: JobInput) -> Answer<JobWebhooks> {
        webhooks::list(self, &call.caller, input.job_id).await.map(Reply::Typed)
    }

    async fn list_job_run_results(&self, call: Call, input: ListJobRunResultsInput) -> Answer<JobResultsPage> {
        results::list(self, &call.caller, input).await.map(Reply::Encoded)
    }

    async fn insert_job_results(&self, call: Call, input: InsertJobResultsInput) -> Answer<InsertSummary> {
        results::insert(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn delete_job_results(&self, call: Call, input: DeleteJobResultsInput) -> Answer<DeletedResults> {
        results::delete(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn read_job_statistics(&self, call: Call, input: ReadJobStatisticsInput) -> Answer<JobStatistics> {
        statistics::of_job(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn fetch_last_results(&self, call: Call, input: FetchLastResultsInput) -> Answer<LastResults> {
        last::fetch(self, &call.caller, input).await.map(Reply::Encoded)
    }

    async fn read_processing_log_statistics(
        &self,
        call: Call,
        input: ReadProcessingLogStatisticsInput,
    ) -> Answer<JobStatistics> {
        statistics::of_log(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn create_scheduled_job(&self, call: Call, input: CreateScheduledJobInput) -> Answer<ScheduledJob> {
        schedules::create(self, call, input).await.map(Reply::Typed)
    }

    async fn list_scheduled_jobs(&self, call: Call, input: ListScheduledJobsInput) -> Answer<ScheduledJobsPage> {
        schedules::list(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn read_scheduled_job(&self, call: Call, input: ScheduledJobInput) -> Answer<ScheduledJob> {
        schedules::read(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn update_scheduled_job(&self, call: Call, input: UpdateScheduledJobInput) -> Answer<ScheduledJob> {
        schedules::update(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn delete_scheduled_job(&self, call: Call, input: ScheduledJobInput) -> Answer<ScheduledJob> {
        schedules::delete(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn pause_scheduled_job(&self, call: Call, input: PauseScheduledJobInput) -> Answer<ScheduledJob> {
        schedules::pause(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn resume_scheduled_job(&self, call: Call, input: ScheduledJobInput) -> Answer<ScheduledJob> {
        schedules::resume(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn trigger_scheduled_job(&self, call: Call, input: ScheduledJobInput) -> Answer<Job> {
        schedules::trigger(self, call, input).await.map(Reply::Typed)
    }

    async fn preview_scheduled_job(&self, call: Call, input: PreviewScheduledJobInput) -> Answer<SchedulePreview> {
        schedules::preview(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn list_scheduled_job_runs(
        &self,
        call: Call,
        input: ListScheduledJobRunsInput,
    ) -> Answer<ScheduledJobRunsPage> {
        schedules::runs(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn export_job_results(&self, call: Call, input: ExportJobResultsInput) -> Answer<FileContent> {
        exports::of_job(self, &call.caller, input).await.map(Reply::File)
    }

    async fn export_processing_log(&self, call: Call, input: ExportProcessingLogInput) -> Answer<FileContent> {
        exports::of_log(self, &call.caller, input).await.map(Reply::File)
    }

    async fn diff_job_results(&self, call: Call, input: DiffJobResultsInput) -> Answer<JobResultsDiff> {
        diff::diff(self, &call.caller, input).await.map(Reply::Encoded)
    }

    async fn list_processing_log_data(
        &self,
        call: Call,
        input: ListProcessingLogDataInput,
    ) -> Answer<ProcessingLogPage> {
        processing_logs::list(self, &call.caller, input).await.map(Reply::Encoded)
    }

    async fn insert_processing_log_data(
        &self,
        call: Call,
        input: InsertProcessingLogDataInput,
    ) -> Answer<InsertSummary> {
        processing_logs::insert(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn delete_processing_log_data(
        &self,
        call: Call,
        input: DeleteProcessingLogDataInput,
    ) -> Answer<DeletedResults> {
        processing_logs::delete(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn erase_records(&self, call: Call, input: EraseRecordsInput) -> Answer<ErasureReceipt> {
        erasure::erase(self, call, input).await.map(Reply::Typed)
    }

    async fn read_erasure_key(&self, _call: Call, _input: NoInput) -> Answer<ErasureKey> {
        erasure::key(self).map(Reply::Typed)
    }

    async fn put_retention_policy(&self, call: Call, input: RetentionRule) -> Answer<RetentionPolicy> {
        retention::put(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn delete_retention_policy(&self, call: Call, input: DeleteRetentionPolicyInput) -> Answer<RetentionPolicy> {
        retention::delete(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn list_retention_policies(&self, call: Call, _input: NoInput) -> Answer<RetentionPolicies> {
        retention::list(self, &call.caller).await.map(Reply::Typed)
    }

    async fn preview_retention(&self, call: Call, _input: NoInput) -> Answer<RetentionPreview> {
        retention::preview(self, &call.caller).await.map(Reply::Typed)
    }

    async fn run_retention(&self, call: Call, _input: NoInput) -> Answer<RetentionStart> {
        Ok(Reply::Typed(retention::start(self, &call.caller)))
    }

    async fn claim_jobs(&self, call: Call, input: ClaimJobsInput) -> Answer<ClaimedJobs> {
        workers::claim(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn heartbeat_job(&self, call: Call, input: HeartbeatJobInput) -> Answer<Heartbeat> {
        workers::heartbeat(self, &call.caller, input).await.map(Reply::Typed)
    }

    async fn complete_job(&self, call: Call, input: CompleteJobInput) -> Answer<Job> {
        workers::complete(self, &call.caller, input).await.map(Reply::Typed)
    }
}
