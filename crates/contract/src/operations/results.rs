//! The operations on job results (api.md section 3).

use super::{Input, Method, Operation, Paging, Resource, example_job_id, example_storage, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::JobId;
use crate::lenient;
use crate::result::{
    DEFAULT_PAGE, InsertFailure, JobResultData, JobResultDataUpsert, MAX_FILTER_IDS, MAX_INSERT, MAX_PAGE, ResultItem,
    ResultStatus,
};
use crate::text::Id;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

// (S)
/// Features of List Job Run Results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResultsFeature {
    /// `startAfter` and `nextStartAfter` are encrypted tokens.
    UseNextStartAfter,
}

// (S)
/// Features of Insert Job Results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InsertFeature {
    /// Answer when the queue holds the records.
    LabUseQueues,
}

/// List Job Run Results (S).
pub struct ListJobRunResults;

/// Which results of a job to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListJobRunResultsInput {
    /// The job.
    pub job_id: JobId,
    /// Unique identifier of the Storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// Business Partner IDs, which should be filtered.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500)]
    pub business_partner_id: Vec<String>,
    /// ID of a data source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "648824a691d8d2503d65103e")]
    pub data_source_id: Option<String>,
    /// Business Partner External IDs, which should be filtered. May hold commas: each occurrence is matched as it is;
    /// one occurrence with commas is matched whole and split.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500)]
    pub external_id: Vec<String>,
    /// Only records with an ID greater than this ID will be fetched; with USE_NEXT_START_AFTER the token of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, example = "5712566172571652")]
    pub start_after: Option<String>,
    /// Features to be used during reading the results.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<ResultsFeature>,
    /// The status of the job results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_result_status: Option<ResultStatus>,
    /// Number of results that should be fetched; a larger number is lowered to 5000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 500, example = 500)]
    pub limit: Option<i32>,
    /// The top-level members of the JSON inside `resultData` to keep; a text that is no JSON object is passed through.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["dataDefects"]))]
    pub include_result_data_fields: Vec<String>,
}

impl ListJobRunResultsInput {
    /// The number of results in a page, within the bounds of the API.
    pub fn page_size(&self) -> i32 {
        self.limit.unwrap_or(DEFAULT_PAGE)
    }

    /// Whether `startAfter` is a token.
    pub fn uses_tokens(&self) -> bool {
        self.features_on.contains(&ResultsFeature::UseNextStartAfter)
    }
}

impl Validate for ListJobRunResultsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        problems.ids("/businessPartnerId", &self.business_partner_id, MAX_FILTER_IDS);
        problems.id("/dataSourceId", self.data_source_id.as_deref());
        problems.ids("/externalId", &self.external_id, MAX_FILTER_IDS);
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
        problems.count("/featuresOn", self.features_on.len(), 10);
        problems.range("/limit", self.limit, 1, i32::MAX);
        problems.ids("/includeResultDataFields", &self.include_result_data_fields, 100);
        self.limit = self.limit.map(|limit| limit.min(MAX_PAGE));
    }
}

impl Input for ListJobRunResultsInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

// (S)
/// A page of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobResultsPage {
    /// The ID which is used to read the page, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "5712566172571652")]
    pub start_after: Option<String>,
    /// Number of items per page.
    #[serde(deserialize_with = "required_number")]
    #[schema(example = 100)]
    pub limit: i32,
    /// Total number of items that match the filter, over all pages.
    #[serde(deserialize_with = "required_number")]
    #[schema(example = 67)]
    pub total: i32,
    /// The results, by ascending id.
    pub values: Vec<JobResultData>,
    /// With USE_NEXT_START_AFTER only: the `startAfter` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
}

pub(super) fn required_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    lenient::number(deserializer)?.ok_or_else(|| D::Error::custom("a number is required"))
}

