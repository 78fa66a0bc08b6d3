//! Ending a claimed job.

use super::super::{Input, Method, Operation, Resource, example_job, example_job_id, run};
use super::heartbeat::validate_attempt;
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobId, MAX_TEXT_CHARS};
use crate::lenient;
use crate::result::MAX_RESULT_DATA_CHARS;
use crate::state::{Event, Status};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (D)
/// Complete Job.
pub struct CompleteJob;

/// How an attempt ended that had no process with an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It did what it should.
    Finished,
    /// It did not.
    Failed,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompleteJobInput {
    /// The job.
    pub job_id: JobId,
    /// The attempt, from the claim's lease; an outdated one is refused.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(required = true, nullable = false, minimum = 1, example = 1)]
    pub attempt: Option<i32>,
    /// The exit code of the job's process: 0 is FINISHED, any other FAILED. Either this or `outcome`.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(example = 0)]
    pub exit_code: Option<i32>,
    /// The outcome of a job without an exit code. Either this or `exitCode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What to tell people of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535, example = "30,000 records")]
    pub status_message: Option<String>,
    /// What the job leaves as its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535, example = "{\"records\":30000}")]
    pub result_data: Option<String>,
}

impl CompleteJobInput {
    /// The event that the report tells of.
    pub fn event(&self) -> Event {
        match (self.exit_code, self.outcome) {
            (Some(code), _) => Event::Exited(code),
            (None, Some(Outcome::Failed)) => Event::Exited(1),
            (None, _) => Event::Exited(0),
        }
    }
}

impl Validate for CompleteJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        validate_attempt(problems, self.attempt);
        match (self.exit_code, self.outcome) {
            (None, None) => problems.add("/exitCode", "required", "is required, or outcome in its place"),
            (Some(_), Some(_)) => problems.add("/outcome", "not_allowed", "must not be given beside exitCode"),
            _ => {}
        }
        problems.text("/statusMessage", self.status_message.as_deref(), 0, MAX_TEXT_CHARS);
        problems.text("/resultData", self.result_data.as_deref(), 0, MAX_RESULT_DATA_CHARS);
    }
}

impl Input for CompleteJobInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for CompleteJob {
    const NAME: &'static str = "completeJob";
    const TITLE: &'static str = "Complete Job";
    const DESCRIPTION: &'static str = "End the attempt of a claimed job. A job whose end was asked for is CANCELED, whatever the report says; one that \
        failed may be tried again. The same report again answers the job as it is.";
    const RESOURCE: Resource = Resource::Workers;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs/{jobId}/complete";
    const ROLE: Role = Role::Worker;
    const OPEN_TO_JOBS: bool = true;
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] =
        &[Code::NotFound, Code::JobEnded, Code::StaleAttempt, Code::NotSupported, Code::StorageFull];
    type Input = CompleteJobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let input = CompleteJobInput {
            job_id: example_job_id(),
            attempt: Some(1),
            exit_code: Some(0),
            outcome: None,
            status_message: Some("30,000 records".to_owned()),
            result_data: Some(r#"{"records":30000}"#.to_owned()),
        };
        let job = example_job();
        let output = Job {
            status: Status::Finished,
            status_message: input.status_message.clone(),
            progress: 100,
            finished_at: Some(job.modified_at),
            exit_code: Some(0),
            result_data: input.result_data.clone(),
            ..job
        };
        (input, output)
    }

    run!(complete_job);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn exactly_one_outcome_is_needed() {
        let check = |exit_code, outcome, attempt| {
            let mut input = CompleteJobInput { exit_code, outcome, attempt, ..CompleteJob::example().0 };
            let mut problems = Problems::default();
            input.validate(&mut problems);
            problems
                .into_result()
                .map(|()| input.event())
                .map_err(|error| (error.code, error.errors[0].pointer.clone()))
        };
        let wrong = |pointer: &str| Err((Code::InvalidRequest, pointer.to_owned()));
        assert_eq!(check(Some(3), None, Some(1)), Ok(Event::Exited(3)));
        assert_eq!(check(None, Some(Outcome::Finished), Some(1)), Ok(Event::Exited(0)));
        assert_eq!(check(None, Some(Outcome::Failed), Some(1)), Ok(Event::Exited(1)));
        assert_eq!(check(None, None, Some(1)), wrong("/exitCode"));
        assert_eq!(check(Some(0), Some(Outcome::Finished), Some(1)), wrong("/outcome"));
        assert_eq!(check(Some(0), None, None), wrong("/attempt"));
        assert_eq!(check(Some(0), None, Some(0)), wrong("/attempt"));
    }
}
