//! The check of a storage: nothing is found in a sound one, whatever was done to it, and each damage of its index is.

use super::{SqliteResults, tiny};
use crate::store::sqlite::flaw::Part;
use crate::store::sqlite::results::backup::{StillStorage, check, is_storage};
use crate::store::{ResultStore, SetKey, SetOwner, StorageKey};
use docket_contract::result::{Record, ResultItem};
use docket_contract::{JobId, Timestamp};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn storages(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).expect("listed").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.file_name().is_some_and(|name| is_storage(&name.to_string_lossy()))).collect()
}

/// What is wrong with the storages of a directory, and how many results they hold.
fn flaws(root: &Path, take: impl Fn(&Path) -> Option<StillStorage>) -> (u64, Vec<(Part, String)>) {
    let (mut results, mut found) = (0, Vec::new());
    for directory in storages(root) {
        let Some(storage) = take(&directory) else { continue };
        let mut find = |part, what| found.push((part, what));
        let checked = check(&directory, &storage, &mut |_| {}, &mut find).expect("checked");
        results += checked.map_or(0, |checked| checked.results);
    }
    (results, found)
}

/// Checks the storages of a directory, beside the store that uses it or not.
pub fn assert_sound(root: &Path, in_use: bool, results: usize) {
    let take = |directory: &Path| {
        if in_use {
            StillStorage::take(directory).expect("taken")
        } else {
            Some(StillStorage::alone(directory).expect("taken"))
        }
    };
    assert_eq!(flaws(root, take), (results as u64, Vec::new()));
}

fn record(number: usize, status: &str) -> Record {
    let json = serde_json::json!({
        "externalId": number.to_string(), "businessPartnerId": (number / 10).to_string(), "status": status,
        "dataSourceId": (number % 3).to_string(), "countryShortName": "CH", "resultData": "x".repeat(number % 100),
    });
    match ResultItem::parse(&json.to_string()) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{failure:?}"),
    }
}

#[tokio::test]
async fn damage_of_the_index_is_found() {
    // Blocks of runs that are named: a merge that the end broke off has left others.
    let statements = [
        "DELETE FROM run_blocks WHERE id = (SELECT min(run) << 24 FROM runs)",
        "DELETE FROM runs",
        "UPDATE runs SET entries = entries + 1 WHERE run = (SELECT max(run) FROM runs)",
        "UPDATE runs SET fences = x'00'",
        "UPDATE run_filters SET bits = zeroblob(length(bits))",
        "DELETE FROM run_filters",
        "UPDATE run_blocks SET entries = zeroblob(length(entries)) WHERE id IN (SELECT run << 24 FROM runs)",
    ];
    for statement in statements {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteResults::open(directory.path(), tiny()).expect("a store");
        let storage = StorageKey { organization: "o".to_owned(), storage_id: "s".to_owned() };
        let set = SetKey { storage, owner: SetOwner::Job(JobId(Uuid::from_u128(7))) };
        for (status, step) in [("OK", 1), ("FAILED", 3), ("OK", 9)] {
            for start in (0..600).step_by(100) {
                let records = (start..start + 100).step_by(step).map(|number| record(number, status)).collect();
                store.upsert_results(&set, records, Timestamp::from_millis(1)).await.expect("written");
            }
        }
        store.close().await;
        assert_sound(directory.path(), false, 600);
        let file = storages(directory.path()).remove(0).join("results.db");
        let connection = Connection::open(&file).expect("opened");
        assert!(connection.execute(statement, []).expect("done") > 0, "{statement}");
        connection.close().expect("closed");
        let (_, found) = flaws(directory.path(), |directory| Some(StillStorage::alone(directory).expect("taken")));
        assert!(found.iter().any(|(part, _)| *part == Part::Index), "{statement}: {found:?}");
    }
}
