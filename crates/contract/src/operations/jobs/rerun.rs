//! Running a job once more, and what the new job reads of the old one.

use super::super::{
    Input, JobResultsPage, ListJobRunResults, Method, Operation, Paging, Resource, example_job, example_job_id,
    example_storage, run,
};
use super::StartJob;
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobId};
use crate::lenient;
use crate::result::{DEFAULT_PAGE, MAX_PAGE};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (D)
/// Rerun Job.
pub struct RerunJob;

/// Which job to run once more, and for which records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RerunJobInput {
    /// The job, which must have ended.
    pub job_id: JobId,
    /// Hands the records to the new job that failed in this one; false if absent.
    #[serde(default, deserialize_with = "lenient::boolean", skip_serializing_if = "Option::is_none")]
    pub only_failed_records: Option<bool>,
}

impl Validate for RerunJobInput {
    fn validate(&mut self, _problems: &mut Problems) {}
}

impl Input for RerunJobInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for RerunJob {
    const NAME: &'static str = "rerunJob";
    const TITLE: &'static str = "Rerun Job";
    const DESCRIPTION: &'static str = "Start a new job like one that has ended, secrets in its environment included; only `jobDependencies` and `startAt` \
        are left out, because they belong to the first time. With `onlyFailedRecords` the new job finds the results that \
        failed at the address in its environment variable `DOCKET_RECORDS_URL`.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs/{jobId}/rerun";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[
        Code::NotFound,
        Code::JobNotEnded,
        Code::NothingFailed,
        Code::StorageFull,
        Code::StorageDamaged,
        Code::NotSupported,
    ];
    type Input = RerunJobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let id = JobId(uuid::uuid!("0192b3a0-5f1e-7c44-9d0a-6f0a51b3c7de"));
        let output = Job { id, rerun_of: Some(example_job_id()), ..StartJob::example().1 };
        (RerunJobInput { job_id: example_job_id(), only_failed_records: Some(false) }, output)
    }

    run!(rerun_job);
}

// (D)
/// List Rerun Records.
pub struct ListRerunRecords;

/// Which failed results to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRerunRecordsInput {
    /// The job that reruns another one.
    pub job_id: JobId,
    /// The storage; the result storage of the job that is rerun if absent, or else the only one that it wrote to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: Option<String>,
    /// The `nextStartAfter` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub start_after: Option<String>,
    /// Most results in the page; a larger number is lowered to 5000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 500, example = 500)]
    pub limit: Option<i32>,
}

impl ListRerunRecordsInput {
    /// The number of results in a page, within the bounds of the API.
    pub fn page_size(&self) -> i32 {
        self.limit.unwrap_or(DEFAULT_PAGE)
    }
}

impl Validate for ListRerunRecordsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", self.storage_id.as_deref());
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
        problems.range("/limit", self.limit, 1, i32::MAX);
        self.limit = self.limit.map(|limit| limit.min(MAX_PAGE));
    }
}

impl Input for ListRerunRecordsInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for ListRerunRecords {
    const NAME: &'static str = "listRerunRecords";
    const TITLE: &'static str = "List Rerun Records";
    const DESCRIPTION: &'static str = "Read a page of the results that failed in the job that this one reruns, by ascending id. The running job itself \
        may read them: the address stands in its environment variable `DOCKET_RECORDS_URL`.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/rerun/records";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const PAGING: Option<Paging> = Some(Paging { feature: None });
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::InvalidPageToken, Code::StorageDamaged];
    type Input = ListRerunRecordsInput;
    type Output = JobResultsPage;

    fn example() -> (Self::Input, Self::Output) {
        let input = ListRerunRecordsInput {
            job_id: example_job().id,
            storage_id: Some(example_storage()),
            start_after: None,
            limit: Some(500),
        };
        let (_, mut page) = ListJobRunResults::example();
        page.start_after = None;
        page.total = 1;
        for value in &mut page.values {
            value.written.status = Some(crate::result::ResultStatus::Failed);
        }
        (input, page)
    }

    run!(list_rerun_records);
}
