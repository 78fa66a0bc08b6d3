//! Results in SQLite: a directory a storage, opened on demand.
//!
//! It holds an SQLite database and one file of bodies. The database knows what rows there are, where their bodies stand,
//! what is counted and how they are found (`pack.rs`, `revisions.rs`, `index_runs/`); what a row says stands only in the
//! file of bodies (`segment.rs`), written once, in the order of arrival. A commit makes the bodies durable first, then the
//! transaction that names them.
//!
//! A storage is found by a hash of organization and id, so that names never reach the file system. Files are opened by
//! the first operation that needs them, a bounded number at once; one that nobody used for a while is closed. Deleting a
//! storage is a rename; the space comes back behind.

pub mod backup;
mod bloom;
mod check;
mod chunks;
mod draft;
mod file;
mod index_runs;
mod keys;
mod last;
mod last_page;
mod options;
mod pack;
mod page;
mod purge;
mod purge_lock;
mod queue;
mod readers;
mod reading;
mod removal;
mod revisions;
mod scan;
mod segment;
mod select;
mod sequences;
mod slots;
mod sql;
mod tidier;
mod trash;
mod walk;
mod wipe;
mod writer;

#[cfg(test)]
mod tests;

use super::super::{
    Chunk, DataSubject, Erased, LastQuery, PageQuery, PageReader, RemovedStep, ResultStore, SetKey, SetOwner, Snapshot,
    SnapshotChunk, SnapshotQuery, SnapshotReader, StorageKey, Storages, StoreError, Tally, Upserted,
};
use crate::store::body::Naming;
use async_trait::async_trait;
use docket_contract::cursor::Position;
use docket_contract::result::Record;
use docket_contract::{JobId, ProcessingLogId, Timestamp};
use file::StorageFile;
use keys::MAX_SEQUENCE;
use last_page::LastPage;
pub use options::ResultsOptions;
use page::{Page, Reading};
use queue::{Outcome, Target, Work};
use readers::Reader;
use reading::{Nothing, SqlitePage, SqliteScan};
use removal::{Removal, SubjectPlace};
use scan::Scan;
use slots::{Opened, Slots};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The data plane in a directory of SQLite files.
pub struct SqliteResults {
    slots: Arc<Slots>,
}

impl SqliteResults {
    /// Opens the store in `dir`, which is made when it is missing. No storage is opened yet; what was deleted before and
    /// is still there is removed behind.
    pub fn open(dir: &Path, options: ResultsOptions) -> Result<Self, StoreError> {
        Ok(Self { slots: Slots::open(dir, options)? })
    }

    /// Runs `work`, which blocks, with a reader of the file.
    async fn read<T: Send + 'static>(
        &self,
        storage: &StorageKey,
        work: impl FnOnce(&mut Reader, &StorageFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        match self.slots.existing(storage).await? {
            Some(file) => read(&self.slots, file, work).await.map(Some),
            None => Ok(None),
        }
    }

    /// Removes rows, in as many transactions as it takes; answers how many are gone.
    async fn remove(&self, storage: &StorageKey, removal: Removal) -> Result<u64, StoreError> {
        let (mut left, mut rows) = (removal.is_wanted().then_some(removal), 0);
        while let Some(removal) = left {
            let Some(file) = self.slots.existing(storage).await? else { break };
            let Outcome::Removed(removed) = file.queue.submit(Work::Remove(removal.clone())).await? else {
                return Err(other_question());
            };
            rows += removed.rows;
            left = removal.rest(removed);
        }
        Ok(rows)
    }

    /// `reached` is where a page that has nothing ends.
    fn page<R: Reading>(
        &self,
        storage: &StorageKey,
        begun: Option<Begun<R>>,
        reached: Position,
    ) -> Box<dyn PageReader> {
        let (slots, storage) = (self.slots.clone(), storage.clone());
        let total = begun.as_ref().map_or(Some(0), |begun| begun.total);
        let (page, chunk) = begun.map(|begun| (begun.reading, begun.chunk)).unzip();
        Box::new(SqlitePage { slots, storage, total, page, chunk: chunk.flatten(), more: false, reached })
    }
}

/// A page that was opened, with its first part.
struct Begun<R> {
    total: Option<u64>,
    reading: R,
    chunk: Option<Chunk>,
}

