//! The operations on jobs (api.md section 2).

use super::{Input, Method, Operation, Resource, example_job, example_job_id, example_storage, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobId, JobSpec, KNOWN_TYPES, MAX_TEXT_CHARS, NameValue, validate_labels};
use crate::lenient;
use crate::result::MAX_RESULT_DATA_CHARS;
use crate::state::Status;
use crate::text::Id;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most jobs in one page (P).
pub const MAX_JOBS_PAGE: i32 = 100;

pub(super) fn example_spec() -> JobSpec {
    JobSpec {
        name: Some("Nightly validation".to_owned()),
        job_type: Some("DATA_VALIDATION_JOB".to_owned()),
        docker_image_url: "registry.example/validation:7".to_owned(),
        commands: ["/bin/sh", "-c", "echo validated"].map(str::to_owned).to_vec(),
        environment_variables: vec![NameValue { name: "LOG_LEVEL".to_owned(), value: "info".to_owned() }],
        result_storage_id: Some(example_storage()),
        labels: vec![NameValue { name: "team".to_owned(), value: "curation".to_owned() }],
        tags: vec!["nightly".to_owned()],
        priority: Some(60),
        ..JobSpec::default()
    }
}

/// Start Job (P).
pub struct StartJob;

impl Input for JobSpec {}

impl Operation for StartJob {
    const NAME: &'static str = "startJob";
    const TITLE: &'static str = "Start Job";
    const DESCRIPTION: &'static str = "Start a job: it is durable when the answer comes, and runs as soon as there is room. The process executor \
        runs the commands on the host and only records the image.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::StorageFull, Code::NotSupported];
    type Input = JobSpec;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let output = Job {
            status: Status::Persisted,
            progress: 0,
            started_at: None,
            attempt: 0,
            modified_at: example_job().created_at,
            ..example_job()
        };
        (example_spec(), output)
    }

    run!(start_job);
}

/// Features of List Jobs (P).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ListJobsFeature {
    /// Give `total`.
    NumberOfTotal,
    /// A job must have all the tags, not one of them.
    TagsConjunction,
    /// Look into every organization; for administrators.
    IgnoreOrganizationRestrictions,
}

/// List Jobs (P).
pub struct ListJobs;

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListJobsInput {
    /// Only jobs that this user started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "nightly")]
    pub user: Option<String>,
    /// Only jobs of this organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub organization_id: Option<String>,
    /// Only jobs with this result storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: Option<String>,
    /// Only jobs of one of these types.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["DATA_VALIDATION_JOB"]))]
    pub job_type: Vec<String>,
    /// Only jobs with one of these statuses.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub job_status: Vec<Status>,
    /// Only jobs with one of these tags, or with all of them given TAGS_CONJUNCTION.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 50, example = json!(["nightly"]))]
    pub tags: Vec<String>,
    /// `createdAt` or `+createdAt` ascending, `-createdAt` descending (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[+ -]?createdAt$", example = "-createdAt")]
    pub sort: Option<String>,
    /// Number of jobs in a page; a larger number is lowered to 100.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 100, example = 100)]
    pub limit: Option<i32>,
    /// The `nextStartAfter` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub start_after: Option<String>,
    /// Features of the list.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<ListJobsFeature>,
}

impl ListJobsInput {
    /// Whether the newest job comes first.
    pub fn descending(&self) -> bool {
        self.sort.as_deref().is_none_or(|sort| sort.starts_with('-'))
    }

    /// Whether a feature is on.
    pub fn has(&self, feature: ListJobsFeature) -> bool {
        self.features_on.contains(&feature)
    }
}

impl Validate for ListJobsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/user", self.user.as_deref());
        problems.id("/organizationId", self.organization_id.as_deref());
        problems.id("/storageId", self.storage_id.as_deref());
        problems.ids("/jobType", &self.job_type, 100);
        problems.count("/jobStatus", self.job_status.len(), 50);
        problems.ids("/tags", &self.tags, 50);
        // A `+` in a query arrives decoded, as a space.
        if let Some(sort) = &self.sort
            && !["createdAt", "+createdAt", " createdAt", "-createdAt"].contains(&sort.as_str())
        {
            problems.add("/sort", "unknown_value", "must be createdAt, +createdAt or -createdAt");
        }
        problems.range("/limit", self.limit, 1, i32::MAX);
        self.limit = self.limit.map(|limit| limit.min(MAX_JOBS_PAGE));
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
        problems.count("/featuresOn", self.features_on.len(), 10);
    }
}

impl Input for ListJobsInput {}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobsPage {
    /// As it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// The `startAfter` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
    /// Number of jobs in a page.
    #[schema(example = 100)]
    pub limit: i32,
    /// All jobs that match, given NUMBER_OF_TOTAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub total: Option<i64>,
    /// The jobs.
    pub values: Vec<Job>,
}

