//! Reading a scheduled job, and removing it.

use super::super::{Input, Method, Operation, Resource, run};
use super::{example_id, example_scheduled_job, example_time};
use crate::caller::Role;
use crate::error::Code;
use crate::schedule::{ScheduledJob, ScheduledJobId, ScheduledJobSpec};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which scheduled job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledJobInput {
    /// The scheduled job.
    pub scheduled_job_id: ScheduledJobId,
}

impl Validate for ScheduledJobInput {
    fn validate(&mut self, _problems: &mut Problems) {}
}

impl Input for ScheduledJobInput {}

/// Read Scheduled Job (D).
pub struct ReadScheduledJob;

impl Operation for ReadScheduledJob {
    const NAME: &'static str = "readScheduledJob";
    const TITLE: &'static str = "Read Scheduled Job";
    const DESCRIPTION: &'static str = "Read one scheduled job: what was given, the expression in words, when it fires next, and why it is paused if it is.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[Code::NotFound];
    type Input = ScheduledJobInput;
    type Output = ScheduledJob;

    fn example() -> (Self::Input, Self::Output) {
        (ScheduledJobInput { scheduled_job_id: example_id() }, example_scheduled_job())
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let active = example_scheduled_job();
        let refused =
            "The job can't be started: dockerImageUrl is not among the images that this server's configuration allows";
        let paused = ScheduledJob {
            spec: ScheduledJobSpec { paused: Some(true), ..active.spec.clone() },
            next_fire_at: None,
            paused_reason: Some(refused.to_owned()),
            modified_at: example_time().plus_millis(86_400_000),
            ..active.clone()
        };
        vec![("active", active), ("paused", paused)]
    }

    run!(read_scheduled_job);
}

/// Delete Scheduled Job (D).
pub struct DeleteScheduledJob;

impl Operation for DeleteScheduledJob {
    const NAME: &'static str = "deleteScheduledJob";
    const TITLE: &'static str = "Delete Scheduled Job";
    const DESCRIPTION: &'static str =
        "Remove a scheduled job and the record of its slots. Jobs that it started stay. Answers it as it was.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Delete;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageFull];
    type Input = ScheduledJobInput;
    type Output = ScheduledJob;

    fn example() -> (Self::Input, Self::Output) {
        (ScheduledJobInput { scheduled_job_id: example_id() }, example_scheduled_job())
    }

    run!(delete_scheduled_job);
}
