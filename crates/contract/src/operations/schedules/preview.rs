//! Looking ahead: when a scheduled job fires next.

use super::super::{Input, Method, Operation, Resource, run};
use super::{example_id, example_slot};
use crate::caller::Role;
use crate::error::Code;
use crate::lenient;
use crate::schedule::ScheduledJobId;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Slots of a preview that names no `count` (D).
pub const DEFAULT_PREVIEW: i32 = 10;
/// Most slots of a preview (D).
pub const MAX_PREVIEW: i32 = 1000;

/// Preview Scheduled Job (D).
pub struct PreviewScheduledJob;

/// How far to look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewScheduledJobInput {
    /// The scheduled job.
    pub scheduled_job_id: ScheduledJobId,
    /// How many slots; default 10, and a larger number is lowered to 1000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 10, example = 3)]
    pub count: Option<i32>,
}

impl Validate for PreviewScheduledJobInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.range("/count", self.count, 1, i32::MAX);
        self.count = self.count.map(|count| count.min(MAX_PREVIEW));
    }
}

impl Input for PreviewScheduledJobInput {}

/// A slot to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedSlot {
    /// The time of the timetable.
    pub slot_at: Timestamp,
    /// When its job is to start: the same, or later by the spread of `jitterSeconds`.
    pub fire_at: Timestamp,
}

/// The next slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchedulePreview {
    /// The slots, the next one first; fewer than asked for where the timetable ends.
    pub values: Vec<PreviewedSlot>,
}

impl Operation for PreviewScheduledJob {
    const NAME: &'static str = "previewScheduledJob";
    const TITLE: &'static str = "Preview Scheduled Job";
    const DESCRIPTION: &'static str =
        "List the next slots of a scheduled job; for a paused one those that it would have if it were resumed now.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}/preview";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[Code::NotFound];
    type Input = PreviewScheduledJobInput;
    type Output = SchedulePreview;

    fn example() -> (Self::Input, Self::Output) {
        let days = (0..3).map(|day| example_slot().plus_millis(day * 86_400_000));
        let values = days.map(|at| PreviewedSlot { slot_at: at, fire_at: at }).collect();
        (PreviewScheduledJobInput { scheduled_job_id: example_id(), count: Some(3) }, SchedulePreview { values })
    }

    run!(preview_scheduled_job);
}
