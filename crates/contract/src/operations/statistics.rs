//! Counts of results: from counters, and by members of `resultData` (api.md section 3).

use super::{Input, Method, Operation, Resource, example_job_id, example_storage, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::JobId;
use crate::lenient;
use crate::log::ProcessingLogId;
use crate::pointer::Pointer;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most members by which one request counts.
pub const MAX_POINTERS: usize = 5;
/// Values told of a member when the request does not say.
pub const DEFAULT_VALUES: i32 = 100;
/// Most values told of a member.
pub const MAX_VALUES: i32 = 1000;
/// Longest value that is told whole, in characters: of a longer one the beginning counts.
pub const MAX_VALUE_CHARS: usize = 255;
/// Different values that are counted of a member.
pub const MAX_DISTINCT: usize = 100_000;

/// Read Job Statistics (D).
pub struct ReadJobStatistics;

/// Whose results to count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadJobStatisticsInput {
    /// The job.
    pub job_id: JobId,
    /// The storage; all that the job has written to if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: Option<String>,
    /// JSON pointers (RFC 6901) to members of the JSON inside `resultData`, by whose values to count. In an array the rest of
    /// the pointer goes for each of its items, unless it begins with an index. A comma separates pointers.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 5, example = json!(["/dataDefects/rule"]))]
    pub pointer: Vec<String>,
    /// Number of values to tell of each member, most frequent first; a larger number is lowered to 1000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 100, example = 100)]
    pub limit: Option<i32>,
}

impl Validate for ReadJobStatisticsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", self.storage_id.as_deref());
        validate(problems, &self.pointer, &mut self.limit);
    }
}

fn validate(problems: &mut Problems, pointers: &[String], limit: &mut Option<i32>) {
    if problems.count("/pointer", pointers.len(), MAX_POINTERS) {
        for (index, pointer) in pointers.iter().enumerate() {
            if let Err((code, detail)) = Pointer::parse(pointer) {
                problems.add(format!("/pointer/{index}"), code, format!("pointer {detail}"));
            }
        }
    }
    problems.range("/limit", *limit, 1, i32::MAX);
    *limit = limit.map(|limit| limit.min(MAX_VALUES));
}

impl Input for ReadJobStatisticsInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

/// Number of results that share a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ValueCount {
    /// The value; absent for results that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "CH")]
    pub value: Option<String>,
    /// How many results have it.
    #[schema(example = 67)]
    pub count: i64,
    /// How many of those are FAILED.
    #[schema(example = 3)]
    pub failed: i64,
}

// (D)
/// Counts of results by a member of their `resultData`. Each result is one of `counted`, `absent` and `notJson`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberCounts {
    /// The pointer, as it was sent.
    #[schema(example = "/dataDefects/rule")]
    pub pointer: String,
    /// Results that have a value there, or several.
    #[schema(example = 40)]
    pub counted: i64,
    /// Results that have none: no such member, an object, an empty array, or no `resultData` at all.
    #[schema(example = 26)]
    pub absent: i64,
    /// Results whose `resultData` is not JSON.
    #[schema(example = 1)]
    pub not_json: i64,
    /// Different values, as far as they are counted.
    #[schema(example = 2)]
    pub distinct: i64,
    /// Whether there were more different values than are counted: 100000, or 16 MiB of them. The counts of those in `values`
    /// are right all the same; values that came late may be missing.
    pub truncated: bool,
    /// The most frequent values. A result counts once for each different value that it has. Numbers, true, false and null
    /// are told as JSON writes them, texts as they are; of those longer than 255 characters the first 255 count.
    pub values: Vec<ValueCount>,
}

// (D)
/// Counts of a job's results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatistics {
    /// All results.
    #[schema(example = 67)]
    pub total: i64,
    /// Those with status OK.
    #[schema(example = 64)]
    pub ok: i64,
    /// Those with status FAILED.
    #[schema(example = 3)]
    pub failed: i64,
    /// By country, most first.
    pub countries: Vec<ValueCount>,
    /// By data source, most first.
    pub data_sources: Vec<ValueCount>,
    /// By the members that `pointer` names, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberCounts>,
}