impl Operation for ListJobs {
    const NAME: &'static str = "listJobs";
    const TITLE: &'static str = "List Jobs";
    const DESCRIPTION: &'static str = "List the jobs of the caller's organization.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken];
    type Input = ListJobsInput;
    type Output = JobsPage;

    fn example() -> (Self::Input, Self::Output) {
        let input = ListJobsInput {
            job_status: vec![Status::Running],
            sort: Some("-createdAt".to_owned()),
            limit: Some(100),
            features_on: vec![ListJobsFeature::NumberOfTotal],
            ..ListJobsInput::default()
        };
        let output = JobsPage {
            start_after: None,
            next_start_after: None,
            limit: 100,
            total: Some(1),
            values: vec![example_job()],
        };
        (input, output)
    }

    run!(list_jobs);
}

/// Which job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobInput {
    /// The job.
    pub job_id: JobId,
}

impl Validate for JobInput {
    fn validate(&mut self, _problems: &mut Problems) {}
}

impl Input for JobInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

/// Read Job (D).
pub struct ReadJob;

impl Operation for ReadJob {
    const NAME: &'static str = "readJob";
    const TITLE: &'static str = "Read Job";
    const DESCRIPTION: &'static str = "Read one job.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const ERRORS: &'static [Code] = &[Code::NotFound];
    type Input = JobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        (JobInput { job_id: example_job_id() }, example_job())
    }

    run!(read_job);
}

/// Update Job (D).
pub struct UpdateJob;

/// What to change; what is absent stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateJobInput {
    /// The job.
    pub job_id: JobId,
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub name: Option<String>,
    /// A new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535)]
    pub description: Option<String>,
    /// New labels, in place of all present ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub labels: Option<Vec<NameValue>>,
    /// New tags, in place of all present ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Id>>, max_items = 50)]
    pub tags: Option<Vec<String>>,
    /// A new priority; counts while the job has not been launched.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub priority: Option<i32>,
    /// Percent done; for the running job itself, and for workers.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, example = 40)]
    pub progress: Option<i32>,
    /// What the job is doing; for the running job itself, and for workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535, example = "12,000 of 30,000 records")]
    pub status_message: Option<String>,
    /// The attempt that reports; an outdated one is refused.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, example = 1)]
    pub attempt: Option<i32>,
}

impl UpdateJobInput {
    /// Whether it changes what only operators may change: anything but progress and message.
    pub fn changes_metadata(&self) -> bool {
        self.name.is_some()
            || self.description.is_some()
            || self.labels.is_some()
            || self.tags.is_some()
            || self.priority.is_some()
    }

    /// Whether it is a report of the running job.
    pub fn reports(&self) -> bool {
        self.progress.is_some() || self.status_message.is_some()
    }
}

impl Validate for UpdateJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.text("/name", self.name.as_deref(), 0, 255);
        problems.text("/description", self.description.as_deref(), 0, MAX_TEXT_CHARS);
        validate_labels(problems, self.labels.as_deref().unwrap_or_default(), self.tags.as_deref().unwrap_or_default());
        problems.range("/priority", self.priority, 0, 100);
        problems.range("/progress", self.progress, 0, 100);
        problems.text("/statusMessage", self.status_message.as_deref(), 0, MAX_TEXT_CHARS);
        problems.range("/attempt", self.attempt, 1, i32::MAX);
    }
}

impl Input for UpdateJobInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for UpdateJob {
    const NAME: &'static str = "updateJob";
    const TITLE: &'static str = "Update Job";
    const DESCRIPTION: &'static str = "Change a job's name, description, labels, tags or priority (operators), or report its progress and message \
        (the running job itself, workers).";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Put;
    const PATH: &'static str = "/jobs/{jobId}";
    const ROLE: Role = Role::Worker;
    const OPEN_TO_JOBS: bool = true;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::JobEnded, Code::StaleAttempt, Code::StorageFull];
    type Input = UpdateJobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let input = UpdateJobInput {
            job_id: example_job_id(),
            name: None,
            description: None,
            labels: None,
            tags: None,
            priority: None,
            progress: Some(40),
            status_message: Some("12,000 of 30,000 records".to_owned()),
            attempt: Some(1),
        };
        let output = Job { status_message: input.status_message.clone(), ..example_job() };
        (input, output)
    }

    run!(update_job);
}

/// Cancel Job (D).
pub struct CancelJob;

/// Which job to cancel, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelJobInput {
    /// The job.
    pub job_id: JobId,
    /// Why; becomes the job's `statusMessage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535, example = "Wrong input file")]
    pub reason: Option<String>,
    /// Seconds between the polite signal and the kill; the job's own if absent.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86400, example = 30)]
    pub grace_period_seconds: Option<i32>,
}

impl Validate for CancelJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.text("/reason", self.reason.as_deref(), 0, MAX_TEXT_CHARS);
        problems.range("/gracePeriodSeconds", self.grace_period_seconds, 0, 86_400);
    }
}

