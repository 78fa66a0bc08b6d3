//! The data plane in memory.
//!
//! A set is a map from ids to rows, beside it one from identities to ids and the counters. A page holds no lock between
//! its chunks: it remembers the number of its set, and ends when the set is gone. A snapshot is a copy of the map, which
//! shares the rows; the last few are kept.

mod last;
mod removal;

use crate::store::body::Naming;
use crate::store::encode::Encoder;
use crate::store::{
    Chunk, DataSubject, Erased, LastQuery, PageQuery, PageReader, RemovedStep, ResultFilter, ResultStore, SetKey,
    SetOwner, Snapshot, SnapshotChunk, SnapshotQuery, SnapshotReader, SnapshotRow, StorageKey, Storages, StoreError,
    Tally, Upserted,
};
use async_trait::async_trait;
use docket_contract::cursor::Position;
use docket_contract::result::{Identity, Record, ResultStatus};
use docket_contract::{JobId, ProcessingLogId, Timestamp};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes at which a chunk ends.
const CHUNK_BYTES: usize = 512 << 10;
/// Most rows that one chunk looks at, so that a filter that few pass holds the lock for a moment only.
const CHUNK_ROWS: usize = 10_000;
/// Memory that a row takes beside its text, roughly.
const ROW_BYTES: usize = 300;
/// Moments kept to be read again.
const SNAPSHOTS: usize = 16;
/// Most memory of all rows; what does not fit is refused.
const MOST_BYTES: usize = 1 << 30;

type Counters = HashMap<(Option<String>, Option<[u8; 2]>, ResultStatus), u64>;

/// Results in memory.
#[derive(Default)]
pub struct MemoryResults {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    storages: HashMap<StorageKey, HashMap<SetOwner, Set>>,
    /// The last id given, in any storage: an id is never given twice.
    last_id: u64,
    /// The last number of a set.
    last_set: u64,
    /// Records written so far.
    writes: u64,
    /// Moments that may be read again, oldest first.
    snapshots: VecDeque<(Snapshot, Rows)>,
    bytes: usize,
    closed: bool,
}

#[derive(Default)]
struct Set {
    /// Tells it from an earlier set of the same owner.
    number: u64,
    /// Grows with each record written.
    writes: u64,
    rows: BTreeMap<u64, Arc<Row>>,
    ids: HashMap<Identity, u64>,
    counters: Counters,
    bytes: usize,
}

/// What a snapshot holds.
type Rows = Arc<BTreeMap<u64, Arc<Row>>>;

struct Row {
    created_at: Timestamp,
    modified_at: Timestamp,
    /// Grows from write to write, over all sets.
    written: u64,
    record: Record,
}

/// Memory that a record takes: its identity is kept twice.
fn bytes(record: &Record) -> usize {
    record.json.len() + 2 * record.identity.as_bytes().len() + ROW_BYTES
}

fn one_of(ids: &[String], id: Option<&str>) -> bool {
    ids.is_empty() || id.is_some_and(|id| ids.iter().any(|wanted| wanted == id))
}

fn passes(filter: &ResultFilter, row: &Row) -> bool {
    let (identity, status) = (&row.record.identity, row.record.status);
    filter.status.is_none_or(|wanted| wanted == status)
        && filter.created.contains(row.created_at)
        && filter.modified.contains(row.modified_at)
        && one_of(&filter.data_source_ids, identity.data_source_id())
        && one_of(&filter.business_partner_ids, identity.business_partner_id())
        && one_of(&filter.external_ids, identity.external_id())
}

impl Set {
    /// Writes a record; `new_id` is called for one that is not known. Answers whether it was created.
    fn put(&mut self, record: Record, now: Timestamp, written: u64, new_id: impl FnOnce() -> u64) -> bool {
        self.bytes += bytes(&record);
        let known = self.ids.get(&record.identity).copied();
        let id = known.unwrap_or_else(|| {
            let id = new_id();
            self.ids.insert(record.identity.clone(), id);
            id
        });
        let created_at = match self.rows.get(&id) {
            Some(before) => {
                self.bytes -= bytes(&before.record);
                count(&mut self.counters, &before.record, false);
                before.created_at
            }
            None => now,
        };
        count(&mut self.counters, &record, true);
        self.rows.insert(id, Arc::new(Row { created_at, modified_at: now, written, record }));
        self.writes += 1;
        known.is_none()
    }

    fn total(&self, filter: &ResultFilter) -> Option<u64> {
        if filter.has_identities() {
            return Some(self.rows.values().filter(|row| passes(filter, row)).count() as u64);
        }
        let fits = |(source, _, status): &(Option<String>, Option<[u8; 2]>, ResultStatus)| {
            filter.status.is_none_or(|wanted| wanted == *status) && one_of(&filter.data_source_ids, source.as_deref())
        };
        let total = self.counters.iter().filter(|(key, _)| fits(key)).map(|(_, count)| count).sum();
        (!filter.has_times() || total == 0).then_some(total)
    }
}

