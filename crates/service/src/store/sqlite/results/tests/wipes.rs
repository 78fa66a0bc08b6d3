//! Of what was removed no text is left on the disk, whenever the overwriting was interrupted; a check finds nothing amiss.

use super::flaws::assert_sound;
use super::space::{directory_of, space};
use super::{ResultsOptions, SqliteResults, tiny};
use crate::store::sqlite::connection::{in_transaction, open_writer};
use crate::store::sqlite::results::backup::StillStorage;
use crate::store::sqlite::results::file::{FILE, PAGE_SIZE, open_segment};
use crate::store::sqlite::results::readers::WipeLock;
use crate::store::sqlite::results::segment::SEGMENT;
use crate::store::sqlite::results::wipe;
use crate::store::{DataSubject, ResultStore, SetKey, SetOwner, StorageKey, StoreError};
use docket_contract::cursor::Position;
use docket_contract::result::{Record, ResultItem};
use docket_contract::{JobId, ProcessingLogId, Timestamp};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

fn set() -> SetKey {
    let storage = StorageKey { organization: "o".to_owned(), storage_id: "s".to_owned() };
    SetKey { storage, owner: SetOwner::Job(JobId(Uuid::from_u128(7))) }
}

fn now(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn subject(number: usize) -> DataSubject {
    DataSubject::External(format!("subject-{number}-"))
}

/// Records of which each text names its subject.
fn records(range: std::ops::Range<usize>, round: usize) -> Vec<Record> {
    let record = |number: usize| {
        let name = format!("subject-{number}-");
        let status = if (number + round).is_multiple_of(3) { "FAILED" } else { "OK" };
        let data = format!("{round}{}", name.repeat(number % 900));
        let json = serde_json::json!({"externalId": name, "status": status, "resultData": data});
        match ResultItem::parse(&json.to_string()) {
            ResultItem::Record(record, _) => record,
            ResultItem::Rejected(failure) => panic!("{failure:?}"),
        }
    };
    range.map(record).collect()
}

/// How often the files of a directory name a subject.
fn mentions(directory: &Path, number: usize) -> usize {
    let name = format!("subject-{number}-").into_bytes();
    // The log of a file that is closed meanwhile goes away.
    let files = fs::read_dir(directory).expect("a directory").filter_map(|file| fs::read(file.ok()?.path()).ok());
    files.map(|bytes| bytes.windows(name.len()).filter(|window| *window == name).count()).sum()
}

/// Removes subjects and old entries, so that the store is closed before their texts are overwritten.
async fn removed(root: &Path, options: ResultsOptions) {
    let store = SqliteResults::open(root, options).expect("a store");
    for round in 0..3 {
        store.upsert_results(&set(), records(0..300, round), now(1)).await.expect("written");
    }
    store
        .upsert_mirrored(&set(), Some(ProcessingLogId::CurationLog), records(300..310, 0), now(1))
        .await
        .expect("written");
    let directory = directory_of(root);
    assert!(mentions(&directory, 299) > 3 && mentions(&directory, 305) > 2);
    // As a backup does: nothing is overwritten meanwhile.
    let held = StillStorage::take(&directory).expect("taken").expect("a storage");
    for number in [0, 150, 299, 305] {
        let erased = store.erase(&set().storage, &subject(number)).await.expect("erased");
        assert_eq!(erased.len(), if number == 305 { 2 } else { 1 });
    }
    assert!(mentions(&directory, 299) > 3, "nothing is overwritten under a backup");
    store.close().await;
    assert_sound(root, false, 315);
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_erased_records_are_overwritten() {
    for options in [tiny(), ResultsOptions::default()] {
        let root = tempfile::tempdir().expect("a directory");
        removed(root.path(), options.clone()).await;
        let directory = directory_of(root.path());
        // What was left to do is done step by step, each of them twice, as after a crash.
        let connection = open_writer(&directory.join(FILE), false, PAGE_SIZE, 256, 0).expect("a connection");
        let segment = open_segment(&connection, &directory).expect("a segment");
        assert!(wipe::is_wanted(&connection).expect("asked"));
        let lock = WipeLock::default();
        let time = options.removal_time;
        while let Some(step) = wipe::next_step(&connection, &segment, &lock, time).expect("a step") {
            wipe::next_step(&connection, &segment, &lock, time).expect("the step again");
            in_transaction(&connection, || -> Result<_, StoreError> { step.apply(&connection) }).expect("applied");
        }
        drop((connection, segment));
        assert_sound(root.path(), false, 315);
        for number in [0, 150, 299, 305] {
            assert_eq!(mentions(&directory, number), 0, "subject {number}");
        }
        assert!(mentions(&directory, 298) > 3 && mentions(&directory, 306) > 2);
    }
}

/// The store itself overwrites what it finds to be overwritten when it opens the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_overwritten_is_overwritten_after_a_restart() {
    let root = tempfile::tempdir().expect("a directory");
    removed(root.path(), ResultsOptions::default()).await;
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    store.last_result(&set()).await.expect("opened");
    let begin = Instant::now();
    while mentions(&directory_of(root.path()), 299) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the texts are overwritten");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store.close().await;
    assert_sound(root.path(), false, 315);
}

/// What a removal of old entries frees comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_entries_give_their_space_back() {
    let root = tempfile::tempdir().expect("a directory");
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    for (second, start) in (1..).zip((0..3000).step_by(500)) {
        store.upsert_results(&set(), records(start..start + 500, 0), now(second)).await.expect("written");
    }
    let directory = directory_of(root.path());
    fs::File::open(directory.join(SEGMENT)).and_then(|file| file.sync_all()).expect("settled");
    let whole = space(&directory);
    let mut after = Position(0);
    while let Some(next) = store.remove_older(&set(), now(6), after).await.expect("a step").next {
        after = next;
    }
    store.close().await;
    let store = SqliteResults::open(root.path(), ResultsOptions::default()).expect("a store");
    store.last_result(&set()).await.expect("opened");
    let begin = Instant::now();
    loop {
        fs::File::open(directory.join(SEGMENT)).and_then(|file| file.sync_all()).expect("settled");
        if space(&directory) < whole / 4 {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "the space comes back: {} of {whole}", space(&directory));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store.close().await;
    assert_sound(root.path(), false, 500);
}

/// Merges of the index never end while records arrive; the overwriting takes turns with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_overwritten_while_others_write() {
    let root = tempfile::tempdir().expect("a directory");
    let options = ResultsOptions { run_records: 1, run_merge: 2, slice_blocks: 1, ..ResultsOptions::default() };
    let store = Arc::new(SqliteResults::open(root.path(), options).expect("a store"));
    let go_on = Arc::new(AtomicBool::new(true));
    let other = SetKey { owner: SetOwner::Job(JobId(Uuid::from_u128(8))), ..set() };
    store.upsert_results(&set(), records(0..300, 0), now(1)).await.expect("written");
    let writing = |writer: usize| {
        let (store, other, go_on) = (store.clone(), other.clone(), go_on.clone());
        async move {
            let mut next = writer * 1_000_000;
            while go_on.load(Ordering::Relaxed) {
                store.upsert_results(&other, records(next..next + 5, 0), now(1)).await.expect("written");
                next += 900;
            }
        }
    };
    let writers: Vec<_> = (1..4).map(|writer| tokio::spawn(writing(writer))).collect();
    let directory = directory_of(root.path());
    assert!(mentions(&directory, 299) > 0);
    store.erase(&set().storage, &subject(299)).await.expect("erased");
    let begin = Instant::now();
    while mentions(&directory, 299) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the texts are overwritten");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    go_on.store(false, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("no panic");
    }
    store.close().await;
}
