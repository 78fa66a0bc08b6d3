//! Scheduling a job.

use super::super::{Input, Method, Operation, Resource, run};
use super::{example_given, example_scheduled_job};
use crate::caller::Role;
use crate::error::Code;
use crate::schedule::{ScheduledJob, ScheduledJobSpec};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Create Scheduled Job (P: the wrapped body).
pub struct CreateScheduledJob;

/// What to schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateScheduledJobInput {
    /// When to start which job.
    pub scheduled_job: ScheduledJobSpec,
}

impl Validate for CreateScheduledJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.within("/scheduledJob", |problems| self.scheduled_job.validate(problems));
    }
}

impl Input for CreateScheduledJobInput {}

impl Operation for CreateScheduledJob {
    const NAME: &'static str = "createScheduledJob";
    const TITLE: &'static str = "Create Scheduled Job";
    const DESCRIPTION: &'static str = "Schedule a job: from now on each time of the timetable starts one, by the way of Start Job and in the name of \
        the caller. A job that could not be started is refused here already.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/scheduledjobs";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::StorageFull, Code::NotSupported];
    type Input = CreateScheduledJobInput;
    type Output = ScheduledJob;

    fn example() -> (Self::Input, Self::Output) {
        (CreateScheduledJobInput { scheduled_job: example_given() }, example_scheduled_job())
    }

    run!(create_scheduled_job);
}
