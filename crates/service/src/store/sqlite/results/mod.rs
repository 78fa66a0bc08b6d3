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

mod bloom;
mod chunks;
mod draft;
mod file;
mod index_runs;
mod keys;
mod pack;
mod page;
mod purge;
mod queue;
mod readers;
mod revisions;
mod segment;
mod sequences;
mod slots;
mod sql;
mod tidier;
mod trash;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use super::super::{Chunk, PageQuery, PageReader, ResultStore, SetKey, StorageKey, StoreError, Tally, Upserted};
use async_trait::async_trait;
use docket_contract::Timestamp;
use docket_contract::cursor::Position;
use docket_contract::result::Record;
use file::StorageFile;
use index_runs::IndexOptions;
use page::Page;
use queue::{Outcome, Work};
use readers::Reader;
use slots::{Opened, Slots};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How much a store may hold and wait.
#[derive(Clone, Debug)]
pub struct ResultsOptions {
    /// Files open at once. Each has two threads, some connections and up to about 20 MiB of index entries under load.
    pub open_files: usize,
    /// A file that nobody used for so long is closed.
    pub idle: Duration,
    /// Bytes that wait for the writer of a file.
    pub queue_bytes: usize,
    /// Longest wait for room in the queue, or for a reader.
    pub patience: Duration,
    /// Page cache of a writer, in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of a reader, in KiB.
    pub reader_cache_kib: u32,
    /// Readers of a file at once.
    pub readers: usize,
    /// Memory for the filters of all index runs, in bytes. A run without filter is slower to ask.
    pub filter_bytes: usize,
    /// Length of the log, in pages of 4 KiB, at which it is moved into the file.
    pub log_pages: usize,
    /// Length of the log at which the writer stops to move it.
    pub log_pages_limit: usize,
    /// Records whose index entries wait in memory before they become a run.
    pub run_records: usize,
    /// Index runs of a level that are merged into one.
    pub run_merge: usize,
    /// Bits of an index run's filter for an entry.
    pub filter_bits: usize,
    /// Blocks of 4 KiB that are written or deleted between two requests.
    pub slice_blocks: usize,
}

impl Default for ResultsOptions {
    fn default() -> Self {
        Self {
            open_files: 64,
            idle: Duration::from_secs(120),
            queue_bytes: 32 << 20,
            patience: Duration::from_secs(10),
            writer_cache_kib: 16 << 10,
            reader_cache_kib: 2 << 10,
            readers: 4,
            filter_bytes: 96 << 20,
            log_pages: 4096,
            log_pages_limit: 32_768,
            run_records: 65_536,
            run_merge: 4,
            filter_bits: 10,
            slice_blocks: 256,
        }
    }
}

impl ResultsOptions {
    fn index(&self) -> IndexOptions {
        IndexOptions {
            run_entries: self.run_records.max(1) * 4,
            merge: self.run_merge.max(2),
            filter_bits: self.filter_bits.max(1),
            slice_blocks: self.slice_blocks.max(1),
            block_entries: index_runs::PAGE_ENTRIES,
        }
    }
}

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
    async fn upsert_results(&self, set: &SetKey, records: Vec<Record>, now: Timestamp) -> Result<Upserted, StoreError> {
        if records.is_empty() {
            return Ok(Upserted::default());
        }
        let file = self.slots.existing_or_new(&set.storage, now).await?;
        let mut hasher = file.hasher.clone();
        let hashes = records.iter().map(|record| hasher.record(set.job, record)).collect();
        match file.queue.submit(Work::Upsert { job: set.job, records, hashes, now }).await? {
            Outcome::Upserted(upserted) => Ok(upserted),
            Outcome::Deleted(_) => Err(StoreError::Internal("an answer to another question".to_owned())),
        }
    }

    async fn open_page(&self, set: &SetKey, query: PageQuery) -> Result<Box<dyn PageReader>, StoreError> {
        let (wanted, buffers) = (set.clone(), self.slots.buffers.clone());
        let opened = self
            .read(&set.storage, move |reader, file| {
                let Some(mut page) = Page::open(reader, file, &wanted, &query, buffers)? else { return Ok(None) };
                // Most pages are one chunk: read at once, it costs no second turn.
                let chunk = page.read(reader, file)?;
                Ok(Some((page, chunk)))
            })
            .await?;
        let (page, chunk) = opened.flatten().unzip();
        let total = page.as_ref().map_or(0, |page: &Page| page.total);
        let (slots, storage) = (self.slots.clone(), set.storage.clone());
        Ok(Box::new(SqlitePage { slots, storage, total, page, chunk: chunk.flatten(), more: false }))
    }

    async fn statistics(&self, set: &SetKey) -> Result<Vec<Tally>, StoreError> {
        let job = set.job;
        let tallies = self.read(&set.storage, move |reader, _| page::statistics(&reader.connection, job)).await?;
        Ok(tallies.unwrap_or_default())
    }

    async fn last_result(&self, set: &SetKey) -> Result<Option<Position>, StoreError> {
        let job = set.job;
        let last = self.read(&set.storage, move |reader, file| {
            Ok(page::last_sequence(&reader.connection, job)?.map(|last| Position(file.base + last)))
        });
        Ok(last.await?.flatten())
    }

    async fn delete_storage(&self, storage: &StorageKey) -> Result<u64, StoreError> {
        self.slots.delete(storage).await
    }

    async fn delete_set(&self, set: &SetKey) -> Result<u64, StoreError> {
        let Some(file) = self.slots.existing(&set.storage).await? else { return Ok(0) };
        match file.queue.submit(Work::DeleteSet { job: set.job }).await? {
            Outcome::Deleted(results) => Ok(results),
            Outcome::Upserted(_) => Err(StoreError::Internal("an answer to another question".to_owned())),
        }
    }

    async fn close(&self) {
        self.slots.close().await;
    }
}

/// A page being read.
struct SqlitePage {
    slots: Arc<Slots>,
    storage: StorageKey,
    total: u64,
    /// `None` once the page has ended.
    page: Option<Page>,
    /// What was read ahead.
    chunk: Option<Chunk>,
    more: bool,
}

#[async_trait]
impl PageReader for SqlitePage {
    fn total(&self) -> u64 {
        self.total
    }

    async fn next(&mut self) -> Result<Option<Chunk>, StoreError> {
        if let Some(chunk) = self.chunk.take() {
            return Ok(Some(chunk));
        }
        let Some(mut page) = self.page.take() else { return Ok(None) };
        self.more = page.more;
        if page.ended {
            return Ok(None);
        }
        let Some(file) = self.slots.existing(&self.storage).await? else { return Ok(None) };
        if file.base != page.base {
            // The storage was deleted and made anew.
            return Ok(None);
        }
        let (page, chunk) = read(&self.slots, file, move |reader, file| {
            let chunk = page.read(reader, file)?;
            Ok((page, chunk))
        })
        .await?;
        self.more = page.more;
        self.page = chunk.is_some().then_some(page);
        Ok(chunk)
    }

    fn has_more(&self) -> bool {
        self.more
    }
}
