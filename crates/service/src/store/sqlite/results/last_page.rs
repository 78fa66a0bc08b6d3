//! Telling the newest results of records, which were found before (`last.rs`), a chunk at a time. No transaction outlives
//! a chunk; results that are removed meanwhile, or whose job is deleted, are left out.

use super::chunks::{Buffers, CHUNK_BYTES};
use super::file::StorageFile;
use super::last::{self, Found, Newest};
use super::page::Reading;
use super::readers::Reader;
use super::walk::{self, Row};
use crate::store::encode::Encoder;
use crate::store::{Chunk, SetKey, SetOwner, StorageKey, StoreError};
use docket_contract::cursor::Position;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Results that are told, where their reading has come to.
pub struct LastPage {
    base: u64,
    storage: StorageKey,
    fields: Option<Arc<[String]>>,
    /// Those that are left, in the order of their ids.
    rows: std::collections::VecDeque<Newest>,
    encoders: HashMap<SetOwner, Encoder>,
    buffers: Arc<Buffers>,
    /// Holes in the segment when it was last seen that all sets are there.
    punches: u64,
    /// Whether nobody can have removed any of them yet: they were found in this very turn of the reader.
    fresh: bool,
}

impl LastPage {
    /// Tells what was found while the segment had so many holes.
    pub fn new(
        found: Found,
        file: &StorageFile,
        storage: StorageKey,
        fields: Option<Arc<[String]>>,
        buffers: Arc<Buffers>,
    ) -> Self {
        let (rows, punches) = (found.rows.into(), found.punches);
        Self { base: file.base, storage, fields, rows, encoders: HashMap::new(), buffers, punches, fresh: true }
    }

    /// Forgets the results of sets that are gone; answers whether there were any.
    fn forget_gone(&mut self, reader: &Reader) -> Result<bool, StoreError> {
        let mut gone = HashMap::new();
        for newest in &self.rows {
            if let Entry::Vacant(unknown) = gone.entry(newest.set_no) {
                unknown.insert(last::is_gone(&reader.connection, newest.set_no)?);
            }
        }
        let before = self.rows.len();
        self.rows.retain(|newest| gone.get(&newest.set_no) != Some(&true));
        Ok(self.rows.len() < before)
    }

    /// Forgets the results that were removed from sets that are there.
    fn forget_removed(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let mut rows: Vec<(u64, Row)> = self.rows.iter().map(|newest| (newest.set_no, newest.row)).collect();
        rows.sort_unstable_by_key(|(set_no, row)| (*set_no, row.sequence));
        let mut left = HashSet::new();
        for set in rows.chunk_by(|one, other| one.0 == other.0) {
            let mut rows: Vec<Row> = set.iter().map(|(_, row)| *row).collect();
            walk::keep_standing(&reader.connection, set[0].0, &mut rows)?;
            left.extend(rows.iter().map(|row| row.sequence));
        }
        self.rows.retain(|newest| left.contains(&newest.row.sequence));
        Ok(())
    }

    /// Fills a chunk with the first results; answers how many, and the id of the last one.
    fn fill(
        &mut self,
        reader: &mut Reader,
        file: &StorageFile,
        bytes: &mut Vec<u8>,
    ) -> Result<(usize, u64), StoreError> {
        let (mut count, mut last) = (0, 0);
        let rows: Vec<Row> = self.rows.iter().map(|newest| newest.row).collect();
        let Self { base, storage, fields, rows: newest, encoders, .. } = self;
        walk::each_body(
            &file.segment,
            &rows,
            usize::MAX,
            |_| true,
            &mut reader.buffer,
            |row, body| {
                let owner = newest[count].owner;
                let encoder = encoders
                    .entry(owner)
                    .or_insert_with(|| Encoder::new(&SetKey { storage: storage.clone(), owner }, fields.clone()));
                last = *base + row.sequence;
                encoder.push(bytes, last, row.created_at, row.modified_at, body)?;
                count += 1;
                Ok(bytes.len() < CHUNK_BYTES)
            },
        )?;
        Ok((count, last))
    }
}

impl Reading for LastPage {
    fn base(&self) -> u64 {
        self.base
    }

    fn has_ended(&self) -> bool {
        self.rows.is_empty()
    }

    fn has_more(&self) -> bool {
        false
    }

    fn reached(&self) -> Position {
        Position::default()
    }

    fn read(&mut self, reader: &mut Reader, file: &StorageFile) -> Result<Option<Chunk>, StoreError> {
        if !std::mem::take(&mut self.fresh) {
            self.forget_removed(reader)?;
        }
        let mut bytes = self.buffers.take(CHUNK_BYTES.min(self.rows.len().saturating_mul(1024)) + 1024);
        loop {
            let punches = file.segment.punches();
            bytes.clear();
            let filled = self.fill(reader, file, &mut bytes);
            let is_sure = file.segment.punches() == self.punches && !matches!(filled, Err(StoreError::Damaged(_)));
            if !is_sure && self.forget_gone(reader)? {
                continue;
            }
            self.punches = punches;
            let (count, last) = filled?;
            if count == 0 {
                self.buffers.give(bytes);
                return Ok(None);
            }
            self.rows.drain(..count);
            return Ok(Some(Chunk { bytes: self.buffers.lend(bytes), count, last: Position(last) }));
        }
    }
}
