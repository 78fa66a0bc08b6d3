//! Listing jobs.

use super::super::{Input, Method, Operation, Paging, Resource, example_job, run};
use super::MAX_JOBS_PAGE;
use crate::caller::Role;
use crate::error::Code;
use crate::job::Job;
use crate::lenient;
use crate::state::Status;
use crate::text::Id;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (P)
/// Features of List Jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ListJobsFeature {
    /// Give `total`.
    NumberOfTotal,
    /// A job must have all the tags, not one of them.
    TagsConjunction,
    /// Look into every organization; for administrators.
    IgnoreOrganizationRestrictions,
}

/// List Jobs (P).
pub struct ListJobs;

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListJobsInput {
    /// Only jobs that this user started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "nightly")]
    pub user: Option<String>,
    /// Only jobs of this organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub organization_id: Option<String>,
    /// Only jobs with this result storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: Option<String>,
    /// Only jobs of one of these types.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["DATA_VALIDATION_JOB"]))]
    pub job_type: Vec<String>,
    /// Only jobs with one of these statuses.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub job_status: Vec<Status>,
    /// Only jobs with one of these tags, or with all of them given TAGS_CONJUNCTION.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 50, example = json!(["nightly"]))]
    pub tags: Vec<String>,
    /// `createdAt` or `+createdAt` ascending, `-createdAt` descending (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[+ -]?createdAt$", example = "-createdAt")]
    pub sort: Option<String>,
    /// Number of jobs in a page; a larger number is lowered to 100.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 100, example = 100)]
    pub limit: Option<i32>,
    /// The `nextStartAfter` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub start_after: Option<String>,
    /// Features of the list.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<ListJobsFeature>,
}

impl ListJobsInput {
    /// Whether the newest job comes first.
    pub fn descending(&self) -> bool {
        self.sort.as_deref().is_none_or(|sort| sort.starts_with('-'))
    }

    /// Whether a feature is on.
    pub fn has(&self, feature: ListJobsFeature) -> bool {
        self.features_on.contains(&feature)
    }
}

impl Validate for ListJobsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/user", self.user.as_deref());
        problems.id("/organizationId", self.organization_id.as_deref());
        problems.id("/storageId", self.storage_id.as_deref());
        problems.ids("/jobType", &self.job_type, 100);
        problems.count("/jobStatus", self.job_status.len(), 50);
        problems.ids("/tags", &self.tags, 50);
        // A `+` in a query arrives decoded, as a space.
        if let Some(sort) = &self.sort
            && !["createdAt", "+createdAt", " createdAt", "-createdAt"].contains(&sort.as_str())
        {
            problems.add("/sort", "unknown_value", "must be createdAt, +createdAt or -createdAt");
        }
        problems.range("/limit", self.limit, 1, i32::MAX);
        self.limit = self.limit.map(|limit| limit.min(MAX_JOBS_PAGE));
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
        problems.count("/featuresOn", self.features_on.len(), 10);
    }
}

impl Input for ListJobsInput {}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobsPage {
    /// As it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// The `startAfter` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
    /// Number of jobs in a page.
    #[schema(example = 100)]
    pub limit: i32,
    /// All jobs that match, given NUMBER_OF_TOTAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub total: Option<i64>,
    /// The jobs.
    pub values: Vec<Job>,
}

impl Operation for ListJobs {
    const NAME: &'static str = "listJobs";
    const TITLE: &'static str = "List Jobs";
    const DESCRIPTION: &'static str = "List the jobs of the caller's organization.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs";
    const ROLE: Role = Role::Reader;
    const PAGING: Option<Paging> = Some(Paging { feature: None });
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken];
    type Input = ListJobsInput;
    type Output = JobsPage;

    fn example() -> (Self::Input, Self::Output) {
        let input = ListJobsInput {
            job_status: vec![Status::Running],
            sort: Some("-createdAt".to_owned()),
            limit: Some(100),
            features_on: vec![ListJobsFeature::NumberOfTotal],
            ..ListJobsInput::default()
        };
        let output = JobsPage {
            start_after: None,
            next_start_after: None,
            limit: 100,
            total: Some(1),
            values: vec![example_job()],
        };
        (input, output)
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let (_, page) = Self::example();
        let empty = JobsPage { total: Some(0), values: Vec::new(), ..page.clone() };
        vec![("default", page), ("empty", empty)]
    }

    run!(list_jobs);
}
