//! Keeping a claimed job.

use super::super::{Input, Method, Operation, Resource, example_job, example_job_id, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::{JobId, MAX_TEXT_CHARS};
use crate::lenient;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (D)
/// Heartbeat.
pub struct HeartbeatJob;

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatJobInput {
    /// The job.
    pub job_id: JobId,
    /// The attempt, from the claim's lease; an outdated one is refused.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(required = true, nullable = false, minimum = 1, example = 1)]
    pub attempt: Option<i32>,
    /// Percent done; kept at most once a second.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, example = 40)]
    pub progress: Option<i32>,
    /// What the job is doing; kept at most once a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535, example = "12,000 of 30,000 records")]
    pub status_message: Option<String>,
}

/// Checks the attempt that every report of a worker names.
pub(super) fn validate_attempt(problems: &mut Problems, attempt: Option<i32>) {
    match attempt {
        None => problems.add("/attempt", "required", "is required: the attempt of the claim's lease"),
        attempt => problems.range("/attempt", attempt, 1, i32::MAX),
    }
}

impl Validate for HeartbeatJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        validate_attempt(problems, self.attempt);
        problems.range("/progress", self.progress, 0, 100);
        problems.text("/statusMessage", self.status_message.as_deref(), 0, MAX_TEXT_CHARS);
    }
}

impl Input for HeartbeatJobInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

/// What the worker must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Whether the worker must end the job, and then complete it.
    pub cancel_requested: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Wrong input file")]
    pub cancel_reason: Option<String>,
    /// Seconds that the job has to end by itself before it must be killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86400, example = 30)]
    pub grace_period_seconds: Option<i32>,
    /// When the lease runs out now, by the server's clock.
    pub lease_expires_at: Timestamp,
}

impl Operation for HeartbeatJob {
    const NAME: &'static str = "heartbeatJob";
    const TITLE: &'static str = "Heartbeat";
    const DESCRIPTION: &'static str = "Renew the lease of a claimed job, and learn whether somebody asked for its end. Send one in every third of the \
        lease. After a cancel the job has its grace period and one lease to be completed; then it ends as CANCELED.";
    const RESOURCE: Resource = Resource::Workers;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs/{jobId}/heartbeat";
    const ROLE: Role = Role::Worker;
    const OPEN_TO_JOBS: bool = true;
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] =
        &[Code::NotFound, Code::JobEnded, Code::StaleAttempt, Code::NotSupported, Code::StorageFull];
    type Input = HeartbeatJobInput;
    type Output = Heartbeat;

    fn example() -> (Self::Input, Self::Output) {
        let input = HeartbeatJobInput {
            job_id: example_job_id(),
            attempt: Some(1),
            progress: Some(40),
            status_message: Some("12,000 of 30,000 records".to_owned()),
        };
        let output = Heartbeat {
            cancel_requested: false,
            cancel_reason: None,
            grace_period_seconds: None,
            lease_expires_at: example_job().created_at.plus_millis(61_000),
        };
        (input, output)
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let go_on = Self::example().1;
        let cancel = Heartbeat {
            cancel_requested: true,
            cancel_reason: Some("Wrong input file".to_owned()),
            grace_period_seconds: Some(30),
            ..go_on.clone()
        };
        vec![("go-on", go_on), ("cancel", cancel)]
    }

    run!(heartbeat_job);
}
