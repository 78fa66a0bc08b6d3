//! From a stored row to the JSON that a page sends: splices id, storage, job and times in front of the stored text.
//!
//! Shared by the drivers. Nothing is parsed unless the page asks for some members of `resultData` only.

use super::{ResultFilter, SetKey, SetOwner, StoreError};
use docket_contract::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

/// Writes the results of one set.
pub struct Encoder {
    /// From behind the id's digits to the text of `createdAt`.
    set: Vec<u8>,
    /// `set` and both times, up to the quote behind them: the results of one request share them.
    middle: Vec<u8>,
    /// The times in `middle`.
    times: Option<(Timestamp, Timestamp)>,
    fields: Option<Arc<[String]>>,
}

impl Encoder {
    /// For the results of `set`; of the JSON in `resultData` only the members `fields`, if given. With not a single field
    /// `resultData` is left out.
    pub fn new(set: &SetKey, fields: Option<Arc<[String]>>) -> Self {
        let storage = serde_json::Value::from(set.storage.storage_id.as_str());
        let mut text = format!("\",\"storageId\":{storage},");
        // The records of a log name their jobs themselves.
        if let SetOwner::Job(job) = set.owner {
            text.push_str(&format!("\"jobId\":\"{job}\","));
        }
        text.push_str("\"createdAt\":\"");
        Self { set: text.into_bytes(), middle: Vec::new(), times: None, fields }
    }

    /// Appends a result to `out`, behind a comma unless it is the first.
    pub fn push(
        &mut self,
        out: &mut Vec<u8>,
        id: u64,
        created_at: Timestamp,
        modified_at: Timestamp,
        body: &[u8],
    ) -> Result<(), StoreError> {
        if !out.is_empty() {
            out.push(b',');
        }
        self.object(out, id, created_at, modified_at, body)
    }

    /// Appends a result to `out`.
    pub fn object(
        &mut self,
        out: &mut Vec<u8>,
        id: u64,
        created_at: Timestamp,
        modified_at: Timestamp,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let [b'{', rest @ ..] = body else { return Err(no_object(id)) };
        let [members @ .., b'}'] = rest else { return Err(no_object(id)) };
        if self.times != Some((created_at, modified_at)) {
            self.times = Some((created_at, modified_at));
            self.middle.clear();
            self.middle.extend_from_slice(&self.set);
            // Writing to memory does not fail.
            let _ = write!(self.middle, "{created_at}\",\"modifiedAt\":\"{modified_at}\"");
        }
        out.reserve(body.len() + self.middle.len() + 40);
        out.extend_from_slice(b"{\"id\":\"");
        push_digits(out, id);
        out.extend_from_slice(&self.middle);
        if !members.is_empty() {
            out.push(b',');
        }
        if let Some(fields) = &self.fields {
            let text = std::str::from_utf8(body)
                .map_err(|_| StoreError::Damaged(format!("result {id} holds text that is not UTF-8")))?;
            if fields.is_empty() {
                let member = result_data_member(text).unwrap_or(body.len()..body.len());
                out.extend_from_slice(&body[1..member.start]);
                out.extend_from_slice(&body[member.end..]);
                return Ok(());
            }
            if let Some((literal, kept)) = keep_fields(text, fields) {
                out.extend_from_slice(&body[1..literal.start]);
                out.extend_from_slice(&kept);
                out.extend_from_slice(&body[literal.end..]);
                return Ok(());
            }
        }
        out.extend_from_slice(rest);
        Ok(())
    }
}

fn no_object(id: u64) -> StoreError {
    StoreError::Damaged(format!("result {id} holds no JSON object"))
}

/// Appends a number in decimal digits.
fn push_digits(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len() - 1;
    loop {
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        start -= 1;
    }
    out.extend_from_slice(&digits[start..]);
}

/// The ids of a result by which filters find it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterIds<'a> {
    /// The business partner.
    #[serde(borrow)]
    pub business_partner_id: Option<Text<'a>>,
    /// The id in the customer's systems.
    #[serde(borrow)]
    pub external_id: Option<Text<'a>>,
}

impl<'a> FilterIds<'a> {
    /// Reads them from a stored text.
    pub fn read(body: &'a [u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(body).map_err(|error| StoreError::Damaged(format!("a result holds no JSON: {error}")))
    }
}

/// The ids that results must have one of.
pub struct IdFilter {
    partners: HashSet<String>,
    externals: HashSet<String>,
}

impl IdFilter {
    /// What a filter says of ids.
    pub fn new(filter: &ResultFilter) -> Self {
        let set = |ids: &[String]| ids.iter().cloned().collect();
        Self { partners: set(&filter.business_partner_ids), externals: set(&filter.external_ids) }
    }

    /// Whether a stored text passes.
    pub fn passes(&self, body: &[u8]) -> Result<bool, StoreError> {
        let is_one_of = |ids: &HashSet<String>, id: &Option<Text<'_>>| {
            ids.is_empty() || id.as_ref().is_some_and(|Text(id)| ids.contains::<str>(id))
        };
        let ids = FilterIds::read(body)?;
        Ok(is_one_of(&self.partners, &ids.business_partner_id) && is_one_of(&self.externals, &ids.external_id))
    }
}

/// A text that borrows from the row unless it holds escapes.
#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Where the literal of `resultData` stands in `body`, and the literal; `None` when it is absent.
fn result_data(body: &str) -> Option<(usize, &str)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data<'a> {
        #[serde(borrow, default)]
        result_data: Option<&'a RawValue>,
    }
    let literal = serde_json::from_str::<Data<'_>>(body).ok()?.result_data?.get();
    Some(((literal.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?, literal))
}

