//! The operations on processing logs (api.md section 4).

use super::results::{example_result, required_number};
use super::{
    DeletedResults, Input, InsertFeature, InsertSummary, Method, Operation, Paging, Resource, ResultItems,
    example_storage, run,
};
use crate::caller::Role;
use crate::error::Code;
use crate::lenient;
use crate::log::ProcessingLogId;
use crate::result::{
    DEFAULT_PAGE, JobResultData, JobResultDataUpsert, MAX_FILTER_IDS, MAX_INSERT, MAX_PAGE, ResultItem, ResultStatus,
};
use crate::text::Id;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (P)
/// Features of List Processing Log Data that are on unless they are turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LogFeature {
    /// The values have their `resultData`; without, they are metadata only.
    FetchResultData,
    /// The answer has a `total`.
    NumberOfTotal,
}

/// List Processing Log Data (P).
pub struct ListProcessingLogData;

/// Which entries of a processing log to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListProcessingLogDataInput {
    /// Unique identifier of the Storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The processing log.
    pub processing_log_id: ProcessingLogId,
    /// Business Partner IDs, which should be filtered.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500)]
    pub business_partner_id: Vec<String>,
    /// IDs of data sources, which should be filtered.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500)]
    pub data_source_id: Vec<String>,
    /// Business Partner External IDs, which should be filtered. May hold commas: each occurrence is matched as it is;
    /// one occurrence with commas is matched whole and split.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500)]
    pub external_id: Vec<String>,
    /// Features to be turned off.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_off: Vec<LogFeature>,
    /// The top-level members of the JSON inside `resultData` to keep; a text that is no JSON object is passed through.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["dataDefects"]))]
    pub include_result_data_fields: Vec<String>,
    /// The status of the entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultStatus>,
    // (D)
    /// Only entries whose record was first written at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_from: Option<Timestamp>,
    // (D)
    /// Only entries whose record was first written before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_to: Option<Timestamp>,
    // (D)
    /// Only entries that were last written at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_from: Option<Timestamp>,
    // (D)
    /// Only entries that were last written before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_to: Option<Timestamp>,
    /// Number of entries that should be fetched; a larger number is lowered to 5000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, default = 500, example = 500)]
    pub limit: Option<i32>,
    /// The `nextStartAfter` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub start_after: Option<String>,
}

impl ListProcessingLogDataInput {
    /// The number of entries in a page, within the bounds of the API.
    pub fn page_size(&self) -> i32 {
        self.limit.unwrap_or(DEFAULT_PAGE)
    }

    /// Whether a feature was left on.
    pub fn has(&self, feature: LogFeature) -> bool {
        !self.features_off.contains(&feature)
    }
}

impl Validate for ListProcessingLogDataInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        problems.ids("/businessPartnerId", &self.business_partner_id, MAX_FILTER_IDS);
        problems.ids("/dataSourceId", &self.data_source_id, MAX_FILTER_IDS);
        problems.ids("/externalId", &self.external_id, MAX_FILTER_IDS);
        problems.count("/featuresOff", self.features_off.len(), 10);
        problems.ids("/includeResultDataFields", &self.include_result_data_fields, 100);
        times(problems, "/createdTo", "createdFrom", (self.created_from, self.created_to));
        times(problems, "/modifiedTo", "modifiedFrom", (self.modified_from, self.modified_to));
        problems.range("/limit", self.limit, 1, i32::MAX);
        problems.text("/startAfter", self.start_after.as_deref(), 0, 1024);
        self.limit = self.limit.map(|limit| limit.min(MAX_PAGE));
    }
}

/// Checks that a stretch of time does not end before it begins.
pub(super) fn times(
    problems: &mut Problems,
    pointer: &str,
    name: &str,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) {
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        problems.add(pointer, "out_of_range", format!("must not be before {name}, which is {from}"));
    }
}

impl Input for ListProcessingLogDataInput {}

// (P)
/// A page of a processing log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingLogPage {
    /// The token which is used to read the page, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// Number of items per page.
    #[serde(deserialize_with = "required_number")]
    #[schema(example = 500)]
    pub limit: i32,
    /// Total number of items that match the filter, over all pages. Absent without NUMBER_OF_TOTAL, and where times are
    /// filtered but no ids: telling would need a look at every entry.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(example = 67)]
    pub total: Option<i32>,
    /// The entries, by ascending id.
    pub values: Vec<JobResultData>,
    /// The `startAfter` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
}