/// Counts a record in or out.
fn count(counters: &mut Counters, record: &Record, comes: bool) {
    let key = (record.identity.data_source_id().map(str::to_owned), record.country, record.status);
    let count = counters.entry(key.clone()).or_default();
    *count = if comes { *count + 1 } else { count.saturating_sub(1) };
    if *count == 0 {
        counters.remove(&key);
    }
}

fn lock(kept: &Mutex<Kept>) -> Result<MutexGuard<'_, Kept>, StoreError> {
    // Nothing panics while it holds the lock half way through a change.
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.closed { Err(StoreError::Closing) } else { Ok(kept) }
}

/// Gives memory back apart from the threads that serve connections.
fn drop_behind(sets: impl Send + 'static) {
    tokio::task::spawn_blocking(move || drop(sets));
}

#[async_trait]
impl ResultStore for MemoryResults {
    async fn upsert_mirrored(
        &self,
        set: &SetKey,
        mirror: Option<ProcessingLogId>,
        records: Vec<Record>,
        now: Timestamp,
    ) -> Result<Upserted, StoreError> {
        let kept = &mut *lock(&self.kept)?;
        if records.is_empty() {
            return Ok(Upserted::default());
        }
        let sets = if mirror.is_some() { 2 } else { 1 };
        if kept.bytes + sets * records.iter().map(bytes).sum::<usize>() > MOST_BYTES {
            return Err(StoreError::Full);
        }
        let mirrored = mirror.map(|log| (SetKey { owner: SetOwner::Log(log), ..set.clone() }, records.clone()));
        let upserted = kept.write(set, named(Naming::of(set.owner), records), now);
        if let Some((log, records)) = mirrored {
            kept.write(&log, named(Naming::mirrored(set.owner), records), now);
        }
        Ok(upserted)
    }

    async fn open_page(&self, set: &SetKey, query: PageQuery) -> Result<Box<dyn PageReader>, StoreError> {
        let kept = lock(&self.kept)?;
        let found = kept.find(set);
        Ok(Box::new(MemoryPage {
            kept: Arc::clone(&self.kept),
            set: set.clone(),
            number: found.map_or(0, |set| set.number),
            total: found.map_or(Some(0), |set| set.total(&query.filter)),
            reached: query.after,
            encoder: Encoder::new(set, query.include_fields),
            filter: query.filter,
            after: query.after.0,
            remaining: query.limit,
            more: false,
            ended: found.is_none(),
        }))
    }

    async fn open_snapshot(&self, set: &SetKey, query: SnapshotQuery) -> Result<Box<dyn SnapshotReader>, StoreError> {
        let mut kept = lock(&self.kept)?;
        let (snapshot, rows) = kept.snapshot(set, query.at)?;
        let total = kept.find(set).map_or(Some(0), |set| set.total(&query.filter));
        let is_counted = query.at.is_none() && query.after.0 == 0 && !query.filter.has_identities();
        let total = total.filter(|_| is_counted || rows.is_empty());
        let (kept, set) = (Arc::clone(&self.kept), set.clone());
        Ok(Box::new(MemoryScan { kept, set, snapshot, rows, total, filter: query.filter, after: query.after.0 }))
    }

    async fn read_at(&self, set: &SetKey, at: Snapshot, ids: Vec<Position>) -> Result<SnapshotChunk, StoreError> {
        let (_, rows) = lock(&self.kept)?.snapshot(set, Some(at))?;
        Ok(chunk(ids.iter().filter_map(|id| rows.get_key_value(&id.0)), usize::MAX))
    }

    async fn statistics(&self, set: &SetKey) -> Result<Vec<Tally>, StoreError> {
        let kept = lock(&self.kept)?;
        let Some(set) = kept.find(set) else { return Ok(Vec::new()) };
        let tally = |((source, country, status), count): (&(Option<String>, Option<[u8; 2]>, ResultStatus), &u64)| {
            Tally { data_source_id: source.clone(), country: *country, status: *status, count: *count }
        };
        Ok(set.counters.iter().map(tally).collect())
    }

    async fn last_results(&self, storage: &StorageKey, query: LastQuery) -> Result<Box<dyn PageReader>, StoreError> {
        Ok(Box::new(lock(&self.kept)?.last_results(storage, query)?))
    }