/// Where the member `resultData` stands in `body`, with the comma before it: a record has an id, which stands before that.
fn result_data_member(body: &str) -> Option<Range<usize>> {
    let (start, literal) = result_data(body)?;
    let before = body[..start].strip_suffix(",\"resultData\":")?;
    Some(before.len()..start + literal.len())
}

/// Where the literal of `resultData` stands in `body`, and the literal that takes its place. `None` when it stays as it
/// is: it is absent, or no JSON object.
fn keep_fields(body: &str, fields: &[String]) -> Option<(Range<usize>, Vec<u8>)> {
    let (start, literal) = result_data(body)?;
    let text: Text<'_> = serde_json::from_str(literal).ok()?;
    Some((start..start + literal.len(), serde_json::to_vec(&kept_members(&text.0, fields)?).ok()?))
}

/// The wanted members of a `resultData`; `None` when it stays as it is, for it is no JSON object.
pub fn kept_members(text: &str, fields: &[String]) -> Option<String> {
    let Members(members) = serde_json::from_str(text).ok()?;
    let mut kept = String::from("{");
    for (name, value) in &members {
        if fields.iter().any(|field| *field == *name.0) {
            if kept.len() > 1 {
                kept.push(',');
            }
            kept.push_str(&serde_json::to_string(&name.0).ok()?);
            kept.push(':');
            kept.push_str(value.get());
        }
    }
    kept.push('}');
    Some(kept)
}

/// The members of an object in their order, values as they were written.
struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Text<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StorageKey;
    use docket_contract::JobId;

    fn encode(body: &str, fields: Option<&[&str]>) -> String {
        let storage = StorageKey { organization: "o".into(), storage_id: "a\"b".into() };
        let fields = fields.map(|fields| fields.iter().map(|field| (*field).to_owned()).collect());
        let mut encoder = Encoder::new(&SetKey { storage, owner: SetOwner::Job(JobId::NONE) }, fields);
        let mut out = Vec::new();
        for id in [7, 8] {
            let (created, modified) = (Timestamp::from_millis(0), Timestamp::from_millis(1));
            encoder.push(&mut out, id, created, modified, body.as_bytes()).expect("a good row");
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn id_and_times_stand_in_front() {
        let one = |id: &str, body: &str| {
            format!(
                "{{\"id\":\"{id}\",\"storageId\":\"a\\\"b\",\"jobId\":\"00000000-0000-0000-0000-000000000000\",\
                 \"createdAt\":\"1970-01-01T00:00:00.000Z\",\"modifiedAt\":\"1970-01-01T00:00:00.001Z\"{body}}}"
            )
        };
        for (stored, sent) in [(r#"{"status":"OK"}"#, r#","status":"OK""#), ("{}", "")] {
            assert_eq!(encode(stored, None), format!("{},{}", one("7", sent), one("8", sent)));
        }
    }

    #[test]
    fn numbers_are_written_as_numbers() {
        for number in [0, 7, 10, 1_790_000_000_000_123, u64::MAX] {
            let mut out = b"x".to_vec();
            push_digits(&mut out, number);
            assert_eq!(out, format!("x{number}").into_bytes());
        }
    }

    #[test]
    fn only_the_wanted_members_of_the_result_remain() {
        let kept = |data: &str| {
            let body = serde_json::json!({"externalId": "e", "resultData": data, "status": "OK"}).to_string();
            let page: serde_json::Value =
                serde_json::from_str(&format!("[{}]", encode(&body, Some(&["a", "ü"])))).expect("JSON");
            assert_eq!(page[1]["status"], "OK");
            assert_eq!(page[1]["externalId"], "e");
            page[1]["resultData"].as_str().expect("a text").to_owned()
        };
        assert_eq!(kept(r#"{"b": 1, "a": {"x":  1.50}, "ü": "\"", "c": null}"#), r#"{"a":{"x":  1.50},"ü":"\""}"#);
        assert_eq!(kept(r#"{"\u0061":1}"#), r#"{"a":1}"#);
        assert_eq!(kept(r#"{"b":1}"#), "{}");
        for untouched in ["", "text", "[{\"b\":1}]", "{'a': 1}", "{\"b\":1} x", "7"] {
            assert_eq!(kept(untouched), untouched);
        }
    }

    #[test]
    fn without_fields_the_result_is_left_out() {
        for (body, sent) in [
            (
                r#"{"externalId":"e","resultData":"{\"resultData\":1}","status":"OK"}"#,
                r#","externalId":"e","status":"OK"}"#,
            ),
            (r#"{"externalId":"e","status":"OK"}"#, r#","externalId":"e","status":"OK"}"#),
            (r#"{"externalId":"a,\"resultData\":","resultData":""}"#, r#","externalId":"a,\"resultData\":"}"#),
        ] {
            let page = encode(body, Some(&[]));
            assert!(page.ends_with(sent), "{page}");
            let page: serde_json::Value = serde_json::from_str(&format!("[{page}]")).expect("JSON");
            assert_eq!(page[0].get("resultData"), None);
        }
    }

    #[test]
    fn what_is_no_object_is_damage() {
        let storage = StorageKey { organization: String::new(), storage_id: String::new() };
        let mut encoder = Encoder::new(&SetKey { storage, owner: SetOwner::Job(JobId::NONE) }, None);
        for body in ["", "{", "x}", "\0\0\0", "{\"status\":\"OK\"\0", "\0\"status\":\"OK\"}"] {
            let time = Timestamp::default();
            let result = encoder.push(&mut Vec::new(), 1, time, time, body.as_bytes());
            assert!(matches!(result, Err(StoreError::Damaged(_))), "{body:?}");
        }
    }
}
