//! The index of a storage: from hashes and tags to sequences. The one clever mechanism of the store.
//!
//! A table with a random key dirties a page for every record and index, twice: in the log and in the file. So rows are
//! only appended, and their index entries wait in memory (`memory.rs`) behind a **watermark**. When enough have gathered
//! they become a **run** (`run.rs`): all entries sorted, packed into blocks of one page, with a Bloom filter. Runs of
//! the same level are merged into one of the next (`maintenance.rs`), so that few have to be asked and an entry is
//! written about as often as the logarithm of the number of runs. Nothing is ever changed in place.
//!
//! An entry is a key of 64 bits and a sequence. The kind stands in the key's highest bits: identity (61 bits of a keyed
//! hash), business partner, external id (39 bits of a keyed hash, then the set), or tag (set, data source and verdict). An
//! entry of a business partner or external id also tells the record (40 bits of its hash), so that the entries of an id in
//! all sets, which stand together, tell its records without a look at any row. The same entry may be there twice,
//! and entries outlive what they point to: a deleted set, a changed verdict, another id with the same hash. The row
//! decides; an entry is a hint where to look. What must hold is only that *every* row can be found.
//!
//! Entries of one kind are more than hints: those of **revisions**. Their key is the sequence of a row, and in place of a
//! sequence stands where in the segment a newer body of the row begins. The highest place of a row is its newest, and
//! when runs are made only that one is kept.
//!
//! Written in slices, each a step in some transaction of the file's writer:
//! 1. blocks and filter of a new run, as many steps as it takes. Nobody reads them yet.
//! 2. one step that makes it a run: its row in `runs`, the rows of those that it replaces deleted, and the watermark
//!    moved if it came from memory, all in one transaction.
//! 3. the blocks of replaced runs are deleted, once no reader holds them.
//!
//! After a crash between any two steps the file holds the old runs or the new one. Blocks without a run are deleted when
//! the file is opened; rows behind the watermark are read again, and so nothing but the rows has to be durable. What
//! their packs do not tell is the exception, revisions and changed verdicts: those entries wait in `pending_entries`
//! meanwhile.

mod check;
mod living;
mod maintenance;
mod memory;
mod recovery;
mod run;
mod sql;
#[cfg(test)]
mod tests;
mod view;

pub use check::check_runs;
pub use maintenance::{Maintenance, Step};
pub use recovery::{last_pending, save_pending};
pub use run::PAGE_ENTRIES;
pub use view::Revisions;

use super::bloom::Bloom;
use super::keys::Hasher;
use super::readers::in_snapshot;
use super::segment::Segment;
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use memory::Memory;
use run::{BLOCK_BITS, Run};
use rusqlite::Connection;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A key and the sequence of a row that it finds; of a revision's key, the place where the revision stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub key: u64,
    pub sequence: u64,
    /// The record of the row, with the key of an id; else 0.
    pub record: u64,
}

impl Entry {
    /// An entry that tells no record.
    pub fn new(key: u64, sequence: u64) -> Self {
        Self { key, sequence, record: 0 }
    }
}

/// How the index of a file is built.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// Entries in memory that make a run.
    pub run_entries: usize,
    /// Runs of a level that are merged into one of the next.
    pub merge: usize,
    /// Bits of a run's filter for an entry.
    pub filter_bits: usize,
    /// Blocks that a step writes or deletes.
    pub slice_blocks: usize,
    /// Entries of a block.
    pub block_entries: usize,
}

/// Bounds the memory for filters of all files. A run whose filter has no room is read without.
pub struct FilterMemory {
    used: AtomicUsize,
    limit: usize,
}

impl FilterMemory {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    fn charge(&self, size: usize) -> bool {
        let fits = |used: usize| used.checked_add(size).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn release(&self, size: usize) {
        self.used.fetch_sub(size, Ordering::Relaxed);
    }
}

/// Entries that are becoming a run: until it is there, they are read from here.
struct Frozen {
    memory: Memory,
    /// The watermark once the run is there.
    watermark: u64,
    /// The last row of `pending_entries` among the entries.
    pending: i64,
}

struct Shared {
    active: Memory,
    frozen: Option<Arc<Frozen>>,
    /// Oldest first.
    runs: Vec<Arc<Run>>,
}

/// The index of one file. The writer adds, everybody reads.
pub struct Index {
    shared: RwLock<Shared>,
    options: IndexOptions,
    filters: Arc<FilterMemory>,
    /// Where the segment ended after the newest commit whose entries are here.
    published: AtomicU64,
}

impl Drop for Index {
    fn drop(&mut self) {
        let shared = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner);
        shared.runs.iter().for_each(|run| self.filters.release(run.filter.as_ref().map_or(0, Bloom::size)));
    }
}

impl Index {
    /// Reads the runs, and again the rows behind the watermark.
    pub fn load(
        connection: &Connection,
        segment: &Segment,
        hasher: &mut Hasher,
        options: IndexOptions,
        filters: Arc<FilterMemory>,
    ) -> Result<Self, StoreError> {
        let mut runs = Vec::new();
        let mut statement = connection.prepare(sql::RUNS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (no, level) = (row.get::<_, i64>(0)? as u64, row.get(1)?);
            let revisions = row.get::<_, i64>(2)? as u64;
            let fences = row.get_ref(3)?.as_blob().ok().and_then(Run::read_fences);
            let fences = fences.ok_or_else(|| damaged("the fences of an index run make no sense"))?;
            runs.push(Run { no, level, fences, revisions, filter: None });
        }
        let active = recovery::read_behind(connection, segment, hasher)?;
        let shared = RwLock::new(Shared { active, frozen: None, runs: Vec::new() });
        let index = Self { shared, options, filters, published: AtomicU64::new(segment.end()) };
        for mut run in runs {
            let filter = read_filter(connection, run.no)?;
            run.filter = index.filters.charge(filter.size()).then_some(filter);
            index.write(|shared| shared.runs.push(Arc::new(run)));
        }
        Ok(index)
    }

