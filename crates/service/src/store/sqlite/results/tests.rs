//! The driver under the suite: with its usual sizes, and with sizes so small that every mechanism works all the time.

mod flaws;
mod map;
mod space;
mod steps;
mod wipes;

use super::{ResultsOptions, SqliteResults};
use crate::store::ResultStore;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn open(options: ResultsOptions) -> (Arc<dyn ResultStore>, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteResults::open(directory.path(), options).expect("a store");
    (Arc::new(store), directory)
}

mod usual_sizes {
    async fn open() -> (std::sync::Arc<dyn crate::store::ResultStore>, tempfile::TempDir) {
        super::open(super::ResultsOptions::default())
    }

    crate::results_suite!(open);
}

mod tiny_sizes {
    async fn open() -> (std::sync::Arc<dyn crate::store::ResultStore>, tempfile::TempDir) {
        super::open(super::tiny())
    }

    crate::results_suite!(open);
}

/// Runs of a few records, one open file, closed as soon as it is idle, a log of a few pages, no memory for filters, few
/// looks for a page.
fn tiny() -> ResultsOptions {
    ResultsOptions {
        open_files: 1,
        idle: Duration::ZERO,
        queue_bytes: 4096,
        readers: 1,
        filter_bytes: 4096,
        log_pages: 16,
        log_pages_limit: 64,
        run_records: 50,
        run_merge: 2,
        slice_blocks: 1,
        erase_looks: 3,
        removal_time: Duration::ZERO,
        page_looks: 40,
        ..ResultsOptions::default()
    }
}
