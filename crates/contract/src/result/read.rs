//! Reads one record from its JSON text, checks it, and writes its stored form.

use super::{
    AddressVersion, Configuration, Identity, MAX_RESULT_DATA_CHARS, ProcessingStatus, Record, ResultStatus,
    TechnicalKey,
};
use crate::job::{JobId, is_job_type};
use crate::lenient;
use crate::text;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A text that borrows from the request unless it holds escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Why a record is not valid: a code for programs and a sentence for people.
pub(super) type RecordError = (&'static str, String);

/// A record as it is written, borrowed from the request. The order of the fields is the order in pages.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
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
    pub(super) fn read(json: &'a str) -> Result<(Self, Vec<String>), RecordError> {
        let mut ignored = Vec::new();
        let deserializer = &mut serde_json::Deserializer::from_str(json);
        let written = serde_ignored::deserialize(deserializer, |path| ignored.push(path.to_string()));
        written.map(|written| (written, ignored)).map_err(|_| wrong_type(json))
    }

    pub(super) fn into_record(mut self) -> Result<Record, RecordError> {
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