    fn write<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        // Nothing panics while it holds the lock half way through a change.
        change(&mut self.shared.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn read<T>(&self, look: impl FnOnce(&Shared) -> T) -> T {
        look(&self.shared.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds entries of rows that were committed; their bodies stand before `end`.
    pub fn publish(&self, entries: &[Entry], end: u64) {
        self.write(|shared| entries.iter().for_each(|entry| shared.active.insert(*entry)));
        self.published.store(end, Ordering::Release);
    }

    /// Every row and revision that stands before this and was committed can be found.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Whether entries wait that should become a run, and none are becoming one.
    pub fn is_ripe(&self) -> bool {
        self.read(|shared| shared.frozen.is_none() && shared.active.len() >= self.options.run_entries)
    }

    /// Whether so many entries wait that the runs have to catch up first.
    pub fn is_behind(&self) -> bool {
        self.read(|shared| shared.frozen.is_some() && shared.active.len() >= 2 * self.options.run_entries)
    }

    /// Makes what is in memory a run to come. `watermark` is the last sequence given, `pending` the last row
    /// of `pending_entries`.
    pub fn freeze(&self, watermark: u64, pending: i64) {
        self.write(|shared| {
            if shared.frozen.is_none() && shared.active.len() > 0 {
                let memory = std::mem::take(&mut shared.active);
                shared.frozen = Some(Arc::new(Frozen { memory, watermark, pending }));
            }
        });
    }

    /// Calls `found` with the place in `keys` and the sequence of every entry of these keys, which are no tags and must be
    /// in ascending order. Sequences come in no order, and may come twice.
    ///
    /// Only the writer may ask this within a transaction: see `view.rs`.
    pub fn find(
        &self,
        connection: &Connection,
        keys: &[u64],
        mut found: impl FnMut(usize, u64),
    ) -> Result<(), StoreError> {
        let runs = self.read(|shared| {
            for (place, key) in keys.iter().enumerate() {
                shared.active.find(*key, |sequence| found(place, sequence));
                if let Some(frozen) = &shared.frozen {
                    frozen.memory.find(*key, |sequence| found(place, sequence));
                }
            }
            shared.runs.clone()
        });
        // The runs first, then the snapshot: a run that is held stays in the file, a later one is not in the list.
        in_snapshot(connection, || runs.iter().try_for_each(|run| run.find(connection, keys, &mut found)))
    }

    /// Calls `found` with the place in `heads` and every entry of these ids in all sets, those of newer runs first; an error
    /// of `found` ends it. `heads` are what keys of ids begin with, in ascending order.
    ///
    /// It must not be asked within a transaction: see `view.rs`.
    pub fn find_everywhere(
        &self,
        connection: &Connection,
        heads: &[u64],
        mut found: impl FnMut(usize, Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (in_memory, runs) = self.read(|shared| {
            let frozen = shared.frozen.as_ref().map(|frozen| &frozen.memory);
            let mut entries = Vec::new();
            for (place, head) in heads.iter().enumerate() {
                let memories = [Some(&shared.active), frozen].into_iter().flatten();
                entries.extend(memories.flat_map(|memory| memory.find_everywhere(*head)).map(|entry| (place, entry)));
            }
            (entries, shared.runs.clone())
        });
        in_memory.into_iter().try_for_each(|(place, entry)| found(place, entry))?;
        in_snapshot(connection, || {
            runs.iter().rev().try_for_each(|run| run.find_everywhere(connection, heads, &mut found))
        })
    }

    /// The next sequences behind `after` that stand with one of these tag keys, in order, each once; none only when there
    /// are no more. At most `limit`.
    ///
    /// `keys` must be in ascending order.
    pub fn tail(
        &self,
        connection: &Connection,
        keys: &[u64],
        after: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let (mut sequences, runs) = self.read(|shared| {
            let mut sequences: Vec<u64> = shared.active.find_tags(keys, after).collect();
            if let Some(frozen) = &shared.frozen {
                sequences.extend(frozen.memory.find_tags(keys, after));
            }
            (sequences, shared.runs.clone())
        });
        // Every list is read a little; what stands behind the end of one that was not read whole comes next time.
        let each = (4 * limit / (runs.len() * keys.len()).max(1)).max(64).min(limit.max(1));
        let mut horizon = u64::MAX;
        in_snapshot(connection, || {
            for (run, key) in runs.iter().flat_map(|run| keys.iter().map(move |key| (run, *key))) {
                let start = sequences.len();
                run.tail(connection, key, after, each, &mut sequences)?;
                if sequences.len() - start == each {
                    horizon = horizon.min(sequences.last().copied().unwrap_or(u64::MAX));
                }
            }
            Ok(())
        })?;
        sequences.retain(|sequence| *sequence <= horizon);
        sequences.sort_unstable();
        sequences.dedup();
        sequences.truncate(limit);
        Ok(sequences)
    }
}

fn read_filter(connection: &Connection, run: u64) -> Result<Bloom, StoreError> {
    let mut statement = connection.prepare_cached(sql::FILTER)?;
    let mut rows = statement.query([(run << BLOCK_BITS) as i64, ((run + 1) << BLOCK_BITS) as i64])?;
    let mut parts: Vec<Vec<u8>> = Vec::new();
    while let Some(row) = rows.next()? {
        parts.push(row.get(0)?);
    }
    Bloom::from_parts(parts.iter().map(Vec::as_slice))
        .ok_or_else(|| damaged("the filter of an index run has a wrong length"))
}
