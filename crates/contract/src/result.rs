//! Results: what a job found out about one record (api.md section 3).
//!
//! A record is checked and brought into its stored form while it is read from the request: the JSON text that pages
//! will send, less what is the same for a whole page or known only to the store. Nothing parses it again on the way
//! to a page. A record that is not valid does not spoil the others.

use crate::job::{JobId, is_job_type};
use crate::lenient;
use crate::text;
use crate::time::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;

/// Longest `resultData`, in characters (S: "≤ 65535 characters").
pub const MAX_RESULT_DATA_CHARS: usize = 65_535;
/// Most records in one insert (S).
pub const MAX_INSERT: usize = 1000;
/// Deepest nesting of a record that is only counted as failed; a deeper one fails the request.
const MAX_DEPTH: usize = 128;
/// Most results in one page (S).
pub const MAX_PAGE: i32 = 5000;
/// Results in a page when the request does not say (S).
pub const DEFAULT_PAGE: i32 = 500;
/// Most ids in one identity filter (S).
pub const MAX_FILTER_IDS: usize = 500;

/// The verdict on a record (S).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResultStatus {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// The record failed.
    Failed,
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

/// One result as a client sends it (S). At least one of the ids of partner, record or address must be given.
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
    /// The job; if given, the one in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<JobId>)]
    pub job_id: Option<String>,
}

/// One result as it is answered (S).
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

/// What identifies a record within job and storage: data source, business partner, external id, address, external
/// address id, and the two parts of the address version; each may be absent.
///
/// Kept as one run of bytes, each part behind its length, so that equal identities are equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Box<[u8]>);

impl Identity {
    fn new(parts: [Option<&str>; 7]) -> Self {
        let length = parts.iter().map(|part| 2 + part.map_or(0, str::len)).sum();
        let mut bytes = Vec::with_capacity(length);
        for part in parts {
            // Ids have at most 255 characters of at most 4 bytes; 0 stands for "absent".
            let length = part.map_or(0, |part| part.len() as u16 + 1);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
        Self(bytes.into_boxed_slice())
    }

    /// The bytes that are equal exactly for equal identities.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The data source.
    pub fn data_source_id(&self) -> Option<&str> {
        self.part(0)
    }

    /// The business partner.
    pub fn business_partner_id(&self) -> Option<&str> {
        self.part(1)
    }

    /// The id in the customer's systems.
    pub fn external_id(&self) -> Option<&str> {
        self.part(2)
    }

    fn part(&self, wanted: usize) -> Option<&str> {
        let mut rest: &[u8] = &self.0;
        for index in 0.. {
            let (length, behind) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (part, behind) = behind.split_at_checked(length.saturating_sub(1))?;
            if index == wanted {
                return (length > 0).then(|| std::str::from_utf8(part).ok()).flatten();
            }
            rest = behind;
        }
        None
    }
}

/// A record that was checked and is ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What identifies it.
    pub identity: Identity,
    /// The verdict.
    pub status: ResultStatus,
    /// The country, in capitals.
    pub country: Option<[u8; 2]>,
    /// The job that the record itself names.
    pub job_id: Option<JobId>,
    /// The JSON object as it will be sent, less `id`, `storageId`, `jobId` and the times.
    pub json: String,
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

/// A record of a request: good, or the reason why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultItem {
    /// To be stored.
    Record(Record, Vec<String>),
    /// Not valid; its index is set by the reader of the whole request.
    Rejected(InsertFailure),
}

impl<'de> Deserialize<'de> for ResultItem {
    /// Takes the raw text first, so that only malformed JSON fails the whole request.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        match ResultItem::parse(raw.get()) {
            Self::Rejected(_) if nested_too_deeply(raw.get()) => {
                Err(D::Error::custom(format_args!("a record must not be nested deeper than {MAX_DEPTH}")))
            }
            item => Ok(item),
        }
    }
}

impl ResultItem {
    /// Reads one record from its JSON text.
    pub fn parse(json: &str) -> Self {
        match Written::read(json).and_then(|(written, ignored)| Ok(Self::Record(written.into_record()?, ignored))) {
            Ok(item) => item,
            Err((code, detail)) => Self::Rejected(rejection(json, code, detail)),
        }
    }
}

/// Whether brackets stand in brackets deeper than [`MAX_DEPTH`]. Counts those inside texts too: only bad records come here.
fn nested_too_deeply(json: &str) -> bool {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in json.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest > MAX_DEPTH
}

