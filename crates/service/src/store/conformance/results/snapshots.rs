//! Snapshots: a set as it was, whatever is written meanwhile.

use super::*;
use crate::store::{Snapshot, SnapshotChunk, SnapshotQuery};

/// What a result is: text of the record and times.
type Seen = BTreeMap<String, (ResultStatus, String, Timestamp, Timestamp)>;

fn seen(chunk: &SnapshotChunk, into: &mut Seen) {
    for (row, body) in chunk.iter() {
        let written: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let text = |name: &str| written[name].as_str().unwrap_or_default().to_owned();
        let values = (row.status, text("resultData"), row.created_at, row.modified_at);
        assert!(into.insert(text("externalId"), values).is_none(), "{} comes once", text("externalId"));
    }
}

async fn snapshot(store: &Store, set: &SetKey, query: SnapshotQuery) -> (Snapshot, Seen) {
    let mut reader = store.open_snapshot(set, query).await.expect("a snapshot");
    let (mut results, mut last) = (Seen::new(), 0);
    while let Some(chunk) = reader.next().await.expect("a chunk") {
        assert!(!chunk.rows.is_empty());
        for row in &chunk.rows {
            assert!(row.id.0 > last, "ids grow");
            last = row.id.0;
        }
        seen(&chunk, &mut results);
    }
    assert!(reader.next().await.expect("the end").is_none());
    if let Some(total) = reader.total() {
        assert_eq!(results.len() as u64, total);
    }
    (reader.snapshot(), results)
}

fn failing(name: &str, failed: bool, data: &str) -> Record {
    let (status, source) = (if failed { "FAILED" } else { "OK" }, if name.ends_with('3') { "rare" } else { "common" });
    record(serde_json::json!({
        "externalId": name, "businessPartnerId": format!("partner of {name}"), "dataSourceId": source,
        "status": status, "resultData": data,
    }))
}

/// Snapshots are taken between writes and read while more is written; each shows the set of its moment, also when it is
/// read again later, and through every filter.
pub async fn a_snapshot_shows_its_moment(store: Store) {
    let set = set("s", 1);
    assert_eq!(snapshot(&store, &set, SnapshotQuery::default()).await, (Snapshot::default(), Seen::new()));
    let (mut model, mut moments) = (Seen::new(), Vec::new());
    let mut open = Vec::new();
    for round in 0..12_usize {
        let changed = (0..300).filter(|number| round == 0 || (number * 7 + round * 3) % 4 == 0);
        let numbers = changed.chain(300 + round * 20..320 + round * 20);
        let mut records = Vec::new();
        for number in numbers {
            let failed = (number + round) % 3 == 0;
            let (name, data) = (format!("record {number}"), format!("{round} {}", "x".repeat(number % 40 * 100)));
            records.push(failing(&name, failed, &data));
            let status = if failed { ResultStatus::Failed } else { ResultStatus::Ok };
            let created = model.get(&name).map_or(now(round as i64), |before| before.2);
            model.insert(name, (status, data, created, now(round as i64)));
        }
        store.upsert_results(&set, records, now(round as i64)).await.expect("written");
        let mut reader = store.open_snapshot(&set, SnapshotQuery::default()).await.expect("a snapshot");
        let first = reader.next().await.expect("a chunk").expect("rows");
        moments.push((reader.snapshot(), model.clone()));
        open.push((reader, first, model.clone()));
    }
    assert!(moments.is_sorted_by(|one, other| one.0 < other.0), "what is written changes the mark");
    for (mut reader, first, expected) in open {
        let mut results = Seen::new();
        seen(&first, &mut results);
        while let Some(chunk) = reader.next().await.expect("a chunk") {
            seen(&chunk, &mut results);
        }
        assert_eq!(results, expected);
        assert_eq!(reader.total(), Some(expected.len() as u64));
    }
    for (at, expected) in &moments {
        let query = SnapshotQuery { at: Some(*at), ..SnapshotQuery::default() };
        assert_eq!(&snapshot(&store, &set, query.clone()).await, &(*at, expected.clone()));
        let only = |wanted: &dyn Fn(&str, ResultStatus) -> bool| -> Seen {
            expected
                .iter()
                .filter(|(name, row)| wanted(name, row.0))
                .map(|(name, row)| (name.clone(), row.clone()))
                .collect()
        };
        let filter = ResultFilter { status: Some(ResultStatus::Failed), ..ResultFilter::default() };
        let (_, failed) = snapshot(&store, &set, SnapshotQuery { filter, ..query.clone() }).await;
        assert_eq!(failed, only(&|_, status| status == ResultStatus::Failed));
        let external_ids = (290..330).map(|number| format!("record {number}")).collect::<Vec<_>>();
        let ids = external_ids.clone();
        let filter = ResultFilter { external_ids, ..ResultFilter::default() };
        let (_, found) = snapshot(&store, &set, SnapshotQuery { filter, ..query }).await;
        assert_eq!(found, only(&|name, _| ids.iter().any(|id| id == name)));
    }
    // A filter for now counts what it finds; those that few pass come through the index.
    for (status, source) in [(None, "rare"), (Some(ResultStatus::Ok), "rare"), (Some(ResultStatus::Failed), "common")] {
        let filter = ResultFilter { status, data_source_ids: vec![source.to_owned()], ..ResultFilter::default() };
        let (_, found) = snapshot(&store, &set, SnapshotQuery { filter, ..SnapshotQuery::default() }).await;
        let expected = model.iter().filter(|(name, row)| {
            name.ends_with('3') == (source == "rare") && status.is_none_or(|status| status == row.0)
        });
        assert_eq!(found, expected.map(|(name, row)| (name.clone(), row.clone())).collect());
    }
    let filter = ResultFilter { data_source_ids: vec!["unknown".to_owned()], ..ResultFilter::default() };
    assert_eq!(snapshot(&store, &set, SnapshotQuery { filter, ..SnapshotQuery::default() }).await.1, Seen::new());
}

