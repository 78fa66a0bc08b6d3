//! Deleted sets give their space back, whenever the removal was interrupted.

use super::{ResultsOptions, SqliteResults};
use crate::store::sqlite::connection::{in_transaction, open_writer};
use crate::store::sqlite::results::file::{FILE, PAGE_SIZE, open_segment};
use crate::store::sqlite::results::purge;
use crate::store::sqlite::results::segment::SEGMENT;
use crate::store::{PageQuery, ResultFilter, ResultStore, SetKey, StorageKey, StoreError, Upserted};
use docket_contract::cursor::Position;
use docket_contract::result::{Record, ResultItem};
use docket_contract::{JobId, Timestamp};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn set(job: u128) -> SetKey {
    let storage = StorageKey { organization: "o".to_owned(), storage_id: "s".to_owned() };
    SetKey { storage, job: JobId(Uuid::from_u128(job)) }
}

fn records(round: usize) -> Vec<Record> {
    let record = |number: usize| {
        let json = serde_json::json!({"externalId": number.to_string(), "resultData": "x".repeat(2000 + round)});
        match ResultItem::parse(&json.to_string()) {
            ResultItem::Record(record, _) => record,
            ResultItem::Rejected(failure) => panic!("{failure:?}"),
        }
    };
    (0..1000).map(record).collect()
}

async fn count(store: &SqliteResults, job: u128) -> usize {
    let query = PageQuery { filter: ResultFilter::default(), after: Position(0), limit: 10_000, include_fields: None };
    let mut page = store.open_page(&set(job), query).await.expect("a page");
    let mut results = 0;
    while let Some(chunk) = page.next().await.expect("a chunk") {
        results += chunk.count;
    }
    results
}

fn directory_of(root: &Path) -> PathBuf {
    let mut found = fs::read_dir(root).expect("a directory").map(|entry| entry.expect("an entry").path());
    found.find(|path| path.join(FILE).exists()).expect("a storage")
}

/// Bytes that the file of bodies takes on the disk.
fn space(directory: &Path) -> u64 {
    fs::metadata(directory.join(SEGMENT)).expect("a file").blocks() * 512
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_set_gives_its_space_back() {
    let root = tempfile::tempdir().expect("a directory");
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    let now = Timestamp::from_millis(1);
    for round in 0..3 {
        for job in [1, 2] {
            store.upsert_results(&set(job), records(round), now).await.expect("saved");
        }
    }
    let directory = directory_of(root.path());
    let whole = space(&directory);
    assert!(whole > 6 * 2_000_000, "{whole}");
    assert_eq!(store.delete_set(&set(1)).await, Ok(1000));
    store.close().await;
    // What was left to do is done step by step, each of them twice, as after a crash.
    let connection = open_writer(&directory.join(FILE), false, PAGE_SIZE, 256, 0).expect("a connection");
    let segment = open_segment(&connection, &directory).expect("a segment");
    while let Some(step) = purge::next_step(&connection, &segment).expect("a step") {
        purge::next_step(&connection, &segment).expect("the step again");
        in_transaction(&connection, || -> Result<_, StoreError> { step.apply(&connection) }).expect("applied");
    }
    let rows = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
    };
    assert_eq!((rows("purges"), rows("result_sets"), rows("regions"), rows("packs")), (0, 1, 3, 7));
    // The bytes on the disk follow at their own pace.
    fs::File::open(directory.join(SEGMENT)).and_then(|file| file.sync_all()).expect("settled");
    let left = space(&directory);
    assert!(left < whole / 2 + 100_000, "{left} of {whole}");
    drop((connection, segment));
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    assert_eq!((count(&store, 1).await, count(&store, 2).await), (0, 1000));
    let done = store.upsert_results(&set(2), records(5), now).await;
    assert_eq!(done, Ok(Upserted { created: 0, updated: 1000 }));
    store.close().await;
}