/// Tells as much of a bad record as can still be read.
fn rejection(json: &str, code: &'static str, detail: String) -> InsertFailure {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let id =
        |name: &str| value.get(name).and_then(|id| id.as_str()).map(|id| id.chars().take(text::MAX_ID_CHARS).collect());
    InsertFailure {
        index: 0,
        external_id: id("externalId"),
        business_partner_id: id("businessPartnerId"),
        code: code.to_owned(),
        detail,
    }
}

/// A text that borrows from the request unless it holds escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

type RecordError = (&'static str, String);

/// A record as it is written, borrowed from the request. The order of the fields is the order in pages.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data_source_id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    business_partner_id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    address_id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    external_id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    address_external_id: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address_version: Option<AddressVersion>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    job_type: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    result_data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::null_default")]
    status: ResultStatus,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    message: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    country_short_name: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processing_status: Option<ProcessingStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<Configuration>,
    #[serde(default, skip_serializing)]
    job_id: Option<JobId>,
}

impl<'a> Written<'a> {
    fn read(json: &'a str) -> Result<(Self, Vec<String>), RecordError> {
        let mut ignored = Vec::new();
        let deserializer = &mut serde_json::Deserializer::from_str(json);
        let written = serde_ignored::deserialize(deserializer, |path| ignored.push(path.to_string()));
        written.map(|written| (written, ignored)).map_err(|_| wrong_type(json))
    }

    fn into_record(mut self) -> Result<Record, RecordError> {
        if let Some(country) = &mut self.country_short_name {
            if country.0.len() != 2 || !country.0.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                let detail = "countryShortName must be an ISO 3166-1 alpha-2 code, such as CH".to_owned();
                return Err(("invalid_format", detail));
            }
            country.0.to_mut().make_ascii_uppercase();
        }
        let country = self.country_short_name.as_ref().and_then(|country| country.0.as_bytes().try_into().ok());
        let identity = self.identity()?;
        self.check()?;
        let mut json = Vec::with_capacity(160 + self.result_data.map_or(0, |data| data.get().len()));
        serde_json::to_writer(&mut json, &self).map_err(|error| ("invalid_format", error.to_string()))?;
        let json = String::from_utf8(json).map_err(|error| ("invalid_format", error.to_string()))?;
        Ok(Record { identity, status: self.status, country, job_id: self.job_id, json })
    }

    fn identity(&self) -> Result<Identity, RecordError> {
        fn id<'b>(name: &str, id: &'b Option<Text<'_>>) -> Result<Option<&'b str>, RecordError> {
            let Some(Text(id)) = id else { return Ok(None) };
            text::check_id(id).map_err(|(code, detail)| (code, format!("{name} {detail}")))?;
            Ok(Some(id))
        }
        fn key<'b>(name: &str, key: Option<&'b TechnicalKey>) -> Result<Option<&'b str>, RecordError> {
            let Some(key) = key else { return Ok(None) };
            text::check_id(&key.technical_key)
                .map_err(|(code, detail)| (code, format!("addressVersion.{name}.technicalKey {detail}")))?;
            Ok(Some(&key.technical_key))
        }
        let version = self.address_version.as_ref();
        let parts = [
            id("dataSourceId", &self.data_source_id)?,
            id("businessPartnerId", &self.business_partner_id)?,
            id("externalId", &self.external_id)?,
            id("addressId", &self.address_id)?,
            id("addressExternalId", &self.address_external_id)?,
            key("characterSet", version.and_then(|version| version.character_set.as_ref()))?,
            key("language", version.and_then(|version| version.language.as_ref()))?,
        ];
        if parts[1..5].iter().all(Option::is_none) {
            let detail = "one of businessPartnerId, externalId, addressId and addressExternalId is required".to_owned();
            return Err(("required", detail));
        }
        Ok(Identity::new(parts))
    }

    fn check(&self) -> Result<(), RecordError> {
        if let Some(Text(job_type)) = &self.job_type
            && !is_job_type(job_type)
        {
            return Err(("invalid_format", "jobType must match [A-Z][A-Z0-9_]{0,62}_JOB".to_owned()));
        }
        if let Some(Text(message)) = &self.message {
            text::check_text(message, 0, MAX_RESULT_DATA_CHARS)
                .map_err(|(code, detail)| (code, format!("message {detail}")))?;
        }
        for (name, key) in [
            ("processingStatus.technicalKey", self.processing_status.as_ref().map(|status| &status.technical_key)),
            ("configuration.id", self.configuration.as_ref().map(|configuration| &configuration.id)),
        ] {
            if let Some(key) = key {
                text::check_id(key).map_err(|(code, detail)| (code, format!("{name} {detail}")))?;
            }
        }
        self.result_data.map_or(Ok(()), |data| check_result_data(data.get()))
    }
}

