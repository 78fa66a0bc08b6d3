//! Changing a job.

use super::super::{Input, Method, Operation, Resource, example_job, example_job_id, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobId, MAX_TEXT_CHARS, NameValue, validate_labels};
use crate::lenient;
use crate::result::MAX_RESULT_DATA_CHARS;
use crate::text::Id;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
