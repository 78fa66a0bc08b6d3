//! Comparing the results of two jobs (api.md section 3, Beyond).

use super::{Input, Method, Operation, Paging, Resource, example_job_id, example_storage, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::JobId;
use crate::lenient;
use crate::result::{DEFAULT_PAGE, JobResultData, JobResultDataUpsert, MAX_PAGE, ResultStatus};
use crate::text::Id;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (D)
/// Diff Job Results.
pub struct DiffJobResults;

// (D)
/// What became of a record from one job to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordChange {
    /// OK before, FAILED after.
    NewlyFailed,
    /// FAILED before, OK after.
    Fixed,
    /// The same verdict with another content.
    Changed,
    /// Only before.
    Missing,
    /// Only after.
    New,
}

impl RecordChange {
    /// All of them, in the order in which they are listed.
    pub const ALL: [RecordChange; 5] = [Self::NewlyFailed, Self::Fixed, Self::Changed, Self::Missing, Self::New];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewlyFailed => "NEWLY_FAILED",
            Self::Fixed => "FIXED",
            Self::Changed => "CHANGED",
            Self::Missing => "MISSING",
            Self::New => "NEW",
        }
    }
}

/// What to compare, and what of it to show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffJobResultsInput {
    /// The newer job: `after`.
    pub job_id: JobId,
    /// The older job that it is compared with: `before`.
    pub against: JobId,
    /// The storage of the newer job's results; the one that it writes to if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: Option<String>,
    /// The storage of the older job's results; if absent the newer one's where the older job has written to it, else the
    /// one that it writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub against_storage_id: Option<String>,
    /// Which records to list; all but the unchanged ones if absent.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 5)]
    pub change: Vec<RecordChange>,
    /// The `nextStartAfter` of the page before: the same comparison goes on, whatever was written since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub start_after: Option<String>,
    /// Number of records that should be fetched; a larger number is lowered to 5000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 500, example = 500)]
    pub limit: Option<i32>,
    /// The top-level members of the JSON inside `resultData` to keep; a text that is no JSON object is passed through. It
    /// changes what is shown, not what is compared.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["dataDefects"]))]
    pub include_result_data_fields: Vec<String>,
}

impl DiffJobResultsInput {
    /// All of a comparison, from its beginning.
    pub fn of(job_id: JobId, against: JobId) -> Self {
        Self {
            job_id,
            against,
            storage_id: None,
            against_storage_id: None,
            change: Vec::new(),
            start_after: None,
            limit: None,
            include_result_data_fields: Vec::new(),
        }
    }

    /// The number of records in a page, within the bounds of the API.
    pub fn page_size(&self) -> i32 {
        self.limit.unwrap_or(DEFAULT_PAGE)
    }

    /// Which records to list, in the order of [`RecordChange::ALL`], each once.
    pub fn changes(&self) -> Vec<RecordChange> {
        let wanted = |change: &RecordChange| self.change.is_empty() || self.change.contains(change);
        RecordChange::ALL.into_iter().filter(wanted).collect()
    }
}

impl Validate for DiffJobResultsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", self.storage_id.as_deref());
        problems.id("/againstStorageId", self.against_storage_id.as_deref());
        problems.count("/change", self.change.len(), RecordChange::ALL.len());
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
        problems.range("/limit", self.limit, 1, i32::MAX);
        problems.ids("/includeResultDataFields", &self.include_result_data_fields, 100);
        self.limit = self.limit.map(|limit| limit.min(MAX_PAGE));
    }
}

impl Input for DiffJobResultsInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

// (D)
/// Numbers of records by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffCounts {
    /// OK before, FAILED after.
    #[schema(example = 2)]
    pub newly_failed: i64,
    /// FAILED before, OK after.
    #[schema(example = 5)]
    pub fixed: i64,
    /// The same verdict with another content.
    #[schema(example = 1)]
    pub changed: i64,
    /// The same verdict with the same content.
    #[schema(example = 58)]
    pub unchanged: i64,
    /// Only before.
    #[schema(example = 0)]
    pub missing: i64,
    /// Only after.
    #[schema(example = 1)]
    pub new: i64,
}

impl DiffCounts {
    /// How many records a list of this change has.
    pub fn of(&self, change: RecordChange) -> i64 {
        match change {
            RecordChange::NewlyFailed => self.newly_failed,
            RecordChange::Fixed => self.fixed,
            RecordChange::Changed => self.changed,
            RecordChange::Missing => self.missing,
            RecordChange::New => self.new,
        }
    }
}

