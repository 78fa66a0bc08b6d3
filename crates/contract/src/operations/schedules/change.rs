//! Changing a scheduled job.

use super::super::{Input, Method, Operation, Resource, run};
use super::{example_given, example_id, example_scheduled_job};
use crate::caller::Role;
use crate::error::Code;
use crate::schedule::{ScheduledJob, ScheduledJobId, ScheduledJobSpec};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Update Scheduled Job (D).
pub struct UpdateScheduledJob;

/// What to put in place of the present one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateScheduledJobInput {
    /// The scheduled job.
    pub scheduled_job_id: ScheduledJobId,
    /// All of it: what is absent gets its default, but for `paused`, which stays. An environment value `***` stays, too.
    pub scheduled_job: ScheduledJobSpec,
}

impl Validate for UpdateScheduledJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.within("/scheduledJob", |problems| self.scheduled_job.validate(problems));
    }
}

impl Input for UpdateScheduledJobInput {}

impl Operation for UpdateScheduledJob {
    const NAME: &'static str = "updateScheduledJob";
    const TITLE: &'static str = "Update Scheduled Job";
    const DESCRIPTION: &'static str = "Put a scheduled job in place of the present one. A slot that was decided about never comes again: a new \
        timetable begins now. Jobs that were started stay as they are.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Put;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageFull, Code::NotSupported];
    type Input = UpdateScheduledJobInput;
    type Output = ScheduledJob;

    fn example() -> (Self::Input, Self::Output) {
        let input = UpdateScheduledJobInput { scheduled_job_id: example_id(), scheduled_job: example_given() };
        (input, example_scheduled_job())
    }

    run!(update_scheduled_job);
}