    async fn newest_jobs(&self, storage: &StorageKey, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let kept = lock(&self.kept)?;
        let sets = kept.storages.get(storage).into_iter().flatten();
        let mut jobs: Vec<(u64, JobId)> = sets
            .filter_map(|(owner, set)| match owner {
                SetOwner::Job(job) => Some((set.number, *job)),
                SetOwner::Log(_) => None,
            })
            .collect();
        jobs.sort_unstable_by(|one, other| other.cmp(one));
        jobs.truncate(limit);
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }

    async fn last_result(&self, set: &SetKey) -> Result<Option<Position>, StoreError> {
        let kept = lock(&self.kept)?;
        Ok(kept.find(set).and_then(|set| set.rows.last_key_value()).map(|(id, _)| Position(*id)))
    }

    async fn delete_job_sets(&self, storage: &StorageKey) -> Result<u64, StoreError> {
        let mut kept = lock(&self.kept)?;
        let Some(sets) = kept.storages.remove(storage) else { return Ok(0) };
        let (logs, sets): (HashMap<_, _>, HashMap<_, _>) =
            sets.into_iter().partition(|(owner, _)| matches!(owner, SetOwner::Log(_)));
        if !logs.is_empty() {
            kept.storages.insert(storage.clone(), logs);
        }
        kept.bytes -= sets.values().map(|set| set.bytes).sum::<usize>();
        let deleted = sets.values().map(|set| set.rows.len() as u64).sum();
        kept.snapshots.retain(|(snapshot, _)| sets.values().all(|set| set.number != snapshot.set));
        drop_behind(sets);
        Ok(deleted)
    }

    async fn delete_set(&self, set: &SetKey) -> Result<u64, StoreError> {
        let mut kept = lock(&self.kept)?;
        let removed = kept.storages.get_mut(&set.storage).and_then(|sets| sets.remove(&set.owner));
        let Some(set) = removed else { return Ok(0) };
        kept.bytes -= set.bytes;
        let deleted = set.rows.len() as u64;
        kept.snapshots.retain(|(snapshot, _)| snapshot.set != set.number);
        drop_behind(set);
        Ok(deleted)
    }

    async fn storages(&self, organization: &str) -> Result<Storages, StoreError> {
        let kept = lock(&self.kept)?;
        let mut keys: Vec<StorageKey> =
            kept.storages.keys().filter(|storage| storage.organization == organization).cloned().collect();
        keys.sort_unstable();
        Ok(Storages { keys, unreadable: None })
    }

    async fn erase(&self, storage: &StorageKey, subject: &DataSubject) -> Result<Vec<Erased>, StoreError> {
        Ok(lock(&self.kept)?.erase(storage, subject))
    }

    async fn remove_older(&self, set: &SetKey, before: Timestamp, after: Position) -> Result<RemovedStep, StoreError> {
        Ok(lock(&self.kept)?.remove_older(set, before, after))
    }

