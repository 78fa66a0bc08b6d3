//! The records that the benchmark writes: made from a template by patching a few bytes in place, so that the generator
//! costs far less than what it measures; all from a seed, so that a run can be repeated and a record found again.

use std::ops::Range;

/// The characters of `resultData` that the template needs for itself.
pub const MIN_PAYLOAD: usize = 64;
/// The most that the API takes.
pub const MAX_PAYLOAD: usize = docket_contract::result::MAX_RESULT_DATA_CHARS;
/// Most records of a run: external ids have ten digits.
pub const MAX_RECORDS: u64 = 9_999_999_999;

/// The data sources of the records.
pub const DATA_SOURCES: [&str; 3] =
    ["648824a691d8d2503d65103e", "648824a691d8d2503d65103f", "648824a691d8d2503d651040"];
/// Their countries.
const COUNTRIES: [&[u8; 2]; 10] = [b"AT", b"BE", b"CH", b"DE", b"ES", b"FR", b"GB", b"IT", b"NL", b"US"];
/// One of this many records is FAILED, as a hash decides: 3 %.
const FAILED_PERCENT: u64 = 3;

/// One step of SplitMix64: a bijection of 64-bit numbers that looks random.
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A seeded bijection of `0..size`: a Feistel network over the next even number of bits, walked until it falls inside.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    size: u64,
    half: u32,
    seed: u64,
}

impl Permutation {
    /// A permutation of `0..size`, for a size of 1 to 2^62.
    pub fn new(size: u64, seed: u64) -> Self {
        let bits = 64 - size.saturating_sub(1).leading_zeros();
        Self { size, half: bits.div_ceil(2).max(1), seed: mix(seed) }
    }

    /// Where `index` (below the size) goes.
    pub fn at(&self, index: u64) -> u64 {
        // The network is a bijection of a domain at most four times as large; following its cycle back into the range
        // keeps it one. An index of the range always comes back.
        let mut value = self.round_trip(index);
        while value >= self.size {
            value = self.round_trip(value);
        }
        value
    }

    fn round_trip(&self, value: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (value >> self.half, value & mask);
        for round in 0..4 {
            let next = left ^ (mix(right ^ self.seed.rotate_left(round * 16)) & mask);
            left = right;
            right = next;
        }
        left << self.half | right
    }
}

/// In which order records are written.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// By ascending key.
    Key,
    /// By a permutation of the keys.
    Shuffled(Permutation),
    /// What was written by one permutation, again by another one of the places.
    Again {
        /// The order of the first time.
        written: Permutation,
        /// The order of its places.
        again: Permutation,
    },
}

impl Order {
    /// The key of the record that is written at this place.
    pub fn key(&self, place: u64) -> u64 {
        match self {
            Order::Key => place,
            Order::Shuffled(permutation) => permutation.at(place),
            Order::Again { written, again } => written.at(again.at(place)),
        }
    }
}

/// One form of a record with the places that differ from record to record.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    data_source: usize,
    partner: usize,
    external: usize,
    check: usize,
    country: usize,
}

/// Writes records.
#[derive(Clone, Debug)]
pub struct Records {
    ok: Template,
    failed: Template,
    seed: u64,
}

impl Records {
    /// Records whose `resultData` has `payload` characters, from [`MIN_PAYLOAD`] to [`MAX_PAYLOAD`].
    pub fn new(seed: u64, payload: usize) -> Self {
        let payload = payload.clamp(MIN_PAYLOAD, MAX_PAYLOAD);
        Self { ok: Template::new(payload, false), failed: Template::new(payload, true), seed: mix(seed) }
    }

    /// Bytes of a record's JSON, as sent.
    pub fn record_bytes(&self) -> usize {
        self.ok.bytes.len()
    }

    /// Whether the record with this key is FAILED.
    pub fn is_failed(&self, key: u64) -> bool {
        self.hash(key) % 100 < FAILED_PERCENT
    }

    /// Appends the JSON of the record with this key.
    pub fn write(&self, key: u64, revision: u64, out: &mut Vec<u8>) {
        let hash = self.hash(key);
        let template = if self.is_failed(key) { &self.failed } else { &self.ok };
        let start = out.len();
        out.extend_from_slice(&template.bytes);
        let record = &mut out[start..];
        let source = DATA_SOURCES[(hash / 100 % 3) as usize].as_bytes();
        record[template.data_source..][..source.len()].copy_from_slice(source);
        write_partner(key, &mut record[template.partner..][..24]);
        write_digits(key, &mut record[template.external..][..10]);
        // The content differs from record to record and from revision to revision.
        write_hex(mix(hash ^ revision), &mut record[template.check..][..16]);
        record[template.country..][..2].copy_from_slice(COUNTRIES[(hash / 300 % 10) as usize]);
    }

