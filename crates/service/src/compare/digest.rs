//! From a stored result to the two hashes that a comparison knows of it: which record it is about, and what it says.
//!
//! What is read is the stored form, which one writer makes (`contract/src/result/read.rs`): members in one order, without
//! white space, texts escaped in one way. So the members that identify a record stand first, and equal texts are equal
//! bytes; nothing is parsed but the rare address version.
//!
//! What a result says is all that stands behind those members, less the time of its processing status: two runs that find
//! the same at other times say the same. `resultData` is compared as it was sent, byte by byte.

use docket_contract::result::AddressVersion;
use memchr::memchr2;
use memchr::memmem::Finder;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The members that identify a record and are texts, in the order of the stored form.
const TEXTS: [&[u8]; 5] = [
    b"\"dataSourceId\":\"",
    b"\"businessPartnerId\":\"",
    b"\"addressId\":\"",
    b"\"externalId\":\"",
    b"\"addressExternalId\":\"",
];
const VERSION: &[u8] = b"\"addressVersion\":";
/// Neither stands inside of a text: there the quote before the colon is escaped.
const PROCESSING: &[u8] = b"\"processingStatus\":{";
const STAMP: &[u8] = b",\"modifiedAt\":\"";

/// What a comparison knows of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Of the record's identity.
    pub identity: (u64, u64),
    /// Of what the result says.
    pub content: u64,
}

/// Makes the digests of one comparison. The key is its own, so nobody can choose records that share a digest.
#[derive(Clone)]
pub struct Digester {
    key: [u8; 16],
    processing: Finder<'static>,
    stamp: Finder<'static>,
}

impl Digester {
    /// With a secret key.
    pub fn new(key: [u8; 16]) -> Self {
        Self { key, processing: Finder::new(PROCESSING), stamp: Finder::new(STAMP) }
    }

    /// The digest of a stored result; `None` if it has not the stored form.
    pub fn of(&self, body: &[u8]) -> Option<Digest> {
        let mut rest = body.strip_prefix(b"{")?;
        let mut identity = SipHasher13::new_with_key(&self.key);
        for (number, name) in (0_u8..).zip(TEXTS) {
            let Some(behind) = rest.strip_prefix(name) else { continue };
            let text = &behind[..end_of_text(behind)?];
            add(&mut identity, number, text);
            rest = behind_member(&behind[text.len() + 1..]);
        }
        if let Some(behind) = rest.strip_prefix(VERSION) {
            let mut version = serde_json::Deserializer::from_slice(behind).into_iter::<AddressVersion>();
            let AddressVersion { character_set, language } = version.next()?.ok()?;
            for (number, key) in [(5, character_set), (6, language)] {
                if let Some(key) = key {
                    add(&mut identity, number, key.technical_key.as_bytes());
                }
            }
            rest = behind_member(&behind[version.byte_offset()..]);
        }
        let identity = identity.finish128();
        let mut content = SipHasher13::new_with_key(&self.key);
        match self.stamp_of_processing(rest) {
            Some((start, end)) => {
                content.write(&rest[..start]);
                content.write(&rest[end..]);
            }
            None => content.write(rest),
        }
        Some(Digest { identity: (identity.h1, identity.h2), content: content.finish() })
    }

    /// Where the time of the processing status stands, with the comma before it.
    fn stamp_of_processing(&self, rest: &[u8]) -> Option<(usize, usize)> {
        let status = self.processing.find(rest)?;
        let start = status + self.stamp.find(&rest[status..])?;
        let text = start + STAMP.len();
        Some((start, text + end_of_text(&rest[text..])? + 1))
    }
}

/// The place of the quote that ends a text.
fn end_of_text(text: &[u8]) -> Option<usize> {
    let mut place = 0;
    loop {
        place += memchr2(b'"', b'\\', text.get(place..)?)?;
        if text[place] == b'"' {
            return Some(place);
        }
        place += 2;
    }
}

fn behind_member(rest: &[u8]) -> &[u8] {
    rest.strip_prefix(b",").unwrap_or(rest)
}

