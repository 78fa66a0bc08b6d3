//! Packs: what SQLite knows of rows that were written together.
//!
//! A pack is up to [`PACK_ROWS`] rows of one set that follow each other, in sequence and in the segment: one row of the
//! table `packs`, which fills a page. Of each row it holds a head: identity, tag, time and length. A pack is never
//! changed when a row of it is written again: see `revisions.rs`.

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

impl Head {
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
    /// Where its first body stands.
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

    /// Its rows: sequence, head, and where the body stands.
    pub fn rows(&self) -> impl Iterator<Item = (u64, Head, u64)> + '_ {
        let mut offset = self.offset;
        (self.first..).zip(self.heads).map(move |(sequence, head)| {
            let (head, at) = (Head::read(head), offset);
            offset = offset.saturating_add(u64::from(head.length));
            (sequence, head, at)
        })
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

    /// The row; `None` if the set has no such row.
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
        let place = (sequence - pack.first) as usize;
        let row = pack.rows().nth(place);
        Ok(row.map(|(_, head, offset)| Packed { head, created_at: pack.created_at, offset }))
    }
}
