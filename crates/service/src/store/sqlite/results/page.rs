//! Reading a page: which rows, in what order, a chunk at a time.
//!
//! A page without filter walks the rows of its set. A filter that not all rows pass takes sequences from the index, so
//! that a rare data source in a large set costs no walk. Identity filters look their ids up and check every row found:
//! two ids may share a hash. No transaction outlives a chunk.
//!
//! A set may go away while its page is read, and its bodies become holes. The page ends then; holes in a set that is
//! there are damage.

use super::chunks::{Buffers, CHUNK_BYTES};
use super::file::StorageFile;
use super::keys::{Hasher, Kind, MAX_SEQUENCE, Tag};
use super::readers::{Reader, in_snapshot};
use super::sequences::Sequences;
use super::sql;
use super::walk::{self, Row};
use crate::store::encode::{Encoder, FilterIds, Text};
use crate::store::sqlite::connection::damaged;
use crate::store::{Chunk, PageQuery, ResultFilter, SetKey, StoreError, Tally};
use docket_contract::JobId;
use docket_contract::cursor::Position;
use docket_contract::result::ResultStatus;
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashSet;
use std::sync::Arc;

/// Sequences taken from the index at a time.
const AHEAD: usize = 1024;
/// Sequences that stand this close, in rows a sequence, are walked; others are fetched one by one.
const DENSE: u64 = 3;
/// Tag keys above which a filter walks the rows: each costs a look into every run.
const MAX_TAG_KEYS: usize = 512;

/// How the rows of a page are found.
enum Plan {
    /// In order, checking each row's tag.
    Walk,
    /// Through the index of tags; the keys in ascending order.
    Tags(Vec<u64>),
    /// These, last first. They were found when the page was opened.
    Ids(Vec<Row>),
}

/// Which tags pass.
#[derive(Clone, Copy)]
struct TagFilter {
    source: Option<u64>,
    status: Option<ResultStatus>,
}

impl TagFilter {
    fn passes(self, tag: Tag) -> bool {
        self.source.is_none_or(|source| source == tag.source())
            && self.status.is_none_or(|status| status == tag.status())
    }
}

/// A page, where its reading has come to.
pub struct Page {
    /// Results that match, on this page or not.
    pub total: u64,
    /// Whether one that matches stands behind the last result of the page. Known when the page has ended.
    pub more: bool,
    /// Tells whether the storage is still the same after its file was closed and opened.
    pub base: u64,
    job: JobId,
    set_no: u64,
    after: u64,
    remaining: usize,
    /// Holes in the segment before anything was read.
    punches: u64,
    plan: Plan,
    tags: TagFilter,
    encoder: Encoder,
    buffers: Arc<Buffers>,
    /// Whether nothing is left to read.
    pub ended: bool,
}

/// The set of a job; `None` if there is none.
fn set_no(connection: &Connection, job: JobId) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached(sql::SET_NO)?;
    Ok(statement.query_row([job.0.as_bytes()], |row| row.get::<_, i64>(0)).optional()?.map(|no| no as u64))
}

