//! Reading a result set as it was at one moment: exports, comparisons and counts by member read it so.

use super::{ResultFilter, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use docket_contract::Timestamp;
use docket_contract::cursor::Position;
use docket_contract::result::ResultStatus;
use std::ops::Range;

/// A moment of a set. Two that are equal name the same results with the same contents, less what was erased since.
///
/// It is only a mark: it holds nothing, and costs nobody anything. While the set is there, it can be read again at this
/// moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Snapshot {
    /// Tells the storage from an earlier one of the same name.
    pub storage: u64,
    /// Tells the set from an earlier one of the same owner; 0 for a set that did not exist.
    pub set: u64,
    /// No result behind this one belongs to it.
    pub last: u64,
    /// Grows with whatever is written to the set.
    pub end: u64,
}

impl Snapshot {
    /// Bytes of a mark.
    pub const BYTES: usize = 32;

    /// The mark as bytes.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let words = [self.storage, self.set, self.last, self.end].map(u64::to_le_bytes);
        std::array::from_fn(|place| words[place / 8][place % 8])
    }

    /// The mark that these bytes are.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let word = |number: usize| u64::from_le_bytes(std::array::from_fn(|place| bytes[number * 8 + place]));
        Self { storage: word(0), set: word(1), last: word(2), end: word(3) }
    }
}

/// What to read of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct SnapshotQuery {
    /// Which results.
    pub filter: ResultFilter,
    /// Only results behind this id.
    pub after: Position,
    /// The moment; `None` for now.
    pub at: Option<Snapshot>,
}

/// A result of a snapshot. What was written stands in the bytes of its chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Its id.
    pub id: Position,
    /// A hash of its record's identity: the same at every moment of its set. Another set may have another one for the record.
    pub identity: [u8; 16],
    /// The verdict.
    pub status: ResultStatus,
    /// When the record was first written.
    pub created_at: Timestamp,
    /// When it was last written, at the moment of the snapshot.
    pub modified_at: Timestamp,
    /// Where its JSON stands: the stored form, without id, storage and times.
    pub body: Range<usize>,
}

/// Some results of a snapshot, by ascending id.
#[derive(Clone, Debug, Default)]
pub struct SnapshotChunk {
    /// The results.
    pub rows: Vec<SnapshotRow>,
    /// Their JSON.
    pub bytes: Bytes,
}

impl SnapshotChunk {
    /// The results with the JSON of each.
    pub fn iter(&self) -> impl Iterator<Item = (&SnapshotRow, &[u8])> {
        self.rows.iter().map(|row| (row, &self.bytes[row.body.clone()]))
    }
}

/// A snapshot being read. It holds no transaction between chunks: writers go on, and a slow reader holds up nobody.
#[async_trait]
pub trait SnapshotReader: Send {
    /// The moment.
    fn snapshot(&self) -> Snapshot;

    /// How many results will come, where that is known before: exact, but for results that are erased meanwhile.
    fn total(&self) -> Option<u64>;

    /// The next results, about 1 MiB of them (at least one); `None` at the end. [`StoreError::Gone`] when the set was
    /// deleted meanwhile.
    async fn next(&mut self) -> Result<Option<SnapshotChunk>, StoreError>;
}