/// Rows are read again by their ids, as they were; those that came later are not there yet.
pub async fn rows_of_a_moment_are_found_by_id(store: Store) {
    let set = set("s", 1);
    let names: Vec<String> = (0..50).map(|number| format!("record {number}")).collect();
    let first = names.iter().map(|name| failing(name, false, "first")).collect();
    store.upsert_results(&set, first, now(0)).await.expect("written");
    let mut reader = store.open_snapshot(&set, SnapshotQuery::default()).await.expect("a snapshot");
    let at = reader.snapshot();
    let ids: Vec<Position> =
        reader.next().await.expect("a chunk").expect("rows").rows.iter().map(|row| row.id).collect();
    let second = names.iter().step_by(2).map(|name| failing(name, true, "second"));
    let second = second.chain([failing("later", false, "second")]).collect();
    store.upsert_results(&set, second, now(1)).await.expect("written");
    let later = store.last_result(&set).await.expect("a look").expect("a result");
    let wanted = ids.iter().copied().skip(10).step_by(3).chain([later, Position(u64::MAX)]).collect();
    let chunk = store.read_at(&set, at, wanted).await.expect("rows");
    let found: Vec<Position> = chunk.rows.iter().map(|row| row.id).collect();
    assert_eq!(found, ids.iter().copied().skip(10).step_by(3).collect::<Vec<_>>());
    let mut results = Seen::new();
    seen(&chunk, &mut results);
    assert!(results.values().all(|row| row.0 == ResultStatus::Ok && row.1 == "first"));
    // Behind an id the rest comes.
    let query = SnapshotQuery { after: ids[19], ..SnapshotQuery::default() };
    assert_eq!(snapshot(&store, &set, query).await.1.len(), 31);
}

/// What goes away while it is read is an error, never an end.
pub async fn a_snapshot_of_what_is_deleted_is_no_whole(store: Store) {
    for whole_storage in [false, true] {
        let set = set("s", 1);
        let records = (0..600).map(|number| failing(&format!("record {number}"), false, &"x".repeat(10_000)));
        let mut records: Vec<Record> = records.collect();
        while !records.is_empty() {
            let part = records.split_off(records.len() - 100);
            store.upsert_results(&set, part, now(0)).await.expect("written");
        }
        let mut reader = store.open_snapshot(&set, SnapshotQuery::default()).await.expect("a snapshot");
        let at = reader.snapshot();
        let first = reader.next().await.expect("a chunk").expect("rows");
        assert!(first.rows.len() < 600);
        match whole_storage {
            true => store.delete_job_sets(&set.storage).await.expect("deleted"),
            false => store.delete_set(&set).await.expect("deleted"),
        };
        assert_eq!(reader.next().await.err(), Some(StoreError::Gone));
        let again = SnapshotQuery { at: Some(at), ..SnapshotQuery::default() };
        assert_eq!(store.open_snapshot(&set, again.clone()).await.err(), Some(StoreError::Gone));
        assert_eq!(store.read_at(&set, at, vec![first.rows[0].id]).await.err(), Some(StoreError::Gone));
        // A new set of the same owner is another one.
        store.upsert_results(&set, vec![plain("new")], now(1)).await.expect("written");
        assert_eq!(store.open_snapshot(&set, again).await.err(), Some(StoreError::Gone));
    }
}

/// Two writers write all records of a set again and again, each time with one version for all; every snapshot that is
/// taken meanwhile shows one version, and its total is exact.
pub async fn snapshots_are_of_one_moment_while_writers_run(store: Store) {
    let set = set("s", 1);
    let writer = |store: Store, set: SetKey, name: &'static str| async move {
        for version in 0..60_usize {
            let failed = version % 2 == 0;
            let records = (0..40).map(|number| failing(&format!("{name} {number}"), failed, &version.to_string()));
            store.upsert_results(&set, records.collect(), now(version as i64)).await.expect("written");
        }
    };
    let writers = ["one", "other"].map(|name| tokio::spawn(writer(store.clone(), set.clone(), name)));
    let reader = |store: Store, set: SetKey, status: Option<ResultStatus>| async move {
        let mut taken = 0;
        loop {
            let filter = ResultFilter { status, ..ResultFilter::default() };
            let (at, results) = snapshot(&store, &set, SnapshotQuery { filter, ..SnapshotQuery::default() }).await;
            let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (name, row) in &results {
                versions.entry(name.split(' ').next().unwrap_or_default()).or_default().push(&row.1);
            }
            for (writer, versions) in &versions {
                assert_eq!(versions.len(), 40, "all records of {writer} at {at:?}");
                assert!(versions.iter().all(|version| version == &versions[0]), "one version at {at:?}: {versions:?}");
            }
            taken += 1;
            let done = |versions: &Vec<&str>| versions[0] == "59";
            if status != Some(ResultStatus::Ok) && versions.len() == 2 && versions.values().all(done) {
                return taken;
            }
            if status == Some(ResultStatus::Ok) && taken == 30 {
                return taken;
            }
        }
    };
    let all = tokio::spawn(reader(store.clone(), set.clone(), None));
    let failed = tokio::spawn(reader(store.clone(), set.clone(), Some(ResultStatus::Ok)));
    for writer in writers {
        writer.await.expect("written");
    }
    assert!(all.await.expect("read") > 0);
    assert_eq!(failed.await.expect("read"), 30);
}
