//! Whole result sets as files: those of a job, and processing logs (D: api.md section 3, Beyond).

use super::logs::times;
use super::{FileContent, Input, Method, Operation, Resource, example_job_id, example_storage, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::JobId;
use crate::lenient;
use crate::log::ProcessingLogId;
use crate::result::{MAX_FILTER_IDS, ResultStatus};
use crate::text::Id;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The header that says how many results an export holds, where that is known before; and the trailer that says how many
/// it held.
pub const COUNT_HEADER: &str = "Docket-Count";
/// The header that names the moment of an export: the `snapshot` of another one at the same moment.
pub const SNAPSHOT_HEADER: &str = "Docket-Snapshot";
/// The trailer with the SHA-256 of an export (RFC 9530).
pub const DIGEST_TRAILER: &str = "Repr-Digest";
/// Longest mark of a moment, in characters.
const MAX_SNAPSHOT_CHARS: usize = 1024;
/// Most members of `resultData` that can be named, as in a listing.
const MAX_FIELDS: usize = 100;

// (D)
/// The form of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// A line of JSON a result, each as a listing shows it.
    #[default]
    Ndjson,
    /// RFC 4180, with a header line.
    Csv,
    /// Apache Parquet, compressed with Zstandard.
    Parquet,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ndjson, Self::Csv, Self::Parquet];

    /// Its name, as it is sent; also how the names of its files end.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// The media types besides that of NDJSON.
const OTHER_MEDIA_TYPES: &[&str] = &["text/csv", "application/vnd.apache.parquet"];
/// What the head of an export tells.
const HEADERS: &[&str] = &[COUNT_HEADER, SNAPSHOT_HEADER, "Trailer"];
/// What stands behind its end.
const TRAILERS: &[&str] = &[COUNT_HEADER, DIGEST_TRAILER];
/// The codes that an export can answer with.
const EXPORT_ERRORS: &[Code] = &[Code::NotFound, Code::InvalidPageToken, Code::StorageDamaged];

// (D)
/// Export Job Results.
pub struct ExportJobResults;

/// Which results of a job, and in which form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportJobResultsInput {
    /// The job.
    pub job_id: JobId,
    /// Unique identifier of the Storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The form.
    #[serde(default, deserialize_with = "lenient::null_default")]
    #[schema(default = "ndjson", example = "csv")]
    pub format: ExportFormat,
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
    /// The status of the job results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_result_status: Option<ResultStatus>,
    /// The top-level members of the JSON inside `resultData` to keep; a text that is no JSON object is passed through.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["dataDefects"]))]
    pub include_result_data_fields: Vec<String>,
    /// Only results with an id greater than this one: the last that came, where an export was broken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,19}$", example = "5712566172571652")]
    pub start_after: Option<String>,
    /// The moment to export: the `Docket-Snapshot` of an earlier export of the same results; now, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub snapshot: Option<String>,
    /// For CSV: an apostrophe in front of texts that spreadsheets would take for formulas. Such a file is for people: it does
    /// not say exactly what was stored.
    #[serde(default, deserialize_with = "lenient::boolean", skip_serializing_if = "Option::is_none")]
    pub escape_formulas: Option<bool>,
}

impl Validate for ExportJobResultsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        problems.ids("/businessPartnerId", &self.business_partner_id, MAX_FILTER_IDS);
        problems.id("/dataSourceId", self.data_source_id.as_deref());
        problems.ids("/externalId", &self.external_id, MAX_FILTER_IDS);
        problems.ids("/includeResultDataFields", &self.include_result_data_fields, MAX_FIELDS);
        problems.text("/startAfter", self.start_after.as_deref(), 0, 19);
        problems.text("/snapshot", self.snapshot.as_deref(), 0, MAX_SNAPSHOT_CHARS);
    }
}

impl Input for ExportJobResultsInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for ExportJobResults {
    const NAME: &'static str = "exportJobResults";
    const TITLE: &'static str = "Export Job Results";
    const DESCRIPTION: &'static str = "Read all results of a job as one file, as they are at one moment: what is written meanwhile is not in it. The file \
        streams; a client that sends `TE: trailers` gets the number of results and the SHA-256 behind its end. One that \
        breaks off is no whole: NDJSON goes on with `startAfter` and `snapshot`.";
    const RESOURCE: Resource = Resource::JobResults;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/results/export";
    const LITERAL: &'static [&'static str] = &["externalId"];
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const SOAP: bool = false;
    const GIVES_FILE: bool = true;
    const MEDIA_TYPE: &'static str = "application/x-ndjson";
    const OTHER_MEDIA_TYPES: &'static [&'static str] = OTHER_MEDIA_TYPES;
    const ANSWER_HEADERS: &'static [&'static str] = HEADERS;
    const TRAILERS: &'static [&'static str] = TRAILERS;
    const ERRORS: &'static [Code] = EXPORT_ERRORS;
    type Input = ExportJobResultsInput;
    type Output = FileContent;

    fn example() -> (Self::Input, Self::Output) {
        let input = ExportJobResultsInput {
            job_id: example_job_id(),
            storage_id: example_storage(),
            format: ExportFormat::Ndjson,
            business_partner_id: Vec::new(),
            data_source_id: None,
            external_id: Vec::new(),
            job_result_status: Some(ResultStatus::Failed),
            include_result_data_fields: Vec::new(),
            start_after: None,
            snapshot: None,
            escape_formulas: None,
        };
        (input, example_file(true))
    }

    run!(export_job_results);
}

// (D)
/// Export Processing Log.
pub struct ExportProcessingLog;