/// Checks the literal of `resultData` without decoding it, where that is possible: it is stored as it was sent.
fn check_result_data(literal: &str) -> Result<(), RecordError> {
    if !literal.starts_with('"') {
        return Err(("wrong_type", "resultData must be a text; put JSON into a text".to_owned()));
    }
    // Skipping a string does not check that its escaped surrogates come in pairs; decoding does.
    let plain = !literal.contains("\\u");
    if plain && literal.len() <= MAX_RESULT_DATA_CHARS + 2 {
        return Ok(());
    }
    let decoded: Cow<'_, str> = serde_json::from_str::<Text<'_>>(literal)
        .map_err(|_| ("invalid_characters", "resultData must not hold a lone surrogate".to_owned()))?
        .0;
    text::check_text(&decoded, 0, MAX_RESULT_DATA_CHARS)
        .map_err(|(code, detail)| (code, format!("resultData {detail}")))
}

/// Names the field of a record that could not be read. Only for records that are already known to be bad.
fn wrong_type(json: &str) -> RecordError {
    match serde_path_to_error::deserialize::<_, Written<'_>>(&mut serde_json::Deserializer::from_str(json)) {
        Ok(_) => ("wrong_type", "the record can't be read".to_owned()),
        Err(error) => {
            let path = error.path().to_string();
            let mut reason = error.inner().to_string();
            reason.truncate(reason.rfind(" at line ").unwrap_or(reason.len()));
            let code = if ["surrogate", "unicode", "hex escape"].iter().any(|sign| reason.contains(sign)) {
                "invalid_characters"
            } else {
                "wrong_type"
            };
            (code, if path == "." { format!("the record: {reason}") } else { format!("{path}: {reason}") })
        }
    }
}

