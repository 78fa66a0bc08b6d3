//! The whole driver against a plain map: writes, changes, deletions of sets, and a new start at any moment.

use super::flaws::assert_sound;
use super::{ResultsOptions, SqliteResults, tiny};
use crate::store::{
    DataSubject, Erased, PageQuery, ResultFilter, ResultStore, SetKey, SetOwner, Snapshot, SnapshotQuery, StorageKey,
    StoreError, Upserted,
};
use docket_contract::cursor::Position;
use docket_contract::result::{JobResultData, JobResultDataUpsert, Record, ResultItem, ResultStatus};
use docket_contract::{JobId, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use uuid::Uuid;

#[derive(Clone, Debug)]
enum Act {
    /// So many records from a number on, each third failed or not.
    Upsert {
        set: u128,
        from: usize,
        count: usize,
        failed: usize,
        size: usize,
    },
    DeleteSet(u128),
    /// Erase the record of this number, by its partner or its external id.
    Erase(usize, bool),
    /// Remove from a set what was last written so many acts ago or earlier.
    RemoveOlder(u128, i64),
    /// Remember a set as it is.
    Look(u128),
    /// Close and open the store.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let upsert = (1u128..4, 0usize..120, 1usize..80, 0usize..4, prop_oneof![4 => 0usize..300, 1 => 0usize..9000]);
    prop_oneof![
        8 => upsert.prop_map(|(set, from, count, failed, size)| Act::Upsert { set, from, count, failed, size }),
        1 => (1u128..4).prop_map(Act::DeleteSet),
        3 => (0usize..200, any::<bool>()).prop_map(|(number, by_partner)| Act::Erase(number, by_partner)),
        2 => (1u128..4, 0i64..6).prop_map(|(set, age)| Act::RemoveOlder(set, age)),
        3 => (1u128..4).prop_map(Act::Look),
        2 => Just(Act::Restart),
    ]
}

fn set(job: u128) -> SetKey {
    let storage = StorageKey { organization: "o".to_owned(), storage_id: "s".to_owned() };
    SetKey { storage, owner: SetOwner::Job(JobId(Uuid::from_u128(job))) }
}

/// What must be there of a record: times, verdict and text.
type Expected = (i64, i64, ResultStatus, String);

/// A set, a moment of it, and what was there.
type Look = (u128, Snapshot, BTreeMap<String, Expected>);

fn record(name: &str, status: ResultStatus, data: &str) -> Record {
    let json = serde_json::json!({
        "externalId": name, "businessPartnerId": format!("partner {name}"), "status": status, "resultData": data,
    });
    match ResultItem::parse(&json.to_string()) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{failure:?}"),
    }
}

async fn read(store: &SqliteResults, job: u128, filter: ResultFilter) -> BTreeMap<String, Expected> {
    let query = PageQuery { filter, after: Position(0), limit: usize::MAX, include_fields: None };
    let mut page = store.open_page(&set(job), query).await.expect("a page");
    let mut results = BTreeMap::new();
    while let Some(chunk) = page.next().await.expect("a chunk") {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        for result in serde_json::from_str::<Vec<JobResultData>>(&text).expect("results") {
            let times = (result.created_at.as_millis(), result.modified_at.as_millis());
            let written = result.written;
            let (status, data) = (written.status.unwrap_or_default(), written.result_data.unwrap_or_default());
            results.insert(written.external_id.unwrap_or_default(), (times.0, times.1, status, data));
        }
    }
    assert_eq!(Some(results.len() as u64), page.total());
    results
}

/// Reads a set as it was at a moment; `None` if it is gone.
async fn read_at(store: &SqliteResults, job: u128, at: Snapshot) -> Option<BTreeMap<String, Expected>> {
    let query = SnapshotQuery { at: Some(at), ..SnapshotQuery::default() };
    let mut reader = match store.open_snapshot(&set(job), query).await {
        Err(StoreError::Gone) => return None,
        reader => reader.expect("a snapshot"),
    };
    let mut results = BTreeMap::new();
    while let Some(chunk) = reader.next().await.expect("a chunk") {
        for (row, body) in chunk.iter() {
            let written: JobResultDataUpsert = serde_json::from_slice(body).expect("a result");
            assert_eq!(written.status, Some(row.status));
            let times = (row.created_at.as_millis(), row.modified_at.as_millis());
            let data = written.result_data.unwrap_or_default();
            results.insert(written.external_id.unwrap_or_default(), (times.0, times.1, row.status, data));
        }
    }
    Some(results)
}