impl Operation for ListJobRunResults {
    const NAME: &'static str = "listJobRunResults";
    const TITLE: &'static str = "List Job Run Results";
    const DESCRIPTION: &'static str = "Read a page of job run results, by ascending id. The results are stored in the job and can be used to carry \
        additional information. A record added while a client pages appears at the end; nothing is skipped or shown twice.";
    const RESOURCE: Resource = Resource::JobResults;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/results";
    const LITERAL: &'static [&'static str] = &["externalId"];
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const PAGING: Option<Paging> = Some(Paging { feature: Some("USE_NEXT_START_AFTER") });
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::InvalidPageToken, Code::StorageDamaged];
    type Input = ListJobRunResultsInput;
    type Output = JobResultsPage;

    fn example() -> (Self::Input, Self::Output) {
        let input = ListJobRunResultsInput {
            job_id: example_job_id(),
            storage_id: example_storage(),
            business_partner_id: vec!["63e635235c06b7396330fe40".to_owned()],
            data_source_id: Some("648824a691d8d2503d65103e".to_owned()),
            external_id: Vec::new(),
            start_after: Some("5712566172571652".to_owned()),
            features_on: Vec::new(),
            job_result_status: Some(ResultStatus::Ok),
            limit: Some(500),
            include_result_data_fields: vec!["dataDefects".to_owned()],
        };
        let at = Timestamp::from_millis(1_598_892_420_000);
        let value = JobResultData {
            id: "5712566172571653".to_owned(),
            storage_id: example_storage(),
            created_at: at,
            modified_at: at,
            written: example_result(),
        };
        let output = JobResultsPage {
            start_after: input.start_after.clone(),
            limit: 500,
            total: 67,
            values: vec![value],
            next_start_after: None,
        };
        (input, output)
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let (_, last) = Self::example();
        let token = Some("AZlIX3SjzVPRzKRuEeW1DDOEcCbr0hOKZk0yRGQ2zQ4F".to_owned());
        let more = JobResultsPage { start_after: None, next_start_after: token, ..last.clone() };
        let empty = JobResultsPage { start_after: None, total: 0, values: Vec::new(), ..last.clone() };
        vec![("last-page", last), ("more-pages", more), ("empty", empty)]
    }

    run!(list_job_run_results);
}

pub(super) fn example_result() -> JobResultDataUpsert {
    JobResultDataUpsert {
        data_source_id: Some("648824a691d8d2503d65103e".to_owned()),
        business_partner_id: Some("63e635235c06b7396330fe40".to_owned()),
        external_id: Some("The ID managed in the customer's SAP systems.".to_owned()),
        job_type: Some("DATA_CURATION_JOB".to_owned()),
        result_data: Some(r#"{"dataDefects":[]}"#.to_owned()),
        status: Some(ResultStatus::Ok),
        country_short_name: Some("CH".to_owned()),
        job_id: Some(example_job_id().to_string()),
        ..JobResultDataUpsert::default()
    }
}

/// Insert Job Results (S).
pub struct InsertJobResults;

/// Results to write.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsertJobResultsInput {
    /// The job.
    pub job_id: JobId,
    /// ID of the storage or data mirror for which job results should be created.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// List of job results.
    #[schema(value_type = Vec<JobResultDataUpsert>, max_items = 1000)]
    pub results: ResultItems,
    /// List of features to be activated.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<InsertFeature>,
}

/// The records of one insert.
#[derive(Debug)]
pub struct ResultItems(pub Vec<ResultItem>);

impl ResultItems {
    /// Unknown fields of the records, each once.
    pub(super) fn ignored(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for item in &self.0 {
            if let ResultItem::Record(_, ignored) = item {
                for name in ignored {
                    let name = format!("results.{name}");
                    if names.len() < 50 && !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
        names
    }
}

impl<'de> Deserialize<'de> for ResultItems {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<ResultItem>::deserialize(deserializer).map(Self)
    }
}

impl Serialize for ResultItems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().filter_map(|item| match item {
            ResultItem::Record(record, _) => serde_json::from_str::<serde_json::Value>(&record.json).ok(),
            ResultItem::Rejected(_) => None,
        }))
    }
}

