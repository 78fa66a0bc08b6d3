//! What rows and index entries are called: row ids, tags and the keyed hashes of a storage file.
//!
//! Hashes are keyed with a secret of the file, so that nobody can choose ids that share one. They find candidates only;
//! the row itself decides.
//!
//! A key of an id begins with the id's hash and ends with the number of the set, so that the entries of an id in one set
//! are found by the key, and those in all sets of the storage by its first part: they stand together.

use crate::store::SetOwner;
use docket_contract::ProcessingLogId;
use docket_contract::result::{Record, ResultStatus};

/// Bits of a row id that hold the sequence.
const SEQUENCE_BITS: u32 = 40;
/// Highest sequence that is given.
pub const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 2;
/// Bits of a key of an id that hold the set.
const SET_BITS: u32 = 22;
/// Sets that a storage can have over its life.
pub const MAX_SETS: u64 = 1 << SET_BITS;
/// Data sources that a storage can have over its life.
pub const MAX_SOURCES: u64 = 1 << 38;

/// The owners of all processing logs, as they are stored.
pub fn logs() -> [[u8; 16]; ProcessingLogId::ALL.len()] {
    ProcessingLogId::ALL.map(|log| SetOwner::Log(log).to_bytes())
}

/// The row id of a result.
pub fn row_id(set_no: u64, sequence: u64) -> i64 {
    (set_no << SEQUENCE_BITS | sequence) as i64
}

/// The sequence in a row id, or in the key of a revision.
pub fn sequence_of(row_id: i64) -> u64 {
    row_id as u64 & ((1 << SEQUENCE_BITS) - 1)
}

/// What an index entry finds a row by. The three highest bits of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Set and record. A hash of both.
    Identity = 0,
    /// Business partner (39 bits of a hash), then set (22 bits).
    BusinessPartner = 1,
    /// As of a business partner.
    ExternalId = 2,
    /// A row's own sequence: the entry names no row, but the place of one of its revisions.
    Revision = 3,
    /// Data source and verdict. The last kind; few keys have very many entries each.
    Tag = 4,
}

const KIND_SHIFT: u32 = 61;
/// Where in a key of a tag the set begins, behind data source and verdict.
const TAG_SET_SHIFT: u32 = 39;

/// Whether an entry's key is of this kind.
pub fn is_of(kind: Kind, key: u64) -> bool {
    key >> KIND_SHIFT == kind as u64
}

/// Whether a key is an id's and so ends with the number of a set. Entries of such keys tell the record, too.
pub fn is_of_id(key: u64) -> bool {
    is_of(Kind::BusinessPartner, key) || is_of(Kind::ExternalId, key)
}

/// Of a key of an id the part that is the same in all sets; any other key as it is.
pub fn head_of(key: u64) -> u64 {
    if is_of_id(key) { key & !(MAX_SETS - 1) } else { key }
}

/// The set in a key of an id.
pub fn set_of(key: u64) -> u64 {
    key & (MAX_SETS - 1)
}

/// The set in a key of a tag.
pub fn set_of_tag(key: u64) -> u64 {
    (key & !(7 << KIND_SHIFT)) >> TAG_SET_SHIFT
}

/// The key of an id in a set.
pub fn id_key(head: u64, set_no: u64) -> u64 {
    head | set_no
}

/// The key of a record in a set.
pub fn identity_key(identity: &[u8; 16], set_no: u64) -> u64 {
    // A hash stays one when something is added to it; an odd factor keeps sets apart.
    first_key(Kind::Identity) | (word(identity) ^ set_no.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 3
}

/// Bits of an identity that an entry of an id tells.
pub const RECORD_BITS: u32 = 40;

/// What entries of ids tell of the record: the same in all sets.
pub fn record_of(identity: &[u8; 16]) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|place| identity[8 + place])) >> (64 - RECORD_BITS)
}

fn word(hash: &[u8; 16]) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|place| hash[place]))
}

/// The lowest key of a kind.
pub fn first_key(kind: Kind) -> u64 {
    (kind as u64) << KIND_SHIFT
}

/// The key of a row's revisions: they stand in the order of the rows.
pub fn revision_key(sequence: u64) -> u64 {
    first_key(Kind::Revision) | sequence
}

/// Data source, country and verdict of a row, packed: source << 17 | country << 1 | failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

impl Tag {
    /// `source` is 0 for none.
    pub fn new(source: u64, country: Option<[u8; 2]>, status: ResultStatus) -> Self {
        let country = u64::from(country.map_or(0, u16::from_be_bytes));
        Self(source << 17 | country << 1 | u64::from(status == ResultStatus::Failed))
    }

