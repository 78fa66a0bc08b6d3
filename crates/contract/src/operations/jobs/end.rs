//! Ending a job and removing it.

use super::super::{Input, Method, Operation, Resource, example_job, example_job_id, run};
use super::JobInput;
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobId, MAX_TEXT_CHARS};
use crate::lenient;
use crate::state::Status;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    const REPEATABLE: bool = true;
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
