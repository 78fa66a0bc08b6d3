//! A stored result as one flat row: read in one pass, borrowed from its chunk but for texts with escapes.

use crate::store::encode::{Text, kept_members};
use crate::store::{SetKey, SetOwner, SnapshotRow, StoreError};
use docket_contract::Timestamp;
use docket_contract::result::{COLUMNS, ResultStatus};
use serde::Deserialize;
use std::sync::Arc;

/// How many columns a row has.
pub const WIDTH: usize = COLUMNS.len();

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing; an empty text is something else.
    Absent,
    /// A text of the result.
    Text(&'a str),
    /// The result's id.
    Id(u64),
    /// A moment.
    Time(Timestamp),
    /// A number.
    Number(i32),
}

impl<'a> Value<'a> {
    fn text(text: Option<&'a Text<'_>>) -> Self {
        text.map_or(Self::Absent, |text| Self::Text(&text.0))
    }
}

/// What the rows of a set share, and what of them is wanted.
pub struct Rows {
    storage_id: String,
    job_id: Option<String>,
    fields: Option<Arc<[String]>>,
}

/// A key of the vendor's code lists.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    #[serde(borrow)]
    technical_key: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AddressVersion<'a> {
    #[serde(borrow)]
    character_set: Option<Key<'a>>,
    #[serde(borrow)]
    language: Option<Key<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessingStatus<'a> {
    #[serde(borrow)]
    technical_key: Text<'a>,
    modified_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    version: Option<i32>,
}

/// A result as it is stored (`contract/result/read.rs` writes it).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stored<'a> {
    #[serde(borrow)]
    job_id: Option<Text<'a>>,
    #[serde(borrow)]
    data_source_id: Option<Text<'a>>,
    #[serde(borrow)]
    business_partner_id: Option<Text<'a>>,
    #[serde(borrow)]
    address_id: Option<Text<'a>>,
    #[serde(borrow)]
    external_id: Option<Text<'a>>,
    #[serde(borrow)]
    address_external_id: Option<Text<'a>>,
    #[serde(borrow)]
    address_version: AddressVersion<'a>,
    #[serde(borrow)]
    job_type: Option<Text<'a>>,
    #[serde(borrow)]
    result_data: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    country_short_name: Option<Text<'a>>,
    #[serde(borrow)]
    processing_status: Option<ProcessingStatus<'a>>,
    #[serde(borrow)]
    configuration: Option<Configuration<'a>>,
}

impl Rows {
    /// Those of a set; of the JSON in `resultData` only the members `fields`, if given.
    pub fn new(set: &SetKey, fields: Option<Arc<[String]>>) -> Self {
        let job_id = match set.owner {
            SetOwner::Job(job) => Some(job.to_string()),
            // The records of a log name their jobs themselves.
            SetOwner::Log(_) => None,
        };
        Self { storage_id: set.storage.storage_id.clone(), job_id, fields }
    }

    /// Reads a row's body.
    pub fn read<'a>(&self, row: &SnapshotRow, body: &'a [u8]) -> Result<Stored<'a>, StoreError> {
        let damaged = |error| StoreError::Damaged(format!("result {} holds no record: {error}", row.id.0));
        let mut stored: Stored<'a> = serde_json::from_slice(body).map_err(damaged)?;
        if let Some(fields) = &self.fields {
            let kept = stored.result_data.as_ref().and_then(|data| kept_members(&data.0, fields));
            if let Some(kept) = kept {
                stored.result_data = Some(Text(kept.into()));
            }
        }
        Ok(stored)
    }

    /// What stands in the columns of a row, in the order of [`COLUMNS`].
    pub fn values<'v>(&'v self, row: &SnapshotRow, stored: &'v Stored<'_>) -> [Value<'v>; WIDTH] {
        let key = |key: &'v Option<Key<'_>>| Value::text(key.as_ref().map(|key| &key.technical_key));
        let version = &stored.address_version;
        let processing = stored.processing_status.as_ref();
        let configuration = stored.configuration.as_ref();
        let job_id = match &self.job_id {
            Some(job) => Value::Text(job),
            None => Value::text(stored.job_id.as_ref()),
        };
        [
            Value::Id(row.id.0),
            Value::Text(&self.storage_id),
            job_id,
            Value::Time(row.created_at),
            Value::Time(row.modified_at),
            Value::text(stored.data_source_id.as_ref()),
            Value::text(stored.business_partner_id.as_ref()),
            Value::text(stored.address_id.as_ref()),
            Value::text(stored.external_id.as_ref()),
            Value::text(stored.address_external_id.as_ref()),
            key(&version.character_set),
            key(&version.language),
            Value::text(stored.job_type.as_ref()),
            Value::text(stored.result_data.as_ref()),
            Value::Text(match row.status {
                ResultStatus::Ok => "OK",
                ResultStatus::Failed => "FAILED",
            }),
            Value::text(stored.message.as_ref()),
            Value::text(stored.country_short_name.as_ref()),
            Value::text(processing.map(|status| &status.technical_key)),
            processing.and_then(|status| status.modified_at).map_or(Value::Absent, Value::Time),
            Value::text(configuration.map(|configuration| &configuration.id)),
            configuration.and_then(|configuration| configuration.version).map_or(Value::Absent, Value::Number),
        ]
    }
}
