//! The newest results of records, over all jobs of a storage (api.md section 3).

use super::results::{example_result, required_number};
use super::{Input, Method, Operation, Resource, example_storage, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::is_job_type;
use crate::lenient;
use crate::result::{JobResultData, MAX_FILTER_IDS, ResultStatus};
use crate::text::Id;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Fetch Last Results (P: path only).
pub struct FetchLastResults;

/// Of which records the newest results are wanted. At least one business partner or external id must be named; with both,
/// a record must have one of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FetchLastResultsInput {
    /// Unique identifier of the Storage.
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// Only results that jobs of this type have written count: the newest curation result is wanted, whatever validated
    /// since. Of the storage's jobs the 10000 that began to write last are considered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,62}_JOB$", example = "DATA_CURATION_JOB")]
    pub job_type: Option<String>,
    /// Business Partner IDs.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500)]
    pub business_partner_id: Vec<String>,
    /// Business Partner External IDs.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500)]
    pub external_id: Vec<String>,
    /// Only records of these data sources.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 500, example = json!(["648824a691d8d2503d65103e"]))]
    pub data_source_id: Vec<String>,
    /// Only records whose newest result has this status: with FAILED those that fail now, not those that ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_result_status: Option<ResultStatus>,
    /// The top-level members of the JSON inside `resultData` to keep; a text that is no JSON object is passed through.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["dataDefects"]))]
    pub include_result_data_fields: Vec<String>,
}

impl Validate for FetchLastResultsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/storageId", Some(&self.storage_id));
        if self.job_type.as_ref().is_some_and(|job_type| !is_job_type(job_type)) {
            problems.add("/jobType", "invalid_format", "jobType must match [A-Z][A-Z0-9_]{0,62}_JOB");
        }
        problems.ids("/businessPartnerId", &self.business_partner_id, MAX_FILTER_IDS);
        problems.ids("/externalId", &self.external_id, MAX_FILTER_IDS);
        problems.ids("/dataSourceId", &self.data_source_id, MAX_FILTER_IDS);
        problems.ids("/includeResultDataFields", &self.include_result_data_fields, 100);
        if self.business_partner_id.is_empty() && self.external_id.is_empty() {
            problems.add("/businessPartnerId", "required", "one of businessPartnerId and externalId is required");
        }
    }
}

impl Input for FetchLastResultsInput {}

// (D)
/// The newest result of each record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastResults {
    /// Number of records that match. If it is greater than the number of values, those are told that were written last.
    #[serde(deserialize_with = "required_number")]
    #[schema(example = 1)]
    pub total: i32,
    /// The results, by ascending id; at most 5000.
    pub values: Vec<JobResultData>,
}

impl Operation for FetchLastResults {
    const NAME: &'static str = "fetchLastResults";
    const TITLE: &'static str = "Fetch Last Results";
    const DESCRIPTION: &'static str = "For every record that has one of the ids, its newest result over all jobs of the storage. A record is what identifies \
        a result within its job: data source, business partner, external id, address and address version; a business partner \
        may have several. The newest result is the one that was written last, also if it was written again since. Processing \
        logs do not count. Ids that name more than 10000 records, or more than 4000000 results, are refused.";
    const RESOURCE: Resource = Resource::JobResults;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs/results/fetchlast";
    const ROLE: Role = Role::Reader;
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] = &[Code::StorageDamaged];
    type Input = FetchLastResultsInput;
    type Output = LastResults;

    fn example() -> (Self::Input, Self::Output) {
        let input = FetchLastResultsInput {
            storage_id: example_storage(),
            job_type: Some("DATA_CURATION_JOB".to_owned()),
            business_partner_id: vec!["63e635235c06b7396330fe40".to_owned()],
            external_id: Vec::new(),
            data_source_id: Vec::new(),
            job_result_status: None,
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
        (input, LastResults { total: 1, values: vec![value] })
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let (_, found) = Self::example();
        vec![("found", found), ("nothing", LastResults { total: 0, values: Vec::new() })]
    }

    run!(fetch_last_results);
}