/// The counters of a set.
pub fn statistics(connection: &Connection, job: JobId) -> Result<Vec<Tally>, StoreError> {
    let Some(set_no) = set_no(connection, job)? else { return Ok(Vec::new()) };
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
pub fn last_sequence(connection: &Connection, job: JobId) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached(sql::LAST_SEQUENCE)?;
    let last = statement.query_row([job.0.as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
    Ok(last.map(|last| last as u64).filter(|last| *last > 0))
}

/// All results of a file.
pub fn total(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row(sql::TOTAL, [], |row| row.get::<_, i64>(0))? as u64)
}

impl Page {
    /// Counts what matches and decides how to read it; `None` when nothing does.
    pub fn open(
        reader: &mut Reader,
        file: &StorageFile,
        set: &SetKey,
        query: &PageQuery,
        buffers: Arc<Buffers>,
    ) -> Result<Option<Self>, StoreError> {
        let connection = &reader.connection;
        let Some(set_no) = set_no(connection, set.job)? else { return Ok(None) };
        let mut tags = TagFilter { source: None, status: query.filter.status };
        if let Some(name) = &query.filter.data_source_id {
            let mut statement = connection.prepare_cached(sql::SOURCE_NO)?;
            let Some(no) = statement.query_row([name], |row| row.get::<_, i64>(0)).optional()? else { return Ok(None) };
            tags.source = Some(no as u64);
        }
        let after = query.after.0.saturating_sub(file.base).min(MAX_SEQUENCE);
        let mut page = Self {
            total: 0,
            more: false,
            base: file.base,
            job: set.job,
            set_no,
            after,
            remaining: query.limit,
            punches: file.segment.punches(),
            plan: Plan::Walk,
            tags,
            encoder: Encoder::new(set, query.include_fields.clone()),
            buffers,
            ended: false,
        };
        if query.filter.has_identities() {
            let found = page.find_ids(reader, file, &query.filter);
            if page.was_lost(&reader.connection, file, &found)? {
                return Ok(None);
            }
            found?;
        } else {
            page.count(connection)?;
        }
        Ok((page.total > 0).then_some(page))
    }

    fn count(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(sql::COUNTERS)?;
        let mut rows = statement.query([self.set_no as i64])?;
        let (mut all, mut keys) = (0, Vec::new());
        while let Some(row) = rows.next()? {
            let (tag, count) = (Tag(row.get::<_, i64>(0)? as u64), row.get::<_, i64>(1)? as u64);
            all += count;
            if self.tags.passes(tag) {
                self.total += count;
                keys.push(tag.key(self.set_no));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        if self.total < all && keys.len() <= MAX_TAG_KEYS {
            self.plan = Plan::Tags(keys);
        }
        Ok(())
    }

    fn find_ids(&mut self, reader: &mut Reader, file: &StorageFile, filter: &ResultFilter) -> Result<(), StoreError> {
        let Reader { connection, buffer, rows } = reader;
        let mut hasher = file.hasher.clone();
        let mut look_up = |kind, ids: &[String]| -> Result<Option<Sequences>, StoreError> {
            if ids.is_empty() {
                return Ok(None);
            }
            look_up(connection, file, &mut hasher, kind, self.job, ids).map(Some)
        };
        let partners = look_up(Kind::BusinessPartner, &filter.business_partner_ids)?;
        let externals = look_up(Kind::ExternalId, &filter.external_ids)?;
        let candidates = match (partners, externals) {
            (Some(one), Some(other)) => one.and(&other),
            (one, other) => one.or(other).unwrap_or_default(),
        };
        let ids = |ids: &'_ [String]| -> HashSet<String> { ids.iter().cloned().collect() };
        let (partners, externals) = (ids(&filter.business_partner_ids), ids(&filter.external_ids));
        let is_one_of = |ids: &HashSet<String>, id: &Option<Text<'_>>| match id {
            Some(Text(id)) => ids.contains::<str>(id),
            None => false,
        };
        let (mut found, mut sequences) = (Vec::new(), Vec::with_capacity(AHEAD));
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
                let tags = self.tags;
                let passes = move |tag| tags.passes(tag);
                walk::each_body(&file.segment, rows, usize::MAX, passes, buffer, |row, body| {
                    let ids = FilterIds::read(body)?;
                    if (partners.is_empty() || is_one_of(&partners, &ids.business_partner_id))
                        && (externals.is_empty() || is_one_of(&externals, &ids.external_id))
                    {
                        self.total += 1;
                        if row.sequence > self.after && found.len() <= self.remaining {
                            found.push(*row);
                        }
                    }
                    Ok(true)
                })
            })?;
        }
        found.reverse();
        self.plan = Plan::Ids(found);
        Ok(())
    }

    /// The next part of the page; `None` at its end.
    pub fn read(&mut self, reader: &mut Reader, file: &StorageFile) -> Result<Option<Chunk>, StoreError> {
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
        Ok(set_no(connection, self.job)? != Some(self.set_no))
    }

    fn fill(&mut self, reader: &mut Reader, file: &StorageFile, chunk: &mut Filling) -> Result<(), StoreError> {
        while !self.ended && !chunk.is_full() {
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
            let (tags, limit) = (self.tags, self.remaining.saturating_add(1));
            let reached = walk::gather(connection, self.set_no, range, limit, |tag| tags.passes(tag), rows)?;
            if !view.is_empty() {
                let mut revisions = Vec::new();
                for (first, last) in walk::stretches(rows) {
                    revisions.extend(view.revisions(connection, first, last)?);
                }
                walk::revise(rows, &revisions);
            }
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
            self.take(file, rows, buffer, chunk)
        })?;
        if whole {
            self.after = self.after.max(sequences.last().copied().unwrap_or(0));
        }
        Ok(())
    }

    /// Takes rows that were found before; what does not fit comes next time.
    fn take_found(
        &mut self,
        reader: &mut Reader,
        file: &StorageFile,
        rows: Vec<Row>,
        chunk: &mut Filling,
    ) -> Result<(), StoreError> {
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
        let (tags, limit) = (self.tags, self.remaining.saturating_add(1));
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
                Ok(!chunk.is_full())
            },
        )
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

/// The sequences that may hold one of the ids.
fn look_up(
    connection: &Connection,
    file: &StorageFile,
    hasher: &mut Hasher,
    kind: Kind,
    job: JobId,
    ids: &[String],
) -> Result<Sequences, StoreError> {
    let mut keys: Vec<u64> = ids.iter().map(|id| hasher.key(kind, job, id)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut sequences = Sequences::default();
    file.index.find(connection, &keys, |_, sequence| sequences.push(sequence))?;
    Ok(sequences.sorted())
}
