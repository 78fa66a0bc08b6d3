//! Reading a page: which rows, in what order, a chunk at a time.
//!
//! A page without filter walks the rows of its set. A filter that not all rows pass takes sequences from the index, so
//! that a rare data source in a large set costs no walk. Identity filters look their ids up and check every row found:
//! two ids may share a hash. No transaction outlives a chunk.
//!
//! No index knows times: packs of another time are passed over, other rows are dropped before their bodies are read. So
//! that few rows in a very large set are no endless request, such a page ends early after a bounded number of looks.
//!
//! A set may go away while its page is read, and its bodies become holes. The page ends then; holes in a set that is
//! there are damage.

use super::chunks::{Buffers, CHUNK_BYTES};
use super::file::StorageFile;
use super::keys::{MAX_SEQUENCE, Tag};
use super::readers::{Reader, in_snapshot};
use super::removal;
use super::select::{TagFilter, TimeFilter, candidates};
use super::sql;
use super::walk::{self, Row};
use crate::store::encode::{Encoder, IdFilter};
use crate::store::sqlite::connection::damaged;
use crate::store::{Chunk, PageQuery, ResultFilter, SetKey, SetOwner, Span, StoreError, Tally};
use docket_contract::cursor::Position;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// Sequences taken from the index at a time.
const AHEAD: usize = 1024;
/// Sequences that stand this close, in rows a sequence, are walked; others are fetched one by one.
const DENSE: u64 = 3;
/// Tag keys above which a filter walks the rows: each costs a look into every run.
const MAX_TAG_KEYS: usize = 512;
/// What a look costs at a row that is fetched by itself, in looks at rows in order.
const FETCH_LOOKS: usize = 8;

/// How the rows of a page are found.
enum Plan {
    /// In order, checking each row's tag.
    Walk,
    /// Through the index of tags; the keys in ascending order.
    Tags(Vec<u64>),
    /// These, last first. They were found when the page was opened.
    Ids(Vec<Row>),
}

/// A page, where its reading has come to.
pub struct Page {
    /// Results that match, on this page or not; `None` if that was not counted.
    pub total: Option<u64>,
    more: bool,
    /// The id behind which the next page begins.
    reached: u64,
    base: u64,
    owner: SetOwner,
    set_no: u64,
    after: u64,
    remaining: usize,
    /// Holes in the segment before anything was read.
    punches: u64,
    plan: Plan,
    tags: TagFilter,
    times: Option<TimeFilter>,
    /// Rows that may still be looked at in vain before the page ends early.
    looks: usize,
    encoder: Encoder,
    buffers: Arc<Buffers>,
    ended: bool,
}

/// Something that is read a chunk at a time.
pub trait Reading: Send + 'static {
    /// Tells whether the storage is still the same after its file was closed and opened.
    fn base(&self) -> u64;

    /// Whether nothing is left to read.
    fn has_ended(&self) -> bool;

    /// Whether a result that matches stands behind the last one. Known when the page has ended.
    fn has_more(&self) -> bool;

    /// Where the next page begins, if there is more.
    fn reached(&self) -> Position;

    /// The next part; `None` at the end.
    fn read(&mut self, reader: &mut Reader, file: &StorageFile) -> Result<Option<Chunk>, StoreError>;
}

/// The set of an owner; `None` if there is none.
pub fn set_no(connection: &Connection, owner: SetOwner) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached(sql::SET_NO)?;
    Ok(statement.query_row([owner.to_bytes()], |row| row.get::<_, i64>(0)).optional()?.map(|no| no as u64))
}

/// The counters of a set.
pub fn statistics(connection: &Connection, owner: SetOwner) -> Result<Vec<Tally>, StoreError> {
    let Some(set_no) = set_no(connection, owner)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(sql::TALLIES)?;
    let mut rows = statement.query([set_no as i64])?;
    let mut tallies = Vec::new();
    while let Some(row) = rows.next()? {
        let tag = Tag(row.get::<_, i64>(0)? as u64);
        let data_source_id: Option<String> = row.get(2)?;
        if data_source_id.is_none() && tag.source() != 0 {
            return Err(damaged("a data source has no name"));
        }
        let count = row.get::<_, i64>(1)? as u64;
        tallies.push(Tally { data_source_id, country: tag.country(), status: tag.status(), count });
    }
    Ok(tallies)
}

