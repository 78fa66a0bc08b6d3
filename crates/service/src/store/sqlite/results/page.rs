//! Reading a page: which rows, in what order, a chunk at a time.
//!
//! A page without filter walks the rows of its set. A filter that not all rows pass takes sequences from the index, so
//! that a rare data source in a large set costs no walk. Identity filters look their ids up and check every row found:
//! two ids may share a hash. No transaction outlives a chunk.

use super::file::StorageFile;
use super::keys::{Hasher, Kind, MAX_SEQUENCE, Tag, row_id, sequence_of};
use super::readers::in_snapshot;
use super::sequences::Sequences;
use super::sql;
use crate::store::encode::{Encoder, FilterIds, Text};
use crate::store::sqlite::connection::damaged;
use crate::store::{Chunk, PageQuery, ResultFilter, SetKey, StoreError, Tally};
use docket_contract::cursor::Position;
use docket_contract::result::ResultStatus;
use docket_contract::{JobId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashSet;

/// Bytes at which a chunk ends.
const CHUNK_BYTES: usize = 512 << 10;
/// Sequences taken from the index at a time.
const AHEAD: usize = 1024;
/// Sequences that stand this close, in rows a sequence, are walked; others are fetched one by one.
const DENSE: u64 = 3;
/// Rows of one walk: a transaction that lasts holds up the checkpoints of the log.
const WALK: usize = 16_384;
/// Tag keys above which a filter walks the rows: each costs a look into every run.
const MAX_TAG_KEYS: usize = 512;

/// How the rows of a page are found.
enum Plan {
    /// In order, checking each row's tag.
    Walk,
    /// Through the index of tags; the keys in ascending order.
    Tags(Vec<u64>),
    /// These, last first.
    Ids(Vec<u64>),
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
    set_no: u64,
    after: u64,
    remaining: usize,
    plan: Plan,
    tags: TagFilter,
    encoder: Encoder,
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

/// All results of a file.
pub fn total(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row(sql::TOTAL, [], |row| row.get::<_, i64>(0))? as u64)
}

impl Page {
    /// Counts what matches and decides how to read it; `None` when nothing does.
    pub fn open(
        connection: &Connection,
        file: &StorageFile,
        set: &SetKey,
        query: &PageQuery,
    ) -> Result<Option<Self>, StoreError> {
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
            set_no,
            after,
            remaining: query.limit,
            plan: Plan::Walk,
            tags,
            encoder: Encoder::new(set, query.include_fields.clone()),
            ended: false,
        };
        if query.filter.has_identities() {
            page.find_ids(connection, file, set.job, &query.filter)?;
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

    fn find_ids(
        &mut self,
        connection: &Connection,
        file: &StorageFile,
        job: JobId,
        filter: &ResultFilter,
    ) -> Result<(), StoreError> {
        let mut hasher = file.hasher.clone();
        let mut look_up = |kind, ids: &[String]| -> Result<Option<Sequences>, StoreError> {
            if ids.is_empty() {
                return Ok(None);
            }
            look_up(connection, file, &mut hasher, kind, job, ids).map(Some)
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
        let mut found = Vec::new();
        in_snapshot(connection, || {
            let mut statement = connection.prepare_cached(sql::ROW)?;
            for sequence in candidates.iter() {
                let mut rows = statement.query([row_id(self.set_no, sequence)])?;
                let Some(row) = rows.next()? else { continue };
                let ids = FilterIds::read(body(row)?)?;
                if self.tags.passes(tag(row)?)
                    && (partners.is_empty() || is_one_of(&partners, &ids.business_partner_id))
                    && (externals.is_empty() || is_one_of(&externals, &ids.external_id))
                {
                    self.total += 1;
                    if sequence > self.after && found.len() <= self.remaining {
                        found.push(sequence);
                    }
                }
            }
            Ok(())
        })?;
        found.reverse();
        self.plan = Plan::Ids(found);
        Ok(())
    }

    /// The next part of the page; `None` at its end.
    pub fn read(&mut self, connection: &Connection, file: &StorageFile) -> Result<Option<Chunk>, StoreError> {
        let room = CHUNK_BYTES.min(self.remaining.saturating_mul(1024)) + 1024;
        let mut chunk = Filling { bytes: Vec::with_capacity(room), count: 0, last: 0 };
        while !self.ended && !chunk.is_full() {
            let next = match &mut self.plan {
                Plan::Walk => {
                    let from = row_id(self.set_no, self.after + 1);
                    let to = row_id(self.set_no + 1, 0);
                    self.ended |= self.walk(connection, from, to, &mut chunk)?;
                    continue;
                }
                Plan::Tags(keys) => {
                    file.index.tail(connection, keys, self.after, AHEAD.min(self.remaining.saturating_add(1)))?
                }
                Plan::Ids(ids) => ids.drain(ids.len().saturating_sub(AHEAD)..).rev().collect(),
            };
            let (Some(first), Some(last)) = (next.first().copied(), next.last().copied()) else {
                self.ended = true;
                break;
            };
            let is_dense = last - first < next.len() as u64 * DENSE && matches!(self.plan, Plan::Tags(_));
            if is_dense {
                let (from, to) = (row_id(self.set_no, first), row_id(self.set_no, last) + 1);
                if self.walk(connection, from, to, &mut chunk)? {
                    self.after = last;
                }
            } else {
                self.fetch(connection, &next, &mut chunk)?;
            }
        }
        Ok(chunk.finish())
    }

    /// Reads rows in order from `from` to before `to`, until the chunk is full, the page has ended, or many rows did not
    /// pass. Answers whether it came to `to`.
    fn walk(&mut self, connection: &Connection, from: i64, to: i64, chunk: &mut Filling) -> Result<bool, StoreError> {
        let mut statement = connection.prepare_cached(sql::ROWS)?;
        let mut rows = statement.query([from, to])?;
        for _ in 0..WALK {
            let Some(row) = rows.next()? else { return Ok(true) };
            if !self.take(row, chunk)? || chunk.is_full() {
                break;
            }
        }
        Ok(false)
    }

    fn fetch(&mut self, connection: &Connection, sequences: &[u64], chunk: &mut Filling) -> Result<(), StoreError> {
        let mut rest = sequences.iter();
        in_snapshot(connection, || {
            let mut statement = connection.prepare_cached(sql::ROW)?;
            for sequence in rest.by_ref() {
                let mut rows = statement.query([row_id(self.set_no, *sequence)])?;
                match rows.next()? {
                    Some(row) if !self.take(row, chunk)? => return Ok(()),
                    // A row that is gone.
                    None => self.after = *sequence,
                    Some(_) => {}
                }
                if chunk.is_full() {
                    break;
                }
            }
            Ok(())
        })?;
        if let Plan::Ids(ids) = &mut self.plan {
            ids.extend(rest.rev());
        }
        Ok(())
    }

    /// Takes a row if it passes; `false` when the page has ended before it.
    fn take(&mut self, row: &Row<'_>, chunk: &mut Filling) -> Result<bool, StoreError> {
        let sequence = sequence_of(row.get(0)?);
        if self.tags.passes(tag(row)?) {
            if self.remaining == 0 {
                self.more = true;
                self.ended = true;
                return Ok(false);
            }
            let (created_at, modified_at) = (Timestamp::from_millis(row.get(2)?), Timestamp::from_millis(row.get(3)?));
            self.encoder.push(&mut chunk.bytes, self.base + sequence, created_at, modified_at, body(row)?)?;
            chunk.count += 1;
            chunk.last = self.base + sequence;
            self.remaining -= 1;
        }
        self.after = sequence;
        Ok(true)
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

    fn finish(self) -> Option<Chunk> {
        (self.count > 0).then(|| Chunk { bytes: self.bytes.into(), count: self.count, last: Position(self.last) })
    }
}

fn tag(row: &Row<'_>) -> Result<Tag, StoreError> {
    Ok(Tag(row.get::<_, i64>(1)? as u64))
}

fn body<'a>(row: &'a Row<'_>) -> Result<&'a [u8], StoreError> {
    Ok(row.get_ref(4)?.as_bytes().map_err(rusqlite::Error::from)?)
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
