//! Pausing and resuming a scheduled job, and starting its job out of turn.

use super::super::{Input, Method, Operation, Resource, StartJob, run};
use super::{ScheduledJobInput, example_given, example_id, example_scheduled_job, example_slot, example_time};
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobSpec};
use crate::lenient;
use crate::schedule::{ScheduledJob, ScheduledJobId, ScheduledJobSpec};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest reason of a pause, in characters (D).
pub const MAX_PAUSE_REASON_CHARS: usize = 1024;

/// Pause Scheduled Job (D).
pub struct PauseScheduledJob;

/// Which scheduled job to pause, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseScheduledJobInput {
    /// The scheduled job.
    pub scheduled_job_id: ScheduledJobId,
    /// Why; becomes its `pausedReason`.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, example = "The source is being migrated")]
    pub reason: Option<String>,
}

impl Validate for PauseScheduledJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.text("/reason", self.reason.as_deref(), 0, MAX_PAUSE_REASON_CHARS);
    }
}

impl Input for PauseScheduledJobInput {}

impl Operation for PauseScheduledJob {
    const NAME: &'static str = "pauseScheduledJob";
    const TITLE: &'static str = "Pause Scheduled Job";
    const DESCRIPTION: &'static str = "Let a scheduled job rest: it has no slots until it is resumed. Jobs that it started go on. Pausing one that \
        rests already changes nothing but the reason, if one is given.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}/pause";
    const ROLE: Role = Role::Operator;
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageFull];
    type Input = PauseScheduledJobInput;
    type Output = ScheduledJob;

    fn example() -> (Self::Input, Self::Output) {
        let reason = Some("The source is being migrated".to_owned());
        let active = example_scheduled_job();
        let output = ScheduledJob {
            spec: ScheduledJobSpec { paused: Some(true), ..active.spec },
            next_fire_at: None,
            paused_reason: reason.clone(),
            modified_at: example_time().plus_millis(60_000),
            ..active
        };
        (PauseScheduledJobInput { scheduled_job_id: example_id(), reason }, output)
    }

    run!(pause_scheduled_job);
}

/// Resume Scheduled Job (D).
pub struct ResumeScheduledJob;

impl Operation for ResumeScheduledJob {
    const NAME: &'static str = "resumeScheduledJob";
    const TITLE: &'static str = "Resume Scheduled Job";
    const DESCRIPTION: &'static str = "End the rest of a scheduled job. The slots of the pause are recorded as skipped, as one; the next slot is the \
        first one after now. Resuming one that does not rest changes nothing.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}/resume";
    const ROLE: Role = Role::Operator;
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageFull, Code::NotSupported];
    type Input = ScheduledJobInput;
    type Output = ScheduledJob;

    fn example() -> (Self::Input, Self::Output) {
        (ScheduledJobInput { scheduled_job_id: example_id() }, example_scheduled_job())
    }

    run!(resume_scheduled_job);
}

/// Trigger Scheduled Job (D).
pub struct TriggerScheduledJob;

impl Operation for TriggerScheduledJob {
    const NAME: &'static str = "triggerScheduledJob";
    const TITLE: &'static str = "Trigger Scheduled Job";
    const DESCRIPTION: &'static str = "Start the job of a scheduled job now, also while it is paused; its timetable goes on as before. The overlap \
        policy holds here, too: where it would skip a slot, the request is refused.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}/trigger";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::RunNotEnded, Code::StorageFull, Code::NotSupported];
    type Input = ScheduledJobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let started = StartJob::example().1;
        let output = Job {
            spec: JobSpec { organization_id: Some("acme".to_owned()), ..example_given().job },
            scheduled_job_id: Some(example_id()),
            scheduled_for: Some(example_slot().plus_millis(-3_600_000)),
            created_at: example_slot().plus_millis(-3_600_000),
            modified_at: example_slot().plus_millis(-3_600_000),
            ..started
        };
        (ScheduledJobInput { scheduled_job_id: example_id() }, output)
    }

    run!(trigger_scheduled_job);
}
