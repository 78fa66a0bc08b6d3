//! The data plane in memory.
//!
//! A set is a map from ids to rows, beside it one from identities to ids and the counters. A page holds no lock between
//! its chunks: it remembers the number of its set, and ends when the set is gone.

use crate::store::encode::Encoder;
use crate::store::{
    Chunk, PageQuery, PageReader, ResultFilter, ResultStore, SetKey, StorageKey, StoreError, Tally, Upserted,
};
use async_trait::async_trait;
use docket_contract::cursor::Position;
use docket_contract::result::{Identity, Record, ResultStatus};
use docket_contract::{JobId, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes at which a chunk ends.
const CHUNK_BYTES: usize = 512 << 10;
/// Most rows that one chunk looks at, so that a filter that few pass holds the lock for a moment only.
const CHUNK_ROWS: usize = 10_000;
/// Memory that a row takes beside its text, roughly.
const ROW_BYTES: usize = 300;
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
    storages: HashMap<StorageKey, HashMap<JobId, Set>>,
    /// The last id given, in any storage: an id is never given twice.
    last_id: u64,
    /// The last number of a set.
    last_set: u64,
    bytes: usize,
    closed: bool,
}

#[derive(Default)]
struct Set {
    /// Tells it from an earlier set of the same job.
    number: u64,
    rows: BTreeMap<u64, Row>,
    ids: HashMap<Identity, u64>,
    counters: Counters,
    bytes: usize,
}

struct Row {
    created_at: Timestamp,
    modified_at: Timestamp,
    record: Record,
}

/// Memory that a record takes: its identity is kept twice.
fn bytes(record: &Record) -> usize {
    record.json.len() + 2 * record.identity.as_bytes().len() + ROW_BYTES
}

fn passes(filter: &ResultFilter, record: &Record) -> bool {
    let identity = &record.identity;
    let one_of =
        |ids: &[String], id: Option<&str>| ids.is_empty() || id.is_some_and(|id| ids.iter().any(|wanted| wanted == id));
    filter.status.is_none_or(|status| status == record.status)
        && filter.data_source_id.as_deref().is_none_or(|source| identity.data_source_id() == Some(source))
        && one_of(&filter.business_partner_ids, identity.business_partner_id())
        && one_of(&filter.external_ids, identity.external_id())
}

impl Set {
    /// Writes a record; `new_id` is called for one that is not known. Answers whether it was created.
    fn put(&mut self, record: Record, now: Timestamp, new_id: impl FnOnce() -> u64) -> bool {
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
        self.rows.insert(id, Row { created_at, modified_at: now, record });
        known.is_none()
    }

    fn total(&self, filter: &ResultFilter) -> u64 {
        if filter.has_identities() {
            return self.rows.values().filter(|row| passes(filter, &row.record)).count() as u64;
        }
        let fits = |(source, _, status): &(Option<String>, Option<[u8; 2]>, ResultStatus)| {
            filter.status.is_none_or(|wanted| wanted == *status)
                && (filter.data_source_id.is_none() || filter.data_source_id == *source)
        };
        self.counters.iter().filter(|(key, _)| fits(key)).map(|(_, count)| count).sum()
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
    async fn upsert_results(&self, set: &SetKey, records: Vec<Record>, now: Timestamp) -> Result<Upserted, StoreError> {
        let kept = &mut *lock(&self.kept)?;
        if records.is_empty() {
            return Ok(Upserted::default());
        }
        if kept.bytes + records.iter().map(bytes).sum::<usize>() > MOST_BYTES {
            return Err(StoreError::Full);
        }
        let Kept { storages, last_id, last_set, .. } = kept;
        let set = storages.entry(set.storage.clone()).or_default().entry(set.job).or_insert_with(|| {
            *last_set += 1;
            Set { number: *last_set, ..Set::default() }
        });
        let before = set.bytes;
        let mut upserted = Upserted::default();
        for record in records {
            let created = set.put(record, now, || {
                *last_id += 1;
                *last_id
            });
            *(if created { &mut upserted.created } else { &mut upserted.updated }) += 1;
        }
        kept.bytes = kept.bytes + set.bytes - before;
        Ok(upserted)
    }

    async fn open_page(&self, set: &SetKey, query: PageQuery) -> Result<Box<dyn PageReader>, StoreError> {
        let kept = lock(&self.kept)?;
        let found = kept.find(set);
        Ok(Box::new(MemoryPage {
            kept: Arc::clone(&self.kept),
            set: set.clone(),
            number: found.map_or(0, |set| set.number),
            total: found.map_or(0, |set| set.total(&query.filter)),
            encoder: Encoder::new(set, query.include_fields),
            filter: query.filter,
            after: query.after.0,
            remaining: query.limit,
            more: false,
            ended: found.is_none(),
        }))
    }

    async fn statistics(&self, set: &SetKey) -> Result<Vec<Tally>, StoreError> {
        let kept = lock(&self.kept)?;
        let Some(set) = kept.find(set) else { return Ok(Vec::new()) };
        let tally = |((source, country, status), count): (&(Option<String>, Option<[u8; 2]>, ResultStatus), &u64)| {
            Tally { data_source_id: source.clone(), country: *country, status: *status, count: *count }
        };
        Ok(set.counters.iter().map(tally).collect())
    }

    async fn last_result(&self, set: &SetKey) -> Result<Option<Position>, StoreError> {
        let kept = lock(&self.kept)?;
        Ok(kept.find(set).and_then(|set| set.rows.last_key_value()).map(|(id, _)| Position(*id)))
    }

    async fn delete_storage(&self, storage: &StorageKey) -> Result<u64, StoreError> {
        let mut kept = lock(&self.kept)?;
        let Some(sets) = kept.storages.remove(storage) else { return Ok(0) };
        kept.bytes -= sets.values().map(|set| set.bytes).sum::<usize>();
        let deleted = sets.values().map(|set| set.rows.len() as u64).sum();
        drop_behind(sets);
        Ok(deleted)
    }

    async fn delete_set(&self, set: &SetKey) -> Result<u64, StoreError> {
        let mut kept = lock(&self.kept)?;
        let removed = kept.storages.get_mut(&set.storage).and_then(|sets| sets.remove(&set.job));
        let Some(set) = removed else { return Ok(0) };
        kept.bytes -= set.bytes;
        let deleted = set.rows.len() as u64;
        drop_behind(set);
        Ok(deleted)
    }

    async fn close(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

impl Kept {
    fn find(&self, set: &SetKey) -> Option<&Set> {
        self.storages.get(&set.storage)?.get(&set.job)
    }
}

/// A page being read.
struct MemoryPage {
    kept: Arc<Mutex<Kept>>,
    set: SetKey,
    number: u64,
    total: u64,
    encoder: Encoder,
    filter: ResultFilter,
    after: u64,
    remaining: usize,
    more: bool,
    ended: bool,
}

#[async_trait]
impl PageReader for MemoryPage {
    fn total(&self) -> u64 {
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
            if passes(&self.filter, &row.record) {
                if self.remaining == 0 {
                    (self.more, self.ended) = (true, true);
                    break;
                }
                self.encoder.push(bytes, id, row.created_at, row.modified_at, row.record.json.as_bytes())?;
                self.remaining -= 1;
                *count += 1;
                *last = Position(id);
            }
            self.after = id;
            if bytes.len() >= CHUNK_BYTES {
                break;
            }
        }
        Ok(())
    }
}