    pub fn source(self) -> u64 {
        self.0 >> 17
    }

    pub fn country(self) -> Option<[u8; 2]> {
        let country = (self.0 >> 1) as u16;
        (country != 0).then(|| country.to_be_bytes())
    }

    pub fn status(self) -> ResultStatus {
        if self.0 & 1 == 1 { ResultStatus::Failed } else { ResultStatus::Ok }
    }

    /// The key of the index entries that find the rows of a set with this data source and verdict.
    pub fn key(self, set_no: u64) -> u64 {
        first_key(Kind::Tag) | set_no << TAG_SET_SHIFT | self.source() << 1 | self.0 & 1
    }
}

/// The hashes of a record: the same in every set.
#[derive(Clone, Copy, Debug)]
pub struct Hashes {
    /// Of the identity.
    pub identity: [u8; 16],
    /// What the keys of the business partner begin with.
    pub business_partner: Option<u64>,
    /// What the keys of the external id begin with.
    pub external_id: Option<u64>,
}

/// Makes the hashes of one file.
#[derive(Clone)]
pub struct Hasher {
    key: [u8; 32],
    buffer: Vec<u8>,
}

impl Hasher {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, buffer: Vec::new() }
    }

    pub fn record(&mut self, record: &Record) -> Hashes {
        let identity = self.hash(Kind::Identity, record.identity.as_bytes());
        let mut head = |kind, id: Option<&str>| id.map(|id| self.head(kind, id));
        let business_partner = head(Kind::BusinessPartner, record.identity.business_partner_id());
        let external_id = head(Kind::ExternalId, record.identity.external_id());
        Hashes { identity, business_partner, external_id }
    }

    /// What the keys of an id begin with.
    pub fn head(&mut self, kind: Kind, id: &str) -> u64 {
        let hash = self.hash(kind, id.as_bytes());
        head_of(first_key(kind) | word(&hash) >> 3)
    }

    fn hash(&mut self, kind: Kind, bytes: &[u8]) -> [u8; 16] {
        self.buffer.clear();
        self.buffer.push(kind as u8);
        self.buffer.extend_from_slice(bytes);
        let hash = blake3::keyed_hash(&self.key, &self.buffer);
        // A hash has 32 bytes.
        std::array::from_fn(|index| hash.as_bytes()[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tags_unpack(source in 0..MAX_SOURCES, country in prop::option::of([b'A'..=b'Z', b'A'..=b'Z']), failed: bool) {
            let status = if failed { ResultStatus::Failed } else { ResultStatus::Ok };
            let tag = Tag::new(source, country, status);
            prop_assert_eq!((tag.source(), tag.country(), tag.status()), (source, country, status));
            for set_no in [0, 1, MAX_SETS - 1] {
                prop_assert!(is_of(Kind::Tag, tag.key(set_no)));
                prop_assert_eq!(set_of_tag(tag.key(set_no)), set_no);
            }
        }

        #[test]
        fn row_ids_unpack(set_no in 0..MAX_SETS, sequence in 0u64..1 << SEQUENCE_BITS) {
            let id = row_id(set_no, sequence);
            prop_assert!(id >= 0);
            prop_assert_eq!((id as u64 >> SEQUENCE_BITS, sequence_of(id)), (set_no, sequence));
            prop_assert!(is_of(Kind::Revision, revision_key(sequence)));
            prop_assert_eq!(sequence_of(revision_key(sequence) as i64), sequence);
        }
    }

    #[test]
    fn keys_tell_kinds_and_sets_apart() {
        let mut hasher = Hasher::new([7; 32]);
        let head = hasher.head(Kind::BusinessPartner, "x");
        let hash = |key| key & ((1 << KIND_SHIFT) - 1);
        assert_ne!(hash(head), hash(hasher.head(Kind::ExternalId, "x")));
        assert_ne!(head, Hasher::new([8; 32]).head(Kind::BusinessPartner, "x"));
        for set_no in [0, 1, MAX_SETS - 1] {
            let key = id_key(head, set_no);
            assert!(is_of(Kind::BusinessPartner, key) && is_of_id(key));
            assert_eq!((head_of(key), set_of(key)), (head, set_no));
        }
        let identity = [9; 16];
        assert!(is_of(Kind::Identity, identity_key(&identity, 5)));
        assert_ne!(identity_key(&identity, 5), identity_key(&identity, 6));
        assert_eq!(head_of(identity_key(&identity, 5)), identity_key(&identity, 5));
        assert!(record_of(&[255; 16]) < 1 << RECORD_BITS);
    }
}
