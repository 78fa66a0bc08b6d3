//! Listing what became of the slots of a scheduled job.

use super::super::{Input, Method, Operation, Paging, Resource, example_job_id, run};
use super::{example_id, example_slot};
use crate::caller::Role;
use crate::error::Code;
use crate::lenient;
use crate::schedule::{RunKind, ScheduledJobId, ScheduledJobRun, SkipReason};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most runs in one page (D).
pub const MAX_RUNS_PAGE: i32 = 1000;
/// Runs in a page that names no `limit` (D).
pub const DEFAULT_RUNS_PAGE: i32 = 100;

/// List Scheduled Job Runs (D).
pub struct ListScheduledJobRuns;

/// Which runs to list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListScheduledJobRunsInput {
    /// The scheduled job.
    pub scheduled_job_id: ScheduledJobId,
    /// Number of runs in a page; default 100, and a larger number is lowered to 1000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 100, example = 100)]
    pub limit: Option<i32>,
    /// The `nextStartAfter` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub start_after: Option<String>,
}

impl Validate for ListScheduledJobRunsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.range("/limit", self.limit, 1, i32::MAX);
        self.limit = self.limit.map(|limit| limit.min(MAX_RUNS_PAGE));
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
    }
}

impl Input for ListScheduledJobRunsInput {}

/// A page of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledJobRunsPage {
    /// As it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// The `startAfter` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
    /// Number of runs in a page.
    #[schema(example = 100)]
    pub limit: i32,
    /// The runs.
    pub values: Vec<ScheduledJobRun>,
}

impl Operation for ListScheduledJobRuns {
    const NAME: &'static str = "listScheduledJobRuns";
    const TITLE: &'static str = "List Scheduled Job Runs";
    const DESCRIPTION: &'static str = "List what became of the slots of a scheduled job, the newest first: which job was started, or why none was. \
        The newest 1000 entries are kept.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/scheduledjobs/{scheduledJobId}/runs";
    const ROLE: Role = Role::Reader;
    const PAGING: Option<Paging> = Some(Paging { feature: None });
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken, Code::NotFound];
    type Input = ListScheduledJobRunsInput;
    type Output = ScheduledJobRunsPage;

    fn example() -> (Self::Input, Self::Output) {
        let slot = |days: i64| example_slot().plus_millis(days * 86_400_000);
        let fired = ScheduledJobRun {
            kind: RunKind::Fired,
            slot_at: slot(1),
            last_slot_at: None,
            slots: None,
            decided_at: slot(1).plus_millis(4),
            lateness_ms: Some(4),
            job_id: Some(example_job_id()),
            reason: None,
            message: None,
        };
        let skipped = ScheduledJobRun {
            kind: RunKind::Skipped,
            slot_at: slot(0),
            decided_at: slot(0).plus_millis(3),
            lateness_ms: None,
            job_id: None,
            reason: Some(SkipReason::Overlap),
            message: Some("The job 35f23c03-1c22-45fe-9484-3ffe769325de has not ended.".to_owned()),
            ..fired.clone()
        };
        let values = vec![fired, skipped];
        let output = ScheduledJobRunsPage { start_after: None, next_start_after: None, limit: 100, values };
        let input = ListScheduledJobRunsInput { scheduled_job_id: example_id(), limit: Some(100), start_after: None };
        (input, output)
    }

    run!(list_scheduled_job_runs);
}