impl Input for CancelJobInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for CancelJob {
    const NAME: &'static str = "cancelJob";
    const TITLE: &'static str = "Cancel Job";
    const DESCRIPTION: &'static str = "Ask for a job's end: its whole process tree gets a polite signal, and is killed after the grace period. The \
        job is CANCELED once nothing of it runs any more. Canceling a job that has ended changes nothing and answers the job.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs/{jobId}/cancel";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageFull];
    type Input = CancelJobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let input = CancelJobInput {
            job_id: example_job_id(),
            reason: Some("Wrong input file".to_owned()),
            grace_period_seconds: Some(30),
        };
        let output = Job { status_message: Some("Cancel requested: Wrong input file".to_owned()), ..example_job() };
        (input, output)
    }

    run!(cancel_job);
}

/// Delete Job (D).
pub struct DeleteJob;

impl Operation for DeleteJob {
    const NAME: &'static str = "deleteJob";
    const TITLE: &'static str = "Delete Job";
    const DESCRIPTION: &'static str =
        "Remove a job that has ended, with its results and logs. Answers the job as it was.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Delete;
    const PATH: &'static str = "/jobs/{jobId}";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::JobNotEnded, Code::StorageFull];
    type Input = JobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let job = example_job();
        let output = Job {
            status: Status::Finished,
            progress: 100,
            finished_at: Some(job.modified_at),
            exit_code: Some(0),
            ..job
        };
        (JobInput { job_id: example_job_id() }, output)
    }

    run!(delete_job);
}

/// Update Result Data (P).
pub struct UpdateResultData;

/// What the job leaves as its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateResultDataInput {
    /// The job.
    pub job_id: JobId,
    /// The text to keep.
    #[schema(max_length = 65535, example = "{\"records\":30000}")]
    pub result_data: String,
}

impl Validate for UpdateResultDataInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.text("/resultData", Some(&self.result_data), 0, MAX_RESULT_DATA_CHARS);
    }
}

impl Input for UpdateResultDataInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for UpdateResultData {
    const NAME: &'static str = "updateResultData";
    const TITLE: &'static str = "Update Result Data";
    const DESCRIPTION: &'static str = "Keep a text as the result of the job as a whole.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Put;
    const PATH: &'static str = "/jobs/{jobId}/resultdata";
    const ROLE: Role = Role::Worker;
    const OPEN_TO_JOBS: bool = true;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StaleAttempt, Code::StorageFull];
    type Input = UpdateResultDataInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let result_data = r#"{"records":30000}"#.to_owned();
        let output = Job { result_data: Some(result_data.clone()), ..example_job() };
        (UpdateResultDataInput { job_id: example_job_id(), result_data }, output)
    }

    run!(update_result_data);
}

/// List Job Types (P: path).
pub struct ListJobTypes;

/// Nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NoInput {}

impl Validate for NoInput {
    fn validate(&mut self, _problems: &mut Problems) {}
}

impl Input for NoInput {}

/// The types of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobTypes {
    /// The known types, and those that jobs of the organization have.
    #[schema(example = json!(["DATA_CURATION_JOB", "DATA_VALIDATION_JOB"]))]
    pub values: Vec<String>,
}

impl Operation for ListJobTypes {
    const NAME: &'static str = "listJobTypes";
    const TITLE: &'static str = "List Job Types";
    const DESCRIPTION: &'static str =
        "List the known types of jobs and the custom ones that jobs of the organization have.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/types";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[];
    type Input = NoInput;
    type Output = JobTypes;

    fn example() -> (Self::Input, Self::Output) {
        (NoInput {}, JobTypes { values: KNOWN_TYPES.map(str::to_owned).to_vec() })
    }

    run!(list_job_types);
}

/// Read Job Log (D).
pub struct ReadJobLog;

/// Which log, and how much of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadJobLogInput {
    /// The job.
    pub job_id: JobId,
    /// Only the last lines, this many; a larger number is lowered to 10000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 50)]
    pub tail: Option<i32>,
    /// The attempt; the present one if absent.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, example = 1)]
    pub attempt: Option<i32>,
}

impl Validate for ReadJobLogInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.range("/tail", self.tail, 0, i32::MAX);
        problems.range("/attempt", self.attempt, 1, i32::MAX);
        self.tail = self.tail.map(|tail| tail.min(10_000));
    }
}

impl Input for ReadJobLogInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for ReadJobLog {
    const NAME: &'static str = "readJobLog";
    const TITLE: &'static str = "Read Job Log";
    const DESCRIPTION: &'static str = "Read what the job wrote to its standard output and error, as plain text. A log over the server's limit keeps its \
        beginning and its end, with a mark where it was cut.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/log";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const MEDIA_TYPE: &'static str = "text/plain; charset=utf-8";
    const ERRORS: &'static [Code] = &[Code::NotFound];
    type Input = ReadJobLogInput;
    type Output = String;

    fn example() -> (Self::Input, Self::Output) {
        (ReadJobLogInput { job_id: example_job_id(), tail: Some(50), attempt: None }, "validated\n".to_owned())
    }

    run!(read_job_log);
}
