//! What the data plane survives: kill -9 at any moment, a full disk, damaged files.

mod damage;
mod erasure;
mod full_disk;
mod kill;
mod power_loss;

use docket_contract::cursor::Position;
use docket_contract::result::{JobResultData, Record, ResultItem};
use docket_contract::{JobId, ProcessingLogId, Timestamp};
use docket_service::store::sqlite::{ResultsOptions, SqliteResults};
use docket_service::store::{PageQuery, ResultFilter, ResultStore, SetKey, SetOwner, StorageKey, StoreError, Upserted};
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

fn set(storage: &str) -> SetKey {
    let storage = StorageKey { organization: "acme".to_owned(), storage_id: storage.to_owned() };
    SetKey { storage, owner: SetOwner::Job(JobId(Uuid::from_u128(1))) }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

/// A record whose text tells which request wrote it last.
fn record(name: &str, request: &str, failed: bool, padding: usize) -> Record {
    let json = serde_json::json!({
        "externalId": name, "businessPartnerId": format!("partner of {name}"),
        "dataSourceId": format!("source {}", name.len() % 3), "status": if failed { "FAILED" } else { "OK" },
        "message": request, "resultData": "x".repeat(padding),
    });
    match ResultItem::parse(&json.to_string()) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{failure:?}"),
    }
}

async fn read(store: &SqliteResults, set: &SetKey, filter: ResultFilter) -> Result<Vec<JobResultData>, StoreError> {
    let query = PageQuery { filter, after: Position(0), limit: usize::MAX, include_fields: None };
    let mut page = store.open_page(set, query).await?;
    let mut results = Vec::new();
    while let Some(chunk) = page.next().await? {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        results.extend(serde_json::from_str::<Vec<JobResultData>>(&text).expect("results"));
    }
    assert_eq!(Some(results.len() as u64), page.total());
    Ok(results)
}

/// Where the storages' files are: every directory with a database.
fn files(directory: &Path) -> Vec<PathBuf> {
    let directories = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    directories.map(|path| path.join("results.db")).filter(|path| path.exists()).collect()
}
