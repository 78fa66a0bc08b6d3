//! A record on its way to the store: good, or the reason why not.

use super::read::Written;
use super::{Identity, InsertFailure, ResultStatus};
use crate::job::JobId;
use crate::text;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Deepest nesting of a record that is only counted as failed; a deeper one fails the request.
const MAX_DEPTH: usize = 128;

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