/// Number and length tell one text from another, and from two that follow each other.
fn add(hasher: &mut SipHasher13, number: u8, text: &[u8]) {
    hasher.write_u8(number);
    hasher.write_u64(text.len() as u64);
    hasher.write(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::result::{Record, ResultItem};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn record(value: &Value) -> Record {
        match ResultItem::parse(&value.to_string()) {
            ResultItem::Record(record, _) => record,
            ResultItem::Rejected(failure) => panic!("{value}: {failure:?}"),
        }
    }

    fn digest(value: &Value) -> Digest {
        Digester::new([3; 16]).of(record(value).json.as_bytes()).expect("the stored form")
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop::sample::select(vec!["a", "b", "a\"b", "a\\", "ü", "\"modifiedAt\":\"x", "ab"]))
            .prop_map(|text| text.map(str::to_owned))
    }

    prop_compose! {
        fn some_record()(
            texts in prop::collection::vec(text(), 5),
            version in prop::option::of((text(), text())),
            content in (text(), text(), any::<bool>(), prop::option::of((text(), prop::option::of(0..3)))),
            configuration in text(),
        ) -> Value {
            let mut value = json!({});
            let names = ["dataSourceId", "businessPartnerId", "addressId", "externalId", "addressExternalId"];
            for (name, text) in names.into_iter().zip(texts) {
                value[name] = json!(text);
            }
            if value["externalId"].is_null() {
                value["externalId"] = json!("some");
            }
            if let Some((characters, language)) = version {
                let key = |key: Option<String>| key.map(|key| json!({"technicalKey": key}));
                value["addressVersion"] = json!({"characterSet": key(characters), "language": key(language)});
            }
            let (data, message, failed, processing) = content;
            value["resultData"] = json!(data.map(|data| format!("{{\"processingStatus\":{{{data}")));
            value["message"] = json!(message);
            value["status"] = json!(if failed { "FAILED" } else { "OK" });
            if let Some((key, at)) = processing {
                let at = at.map(|at| format!("2026-11-0{}T00:00:00Z", at + 1));
                value["processingStatus"] = json!({"technicalKey": key.unwrap_or("k".to_owned()), "modifiedAt": at});
            }
            if let Some(id) = configuration {
                value["configuration"] = json!({"id": id, "version": 1});
            }
            value
        }
    }

    proptest! {
        #[test]
        fn digests_are_equal_for_equal_records_only(one in some_record(), other in some_record()) {
            let (first, second) = (digest(&one), digest(&other));
            prop_assert_eq!(first.identity == second.identity, record(&one).identity == record(&other).identity);
            let said = |value: &Value| {
                let mut value = value.clone();
                let names = ["dataSourceId", "businessPartnerId", "addressId", "externalId", "addressExternalId"];
                for name in names.into_iter().chain(["addressVersion"]) {
                    value.as_object_mut().map(|members| members.remove(name));
                }
                if let Some(status) = value.get_mut("processingStatus").and_then(Value::as_object_mut) {
                    status.remove("modifiedAt");
                }
                value
            };
            prop_assert_eq!(first.content == second.content, said(&one) == said(&other));
        }
    }

    #[test]
    fn the_time_of_processing_says_nothing() {
        let with = |status: Value| digest(&json!({"externalId": "a", "resultData": "{}", "processingStatus": status}));
        let first = with(json!({"technicalKey": "DONE", "modifiedAt": "2026-11-01T00:00:00Z"}));
        assert_eq!(first, with(json!({"technicalKey": "DONE", "modifiedAt": "2026-11-02T00:00:00Z"})));
        assert_eq!(first, with(json!({"technicalKey": "DONE"})));
        assert_ne!(first, with(json!({"technicalKey": "FAILED", "modifiedAt": "2026-11-01T00:00:00Z"})));
    }

    #[test]
    fn what_has_not_the_stored_form_is_refused() {
        for body in ["", "x", "{\"externalId\":\"a", "{\"externalId\":\"a\\", "{\"addressVersion\":7"] {
            assert_eq!(Digester::new([0; 16]).of(body.as_bytes()), None, "{body}");
        }
    }
}