    async fn close(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

/// Records as a set keeps them.
fn named(naming: Naming, records: Vec<Record>) -> impl Iterator<Item = Record> {
    records.into_iter().map(move |record| {
        if matches!(naming, Naming::Set) {
            return record;
        }
        let mut text = Vec::with_capacity(record.json.len());
        naming.body(&record).write(&mut text);
        // Two texts in a row are a text.
        let json = String::from_utf8(text).unwrap_or_default();
        Record { json, ..record }
    })
}

impl Kept {
    /// Writes records to a set, which is made when it is new.
    fn write(&mut self, set: &SetKey, records: impl Iterator<Item = Record>, now: Timestamp) -> Upserted {
        let Self { storages, last_id, last_set, writes, .. } = self;
        let set = storages.entry(set.storage.clone()).or_default().entry(set.owner).or_insert_with(|| {
            *last_set += 1;
            Set { number: *last_set, ..Set::default() }
        });
        let before = set.bytes;
        let mut upserted = Upserted::default();
        for record in records {
            *writes += 1;
            let created = set.put(record, now, *writes, || {
                *last_id += 1;
                *last_id
            });
            *(if created { &mut upserted.created } else { &mut upserted.updated }) += 1;
        }
        self.bytes = self.bytes + set.bytes - before;
        upserted
    }

    /// A set now, or at a moment that is still kept.
    fn snapshot(&mut self, key: &SetKey, at: Option<Snapshot>) -> Result<(Snapshot, Rows), StoreError> {
        let now = self.find(key).map_or(Snapshot::default(), |set| {
            let last = set.rows.last_key_value().map_or(0, |(id, _)| *id);
            Snapshot { storage: 0, set: set.number, last, end: set.writes }
        });
        let wanted = at.unwrap_or(now);
        if wanted == Snapshot::default() {
            return Ok((wanted, Rows::default()));
        }
        if wanted.set != now.set {
            return Err(StoreError::Gone);
        }
        if let Some((_, rows)) = self.snapshots.iter().find(|(snapshot, _)| *snapshot == wanted) {
            return Ok((wanted, Arc::clone(rows)));
        }
        if wanted != now {
            return Err(StoreError::Gone);
        }
        let rows: Rows = Arc::new(self.find(key).map(|set| set.rows.clone()).unwrap_or_default());
        self.snapshots.push_back((now, Arc::clone(&rows)));
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
        Ok((now, rows))
    }

    fn find(&self, set: &SetKey) -> Option<&Set> {
        self.storages.get(&set.storage)?.get(&set.owner)
    }
}

/// A page being read.
struct MemoryPage {
    kept: Arc<Mutex<Kept>>,
    set: SetKey,
    number: u64,
    total: Option<u64>,
    reached: Position,
    encoder: Encoder,
    filter: ResultFilter,
    after: u64,
    remaining: usize,
    more: bool,
    ended: bool,
}

#[async_trait]
impl PageReader for MemoryPage {
    fn total(&self) -> Option<u64> {
        self.total
    }

    async fn next(&mut self) -> Result<Option<Chunk>, StoreError> {
        let (mut bytes, mut count, mut last) = (Vec::new(), 0, Position::default());
        while !self.ended && count == 0 {
            self.fill(&mut bytes, &mut count, &mut last)?;
            tokio::task::consume_budget().await;
        }
        Ok((count > 0).then(|| Chunk { bytes: bytes.into(), count, last }))
    }

    fn has_more(&self) -> bool {
        self.more
    }

    fn reached(&self) -> Position {
        self.reached
    }
}

impl MemoryPage {
    /// Looks at the next rows, until the chunk is full or the page has ended.
    fn fill(&mut self, bytes: &mut Vec<u8>, count: &mut usize, last: &mut Position) -> Result<(), StoreError> {
        let kept = lock(&self.kept)?;
        let Some(set) = kept.find(&self.set).filter(|set| set.number == self.number) else {
            self.ended = true;
            return Ok(());
        };
        let mut rows = set.rows.range((Bound::Excluded(self.after), Bound::Unbounded));
        for _ in 0..CHUNK_ROWS {
            let Some((&id, row)) = rows.next() else {
                self.ended = true;
                break;
            };
            if passes(&self.filter, row) {
                if self.remaining == 0 {
                    (self.more, self.ended) = (true, true);
                    break;
                }
                self.encoder.push(bytes, id, row.created_at, row.modified_at, row.record.json.as_bytes())?;
                self.remaining -= 1;
                *count += 1;
                (*last, self.reached) = (Position(id), Position(id));
            }
            self.after = id;
            if bytes.len() >= CHUNK_BYTES {
                break;
            }
        }
        Ok(())
    }
}

/// Rows as a chunk, until it has so many bytes.
fn chunk<'a>(rows: impl Iterator<Item = (&'a u64, &'a Arc<Row>)>, most: usize) -> SnapshotChunk {
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    for (id, row) in rows {
        let start = bytes.len();
        bytes.extend_from_slice(row.record.json.as_bytes());
        let hash = blake3::hash(row.record.identity.as_bytes());
        found.push(SnapshotRow {
            id: Position(*id),
            identity: std::array::from_fn(|place| hash.as_bytes()[place]),
            status: row.record.status,
            created_at: row.created_at,
            modified_at: row.modified_at,
            body: start..bytes.len(),
        });
        if bytes.len() >= most {
            break;
        }
    }
    SnapshotChunk { rows: found, bytes: bytes.into() }
}

/// A snapshot being read.
struct MemoryScan {
    kept: Arc<Mutex<Kept>>,
    set: SetKey,
    snapshot: Snapshot,
    rows: Rows,
    total: Option<u64>,
    filter: ResultFilter,
    after: u64,
}

#[async_trait]
impl SnapshotReader for MemoryScan {
    fn snapshot(&self) -> Snapshot {
        self.snapshot
    }

    fn total(&self) -> Option<u64> {
        self.total
    }

    async fn next(&mut self) -> Result<Option<SnapshotChunk>, StoreError> {
        // What is read is a copy; that it is still wanted is asked of the set.
        if lock(&self.kept)?.find(&self.set).map_or(0, |set| set.number) != self.snapshot.set {
            return Err(StoreError::Gone);
        }
        let behind = self.rows.range((Bound::Excluded(self.after), Bound::Unbounded));
        let chunk = chunk(behind.filter(|(_, row)| passes(&self.filter, row)), CHUNK_BYTES);
        match chunk.rows.last() {
            Some(last) => self.after = last.id.0,
            None => return Ok(None),
        }
        tokio::task::consume_budget().await;
        Ok(Some(chunk))
    }
}