/// The sequence of the newest row of a set.
pub fn last_sequence(connection: &Connection, owner: SetOwner) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached(sql::LAST_SEQUENCE)?;
    let last = statement.query_row([owner.to_bytes()], |row| row.get::<_, i64>(0)).optional()?;
    Ok(last.map(|last| last as u64).filter(|last| *last > 0))
}

/// All results of a file.
pub fn total(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row(sql::TOTAL, [], |row| row.get::<_, i64>(0))? as u64)
}

impl Page {
    /// Counts what matches and decides how to read it; `None` when nothing does. `looks` bounds the rows that a filter by
    /// times looks at in vain.
    pub fn open(
        reader: &mut Reader,
        file: &StorageFile,
        set: &SetKey,
        query: &PageQuery,
        buffers: Arc<Buffers>,
        looks: usize,
    ) -> Result<Option<Self>, StoreError> {
        let connection = &reader.connection;
        let Some(set_no) = set_no(connection, set.owner)? else { return Ok(None) };
        let Some(tags) = TagFilter::of(connection, &query.filter)? else { return Ok(None) };
        let after = query.after.0.saturating_sub(file.base).min(MAX_SEQUENCE);
        let mut page = Self {
            total: Some(0),
            more: false,
            reached: query.after.0,
            base: file.base,
            owner: set.owner,
            set_no,
            after,
            remaining: query.limit,
            punches: file.segment.punches(),
            plan: Plan::Walk,
            tags,
            times: TimeFilter::of(&query.filter),
            looks: looks.max(1),
            encoder: Encoder::new(set, query.include_fields.clone()),
            buffers,
            ended: false,
        };
        page.after = after.max(removal::first_sequence(connection, set_no)?.saturating_sub(1));
        if query.filter.has_identities() {
            let found = page.find_ids(reader, file, &query.filter);
            if page.was_lost(&reader.connection, file, &found)? {
                return Ok(None);
            }
            found?;
        } else {
            page.count(connection)?;
        }
        Ok((page.total != Some(0)).then_some(page))
    }

