//! Packs: what SQLite knows of rows that were written together.
//!
//! A pack is up to [`PACK_ROWS`] rows of one set that follow each other, in sequence and in the segment: one row of the
//! table `packs`, which fills a page. Of each row it holds a head: identity, tag, time and length. A pack is never
//! changed when a row of it is written again: see `revisions.rs`.
//!
//! Of a row that was removed the head keeps the length only, so that the others are found where they stand. A pack of
//! which all rows were removed may become one head: one removed row that is as long as all of them.

use super::keys::{MAX_SEQUENCE, Tag, row_id, sequence_of};
use super::sql;
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use docket_contract::Timestamp;
use rusqlite::{CachedStatement, Connection, Row};

/// Bytes of a head.
const HEAD_BYTES: usize = 28;
/// Rows of a pack, so that it fills a page of 4096 bytes without overflowing.
pub const PACK_ROWS: usize = 144;

/// What a pack tells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The hash of its identity.
    pub identity: [u8; 16],
    pub tag: Tag,
    /// Bytes of its body.
    pub length: u32,
}

/// In place of the tag of a row that was removed: no data source has so high a number.
const REMOVED: Tag = Tag(u64::MAX);

impl Head {
    /// What is left of a row that was removed.
    fn removed(length: u32) -> Self {
        Self { identity: [0; 16], tag: REMOVED, length }
    }

    fn is_removed(&self) -> bool {
        self.tag == REMOVED
    }

    /// Appends it to the heads of a pack.
    pub fn write(&self, heads: &mut Vec<u8>) {
        heads.extend_from_slice(&self.identity);
        heads.extend_from_slice(&self.tag.0.to_le_bytes());
        heads.extend_from_slice(&self.length.to_le_bytes());
    }

    fn read(bytes: &[u8; HEAD_BYTES]) -> Self {
        Self {
            identity: std::array::from_fn(|place| bytes[place]),
            tag: Tag(u64::from_le_bytes(std::array::from_fn(|place| bytes[16 + place]))),
            length: u32::from_le_bytes(std::array::from_fn(|place| bytes[24 + place])),
        }
    }
}

/// A pack as it stands in its row: columns id, created_at, offset, heads.
pub struct Pack<'a> {
    /// The sequence of its first row.
    pub first: u64,
    pub created_at: Timestamp,
    offset: u64,
    heads: &'a [[u8; HEAD_BYTES]],
}

impl<'a> Pack<'a> {
    pub fn read(row: &'a Row<'_>) -> Result<Self, StoreError> {
        let heads = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        Self::of(row.get(0)?, row.get(1)?, row.get(2)?, heads)
    }

    fn of(id: i64, created_at: i64, offset: i64, heads: &'a [u8]) -> Result<Self, StoreError> {
        let (heads, rest) = heads.as_chunks::<HEAD_BYTES>();
        let offset = u64::try_from(offset).map_err(|_| damaged("a pack begins before its file"))?;
        let first = sequence_of(id);
        if heads.is_empty() || !rest.is_empty() || first + heads.len() as u64 - 1 > MAX_SEQUENCE {
            return Err(damaged("a pack has a wrong length"));
        }
        Ok(Self { first, created_at: Timestamp::from_millis(created_at), offset, heads })
    }

    /// The sequence of its last row.
    pub fn last(&self) -> u64 {
        self.first + self.heads.len() as u64 - 1
    }

    /// Where its first body stands.
    pub fn stands_at(&self) -> u64 {
        self.offset
    }

    /// Bytes of all its bodies, those of removed rows included.
    pub fn length(&self) -> u64 {
        self.heads.iter().map(|head| u64::from(Head::read(head).length)).sum()
    }

