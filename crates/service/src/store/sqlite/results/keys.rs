//! What rows and index entries are called: row ids, tags and the keyed hashes of a storage file.
//!
//! Hashes are keyed with a secret of the file, so that nobody can choose ids that share one. They find candidates only;
//! the row itself decides.

use docket_contract::JobId;
use docket_contract::result::{Record, ResultStatus};

/// Bits of a row id that hold the sequence.
const SEQUENCE_BITS: u32 = 40;
/// Highest sequence that is given.
pub const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 2;
/// Sets that a storage can have over its life.
pub const MAX_SETS: u64 = 1 << 22;
/// Data sources that a storage can have over its life.
pub const MAX_SOURCES: u64 = 1 << 38;

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
    Identity = 0,
    BusinessPartner = 1,
    ExternalId = 2,
    /// A row's own sequence: the entry names no row, but the place of one of its revisions.
    Revision = 3,
    /// Data source and verdict. The last kind; few keys have very many entries each.
    Tag = 4,
}

const KIND_SHIFT: u32 = 61;

/// Whether an entry's key is of this kind.
pub fn is_of(kind: Kind, key: u64) -> bool {
    key >> KIND_SHIFT == kind as u64
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
        first_key(Kind::Tag) | set_no << 39 | self.source() << 1 | self.0 & 1
    }
}

/// The hashes of a record.
#[derive(Clone, Copy, Debug)]
pub struct Hashes {
    /// Of job and identity.
    pub identity: [u8; 16],
    /// Of job and business partner.
    pub business_partner: Option<u64>,
    /// Of job and external id.
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

    pub fn record(&mut self, job: JobId, record: &Record) -> Hashes {
        let identity = self.hash(Kind::Identity, job, record.identity.as_bytes());
        let mut key = |kind, id: Option<&str>| id.map(|id| self.key(kind, job, id));
        let business_partner = key(Kind::BusinessPartner, record.identity.business_partner_id());
        let external_id = key(Kind::ExternalId, record.identity.external_id());
        Hashes { identity, business_partner, external_id }
    }

    /// The index key of an id in a set.
    pub fn key(&mut self, kind: Kind, job: JobId, id: &str) -> u64 {
        let hash = self.hash(kind, job, id.as_bytes());
        index_key(kind, &hash)
    }

    fn hash(&mut self, kind: Kind, job: JobId, bytes: &[u8]) -> [u8; 16] {
        self.buffer.clear();
        self.buffer.push(kind as u8);
        self.buffer.extend_from_slice(job.0.as_bytes());
        self.buffer.extend_from_slice(bytes);
        let hash = blake3::keyed_hash(&self.key, &self.buffer);
        // A hash has 32 bytes.
        std::array::from_fn(|index| hash.as_bytes()[index])
    }
}

/// The index key that belongs to a hash.
pub fn index_key(kind: Kind, hash: &[u8; 16]) -> u64 {
    let head = u64::from_le_bytes(std::array::from_fn(|index| hash[index]));
    first_key(kind) | head >> 3
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
            prop_assert!(is_of(Kind::Tag, tag.key(MAX_SETS - 1)));
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
    fn keys_tell_kind_and_job_apart() {
        let mut hasher = Hasher::new([7; 32]);
        let a = hasher.key(Kind::BusinessPartner, JobId::NONE, "x");
        let hash = |key| key & ((1 << KIND_SHIFT) - 1);
        assert_ne!(hash(a), hash(hasher.key(Kind::ExternalId, JobId::NONE, "x")));
        assert_ne!(a, Hasher::new([8; 32]).key(Kind::BusinessPartner, JobId::NONE, "x"));
        assert!(is_of(Kind::BusinessPartner, a));
    }
}