impl Operation for ListProcessingLogData {
    const NAME: &'static str = "listProcessingLogData";
    const TITLE: &'static str = "List Processing Log Data";
    const DESCRIPTION: &'static str = "Read a page of a processing log, by ascending id: of each record the newest result, whichever job wrote it. The \
        next page is asked for with `nextStartAfter`, which is absent on the last page. A page that filters by times may \
        hold fewer entries than its limit, even none, and still have a next one.";
    const RESOURCE: Resource = Resource::ProcessingLogs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/processinglogs/{storageId}/{processingLogId}";
    const LITERAL: &'static [&'static str] = &["externalId"];
    const ROLE: Role = Role::Reader;
    const PAGING: Option<Paging> = Some(Paging { feature: None });
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken, Code::StorageDamaged];
    type Input = ListProcessingLogDataInput;
    type Output = ProcessingLogPage;

    fn example() -> (Self::Input, Self::Output) {
        let at = Timestamp::from_millis(1_598_892_420_000);
        let input = ListProcessingLogDataInput {
            storage_id: example_storage(),
            processing_log_id: ProcessingLogId::CurationLog,
            business_partner_id: vec!["63e635235c06b7396330fe40".to_owned()],
            data_source_id: vec!["648824a691d8d2503d65103e".to_owned()],
            external_id: Vec::new(),
            features_off: Vec::new(),
            include_result_data_fields: vec!["dataDefects".to_owned()],
            status: Some(ResultStatus::Ok),
            created_from: None,
            created_to: None,
            modified_from: Some(at),
            modified_to: None,
            limit: Some(500),
            start_after: None,
        };
        let value = JobResultData {
            id: "5712566172571653".to_owned(),
            storage_id: example_storage(),
            created_at: at,
            modified_at: at,
            written: example_result(),
        };
        let output = ProcessingLogPage {
            start_after: None,
            limit: 500,
            total: Some(67),
            values: vec![value],
            next_start_after: Some("AZlIX3SjzVPRzKRuEeW1DDOEcCbr0hOKZk0yRGQ2zQ4F".to_owned()),
        };
        (input, output)
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let (_, more) = Self::example();
        let last = ProcessingLogPage { next_start_after: None, ..more.clone() };
        let bare = |value: JobResultData| {
            let written = JobResultDataUpsert { result_data: None, ..value.written };
            JobResultData { written, ..value }
        };
        let values = last.values.iter().cloned().map(bare).collect();
        let metadata = ProcessingLogPage { total: None, values, ..last.clone() };
        let empty = ProcessingLogPage { total: Some(0), values: Vec::new(), ..last.clone() };
        vec![("more-pages", more), ("last-page", last), ("metadata", metadata), ("empty", empty)]
    }

    run!(list_processing_log_data);
}

/// Insert Processing Log Data (P).
pub struct InsertProcessingLogData;

/// Entries to write.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsertProcessingLogDataInput {
    /// Unique identifier of the Storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The processing log.
    pub processing_log_id: ProcessingLogId,
    /// List of results. `jobId` names the job that wrote one.
    #[schema(value_type = Vec<JobResultDataUpsert>, max_items = 1000)]
    pub results: ResultItems,
    /// List of features to be activated.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<InsertFeature>,
}

impl Validate for InsertProcessingLogDataInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        problems.count("/results", self.results.0.len(), MAX_INSERT);
        problems.count("/featuresOn", self.features_on.len(), 10);
    }
}

impl Input for InsertProcessingLogDataInput {
    fn ignored(&self) -> Vec<String> {
        self.results.ignored()
    }
}

impl Operation for InsertProcessingLogData {
    const NAME: &'static str = "insertProcessingLogData";
    const TITLE: &'static str = "Insert Processing Log Data";
    const DESCRIPTION: &'static str = "Write results into a processing log. A record is identified, within storage and log, by data source, business \
        partner, external id, address and address version; the same identity again updates, whichever job wrote it \
        before. Records that are not valid are counted in `failed` and named in `failures`, the others are saved. The \
        answer comes when they are durable.";
    const RESOURCE: Resource = Resource::ProcessingLogs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/processinglogs/{storageId}/{processingLogId}";
    const ROLE: Role = Role::Worker;
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] = &[Code::StorageDamaged, Code::StorageFull];
    type Input = InsertProcessingLogDataInput;
    type Output = InsertSummary;

    fn example() -> (Self::Input, Self::Output) {
        let json = serde_json::to_string(&example_result()).unwrap_or_default();
        let input = InsertProcessingLogDataInput {
            storage_id: example_storage(),
            processing_log_id: ProcessingLogId::CurationLog,
            results: ResultItems(vec![ResultItem::parse(&json)]),
            features_on: Vec::new(),
        };
        (input, InsertSummary { updated: 1, ..InsertSummary::default() })
    }

    run!(insert_processing_log_data);
}

/// Delete Processing Log Data (P).
pub struct DeleteProcessingLogData;

/// The processing log to empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteProcessingLogDataInput {
    /// Unique identifier of the Storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The processing log.
    pub processing_log_id: ProcessingLogId,
}

impl Validate for DeleteProcessingLogDataInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
    }
}

impl Input for DeleteProcessingLogDataInput {}

impl Operation for DeleteProcessingLogData {
    const NAME: &'static str = "deleteProcessingLogData";
    const TITLE: &'static str = "Delete Processing Log Data";
    const DESCRIPTION: &'static str = "Empty a processing log. All entries are invisible at once, however many; the space is reclaimed behind. Results of \
        jobs stay.";
    const RESOURCE: Resource = Resource::ProcessingLogs;
    const METHOD: Method = Method::Delete;
    const PATH: &'static str = "/processinglogs/{storageId}/{processingLogId}";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::StorageDamaged, Code::StorageFull];
    type Input = DeleteProcessingLogDataInput;
    type Output = DeletedResults;

    fn example() -> (Self::Input, Self::Output) {
        let processing_log_id = ProcessingLogId::CurationLog;
        let input = DeleteProcessingLogDataInput { storage_id: example_storage(), processing_log_id };
        (input, DeletedResults { deleted: 67 })
    }

    run!(delete_processing_log_data);
}