    /// Its rows that are there: sequence, head, and where the body stands.
    pub fn rows(&self) -> impl Iterator<Item = (u64, Head, u64)> + '_ {
        self.all().filter(|(_, head, _)| !head.is_removed())
    }

    fn all(&self) -> impl Iterator<Item = (u64, Head, u64)> + '_ {
        let mut offset = self.offset;
        (self.first..).zip(self.heads).map(move |(sequence, head)| {
            let (head, at) = (Head::read(head), offset);
            offset = offset.saturating_add(u64::from(head.length));
            (sequence, head, at)
        })
    }

    /// Its heads without some rows, whose sequences ascend; `None` if none of them is there.
    ///
    /// `may_shrink` is whether the pack may become one head when no row is left.
    pub fn without(&self, sequences: &[u64], may_shrink: bool) -> Option<Vec<u8>> {
        let (mut heads, mut removed, mut left) = (Vec::with_capacity(self.heads.len() * HEAD_BYTES), 0, 0);
        for (sequence, head, _) in self.all() {
            let goes = !head.is_removed() && sequences.binary_search(&sequence).is_ok();
            removed += usize::from(goes);
            let head = if goes { Head::removed(head.length) } else { head };
            left += usize::from(!head.is_removed());
            head.write(&mut heads);
        }
        if left == 0
            && may_shrink
            && let Ok(length) = u32::try_from(self.length())
        {
            heads.clear();
            Head::removed(length).write(&mut heads);
        }
        (removed > 0).then_some(heads)
    }
}

/// A row as its pack describes it.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    pub head: Head,
    pub created_at: Timestamp,
    /// Where the body stands.
    pub offset: u64,
}

/// Finds rows of a set one by one; those that share a pack cost one look.
pub struct PackFinder<'a> {
    statement: CachedStatement<'a>,
    set_no: u64,
    /// The pack that was read last: id, time, offset.
    loaded: Option<(i64, i64, i64)>,
    heads: Vec<u8>,
}

impl<'a> PackFinder<'a> {
    pub fn new(connection: &'a Connection, set_no: u64) -> Result<Self, StoreError> {
        let statement = connection.prepare_cached(sql::PACK_BEFORE)?;
        Ok(Self { statement, set_no, loaded: None, heads: Vec::new() })
    }

    /// The row; `None` if the set has no such row (any more).
    pub fn find(&mut self, sequence: u64) -> Result<Option<Packed>, StoreError> {
        if let Some(found) = self.look(sequence)? {
            return Ok(Some(found));
        }
        self.loaded = None;
        let mut rows = self.statement.query([row_id(self.set_no, sequence), row_id(self.set_no, 0)])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        self.heads.clear();
        self.heads.extend_from_slice(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?);
        self.loaded = Some((row.get(0)?, row.get(1)?, row.get(2)?));
        drop(rows);
        self.look(sequence)
    }

    fn look(&self, sequence: u64) -> Result<Option<Packed>, StoreError> {
        let Some((id, created_at, offset)) = self.loaded else { return Ok(None) };
        let pack = Pack::of(id, created_at, offset, &self.heads)?;
        if !(pack.first..=pack.last()).contains(&sequence) {
            return Ok(None);
        }
        let row = pack.all().nth((sequence - pack.first) as usize).filter(|(_, head, _)| !head.is_removed());
        Ok(row.map(|(_, head, offset)| Packed { head, created_at: pack.created_at, offset }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Rows = Vec<(u64, Head, u64)>;

    proptest! {
        #[test]
        fn rows_stand_where_they_stood_when_others_are_removed(
            lengths in prop::collection::vec(0u32..5000, 1..PACK_ROWS), rounds in prop::collection::vec(0u64..400, 0..200),
            may_shrink: bool,
        ) {
            let (mut heads, first) = (Vec::new(), 7);
            for (number, length) in lengths.iter().enumerate() {
                let identity = [number as u8; 16];
                Head { identity, tag: Tag(number as u64), length: *length }.write(&mut heads);
            }
            let id = row_id(3, first);
            let pack = Pack::of(id, 5, 1000, &heads).expect("a pack");
            let (mut expected, length): (Rows, u64) = (pack.rows().collect(), pack.length());
            for removed in rounds.chunks(3) {
                let mut removed = removed.to_vec();
                removed.sort_unstable();
                let before = expected.len();
                expected.retain(|(sequence, ..)| removed.binary_search(sequence).is_err());
                let pack = Pack::of(id, 5, 1000, &heads).expect("a pack");
                let left = pack.without(&removed, may_shrink);
                prop_assert_eq!(left.is_some(), expected.len() < before);
                heads = left.unwrap_or(heads);
                let pack = Pack::of(id, 5, 1000, &heads).expect("a pack");
                prop_assert_eq!(pack.rows().collect::<Rows>(), expected.clone());
                prop_assert_eq!((pack.length(), pack.stands_at()), (length, 1000));
            }
        }
    }
}
