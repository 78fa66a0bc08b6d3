//! Reading a set as it was at a moment, a chunk at a time.
//!
//! A snapshot is two numbers: the set's last sequence, and where in the segment it had written last. Rows behind the one
//! are newer; of a row that was revised behind the other the chain of its revisions tells what it was
//! (`revisions.rs`). So a scan holds no transaction between chunks, and nothing waits for it.
//!
//! Unlike a page, a scan whose set goes away is an error: what was read until then is no whole.

use super::chunks::{Buffers, CHUNK_BYTES};
use super::file::StorageFile;
use super::index_runs::Revisions;
use super::keys::{MAX_SEQUENCE, Tag};
use super::page::set_no;
use super::readers::{Reader, in_snapshot};
use super::removal;
use super::revisions;
use super::segment::{Segment, UNIT};
use super::select::{TagFilter, TimeFilter, candidates};
use super::sequences::Sequences;
use super::sql;
use super::walk::{self, Row};
use crate::store::encode::IdFilter;
use crate::store::sqlite::connection::damaged;
use crate::store::{SetOwner, Snapshot, SnapshotChunk, SnapshotQuery, SnapshotRow, Span, StoreError};
use docket_contract::cursor::Position;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sequences taken from the index at a time.
const AHEAD: usize = 1024;
/// Sequences that stand this close, in rows a sequence, are walked; others are fetched one by one.
const DENSE: u64 = 3;
/// Tag keys above which a filter walks the rows.
const MAX_TAG_KEYS: usize = 512;
/// Looks for rows of a time, of some thousand rows or packs each, before others have a turn.
const ROUNDS: usize = 8;
/// Longest wait for the index to tell of a commit that the database has: it is told right behind the commit.
const PUBLISHING: Duration = Duration::from_secs(10);

/// How the rows are found.
enum Plan {
    /// In order, checking each row's tag.
    Walk,
    /// Through the index of tags; the keys in ascending order.
    Tags(Vec<u64>),
    /// Among these, checking each row's ids.
    Ids(Sequences, IdFilter),
}

/// A snapshot, where its reading has come to.
pub struct Scan {
    pub snapshot: Snapshot,
    /// Rows that match, as far as they were counted.
    pub total: Option<u64>,
    owner: SetOwner,
    after: u64,
    plan: Plan,
    tags: TagFilter,
    times: Option<TimeFilter>,
    buffers: Arc<Buffers>,
    /// Whether nothing is left to read.
    pub ended: bool,
}

/// How many rows of a set have each tag.
type Counters = Vec<(Tag, u64)>;

