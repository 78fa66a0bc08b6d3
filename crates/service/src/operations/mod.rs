//! What the operations do: one function an operation, and nothing else decides.

mod attachments;
mod events;
mod executors;
pub mod expire;
mod follow;
mod gates;
mod history;
mod jobs;
mod logs;
mod report;
mod rerun;
mod results;
mod start;
mod webhooks;
mod workers;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::feed::{Feed, Growth};
use crate::handler::{Encoded, Upload};
use crate::secrets::Secrets;
use crate::store::{ControlStore, ResultStore, Scope, StoredJob};
use crate::webhooks::Guard;
use docket_contract::caller::Call;
use docket_contract::job::{Attachment, JobSpec};
use docket_contract::operations::{
    AttachmentInput, Behaviour, CancelJobInput, ClaimJobsInput, ClaimedJobs, CompleteJobInput, DeleteJobResultsInput,
    DeletedResults, FileContent, Heartbeat, HeartbeatJobInput, InsertJobResultsInput, InsertSummary, JobHistory,
    JobInput, JobReport, JobResultsPage, JobStatistics, JobTypes, JobWebhooks, JobsPage, ListJobRunResultsInput,
    ListJobsInput, ListRerunRecordsInput, NoInput, ReadJobHistoryInput, ReadJobLogInput, ReadJobStatisticsInput,
    RerunJobInput, StreamEventsInput, StreamJobEventsInput, UpdateJobInput, UpdateResultDataInput,
};
use docket_contract::{Caller, Error, Job, JobId, Reply};
use std::sync::Arc;

type Answer<T> = Result<Reply<T, Encoded>, Error>;

/// The service: everything that an operation needs.
pub struct Service {
    /// Jobs.
    pub control: Arc<dyn ControlStore>,
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
    /// Keep a job's results from being written while it is deleted.
    pub gates: Gates,
    /// Tells of what happens.
    pub feed: Feed,
    /// Tells of logs that grow.
    pub growth: Growth,
}

pub use attachments::{Attachments, sweep};
pub use executors::Executors;
pub use gates::Gates;
pub(crate) use jobs::{cancel_message, job_ended, stale_attempt};
pub use start::{AllowedImages, JobIds};

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
        results::statistics(self, &call.caller, input).await.map(Reply::Typed)
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