/// Reads the job that a record's JSON names. For checks only; not on the road of a page.
pub fn read_result_data(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OnlyData<'a> {
        #[serde(borrow, default)]
        result_data: Option<Text<'a>>,
    }
    serde_json::from_str::<OnlyData<'_>>(json).ok()?.result_data.map(|data| data.0.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(json: &str) -> Record {
        match ResultItem::parse(json) {
            ResultItem::Record(record, _) => record,
            ResultItem::Rejected(failure) => panic!("{json}: {failure:?}"),
        }
    }

    fn rejected(json: &str) -> (String, String) {
        match ResultItem::parse(json) {
            ResultItem::Rejected(failure) => (failure.code, failure.detail),
            ResultItem::Record(record, _) => panic!("{json}: {record:?}"),
        }
    }

    const VENDOR: &str = r#"{ "dataSourceId": "648824a691d8d2503d65103e", "businessPartnerId": "63e635235c06b7396330fe40",
        "addressId": "address-id", "externalId": "The ID managed in the customer's SAP systems.", "addressExternalId": "1",
        "addressVersion": { "characterSet": { "technicalKey": "INTERNATIONAL" }, "language": { "technicalKey": "DE" } },
        "jobType": "DATA_CURATION_JOB", "resultData": "{'param1': 'value1'}", "status": "OK", "message": "Missing storageId.\"",
        "countryShortName": "CH", "processingStatus": { "technicalKey": "IN_PROGRESS", "modifiedAt": "2020-08-31T16:47+00:00" },
        "configuration": { "id": "c074b9f3-abf0-4f8e-9a20-74deb6cfa2a4", "version": "1" },
        "jobId": "35f23c03-1c22-45fe-9484-3ffe769325de", "unknown": 1 }"#;

    #[test]
    fn the_vendors_example_is_a_record() {
        let ResultItem::Record(record, ignored) = ResultItem::parse(VENDOR) else { panic!("valid") };
        assert_eq!(ignored, ["unknown"]);
        assert_eq!(record.identity.data_source_id(), Some("648824a691d8d2503d65103e"));
        assert_eq!(record.identity.business_partner_id(), Some("63e635235c06b7396330fe40"));
        assert_eq!(record.identity.external_id(), Some("The ID managed in the customer's SAP systems."));
        assert_eq!(record.country, Some(*b"CH"));
        let value: serde_json::Value = serde_json::from_str(&record.json).expect("JSON");
        assert_eq!(value["resultData"], "{'param1': 'value1'}");
        assert_eq!(value["processingStatus"]["modifiedAt"], "2020-08-31T16:47:00.000Z");
        assert_eq!(value["configuration"]["version"], 1);
        assert_eq!(value.get("jobId"), None);
        assert_eq!(read_result_data(&record.json).as_deref(), Some("{'param1': 'value1'}"));
    }

    #[test]
    fn nulls_are_absent() {
        let record =
            record(r#"{"externalId": "a", "status": null, "resultData": null, "configuration": null, "jobId": null}"#);
        assert_eq!(record.json, r#"{"externalId":"a","status":"OK"}"#);
    }

    #[test]
    fn bad_records_say_what_is_wrong() {
        let long = format!(r#"{{"externalId": "a", "resultData": "{}"}}"#, "x".repeat(65_536));
        assert_eq!(
            rejected(&long),
            ("too_long".into(), "resultData must have at most 65535 characters, has 65536".into())
        );
        for (json, code, field) in [
            (r#"{"dataSourceId": "a"}"#, "required", "businessPartnerId"),
            (r#"{"externalId": ""}"#, "too_short", "externalId"),
            (r#"{"externalId": "a\u0000"}"#, "invalid_characters", "externalId"),
            (r#"{"externalId": "\ud800"}"#, "invalid_characters", "externalId"),
            (r#"{"externalId": "a", "resultData": "\ud800"}"#, "invalid_characters", "resultData"),
            (r#"{"externalId": "a", "resultData": {}}"#, "wrong_type", "resultData"),
            (r#"{"externalId": 1}"#, "wrong_type", "externalId"),
            (r#"{"externalId": "a", "status": "GOOD"}"#, "wrong_type", "status"),
            (r#"{"externalId": "a", "countryShortName": "CHE"}"#, "invalid_format", "countryShortName"),
            (r#"{"externalId": "a", "jobType": "x"}"#, "invalid_format", "jobType"),
            (
                r#"{"externalId": "a", "processingStatus": {"technicalKey": "a", "modifiedAt": "x"}}"#,
                "wrong_type",
                "modifiedAt",
            ),
            ("42", "wrong_type", "record"),
        ] {
            let (found, detail) = rejected(json);
            assert_eq!(found, code, "{json}: {detail}");
            assert!(detail.contains(field), "{json}: {detail}");
        }
    }

    #[test]
    fn lengths_are_characters_not_bytes() {
        let data = "ü".repeat(MAX_RESULT_DATA_CHARS);
        record(&format!(r#"{{"externalId": "a", "resultData": "{data}"}}"#));
        let escaped = "\\u00fc".repeat(MAX_RESULT_DATA_CHARS);
        record(&format!(r#"{{"externalId": "a", "resultData": "{escaped}"}}"#));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(external in "\\PC{1,40}", data in ".{0,60}", message in ".{0,20}") {
            let sent = JobResultDataUpsert {
                external_id: Some(external.clone()),
                result_data: Some(data.clone()),
                message: Some(message.clone()),
                ..Default::default()
            };
            let record = record(&serde_json::to_string(&sent).expect("JSON"));
            let read: JobResultDataUpsert = serde_json::from_str(&record.json).expect("JSON");
            prop_assert_eq!(read.external_id.as_deref(), Some(external.as_str()));
            prop_assert_eq!(read.result_data, Some(data));
            prop_assert_eq!(read.message, Some(message));
            prop_assert_eq!(record.identity.external_id(), Some(external.as_str()));
        }

        #[test]
        fn identities_are_equal_only_when_their_parts_are(
            a in prop::array::uniform7(prop::option::of("[ab]{1,2}")),
            b in prop::array::uniform7(prop::option::of("[ab]{1,2}")),
        ) {
            let identity = |parts: &[Option<String>; 7]| Identity::new(std::array::from_fn(|i| parts[i].as_deref()));
            prop_assert_eq!(identity(&a) == identity(&b), a == b);
        }
    }
}