/// The snapshot of a set as it is now, with its counters; `None` if there is no such set.
fn take(
    connection: &Connection,
    file: &StorageFile,
    owner: SetOwner,
) -> Result<Option<(Snapshot, Counters)>, StoreError> {
    let taken = in_snapshot(connection, || {
        let Some(set_no) = set_no(connection, owner)? else { return Ok(None) };
        let last: i64 =
            connection.prepare_cached(sql::LAST_SEQUENCE)?.query_row([owner.to_bytes()], |row| row.get(0))?;
        let mut statement = connection.prepare_cached(sql::SET_END)?;
        let end: Option<i64> = statement.query_row([set_no as i64], |row| row.get(0)).optional()?;
        let mut statement = connection.prepare_cached(sql::COUNTERS)?;
        let mut rows = statement.query([set_no as i64])?;
        let mut counters = Vec::new();
        while let Some(row) = rows.next()? {
            counters.push((Tag(row.get::<_, i64>(0)? as u64), row.get::<_, i64>(1)? as u64));
        }
        let snapshot =
            Snapshot { storage: file.base, set: set_no, last: file.base + last as u64, end: end.unwrap_or(0) as u64 };
        Ok(Some((snapshot, counters)))
    })?;
    // A commit is in the database a moment before the index tells of it.
    let deadline = Instant::now() + PUBLISHING;
    while taken.as_ref().is_some_and(|(snapshot, _)| snapshot.end > file.index.published()) {
        if Instant::now() >= deadline {
            return Err(StoreError::Overloaded);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(taken)
}

/// Fails unless the set of a snapshot is still there.
fn check(connection: &Connection, owner: SetOwner, snapshot: &Snapshot) -> Result<(), StoreError> {
    if set_no(connection, owner)? == Some(snapshot.set) { Ok(()) } else { Err(StoreError::Gone) }
}

/// Of the newest revisions of rows those that these rows had at a snapshot. Others among them are of other sets, which may
/// be gone and their revisions holes.
fn as_of(segment: &Segment, rows: &[Row], newest: Revisions, snapshot: &Snapshot) -> Result<Revisions, StoreError> {
    let end = snapshot.end.div_ceil(UNIT);
    let mut then = newest;
    then.retain(|(sequence, _)| rows.binary_search_by_key(sequence, |row| row.sequence).is_ok());
    for (sequence, place) in &mut then {
        *place = revisions::as_of(segment, *sequence, *place, end)?;
    }
    then.retain(|(_, place)| *place != revisions::PACKED);
    Ok(then)
}

/// Runs `work`, which reads bodies of a set in a snapshot. When bodies became holes meanwhile, or made no sense, the set
/// must still be there.
fn guarded<T>(
    connection: &Connection,
    file: &StorageFile,
    (owner, snapshot): (SetOwner, &Snapshot),
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let punches = file.segment.punches();
    let result = in_snapshot(connection, || {
        check(connection, owner, snapshot)?;
        work()
    });
    if matches!(result, Err(StoreError::Damaged(_))) || file.segment.punches() != punches {
        check(connection, owner, snapshot)?;
    }
    result
}

impl Scan {
    /// Begins to read; `None` when there is nothing, and was nothing.
    pub fn open(
        reader: &mut Reader,
        file: &StorageFile,
        owner: SetOwner,
        query: &SnapshotQuery,
        buffers: Arc<Buffers>,
    ) -> Result<Option<Self>, StoreError> {
        let connection = &reader.connection;
        let (snapshot, counters) = match query.at {
            Some(at) if at.storage != file.base => return Err(StoreError::Gone),
            Some(at) => {
                check(connection, owner, &at)?;
                (at, None)
            }
            None => match take(connection, file, owner)? {
                Some((now, counters)) => (now, Some(counters)),
                None => return Ok(None),
            },
        };
        let Some(tags) = TagFilter::of(connection, &query.filter)? else {
            return Ok(Some(Self::empty(owner, snapshot, buffers)));
        };
        let after = query.after.0.saturating_sub(file.base).min(MAX_SEQUENCE);
        let plan = Plan::Walk;
        let times = TimeFilter::of(&query.filter);
        let mut scan = Self { snapshot, total: None, owner, after, plan, tags, times, buffers, ended: false };
        if query.filter.has_identities() {
            let found = candidates(connection, file, snapshot.set, &query.filter)?;
            scan.plan = Plan::Ids(found, IdFilter::new(&query.filter));
        } else if let Some(counters) = counters {
            scan.count(&counters);
        }
        scan.after = after.max(removal::first_sequence(connection, snapshot.set)?.saturating_sub(1));
        Ok(Some(scan))
    }

    fn empty(owner: SetOwner, snapshot: Snapshot, buffers: Arc<Buffers>) -> Self {
        let tags = TagFilter::default();
        let plan = Plan::Walk;
        Self { snapshot, total: Some(0), owner, after: 0, plan, tags, times: None, buffers, ended: true }
    }

    fn count(&mut self, counters: &[(Tag, u64)]) {
        let passing = || counters.iter().filter(|(tag, _)| self.tags.passes(*tag));
        let total: u64 = passing().map(|(_, count)| count).sum();
        let mut keys: Vec<u64> = passing().map(|(tag, _)| tag.key(self.snapshot.set)).collect();
        keys.sort_unstable();
        keys.dedup();
        if total < counters.iter().map(|(_, count)| count).sum() && keys.len() <= MAX_TAG_KEYS {
            self.plan = Plan::Tags(keys);
        }
        self.total = (self.after == 0 && self.times.is_none()).then_some(total);
    }

    fn last(&self) -> u64 {
        (self.snapshot.last - self.snapshot.storage).min(MAX_SEQUENCE)
    }

    /// The next rows; `None` at the end, or when there are none among very many.
    pub fn read(&mut self, reader: &mut Reader, file: &StorageFile) -> Result<Option<SnapshotChunk>, StoreError> {
        let mut chunk = Filling { bytes: self.buffers.take(CHUNK_BYTES), rows: Vec::new() };
        let filled = self.fill(reader, file, &mut chunk);
        let Filling { bytes, rows } = chunk;
        if filled.is_err() || rows.is_empty() {
            self.buffers.give(bytes);
            return filled.map(|()| None);
        }
        Ok(Some(SnapshotChunk { rows, bytes: self.buffers.lend(bytes) }))
    }

    fn fill(&mut self, reader: &mut Reader, file: &StorageFile, chunk: &mut Filling) -> Result<(), StoreError> {
        let last = self.last();
        let mut rounds = 0;
        while !chunk.is_full() && self.after < last && (rounds < ROUNDS || self.times.is_none()) {
            rounds += 1;
            let (next, some) = match &self.plan {
                Plan::Walk => {
                    self.walk(reader, file, last, chunk)?;
                    continue;
                }
                Plan::Ids(found, _) => {
                    let next: Vec<u64> = found.behind(self.after).take(AHEAD).collect();
                    (next, AHEAD)
                }
                Plan::Tags(keys) => (file.index.tail(&reader.connection, keys, self.after, AHEAD)?, 1),
            };
            let (whole, next) = (next.len() < some, next.into_iter().filter(|row| *row <= last));
            let next: Vec<u64> = next.collect();
            let (Some(first), Some(end)) = (next.first().copied(), next.last().copied()) else {
                self.after = last;
                break;
            };
            if matches!(self.plan, Plan::Tags(_)) && end - first < next.len() as u64 * DENSE {
                self.after = self.after.max(first - 1);
                self.walk(reader, file, end, chunk)?;
            } else if self.fetch(reader, file, &next, chunk)? && whole {
                self.after = last;
            }
        }
        self.ended = self.after >= last;
        Ok(())
    }

    /// Reads rows in order up to `to`, until the chunk is full or many rows did not pass.
    fn walk(
        &mut self,
        reader: &mut Reader,
        file: &StorageFile,
        to: u64,
        chunk: &mut Filling,
    ) -> Result<(), StoreError> {
        let Reader { connection, buffer, rows } = reader;
        let (set, snapshot) = (self.snapshot.set, self.snapshot);
        let view = file.index.view(self.after);
        guarded(connection, file, (self.owner, &snapshot), || {
            let range = (self.after, to.min(view.horizon));
            // What a row was then is not known yet: the rows that its tag lets pass now are a guess at how many to gather.
            let (tags, times) = (&self.tags, self.times);
            let created = times.map_or(Span::default(), |times| times.created);
            let passes = |tag| tags.passes(tag);
            let (reached, _) = walk::gather_created(connection, set, range, created, usize::MAX, passes, rows)?;
            if !view.is_empty() {
                let mut newest = Vec::new();
                for (first, last) in walk::stretches(rows) {
                    newest.extend(view.revisions(connection, first, last)?);
                }
                let then = as_of(&file.segment, rows, newest, &snapshot)?;
                walk::revise(rows, &then);
            }
            if let Some(times) = times {
                times.thin(&file.segment, rows)?;
            }
            if self.take(file, rows, buffer, chunk)? {
                self.after = reached;
            }
            Ok(())
        })
    }

    /// Reads the rows with these sequences; answers whether it took all of them.
    fn fetch(
        &mut self,
        reader: &mut Reader,
        file: &StorageFile,
        sequences: &[u64],
        chunk: &mut Filling,
    ) -> Result<bool, StoreError> {
        let Reader { connection, buffer, rows } = reader;
        let snapshot = self.snapshot;
        let newest = file.index.revisions_of(connection, sequences)?;
        let whole = guarded(connection, file, (self.owner, &snapshot), || {
            walk::pick(connection, snapshot.set, sequences.iter().copied(), rows)?;
            let then = as_of(&file.segment, rows, newest, &snapshot)?;
            walk::revise(rows, &then);
            if let Some(times) = self.times {
                times.thin(&file.segment, rows)?;
            }
            self.take(file, rows, buffer, chunk)
        })?;
        if whole {
            self.after = self.after.max(sequences.last().copied().unwrap_or(0));
        }
        Ok(whole)
    }

    /// Takes the rows that pass, until the chunk is full. Answers whether it took all of them.
    fn take(
        &mut self,
        file: &StorageFile,
        rows: &[Row],
        buffer: &mut Vec<u8>,
        chunk: &mut Filling,
    ) -> Result<bool, StoreError> {
        let Self { tags, plan, after, snapshot, .. } = self;
        walk::each_body(
            &file.segment,
            rows,
            usize::MAX,
            |tag| tags.passes(tag),
            buffer,
            |row, body| {
                if let Plan::Ids(_, ids) = &plan
                    && !ids.passes(body)?
                {
                    return Ok(true);
                }
                chunk.push(row, snapshot.storage, body)?;
                *after = row.sequence;
                Ok(!chunk.is_full())
            },
        )
    }
}

/// Rows of a set with these sequences, which ascend, as they were at a moment.
pub fn read_at(
    reader: &mut Reader,
    file: &StorageFile,
    owner: SetOwner,
    snapshot: &Snapshot,
    sequences: &[u64],
) -> Result<SnapshotChunk, StoreError> {
    if snapshot.storage != file.base {
        return Err(StoreError::Gone);
    }
    let Reader { connection, buffer, rows } = reader;
    let mut chunk = Filling { bytes: Vec::new(), rows: Vec::new() };
    let newest = file.index.revisions_of(connection, sequences)?;
    guarded(connection, file, (owner, snapshot), || {
        walk::pick(connection, snapshot.set, sequences.iter().copied(), rows)?;
        let then = as_of(&file.segment, rows, newest, snapshot)?;
        walk::revise(rows, &then);
        walk::each_body(
            &file.segment,
            rows,
            usize::MAX,
            |_| true,
            buffer,
            |row, body| {
                chunk.push(row, snapshot.storage, body)?;
                Ok(true)
            },
        )
    })?;
    Ok(SnapshotChunk { rows: chunk.rows, bytes: chunk.bytes.into() })
}

/// A chunk being filled.
struct Filling {
    bytes: Vec<u8>,
    rows: Vec<SnapshotRow>,
}

impl Filling {
    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    fn push(&mut self, row: &Row, base: u64, body: &[u8]) -> Result<(), StoreError> {
        if body.first() != Some(&b'{') || body.last() != Some(&b'}') {
            return Err(damaged("a result holds no JSON object"));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.rows.push(SnapshotRow {
            id: Position(base + row.sequence),
            identity: row.identity,
            status: row.tag.status(),
            created_at: row.created_at,
            modified_at: row.modified_at,
            body: start..self.bytes.len(),
        });
        Ok(())
    }
}