impl<R: Reading> Begun<R> {
    /// Most pages are one chunk: read at once, it costs no second turn.
    fn new(total: Option<u64>, mut reading: R, reader: &mut Reader, file: &StorageFile) -> Result<Self, StoreError> {
        let chunk = reading.read(reader, file)?;
        Ok(Self { total, reading, chunk })
    }
}

async fn read<T: Send + 'static>(
    slots: &Slots,
    file: Opened,
    work: impl FnOnce(&mut Reader, &StorageFile) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let turn = file.readers.turn(slots.options.patience).await?;
    blocking(move || {
        let result = file.readers.read(|reader| work(reader, &file));
        drop(turn);
        result
    })
    .await
}

fn other_question() -> StoreError {
    StoreError::Internal("an answer to another question".to_owned())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Internal(format!("a read of a storage did not end: {error}"))),
    }
}

#[async_trait]
impl ResultStore for SqliteResults {
    async fn upsert_mirrored(
        &self,
        set: &SetKey,
        mirror: Option<ProcessingLogId>,
        records: Vec<Record>,
        now: Timestamp,
    ) -> Result<Upserted, StoreError> {
        if records.is_empty() {
            return Ok(Upserted::default());
        }
        let file = self.slots.existing_or_new(&set.storage, now).await?;
        let mut hasher = file.hasher.clone();
        let hashes = records.iter().map(|record| hasher.record(record)).collect();
        let mut targets = vec![Target { owner: set.owner, naming: Naming::of(set.owner) }];
        targets.extend(mirror.map(|log| Target { owner: SetOwner::Log(log), naming: Naming::mirrored(set.owner) }));
        match file.queue.submit(Work::Upsert { targets, records, hashes, now }).await? {
            Outcome::Upserted(upserted) => Ok(upserted),
            Outcome::Deleted(_) | Outcome::Removed(_) => Err(other_question()),
        }
    }

    async fn open_page(&self, set: &SetKey, query: PageQuery) -> Result<Box<dyn PageReader>, StoreError> {
        let (wanted, buffers, reached) = (set.clone(), self.slots.buffers.clone(), query.after);
        let looks = self.slots.options.page_looks;
        let opened = self
            .read(&set.storage, move |reader, file| {
                let Some(page) = Page::open(reader, file, &wanted, &query, buffers, looks)? else { return Ok(None) };
                Begun::new(page.total, page, reader, file).map(Some)
            })
            .await?;
        Ok(self.page(&set.storage, opened.flatten(), reached))
    }

    async fn last_results(&self, storage: &StorageKey, query: LastQuery) -> Result<Box<dyn PageReader>, StoreError> {
        let (wanted, buffers) = (storage.clone(), self.slots.buffers.clone());
        let opened = self
            .read(storage, move |reader, file| {
                let found = last::find(reader, file, &query)?;
                let total = Some(found.total);
                let page = LastPage::new(found, file, wanted, query.include_fields, buffers);
                Begun::new(total, page, reader, file)
            })
            .await?;
        Ok(self.page(storage, opened, Position::default()))
    }

    async fn newest_jobs(&self, storage: &StorageKey, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let jobs = self.read(storage, move |reader, _| last::newest_jobs(&reader.connection, limit)).await?;
        Ok(jobs.unwrap_or_default())
    }

    async fn open_snapshot(&self, set: &SetKey, query: SnapshotQuery) -> Result<Box<dyn SnapshotReader>, StoreError> {
        let (owner, at, buffers) = (set.owner, query.at, self.slots.buffers.clone());
        if at == Some(Snapshot::default()) {
            return Ok(Box::new(Nothing));
        }
        let opened = self.read(&set.storage, move |reader, file| Scan::open(reader, file, owner, &query, buffers));
        match (opened.await?.flatten(), at) {
            (Some(scan), _) => {
                let (snapshot, total) = (scan.snapshot, scan.total);
                let (slots, storage) = (self.slots.clone(), set.storage.clone());
                Ok(Box::new(SqliteScan { slots, storage, snapshot, total, scan: Some(scan) }))
            }
            (None, None) => Ok(Box::new(Nothing)),
            (None, Some(_)) => Err(StoreError::Gone),
        }
    }