    fn count(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(sql::COUNTERS)?;
        let mut rows = statement.query([self.set_no as i64])?;
        let (mut all, mut total, mut keys) = (0, 0, Vec::new());
        while let Some(row) = rows.next()? {
            let (tag, count) = (Tag(row.get::<_, i64>(0)? as u64), row.get::<_, i64>(1)? as u64);
            all += count;
            if self.tags.passes(tag) {
                total += count;
                keys.push(tag.key(self.set_no));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        if total < all && keys.len() <= MAX_TAG_KEYS {
            self.plan = Plan::Tags(keys);
        }
        // Where nothing has the tag, no time has it either.
        self.total = (self.times.is_none() || total == 0).then_some(total);
        Ok(())
    }

    fn find_ids(&mut self, reader: &mut Reader, file: &StorageFile, filter: &ResultFilter) -> Result<(), StoreError> {
        let Reader { connection, buffer, rows } = reader;
        let candidates = candidates(connection, file, self.set_no, filter)?;
        let ids = IdFilter::new(filter);
        let (mut found, mut total, mut sequences) = (Vec::new(), 0, Vec::with_capacity(AHEAD));
        let mut candidates = candidates.iter();
        loop {
            sequences.clear();
            sequences.extend(candidates.by_ref().take(AHEAD));
            if sequences.is_empty() {
                break;
            }
            let revisions = file.index.revisions_of(connection, &sequences)?;
            in_snapshot(connection, || {
                walk::pick(connection, self.set_no, sequences.iter().copied(), rows)?;
                walk::revise(rows, &revisions);
                if let Some(times) = self.times {
                    times.thin(&file.segment, rows)?;
                }
                let passes = |tag| self.tags.passes(tag);
                walk::each_body(&file.segment, rows, usize::MAX, passes, buffer, |row, body| {
                    if ids.passes(body)? {
                        total += 1;
                        if row.sequence > self.after && found.len() <= self.remaining {
                            found.push(*row);
                        }
                    }
                    Ok(true)
                })
            })?;
        }
        found.reverse();
        self.total = Some(total);
        self.plan = Plan::Ids(found);
        Ok(())
    }

    /// Whether what was read may be the holes of a set that has gone meanwhile.
    fn was_lost<T>(
        &self,
        connection: &Connection,
        file: &StorageFile,
        outcome: &Result<T, StoreError>,
    ) -> Result<bool, StoreError> {
        // What was found when the page was opened may have become a hole long ago.
        let is_fresh = file.segment.punches() == self.punches && !matches!(self.plan, Plan::Ids(_));
        if is_fresh && !matches!(outcome, Err(StoreError::Damaged(_))) {
            return Ok(false);
        }
        Ok(set_no(connection, self.owner)? != Some(self.set_no))
    }

    fn fill(&mut self, reader: &mut Reader, file: &StorageFile, chunk: &mut Filling) -> Result<(), StoreError> {
        while !self.ended && !chunk.is_full() {
            if self.looks == 0 {
                (self.more, self.ended, self.reached) = (true, true, self.base + self.after);
                break;
            }
            let next = match &mut self.plan {
                Plan::Walk => {
                    self.ended |= self.walk(reader, file, MAX_SEQUENCE, chunk)?;
                    continue;
                }
                Plan::Ids(rows) => {
                    let mut next: Vec<Row> = rows.split_off(rows.len().saturating_sub(AHEAD));
                    next.reverse();
                    self.ended |= next.is_empty();
                    self.take_found(reader, file, next, chunk)?;
                    continue;
                }
                Plan::Tags(keys) => {
                    let limit = AHEAD.min(self.remaining.saturating_add(1));
                    file.index.tail(&reader.connection, keys, self.after, limit)?
                }
            };
            let (Some(first), Some(last)) = (next.first().copied(), next.last().copied()) else {
                self.ended = true;
                break;
            };
            if last - first < next.len() as u64 * DENSE {
                self.after = self.after.max(first - 1);
                self.walk(reader, file, last, chunk)?;
            } else {
                self.fetch(reader, file, &next, chunk)?;
            }
        }
        Ok(())
    }

    /// Reads rows in order up to `to`, until the chunk is full, the page has ended, or many rows did not pass. Answers
    /// whether it came to `to`.
    fn walk(
        &mut self,
        reader: &mut Reader,
        file: &StorageFile,
        to: u64,
        chunk: &mut Filling,
    ) -> Result<bool, StoreError> {
        let Reader { connection, buffer, rows } = reader;
        let view = file.index.view(self.after);
        in_snapshot(connection, || {
            let range = (self.after, to.min(view.horizon));
            let (tags, limit) = (&self.tags, self.remaining.saturating_add(1));
            let created = self.times.map_or(Span::default(), |times| times.created);
            let passes = |tag| tags.passes(tag);
            let (reached, skipped) =
                walk::gather_created(connection, self.set_no, range, created, limit, passes, rows)?;
            if !view.is_empty() {
                let mut revisions = Vec::new();
                for (first, last) in walk::stretches(rows) {
                    revisions.extend(view.revisions(connection, first, last)?);
                }
                walk::revise(rows, &revisions);
            }
            self.thin(file, rows, skipped, 1)?;
            if !self.take(file, rows, buffer, chunk)? {
                return Ok(false);
            }
            self.after = reached;
            Ok(reached == to)
        })
    }

    fn fetch(
        &mut self,
        reader: &mut Reader,
        file: &StorageFile,
        sequences: &[u64],
        chunk: &mut Filling,
    ) -> Result<(), StoreError> {
        let Reader { connection, buffer, rows } = reader;
        let revisions = file.index.revisions_of(connection, sequences)?;
        let whole = in_snapshot(connection, || {
            walk::pick(connection, self.set_no, sequences.iter().copied(), rows)?;
            walk::revise(rows, &revisions);
            self.thin(file, rows, 0, FETCH_LOOKS)?;
            self.take(file, rows, buffer, chunk)
        })?;
        if whole {
            self.after = self.after.max(sequences.last().copied().unwrap_or(0));
        }
        Ok(())
    }

    /// Drops rows that were not written in the time that is asked for. Those, and what was `skipped` before, are looks in
    /// vain; a row's costs `looks`.
    fn thin(
        &mut self,
        file: &StorageFile,
        rows: &mut Vec<Row>,
        skipped: usize,
        looks: usize,
    ) -> Result<(), StoreError> {
        if let Some(times) = self.times {
            let before = rows.len();
            times.thin(&file.segment, rows)?;
            self.looks = self.looks.saturating_sub(skipped + (before - rows.len()) * looks);
        }
        Ok(())
    }

    /// Takes rows that were found before and are still there; what does not fit comes next time.
    fn take_found(
        &mut self,
        reader: &mut Reader,
        file: &StorageFile,
        rows: Vec<Row>,
        chunk: &mut Filling,
    ) -> Result<(), StoreError> {
        let mut rows = rows;
        walk::keep_standing(&reader.connection, self.set_no, &mut rows)?;
        let whole = self.take(file, &rows, &mut reader.buffer, chunk)?;
        if !whole && let Plan::Ids(ids) = &mut self.plan {
            ids.extend(rows.into_iter().rev().take_while(|row| row.sequence > self.after));
        }
        Ok(())
    }

    /// Takes the rows that pass, until the chunk is full or the page has ended. Answers whether it took all of them.
    fn take(
        &mut self,
        file: &StorageFile,
        rows: &[Row],
        buffer: &mut Vec<u8>,
        chunk: &mut Filling,
    ) -> Result<bool, StoreError> {
        let limit = self.remaining.saturating_add(1);
        let tags = self.tags.clone();
        walk::each_body(
            &file.segment,
            rows,
            limit,
            |tag| tags.passes(tag),
            buffer,
            |row, body| {
                if self.remaining == 0 {
                    self.more = true;
                    self.ended = true;
                    return Ok(false);
                }
                let id = self.base + row.sequence;
                self.encoder.push(&mut chunk.bytes, id, row.created_at, row.modified_at, body)?;
                chunk.count += 1;
                chunk.last = id;
                self.remaining -= 1;
                self.after = row.sequence;
                self.reached = id;
                Ok(!chunk.is_full())
            },
        )
    }
}

impl Reading for Page {
    fn base(&self) -> u64 {
        self.base
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn has_more(&self) -> bool {
        self.more
    }

    fn reached(&self) -> Position {
        Position(self.reached)
    }

    fn read(&mut self, reader: &mut Reader, file: &StorageFile) -> Result<Option<Chunk>, StoreError> {
        self.punches = file.segment.punches();
        let room = CHUNK_BYTES.min(self.remaining.saturating_mul(1024)) + 1024;
        let mut chunk = Filling { bytes: self.buffers.take(room), count: 0, last: 0 };
        let filled = self.fill(reader, file, &mut chunk);
        if self.was_lost(&reader.connection, file, &filled)? {
            self.ended = true;
            return Ok(None);
        }
        filled?;
        let Filling { bytes, count, last } = chunk;
        if count == 0 {
            self.buffers.give(bytes);
            return Ok(None);
        }
        Ok(Some(Chunk { bytes: self.buffers.lend(bytes), count, last: Position(last) }))
    }
}

/// A chunk being filled.
struct Filling {
    bytes: Vec<u8>,
    count: usize,
    last: u64,
}

impl Filling {
    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }
}
