//! Listing scheduled jobs.

use super::super::{Input, Method, Operation, Paging, Resource, run};
use super::{MAX_SCHEDULED_JOBS_PAGE, example_scheduled_job};
use crate::caller::Role;
use crate::error::Code;
use crate::lenient;
use crate::schedule::ScheduledJob;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// List Scheduled Jobs (D).
pub struct ListScheduledJobs;

/// Which scheduled jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListScheduledJobsInput {
    /// Number of scheduled jobs in a page; a larger number is lowered to 100.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 100, example = 100)]
    pub limit: Option<i32>,
    /// The `nextStartAfter` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub start_after: Option<String>,
}

impl Validate for ListScheduledJobsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.range("/limit", self.limit, 1, i32::MAX);
        self.limit = self.limit.map(|limit| limit.min(MAX_SCHEDULED_JOBS_PAGE));
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
    }
}

impl Input for ListScheduledJobsInput {}

/// A page of scheduled jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledJobsPage {
    /// As it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// The `startAfter` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
    /// Number of scheduled jobs in a page.
    #[schema(example = 100)]
    pub limit: i32,
    /// The scheduled jobs.
    pub values: Vec<ScheduledJob>,
}

impl Operation for ListScheduledJobs {
    const NAME: &'static str = "listScheduledJobs";
    const TITLE: &'static str = "List Scheduled Jobs";
    const DESCRIPTION: &'static str = "List the scheduled jobs of the caller's organization, the newest first.";
    const RESOURCE: Resource = Resource::ScheduledJobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/scheduledjobs";
    const ROLE: Role = Role::Reader;
    const PAGING: Option<Paging> = Some(Paging { feature: None });
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken];
    type Input = ListScheduledJobsInput;
    type Output = ScheduledJobsPage;

    fn example() -> (Self::Input, Self::Output) {
        let values = vec![example_scheduled_job()];
        let output = ScheduledJobsPage { start_after: None, next_start_after: None, limit: 100, values };
        (ListScheduledJobsInput { limit: Some(100), start_after: None }, output)
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let (_, page) = Self::example();
        let empty = ScheduledJobsPage { values: Vec::new(), ..page.clone() };
        vec![("default", page), ("empty", empty)]
    }

    run!(list_scheduled_jobs);
}