    async fn read_at(&self, set: &SetKey, at: Snapshot, ids: Vec<Position>) -> Result<SnapshotChunk, StoreError> {
        if at == Snapshot::default() || ids.is_empty() {
            return Ok(SnapshotChunk::default());
        }
        let owner = set.owner;
        let read = self.read(&set.storage, move |reader, file| {
            let known = ids.iter().filter(|id| (at.storage..=at.last).contains(&id.0));
            let sequences: Vec<u64> = known.map(|id| id.0 - at.storage).collect();
            scan::read_at(reader, file, owner, &at, &sequences)
        });
        read.await?.ok_or(StoreError::Gone)
    }

    async fn statistics(&self, set: &SetKey) -> Result<Vec<Tally>, StoreError> {
        let owner = set.owner;
        let tallies = self.read(&set.storage, move |reader, _| page::statistics(&reader.connection, owner)).await?;
        Ok(tallies.unwrap_or_default())
    }

    async fn last_result(&self, set: &SetKey) -> Result<Option<Position>, StoreError> {
        let owner = set.owner;
        let last = self.read(&set.storage, move |reader, file| {
            Ok(page::last_sequence(&reader.connection, owner)?.map(|last| Position(file.base + last)))
        });
        Ok(last.await?.flatten())
    }

    async fn delete_job_sets(&self, storage: &StorageKey) -> Result<u64, StoreError> {
        if let Some(results) = self.slots.delete(storage, false).await? {
            return Ok(results);
        }
        let deleted = match self.slots.existing(storage).await {
            Ok(Some(file)) => file.queue.submit(Work::DeleteJobSets).await,
            Ok(None) => return Ok(0),
            Err(error) => Err(error),
        };
        match deleted {
            Ok(Outcome::Deleted(results)) => Ok(results),
            Ok(Outcome::Upserted(_) | Outcome::Removed(_)) => Err(other_question()),
            Err(StoreError::Damaged(_)) => Ok(self.slots.delete(storage, true).await?.unwrap_or_default()),
            Err(error) => Err(error),
        }
    }

    async fn delete_set(&self, set: &SetKey) -> Result<u64, StoreError> {
        let Some(file) = self.slots.existing(&set.storage).await? else { return Ok(0) };
        match file.queue.submit(Work::DeleteSet { owner: set.owner }).await? {
            Outcome::Deleted(results) => Ok(results),
            Outcome::Upserted(_) | Outcome::Removed(_) => Err(other_question()),
        }
    }

    async fn storages(&self, organization: &str) -> Result<Storages, StoreError> {
        let slots = self.slots.clone();
        let mut storages = blocking(move || slots.storages()).await?;
        storages.keys.retain(|storage| storage.organization == organization);
        storages.keys.sort_unstable();
        Ok(storages)
    }

    async fn erase(&self, storage: &StorageKey, subject: &DataSubject) -> Result<Vec<Erased>, StoreError> {
        let (mut erased, mut after) = (BTreeMap::<SetOwner, u64>::new(), Some(SubjectPlace::default()));
        while let Some(place) = after {
            let (wanted, looks) = (subject.clone(), self.slots.options.erase_looks.max(1));
            let found =
                self.read(storage, move |reader, file| removal::of_subject(reader, file, &wanted, place, looks));
            let (removals, next) = found.await?.unwrap_or_default();
            for removal in removals {
                let owner = removal.owner;
                *erased.entry(owner).or_default() += self.remove(storage, removal).await?;
            }
            after = next;
        }
        let erased = erased.into_iter().filter(|(_, results)| *results > 0);
        Ok(erased.map(|(owner, results)| Erased { owner, results }).collect())
    }

    async fn remove_older(&self, set: &SetKey, before: Timestamp, after: Position) -> Result<RemovedStep, StoreError> {
        let owner = set.owner;
        let found = self.read(&set.storage, move |reader, file| {
            let after = after.0.saturating_sub(file.base).min(MAX_SEQUENCE);
            let found = removal::of_old(reader, file, owner, before, after)?;
            Ok(found.map(|(removal, next)| (removal, next.map(|next| Position(file.base + next)))))
        });
        let Some((removal, next)) = found.await?.flatten() else { return Ok(RemovedStep::default()) };
        Ok(RemovedStep { removed: self.remove(&set.storage, removal).await?, next })
    }

    async fn close(&self) {
        self.slots.close().await;
    }
}