impl Validate for InsertJobResultsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        problems.count("/results", self.results.0.len(), MAX_INSERT);
        problems.count("/featuresOn", self.features_on.len(), 10);
    }
}

impl Input for InsertJobResultsInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }

    fn ignored(&self) -> Vec<String> {
        self.results.ignored()
    }
}

// (S)
/// What became of an insert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InsertSummary {
    /// Number of created job results.
    #[serde(deserialize_with = "required_number")]
    #[schema(example = 1)]
    pub created: i32,
    /// Number of updated job results.
    #[serde(deserialize_with = "required_number")]
    #[schema(example = 1)]
    pub updated: i32,
    /// Number of failed job results.
    #[serde(deserialize_with = "required_number")]
    #[schema(example = 1)]
    pub failed: i32,
    // (D)
    /// Why each of those failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<InsertFailure>,
}

impl Operation for InsertJobResults {
    const NAME: &'static str = "insertJobResults";
    const TITLE: &'static str = "Insert Job Results";
    const DESCRIPTION: &'static str = "Add job results for an existing job run. A record is identified, within job and storage, by data source, business \
        partner, external id, address and address version; the same identity again updates. Records that are not valid are \
        counted in `failed` and named in `failures`, the others are saved. The answer comes when they are durable.";
    const RESOURCE: Resource = Resource::JobResults;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs/{jobId}/results";
    const QUERY: &'static [&'static str] = &["storageId"];
    const ROLE: Role = Role::Worker;
    const OPEN_TO_JOBS: bool = true;
    const REPEATABLE: bool = true;
    const DEPRECATED: bool = true;
    const ERRORS: &'static [Code] =
        &[Code::NotFound, Code::JobEnded, Code::StaleAttempt, Code::StorageDamaged, Code::StorageFull];
    type Input = InsertJobResultsInput;
    type Output = InsertSummary;

    fn example() -> (Self::Input, Self::Output) {
        let json = serde_json::to_string(&example_result()).unwrap_or_default();
        let input = InsertJobResultsInput {
            job_id: example_job_id(),
            storage_id: example_storage(),
            results: ResultItems(vec![ResultItem::parse(&json)]),
            features_on: Vec::new(),
        };
        (input, InsertSummary { created: 1, ..InsertSummary::default() })
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let failure = InsertFailure {
            index: 1,
            external_id: Some("ERP-0000002".to_owned()),
            business_partner_id: None,
            code: "too_long".to_owned(),
            detail: "resultData must have at most 65535 characters, has 65536".to_owned(),
        };
        let (_, created) = Self::example();
        let partly = InsertSummary { failed: 1, failures: vec![failure], ..created.clone() };
        vec![("created", created), ("partly-failed", partly)]
    }

    run!(insert_job_results);
}

/// Delete Job Results (S).
pub struct DeleteJobResults;

/// The storage to empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteJobResultsInput {
    /// Unique identifier of the storage as a path parameter.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
}

impl Validate for DeleteJobResultsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
    }
}

impl Input for DeleteJobResultsInput {}

// (D)
/// How many results are gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeletedResults {
    /// Number of deleted job results.
    #[schema(example = 67)]
    pub deleted: i64,
}

impl Operation for DeleteJobResults {
    const NAME: &'static str = "deleteJobResults";
    const TITLE: &'static str = "Delete Job Results";
    const DESCRIPTION: &'static str = "Delete job results of a storage. All are invisible at once, however many; the space is reclaimed behind. The \
        storage's processing logs stay: each has a deletion of its own.";
    const RESOURCE: Resource = Resource::JobResults;
    const METHOD: Method = Method::Delete;
    const PATH: &'static str = "/jobs/results/{storageId}";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::StorageFull];
    type Input = DeleteJobResultsInput;
    type Output = DeletedResults;

    fn example() -> (Self::Input, Self::Output) {
        (DeleteJobResultsInput { storage_id: example_storage() }, DeletedResults { deleted: 67 })
    }

    run!(delete_job_results);
}