async fn check(store: &SqliteResults, map: &BTreeMap<u128, BTreeMap<String, Expected>>) {
    for job in 1..4 {
        let expected = map.get(&job).cloned().unwrap_or_default();
        assert_eq!(read(store, job, ResultFilter::default()).await, expected);
        for status in [ResultStatus::Ok, ResultStatus::Failed] {
            let filter = ResultFilter { status: Some(status), ..ResultFilter::default() };
            let wanted = expected.iter().filter(|(_, row)| row.2 == status);
            let wanted: BTreeMap<_, _> = wanted.map(|(name, row)| (name.clone(), row.clone())).collect();
            assert_eq!(read(store, job, filter).await, wanted);
        }
        let external_ids: Vec<String> = (50..90).map(|number| format!("record {number}")).collect();
        let wanted = external_ids.iter().filter_map(|name| Some((name.clone(), expected.get(name)?.clone())));
        let wanted: BTreeMap<_, _> = wanted.collect();
        assert_eq!(read(store, job, ResultFilter { external_ids, ..ResultFilter::default() }).await, wanted);
    }
}

async fn live(directory: &Path, options: &ResultsOptions, acts: &[Act]) {
    let mut store = SqliteResults::open(directory, options.clone()).expect("a store");
    let mut map: BTreeMap<u128, BTreeMap<String, Expected>> = BTreeMap::new();
    // What was seen of sets that are there yet, and of sets that are gone.
    let (mut looks, mut gone): (Vec<Look>, Vec<Look>) = Default::default();
    for (time, act) in (1i64..).zip(acts) {
        match act {
            Act::Upsert { set: job, from, count, failed, size } => {
                let rows = map.entry(*job).or_default();
                let (mut records, mut expected) = (Vec::new(), Upserted::default());
                for number in *from..from + count {
                    let status = if number % 4 < *failed { ResultStatus::Failed } else { ResultStatus::Ok };
                    let data = format!("{time} {}", "x".repeat(size * (number % 5) / 5));
                    let name = format!("record {number}");
                    records.push(record(&name, status, &data));
                    match rows.get_mut(&name) {
                        Some(row) => {
                            *row = (row.0, time, status, data);
                            expected.updated += 1;
                        }
                        None => {
                            rows.insert(name, (time, time, status, data));
                            expected.created += 1;
                        }
                    }
                }
                let done = store.upsert_results(&set(*job), records, Timestamp::from_millis(time)).await;
                assert_eq!(done, Ok(expected));
            }
            Act::DeleteSet(job) => {
                let rows = map.remove(job).unwrap_or_default();
                assert_eq!(store.delete_set(&set(*job)).await, Ok(rows.len() as u64));
                gone.extend(looks.extract_if(.., |look| look.0 == *job));
            }
            Act::Erase(number, by_partner) => {
                let name = format!("record {number}");
                let subject = match by_partner {
                    true => DataSubject::BusinessPartner(format!("partner {name}")),
                    false => DataSubject::External(name.clone()),
                };
                let mut expected = Vec::new();
                for (job, rows) in &mut map {
                    let owner = set(*job).owner;
                    expected.extend(rows.remove(&name).map(|_| Erased { owner, results: 1 }));
                }
                assert_eq!(store.erase(&set(1).storage, &subject).await, Ok(expected));
                looks.iter_mut().for_each(|(_, _, rows)| drop(rows.remove(&name)));
            }
            Act::RemoveOlder(job, age) => {
                let rows = map.entry(*job).or_default();
                let old: Vec<String> = rows.extract_if(.., |_, row| row.1 < time - age).map(|(name, _)| name).collect();
                let (mut after, mut removed) = (Position(0), 0);
                loop {
                    let step = store.remove_older(&set(*job), Timestamp::from_millis(time - age), after).await;
                    let step = step.expect("a step");
                    removed += step.removed;
                    let Some(next) = step.next else { break };
                    after = next;
                }
                assert_eq!(removed, old.len() as u64);
                for (_, _, rows) in looks.iter_mut().filter(|(look, ..)| look == job) {
                    old.iter().for_each(|name| drop(rows.remove(name)));
                }
            }
            Act::Look(job) => {
                let reader = store.open_snapshot(&set(*job), SnapshotQuery::default()).await.expect("a snapshot");
                let expected = map.get(job).cloned().unwrap_or_default();
                assert_eq!(reader.total(), Some(expected.len() as u64));
                if !expected.is_empty() {
                    looks.push((*job, reader.snapshot(), expected));
                }
            }
            Act::Restart => {
                store.close().await;
                store = SqliteResults::open(directory, options.clone()).expect("a store");
            }
        }
        check(&store, &map).await;
        let results = || map.values().map(BTreeMap::len).sum();
        assert_sound(directory, true, results());
        for (job, at, expected) in &looks {
            assert_eq!(read_at(&store, *job, *at).await.as_ref(), Some(expected));
        }
        for (job, at, _) in &gone {
            assert_eq!(read_at(&store, *job, *at).await, None);
        }
    }
    store.close().await;
    assert_sound(directory, false, map.values().map(BTreeMap::len).sum());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_map(acts in prop::collection::vec(act(), 1..25), small: bool) {
        let directory = tempfile::tempdir().expect("a directory");
        let options = if small { tiny() } else { ResultsOptions { run_records: 30, ..ResultsOptions::default() } };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(live(directory.path(), &options, &acts));
    }
}
