//! Deleted sets give their space back, whenever the removal was interrupted.

use super::{ResultsOptions, SqliteResults};
use crate::store::sqlite::connection::{in_transaction, open_writer};
use crate::store::sqlite::results::file::{FILE, PAGE_SIZE, open_segment};
use crate::store::sqlite::results::purge;
use crate::store::sqlite::results::segment::SEGMENT;
use crate::store::{
    PageQuery, ResultFilter, ResultStore, SetKey, SetOwner, SnapshotQuery, StorageKey, StoreError, Upserted,
};
use docket_contract::cursor::Position;
use docket_contract::result::{Record, ResultItem};
use docket_contract::{JobId, ProcessingLogId, Timestamp};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn set(job: u128) -> SetKey {
    let storage = StorageKey { organization: "o".to_owned(), storage_id: "s".to_owned() };
    SetKey { storage, owner: SetOwner::Job(JobId(Uuid::from_u128(job))) }
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

pub fn directory_of(root: &Path) -> PathBuf {
    let mut found = fs::read_dir(root).expect("a directory").map(|entry| entry.expect("an entry").path());
    found.find(|path| path.join(FILE).exists()).expect("a storage")
}

/// Bytes that the file of bodies takes on the disk.
pub fn space(directory: &Path) -> u64 {
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

/// Sets take turns, so that the rows of one stand between those of the other. When the other is gone and its revisions
/// are holes, a moment of the one before that is read as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_outlives_the_removal_of_other_sets() {
    let root = tempfile::tempdir().expect("a directory");
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    let now = Timestamp::from_millis(1);
    let half = |round, half: usize| records(round).into_iter().skip(half * 500).take(500).collect::<Vec<_>>();
    for part in [0, 1] {
        for job in [1, 2] {
            store.upsert_results(&set(job), half(0, part), now).await.expect("saved");
        }
    }
    let moment = store.open_snapshot(&set(2), SnapshotQuery::default()).await.expect("a snapshot").snapshot();
    for round in 1..3 {
        for job in [1, 2] {
            store.upsert_results(&set(job), records(round), now).await.expect("saved");
        }
    }
    assert_eq!(store.delete_set(&set(1)).await, Ok(1000));
    store.close().await;
    let directory = directory_of(root.path());
    let connection = open_writer(&directory.join(FILE), false, PAGE_SIZE, 256, 0).expect("a connection");
    let segment = open_segment(&connection, &directory).expect("a segment");
    while let Some(step) = purge::next_step(&connection, &segment).expect("a step") {
        in_transaction(&connection, || -> Result<_, StoreError> { step.apply(&connection) }).expect("applied");
    }
    drop((connection, segment));
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    let query = SnapshotQuery { at: Some(moment), ..SnapshotQuery::default() };
    let mut reader = store.open_snapshot(&set(2), query).await.expect("a snapshot");
    let mut rows = 0;
    while let Some(chunk) = reader.next().await.expect("a chunk") {
        for (_, body) in chunk.iter() {
            let result: serde_json::Value = serde_json::from_slice(body).expect("a result");
            assert_eq!(result["resultData"].as_str().map(str::len), Some(2000), "of the first round");
        }
        rows += chunk.rows.len();
    }
    assert_eq!(rows, 1000);
    store.close().await;
}

/// A storage with a log that can't be opened any more goes as a whole, or it could never be repaired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_storage_goes_with_its_logs() {
    let root = tempfile::tempdir().expect("a directory");
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    let now = Timestamp::from_millis(1);
    let log = ProcessingLogId::OverlapLog;
    store.upsert_mirrored(&set(1), Some(log), records(0), now).await.expect("saved");
    assert_eq!(store.delete_job_sets(&set(1).storage).await, Ok(1000), "a sound one keeps its log");
    store.close().await;
    let bodies = fs::File::options().write(true).open(directory_of(root.path()).join(SEGMENT)).expect("a file");
    bodies.set_len(16).expect("cut");
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    let damaged = store.upsert_results(&set(1), records(1), now).await;
    assert!(matches!(damaged, Err(StoreError::Damaged(_))), "{damaged:?}");
    assert_eq!(store.delete_job_sets(&set(1).storage).await, Ok(1000), "what the log held");
    let done = store.upsert_mirrored(&set(1), Some(log), records(1), now).await;
    assert_eq!(done, Ok(Upserted { created: 1000, updated: 0 }));
    store.close().await;
}