    /// The body of an insert of the records at these places.
    pub fn body(&self, order: &Order, places: Range<u64>, revision: u64) -> Vec<u8> {
        let count = usize::try_from(places.end.saturating_sub(places.start)).unwrap_or_default();
        let mut body = Vec::with_capacity(16 + count * (self.failed.bytes.len() + 1));
        body.extend_from_slice(br#"{"results":["#);
        for place in places {
            if body.last() != Some(&b'[') {
                body.push(b',');
            }
            self.write(order.key(place), revision, &mut body);
        }
        body.extend_from_slice(b"]}");
        body
    }

    fn hash(&self, key: u64) -> u64 {
        mix(self.seed ^ key)
    }
}

/// The external id of the record with this key.
pub fn external_id(key: u64) -> String {
    format!("ERP-{key:010}")
}

/// The business partner of the record with this key.
pub fn business_partner_id(key: u64) -> String {
    let mut id = [0; 24];
    write_partner(key, &mut id);
    String::from_utf8_lossy(&id).into_owned()
}

/// 24 hexadecimal digits as in the vendor's example (S), ascending with the key.
fn write_partner(key: u64, out: &mut [u8]) {
    out[..8].copy_from_slice(b"63e63523");
    write_hex(key, &mut out[8..24]);
}

fn write_hex(mut value: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn write_digits(mut value: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

impl Template {
    fn new(payload: usize, failed: bool) -> Self {
        let mut record = Builder::default();
        record.text(r#"{"dataSourceId":""#);
        let data_source = record.gap(24);
        record.text(r#"","businessPartnerId":""#);
        let partner = record.gap(24);
        record.text(r#"","externalId":"ERP-"#);
        let external = record.gap(10);
        record.text(r#"","jobType":"DATA_VALIDATION_JOB","resultData":""#);
        let (data, check) = result_data(payload, failed);
        let check = record.0.len() + check;
        record.text(&data);
        record.text(r#"","status":""#);
        record.text(if failed { "FAILED" } else { "OK" });
        record.text(r#"","countryShortName":""#);
        let country = record.gap(2);
        record.text(r#""}"#);
        Self { bytes: record.0, data_source, partner, external, check, country }
    }
}

#[derive(Default)]
struct Builder(Vec<u8>);

impl Builder {
    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn gap(&mut self, length: usize) -> usize {
        self.0.extend(std::iter::repeat_n(b'0', length));
        self.0.len() - length
    }
}

/// A `resultData` of `payload` characters, as a JSON text inside a JSON text, and where 16 digits of it may change.
fn result_data(payload: usize, failed: bool) -> (String, usize) {
    const DEFECT: &str = r#"{"rule":"POSTAL_CODE_INVALID","field":"postalCode","severity":"ERROR"}"#;
    let front = r#"{"check":"0000000000000000","dataDefects":["#;
    let mut plain = front.to_owned();
    if failed && plain.len() + DEFECT.len() + r#"],"n":""}"#.len() <= payload {
        plain.push_str(DEFECT);
    }
    plain.push_str(r#"],"n":""#);
    let filler = payload.saturating_sub(plain.len() + r#""}"#.len());
    // Words, not one letter: a store that compresses must not look better than it is on real texts.
    plain.extend("the postal code does not fit the country of the address; ".chars().cycle().take(filler));
    plain.push_str(r#""}"#);
    let quoted = plain.replace('"', "\\\"");
    let check = quoted.find("0000").unwrap_or_default();
    (quoted, check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::result::{ResultItem, ResultStatus, read_result_data};
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn a_permutation_is_a_bijection(size in 1u64..5000, seed: u64) {
            let permutation = Permutation::new(size, seed);
            let mut seen = vec![false; size as usize];
            for index in 0..size {
                let value = permutation.at(index) as usize;
                prop_assert!(!std::mem::replace(&mut seen[value], true), "{} twice", value);
            }
        }

        #[test]
        fn records_are_valid_and_of_the_size(
            seed: u64, key in 0..=MAX_RECORDS, payload in prop_oneof![MIN_PAYLOAD..700usize, 60_000..=MAX_PAYLOAD],
        ) {
            let records = Records::new(seed, payload);
            let mut json = Vec::new();
            records.write(key, 0, &mut json);
            let text = std::str::from_utf8(&json).expect("UTF-8");
            let ResultItem::Record(record, ignored) = ResultItem::parse(text) else { panic!("{text}") };
            prop_assert!(ignored.is_empty());
            let (external, partner) = (external_id(key), business_partner_id(key));
            prop_assert_eq!(record.identity.external_id(), Some(external.as_str()));
            prop_assert_eq!(record.identity.business_partner_id(), Some(partner.as_str()));
            prop_assert_eq!(partner.len(), 24);
            prop_assert_eq!(record.status == ResultStatus::Failed, records.is_failed(key));
            let data = read_result_data(&record.json).expect("resultData");
            prop_assert_eq!(data.chars().count(), payload);
            serde_json::from_str::<serde_json::Value>(&data).expect("JSON inside the text");

            let mut again = Vec::new();
            records.write(key, 1, &mut again);
            prop_assert_ne!(json, again, "a revision has other content");
        }
    }

    #[test]
    fn bodies_hold_every_record_once() {
        let records = Records::new(7, 100);
        let order = Order::Shuffled(Permutation::new(3000, 7));
        let (mut ids, mut failed) = (HashSet::new(), 0);
        for start in (0..3000).step_by(1000) {
            let body = records.body(&order, start..start + 1000, 0);
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            for record in body["results"].as_array().expect("an array") {
                assert!(ids.insert(record["externalId"].as_str().expect("a text").to_owned()));
                failed += u32::from(record["status"] == "FAILED");
            }
        }
        assert_eq!(ids.len(), 3000);
        assert!((50..150).contains(&failed), "about 3 %: {failed}");
        assert_eq!(records.body(&order, 0..0, 0), br#"{"results":[]}"#);
        assert_ne!(order.key(0), Order::Key.key(0) + 1);
    }
}
