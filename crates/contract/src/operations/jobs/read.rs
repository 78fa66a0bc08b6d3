//! Reading a job, its log, and the types of jobs.

use super::super::{Input, Method, Operation, Resource, example_job, example_job_id, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobId, KNOWN_TYPES};
use crate::lenient;
use crate::state::Status;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let ended = |status, exit_code, message: Option<&str>| Job {
            status,
            exit_code,
            status_message: message.map(str::to_owned),
            finished_at: Some(example_job().modified_at),
            ..example_job()
        };
        vec![
            ("running", example_job()),
            ("finished", Job { progress: 100, ..ended(Status::Finished, Some(0), None) }),
            ("failed", ended(Status::Failed, Some(3), Some("The job ended with exit code 3."))),
            ("died", ended(Status::Died, None, Some("The job was killed by signal 9."))),
        ]
    }

    run!(read_job);
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
