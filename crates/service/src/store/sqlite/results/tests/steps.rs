//! A removal holds up the other writers of its file for one transaction at a time, and each of those is bounded.

use super::{ResultsOptions, SqliteResults};
use crate::store::sqlite::results::queue::{Outcome, Work};
use crate::store::sqlite::results::removal::{Removal, Removed};
use crate::store::{ResultStore, SetKey, SetOwner, StorageKey};
use docket_contract::result::{Record, ResultItem};
use docket_contract::{JobId, Timestamp};
use std::time::Duration;
use uuid::Uuid;

const RECORDS: u64 = 5000;

fn set() -> SetKey {
    let storage = StorageKey { organization: "o".to_owned(), storage_id: "s".to_owned() };
    SetKey { storage, owner: SetOwner::Job(JobId(Uuid::from_u128(7))) }
}

fn records() -> Vec<Record> {
    let record = |number: u64| {
        let json = serde_json::json!({"externalId": format!("record-{number}"), "status": "OK"});
        match ResultItem::parse(&json.to_string()) {
            ResultItem::Record(record, _) => record,
            ResultItem::Rejected(failure) => panic!("{failure:?}"),
        }
    };
    (0..RECORDS).map(record).collect()
}

/// What one transaction comes to that is to remove all of a set, whose records were written so often.
async fn one_step(written: usize, removal_time: Duration) -> Removed {
    let root = tempfile::tempdir().expect("a directory");
    let options = ResultsOptions { removal_time, ..ResultsOptions::default() };
    let store = SqliteResults::open(root.path(), options).expect("a store");
    for _ in 0..written {
        store.upsert_results(&set(), records(), Timestamp::from_millis(1)).await.expect("written");
    }
    let file = store.slots.existing(&set().storage).await.expect("opened").expect("a file");
    let sequences = (1..=RECORDS).collect();
    let removal = Removal { owner: set().owner, set_no: 1, sequences, written_before: None, first: None };
    let outcome = file.queue.submit(Work::Remove(removal)).await.expect("removed");
    drop(file);
    let Outcome::Removed(removed) = outcome else { panic!("{outcome:?}") };
    let left = store.statistics(&set()).await.expect("counted");
    assert_eq!(left.iter().map(|tally| tally.count).sum::<u64>(), RECORDS - removed.rows);
    store.close().await;
    removed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_removes_a_bounded_number_of_rows() {
    let removed = one_step(1, Duration::MAX).await;
    assert_eq!((removed.rows, removed.done), (4096, 4096));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_again_counts_each_time() {
    let removed = one_step(4, Duration::MAX).await;
    assert_eq!((removed.rows, removed.done), (2048, 2048));
}

/// However slow the disk: a row at a time is the least.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_ends_when_its_time_is_up() {
    let removed = one_step(1, Duration::ZERO).await;
    assert_eq!((removed.rows, removed.done), (1, 1));
}
