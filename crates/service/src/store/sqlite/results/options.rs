//! How much a store of results may hold at once, and how long what it does may take. It decides nothing.

use super::index_runs::{IndexOptions, PAGE_ENTRIES};
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
    /// Index entries that a step of an erasure looks at.
    pub erase_looks: usize,
    /// Time after which a transaction that removes rows begins no further one, and a step that overwrites their texts no
    /// further text: writers of the file wait for the one, readers for the other.
    pub removal_time: Duration,
    /// Rows that a page of a filter by times looks at in vain before it ends early. The default is about a tenth of a
    /// second's work.
    pub page_looks: usize,
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
            erase_looks: 32_768,
            removal_time: Duration::from_millis(15),
            page_looks: 131_072,
        }
    }
}

impl ResultsOptions {
    /// Those of the index of a file.
    pub(super) fn index(&self) -> IndexOptions {
        IndexOptions {
            run_entries: self.run_records.max(1) * 4,
            merge: self.run_merge.max(2),
            filter_bits: self.filter_bits.max(1),
            slice_blocks: self.slice_blocks.max(1),
            block_entries: PAGE_ENTRIES,
        }
    }
}