impl Operation for ReadJobStatistics {
    const NAME: &'static str = "readJobStatistics";
    const TITLE: &'static str = "Read Job Statistics";
    const DESCRIPTION: &'static str = "Counts of a job's results by status, country and data source, kept while they are written: reading costs no scan. With \
        `pointer` also by members of `resultData`, for which all results are read as they are at one moment.";
    const RESOURCE: Resource = Resource::JobResults;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/results/statistics";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageDamaged];
    type Input = ReadJobStatisticsInput;
    type Output = JobStatistics;

    fn example() -> (Self::Input, Self::Output) {
        let input = ReadJobStatisticsInput {
            job_id: example_job_id(),
            storage_id: Some(example_storage()),
            pointer: vec![EXAMPLE_POINTER.to_owned()],
            limit: None,
        };
        (input, example_statistics())
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let (_, members) = Self::example();
        let plain = JobStatistics { members: Vec::new(), ..members.clone() };
        vec![("members", members), ("plain", plain)]
    }

    run!(read_job_statistics);
}

const EXAMPLE_POINTER: &str = "/dataDefects/rule";

fn example_statistics() -> JobStatistics {
    let count = |value: &str, count| ValueCount { value: Some(value.to_owned()), count, failed: 3 };
    let member = MemberCounts {
        pointer: EXAMPLE_POINTER.to_owned(),
        counted: 40,
        absent: 26,
        not_json: 1,
        distinct: 2,
        truncated: false,
        values: vec![count("POSTAL_CODE_FORMAT", 31), count("VAT_CHECKSUM", 12)],
    };
    JobStatistics {
        total: 67,
        ok: 64,
        failed: 3,
        countries: vec![count("CH", 67)],
        data_sources: vec![count("648824a691d8d2503d65103e", 67)],
        members: vec![member],
    }
}

/// Read Processing Log Statistics (D).
pub struct ReadProcessingLogStatistics;

/// Which log's records to count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadProcessingLogStatisticsInput {
    /// The storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The log.
    pub processing_log_id: ProcessingLogId,
    /// JSON pointers (RFC 6901) to members of the JSON inside `resultData`, by whose values to count. In an array the rest of
    /// the pointer goes for each of its items, unless it begins with an index. A comma separates pointers.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 5, example = json!(["/dataDefects/rule"]))]
    pub pointer: Vec<String>,
    /// Number of values to tell of each member, most frequent first; a larger number is lowered to 1000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 100, example = 100)]
    pub limit: Option<i32>,
}

impl Validate for ReadProcessingLogStatisticsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        validate(problems, &self.pointer, &mut self.limit);
    }
}

impl Input for ReadProcessingLogStatisticsInput {}

impl Operation for ReadProcessingLogStatistics {
    const NAME: &'static str = "readProcessingLogStatistics";
    const TITLE: &'static str = "Read Processing Log Statistics";
    const DESCRIPTION: &'static str = "Counts of a processing log's records, as Read Job Statistics counts a job's results. A log that was never written to \
        counts nothing.";
    const RESOURCE: Resource = Resource::ProcessingLogs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/processinglogs/{storageId}/{processingLogId}/statistics";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageDamaged];
    type Input = ReadProcessingLogStatisticsInput;
    type Output = JobStatistics;

    fn example() -> (Self::Input, Self::Output) {
        let input = ReadProcessingLogStatisticsInput {
            storage_id: example_storage(),
            processing_log_id: ProcessingLogId::CurationLog,
            pointer: vec![EXAMPLE_POINTER.to_owned()],
            limit: None,
        };
        (input, example_statistics())
    }

    run!(read_processing_log_statistics);
}