// (D)
/// A record that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordDiff {
    /// What became of it.
    pub change: RecordChange,
    /// Its result of the older job; absent when it is NEW.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<JobResultData>,
    /// Its result of the newer job; absent when it is MISSING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<JobResultData>,
}

// (D)
/// A page of what differs between the results of two jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobResultsDiff {
    /// As it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// Number of items per page.
    #[schema(example = 500)]
    pub limit: i32,
    /// Of all records, whichever are listed.
    pub counts: DiffCounts,
    /// Number of records to be listed, over all pages.
    #[schema(example = 2)]
    pub total: i64,
    /// The records, by change in the order NEWLY_FAILED, FIXED, CHANGED, MISSING, NEW, and of one change by ascending id
    /// of `after` (of `before` when they are missing).
    pub values: Vec<RecordDiff>,
    /// What to send as `startAfter` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
}

impl Operation for DiffJobResults {
    const NAME: &'static str = "diffJobResults";
    const TITLE: &'static str = "Diff Job Results";
    const DESCRIPTION: &'static str = "Compare the results of a job with those of an older one, record by record: how many are newly failed, fixed, \
        changed, unchanged, missing and new, and pages of those that differ, with both results. Two results differ by their \
        content, not by job, id and times. The comparison is of one moment: its pages stay the same while records are \
        written. A large one takes some seconds; where that is too long it is answered with `overloaded`, and made \
        meanwhile.";
    const RESOURCE: Resource = Resource::JobResults;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/results/diff";
    const ROLE: Role = Role::Reader;
    const PAGING: Option<Paging> = Some(Paging { feature: None });
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::InvalidPageToken, Code::StorageDamaged, Code::StorageFull];
    type Input = DiffJobResultsInput;
    type Output = JobResultsDiff;

    fn example() -> (Self::Input, Self::Output) {
        let against = JobId(uuid::uuid!("0198f1a2-5c00-7d3e-9a41-2f60c1b7e815"));
        let input = DiffJobResultsInput {
            storage_id: Some(example_storage()),
            change: vec![RecordChange::NewlyFailed],
            limit: Some(500),
            ..DiffJobResultsInput::of(example_job_id(), against)
        };
        let result = |id: &str, job: JobId, status, data: &str, days: i64| {
            let at = Timestamp::from_millis(1_598_892_420_000).plus_millis(days * 86_400_000);
            JobResultData {
                id: id.to_owned(),
                storage_id: example_storage(),
                created_at: at,
                modified_at: at,
                written: JobResultDataUpsert {
                    data_source_id: Some("648824a691d8d2503d65103e".to_owned()),
                    external_id: Some("ERP-0000001".to_owned()),
                    result_data: Some(data.to_owned()),
                    status: Some(status),
                    country_short_name: Some("CH".to_owned()),
                    job_id: Some(job.to_string()),
                    ..JobResultDataUpsert::default()
                },
            }
        };
        let defect = r#"{"dataDefects":[{"rule":"NAME_MISSING"}]}"#;
        let value = RecordDiff {
            change: RecordChange::NewlyFailed,
            before: Some(result("5712566172571652", against, ResultStatus::Ok, r#"{"dataDefects":[]}"#, 0)),
            after: Some(result("5712566172571719", example_job_id(), ResultStatus::Failed, defect, 1)),
        };
        let counts = DiffCounts { newly_failed: 1, fixed: 5, changed: 1, unchanged: 58, missing: 0, new: 1 };
        let output = JobResultsDiff {
            start_after: None,
            limit: 500,
            counts,
            total: 1,
            values: vec![value],
            next_start_after: None,
        };
        (input, output)
    }

    run!(diff_job_results);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_listed_in_one_order_and_counted_by_their_names() {
        let mut input = DiffJobResultsInput::of(JobId::NONE, JobId::NONE);
        assert_eq!(input.changes(), RecordChange::ALL);
        input.change = vec![RecordChange::New, RecordChange::Fixed, RecordChange::New];
        assert_eq!(input.changes(), [RecordChange::Fixed, RecordChange::New]);
        let counts = DiffCounts { newly_failed: 1, fixed: 2, changed: 3, unchanged: 9, missing: 4, new: 5 };
        assert_eq!(RecordChange::ALL.map(|change| counts.of(change)), [1, 2, 3, 4, 5]);
        for change in RecordChange::ALL {
            assert_eq!(serde_json::to_value(change).expect("JSON"), change.name());
        }
    }
}
