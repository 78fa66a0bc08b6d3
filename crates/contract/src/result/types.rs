//! A result as clients send it and as it is answered.

use crate::job::JobId;
use crate::lenient;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (S)
/// The verdict on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResultStatus {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// The record failed.
    Failed,
}

impl ResultStatus {
    /// Its name, as it is sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Failed => "FAILED",
        }
    }
}

/// A technical key of the vendor's code lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TechnicalKey {
    /// The key.
    #[schema(max_length = 255, example = "INTERNATIONAL")]
    pub technical_key: String,
}

/// Which version of an address a result is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressVersion {
    /// The character set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub character_set: Option<TechnicalKey>,
    /// The language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<TechnicalKey>,
}

/// How far the processing of a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingStatus {
    /// The status.
    #[schema(max_length = 255, example = "IN_PROGRESS")]
    pub technical_key: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
}

/// The configuration that a record was processed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Configuration {
    /// Its id.
    #[schema(max_length = 255, example = "c074b9f3-abf0-4f8e-9a20-74deb6cfa2a4")]
    pub id: String,
    /// Its version.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub version: Option<i32>,
}

// (S)
/// One result as a client sends it. At least one of the ids of partner, record or address must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobResultDataUpsert {
    /// ID of a data source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "648824a691d8d2503d65103e")]
    pub data_source_id: Option<String>,
    /// ID of the business partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "63e635235c06b7396330fe40")]
    pub business_partner_id: Option<String>,
    /// ID of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "address-id")]
    pub address_id: Option<String>,
    /// The ID managed in the customer's systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "ERP-0000001")]
    pub external_id: Option<String>,
    /// The address's ID in the customer's systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "1")]
    pub address_external_id: Option<String>,
    /// Which version of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_version: Option<AddressVersion>,
    /// The type of the job that wrote the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,62}_JOB$", example = "DATA_CURATION_JOB")]
    pub job_type: Option<String>,
    /// What was found, as a text; usually JSON inside the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535, example = "{\"dataDefects\":[]}")]
    pub result_data: Option<String>,
    /// The verdict; OK if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultStatus>,
    /// A message for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535, example = "Missing storageId.")]
    pub message: Option<String>,
    /// Country of the record, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z]{2}$", example = "CH")]
    pub country_short_name: Option<String>,
    /// How far the processing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_status: Option<ProcessingStatus>,
    /// The configuration that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// The job that wrote the result; among a job's results the one in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<JobId>)]
    pub job_id: Option<String>,
}

// (S)
/// One result as it is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobResultData {
    /// Positive, ever growing within a storage, as decimal digits.
    #[schema(pattern = "^[1-9][0-9]*$", example = "5712566172571652")]
    pub id: String,
    /// The storage.
    #[schema(example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// When the record was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub modified_at: Timestamp,
    /// What was written.
    #[serde(flatten)]
    pub written: JobResultDataUpsert,
}

/// Why a record was not saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsertFailure {
    /// Its place in the request, from 0.
    #[schema(minimum = 0)]
    pub index: i32,
    /// Its external id, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Its business partner, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_partner_id: Option<String>,
    /// What is wrong, for programs; the same words as in the `errors` of a problem.
    #[schema(example = "too_long")]
    pub code: String,
    /// What is wrong, for people: names the field and the limit.
    pub detail: String,
}