/// The index tells of revised rows of all sets; those of a set that is gone lead into holes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_read_beside_the_holes_of_a_revised_set() {
    let root = tempfile::tempdir().expect("a directory");
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    let now = Timestamp::from_millis(1);
    let few = |from: usize| records(0).into_iter().skip(from).take(10).collect::<Vec<_>>();
    // Rows of the set that goes away stand between those of the one that stays, and are revised behind it.
    store.upsert_results(&set(1), few(0), now).await.expect("saved");
    store.upsert_results(&set(2), records(0), now).await.expect("saved");
    store.upsert_results(&set(1), few(10), now).await.expect("saved");
    store.upsert_results(&set(2), records(1), now).await.expect("saved");
    assert_eq!(store.delete_set(&set(2)).await, Ok(1000));
    let directory = directory_of(root.path());
    let connection = open_writer(&directory.join(FILE), false, PAGE_SIZE, 256, 0).expect("a connection");
    let begin = std::time::Instant::now();
    while purge::is_wanted(&connection).expect("asked") {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "the set is purged");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut snapshot = store.open_snapshot(&set(1), SnapshotQuery::default()).await.expect("a snapshot");
    let mut rows = 0;
    while let Some(chunk) = snapshot.next().await.expect("a chunk") {
        rows += chunk.iter().count();
    }
    assert_eq!(rows, 20);
    drop(connection);
    store.close().await;
}

/// Merges leave out what leads to sets that are gone, so that the index does not grow with every run of a job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_forgets_what_is_gone() {
    let root = tempfile::tempdir().expect("a directory");
    let options = ResultsOptions { run_records: 30, run_merge: 2, ..ResultsOptions::default() };
    let store = SqliteResults::open(root.path(), options).expect("a store");
    let rounds = 24;
    for round in 0..rounds {
        let records: Vec<Record> = records(0).into_iter().take(300).collect();
        store.upsert_results(&set(round), records, Timestamp::from_millis(1)).await.expect("saved");
        store.delete_set(&set(round.wrapping_sub(1))).await.expect("deleted");
    }
    let connection =
        open_writer(&directory_of(root.path()).join(FILE), false, PAGE_SIZE, 256, 0).expect("a connection");
    let entries =
        || -> i64 { connection.query_row("SELECT sum(entries) FROM runs", [], |row| row.get(0)).expect("a number") };
    let (written, begin) = (rounds as i64 * 300 * 3, std::time::Instant::now());
    while entries() > written / 4 {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "{} of {written} entries are left", entries());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!((count(&store, rounds - 2).await, count(&store, rounds - 1).await), (0, 300));
    drop(connection);
    store.close().await;
    super::flaws::assert_sound(root.path(), false, 300);
}

/// A storage that can't be read may be anybody's: the others are told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storages_are_told_beside_one_that_cannot_be_read() {
    let root = tempfile::tempdir().expect("a directory");
    let of = |organization: &str| StorageKey { organization: organization.to_owned(), storage_id: "s".to_owned() };
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    store
        .upsert_results(&SetKey { storage: of("a"), ..set(1) }, records(0), Timestamp::from_millis(1))
        .await
        .expect("saved");
    let directory = directory_of(root.path());
    store
        .upsert_results(&SetKey { storage: of("b"), ..set(1) }, records(0), Timestamp::from_millis(1))
        .await
        .expect("saved");
    store.close().await;
    fs::write(directory.join(FILE), "no database").expect("overwritten");
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    for (organization, keys) in [("a", vec![]), ("b", vec![of("b")])] {
        let told = store.storages(organization).await.expect("told");
        assert_eq!(told.keys, keys);
        assert!(matches!(told.unreadable, Some(StoreError::Damaged(_))), "{told:?}");
    }
    store.close().await;
}