/// Which results of a processing log, and in which form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportProcessingLogInput {
    /// Unique identifier of the Storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The processing log.
    pub processing_log_id: ProcessingLogId,
    /// The form.
    #[serde(default, deserialize_with = "lenient::null_default")]
    #[schema(default = "ndjson", example = "csv")]
    pub format: ExportFormat,
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
    /// The status of the results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultStatus>,
    /// Only entries whose record was first written at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_from: Option<Timestamp>,
    /// Only entries whose record was first written before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_to: Option<Timestamp>,
    /// Only entries that were last written at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_from: Option<Timestamp>,
    /// Only entries that were last written before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_to: Option<Timestamp>,
    /// The top-level members of the JSON inside `resultData` to keep; a text that is no JSON object is passed through.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["dataDefects"]))]
    pub include_result_data_fields: Vec<String>,
    /// Only results with an id greater than this one: the last that came, where an export was broken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,19}$", example = "5712566172571652")]
    pub start_after: Option<String>,
    /// The moment to export: the `Docket-Snapshot` of an earlier export of the same log; now, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub snapshot: Option<String>,
    /// For CSV: an apostrophe in front of texts that spreadsheets would take for formulas. Such a file is for people: it does
    /// not say exactly what was stored.
    #[serde(default, deserialize_with = "lenient::boolean", skip_serializing_if = "Option::is_none")]
    pub escape_formulas: Option<bool>,
}

impl Validate for ExportProcessingLogInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        problems.ids("/businessPartnerId", &self.business_partner_id, MAX_FILTER_IDS);
        problems.ids("/dataSourceId", &self.data_source_id, MAX_FILTER_IDS);
        problems.ids("/externalId", &self.external_id, MAX_FILTER_IDS);
        problems.ids("/includeResultDataFields", &self.include_result_data_fields, MAX_FIELDS);
        times(problems, "/createdTo", "createdFrom", (self.created_from, self.created_to));
        times(problems, "/modifiedTo", "modifiedFrom", (self.modified_from, self.modified_to));
        problems.text("/startAfter", self.start_after.as_deref(), 0, 19);
        problems.text("/snapshot", self.snapshot.as_deref(), 0, MAX_SNAPSHOT_CHARS);
    }
}

impl Input for ExportProcessingLogInput {}

impl Operation for ExportProcessingLog {
    const NAME: &'static str = "exportProcessingLog";
    const TITLE: &'static str = "Export Processing Log";
    const DESCRIPTION: &'static str = "Read a whole processing log as one file, as it is at one moment: what is written meanwhile is not in it. The file \
        streams; a client that sends `TE: trailers` gets the number of results and the SHA-256 behind its end. One that \
        breaks off is no whole: NDJSON goes on with `startAfter` and `snapshot`.";
    const RESOURCE: Resource = Resource::ProcessingLogs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/processinglogs/{storageId}/{processingLogId}/export";
    const LITERAL: &'static [&'static str] = &["externalId"];
    const ROLE: Role = Role::Reader;
    const SOAP: bool = false;
    const GIVES_FILE: bool = true;
    const MEDIA_TYPE: &'static str = "application/x-ndjson";
    const OTHER_MEDIA_TYPES: &'static [&'static str] = OTHER_MEDIA_TYPES;
    const ANSWER_HEADERS: &'static [&'static str] = HEADERS;
    const TRAILERS: &'static [&'static str] = TRAILERS;
    const ERRORS: &'static [Code] = EXPORT_ERRORS;
    type Input = ExportProcessingLogInput;
    type Output = FileContent;

    fn example() -> (Self::Input, Self::Output) {
        let input = ExportProcessingLogInput {
            storage_id: example_storage(),
            processing_log_id: ProcessingLogId::ValidationLog,
            format: ExportFormat::Ndjson,
            business_partner_id: Vec::new(),
            data_source_id: vec!["648824a691d8d2503d65103e".to_owned()],
            external_id: Vec::new(),
            status: Some(ResultStatus::Failed),
            created_from: None,
            created_to: None,
            modified_from: None,
            modified_to: None,
            include_result_data_fields: Vec::new(),
            start_after: None,
            snapshot: None,
            escape_formulas: None,
        };
        (input, example_file(false))
    }

    run!(export_processing_log);
}

/// Two lines of NDJSON.
fn example_file(names_job: bool) -> FileContent {
    let job = example_job_id();
    let job = if names_job { format!("\"jobId\":\"{job}\",") } else { String::new() };
    let line = |id: u64, external: &str| {
        format!(
            "{{\"id\":\"{id}\",\"storageId\":\"{}\",{job}\"createdAt\":\"2020-08-31T16:47:00.000Z\",\
             \"modifiedAt\":\"2020-08-31T16:47:00.000Z\",\"dataSourceId\":\"648824a691d8d2503d65103e\",\
             \"externalId\":\"{external}\",\"resultData\":\"{{\\\"dataDefects\\\":[]}}\",\"status\":\"FAILED\"}}\n",
            example_storage()
        )
    };
    FileContent(line(5_712_566_172_571_653, "ERP-0000001") + &line(5_712_566_172_571_654, "ERP-0000002"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_the_names_that_are_sent() {
        for format in ExportFormat::ALL {
            assert_eq!(serde_json::to_value(format).expect("JSON"), format.name());
        }
        let others: Vec<_> = ExportFormat::ALL[1..].iter().map(|format| format.media_type()).collect();
        assert_eq!(others, OTHER_MEDIA_TYPES);
        assert_eq!(ExportFormat::Ndjson.media_type(), ExportJobResults::MEDIA_TYPE);
    }
}
