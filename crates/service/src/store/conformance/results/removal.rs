//! Removal of single results: of a data subject, and of what is old.

use super::*;
use crate::store::{DataSubject, Erased, LastQuery, RemovedStep, Snapshot, SnapshotQuery, Storages};
use docket_contract::ProcessingLogId;

fn external(id: &str) -> DataSubject {
    DataSubject::External(id.to_owned())
}

fn partner(id: &str) -> DataSubject {
    DataSubject::BusinessPartner(id.to_owned())
}

fn log(set: &SetKey) -> SetKey {
    SetKey { owner: SetOwner::Log(ProcessingLogId::CurationLog), ..set.clone() }
}

fn of(set: &SetKey, number: u128) -> SetKey {
    SetKey { owner: job(number), ..set.clone() }
}

async fn names(store: &Store, set: &SetKey, filter: ResultFilter) -> Vec<String> {
    all(store, set, filter).await.external_ids().into_iter().map(str::to_owned).collect()
}

fn with_partner(id: &str) -> ResultFilter {
    ResultFilter { business_partner_ids: vec![id.to_owned()], ..ResultFilter::default() }
}

fn with_external(id: &str) -> ResultFilter {
    ResultFilter { external_ids: vec![id.to_owned()], ..ResultFilter::default() }
}

async fn last(store: &Store, set: &SetKey, query: LastQuery) -> Vec<JobResultData> {
    let mut page = store.last_results(&set.storage, LastQuery { limit: 1000, ..query }).await.expect("an answer");
    let mut results = Vec::new();
    while let Some(chunk) = page.next().await.expect("a chunk") {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        results.extend(serde_json::from_str::<Vec<JobResultData>>(&text).expect("results"));
    }
    results
}

async fn moment(store: &Store, set: &SetKey, at: Option<Snapshot>) -> (Snapshot, Vec<u64>) {
    let query = SnapshotQuery { at, ..SnapshotQuery::default() };
    let mut reader = store.open_snapshot(set, query).await.expect("a snapshot");
    let mut ids = Vec::new();
    while let Some(chunk) = reader.next().await.expect("a chunk") {
        for (row, body) in chunk.iter() {
            assert!(serde_json::from_slice::<serde_json::Value>(body).is_ok(), "whole");
            ids.push(row.id.0);
        }
    }
    (reader.snapshot(), ids)
}

/// All steps of a removal; answers how many results are gone.
async fn remove_older(store: &Store, set: &SetKey, before: Timestamp) -> u64 {
    let (mut after, mut gone) = (Position(0), 0);
    loop {
        let RemovedStep { removed, next } = store.remove_older(set, before, after).await.expect("a step");
        gone += removed;
        let Some(next) = next else { return gone };
        assert!(next > after, "a removal comes on");
        after = next;
    }
}

/// A subject's results go from every set of the storage, and from nowhere else; whatever finds results finds the others.
pub async fn what_is_erased_is_gone(store: Store) {
    let (first, log) = (mixed(&store).await, log(&set("unused", 1)));
    let log = SetKey { storage: first.storage.clone(), ..log };
    let second = of(&first, 2);
    let elsewhere =
        SetKey { storage: StorageKey { storage_id: "t".to_owned(), ..first.storage.clone() }, ..first.clone() };
    let known = |status: &str| {
        let json = serde_json::json!({
            "dataSourceId": "source 1", "businessPartnerId": "partner 10", "externalId": "external 5",
            "status": status, "countryShortName": "CH",
        });
        vec![record(json), plain("another")]
    };
    for set in [&second, &log, &elsewhere] {
        assert_eq!(store.upsert_results(set, known("OK"), now(5)).await, upserted(2, 0));
    }
    // In the first set it is written again, twice, with another verdict in between.
    for status in ["FAILED", "OK"] {
        assert_eq!(store.upsert_results(&first, known(status), now(6)).await.map(|done| done.updated > 0), Ok(true));
    }
    assert_eq!(store.erase(&first.storage, &external("nobody")).await, Ok(vec![]));
    let mut expected: Vec<Erased> =
        [(&first, 2), (&second, 1), (&log, 1)].map(|(set, results)| Erased { owner: set.owner, results }).into();
    expected.sort_unstable();
    let before = all(&store, &first, ResultFilter::default()).await;
    assert_eq!(store.erase(&first.storage, &external("external 5")).await, Ok(expected));
    assert_eq!(store.erase(&first.storage, &external("external 5")).await, Ok(vec![]), "it is gone");

    let after = all(&store, &first, ResultFilter::default()).await;
    let left = before.results.iter().filter(|result| result.written.external_id.as_deref() != Some("external 5"));
    assert_eq!(after.results, left.cloned().collect::<Vec<_>>(), "the others are as they were");
    assert_eq!((before.total - 2, after.total), (after.total, after.results.len() as u64));
    assert_eq!(sum(&store.statistics(&first).await.expect("counters")), after.total);
    for (filter, is_left) in [
        (with_external("external 5"), false),
        (with_partner("partner 10"), false),
        (with_partner("partner 11"), false),
        (with_partner("partner 12"), true),
    ] {
        let found = all(&store, &first, filter.clone()).await;
        assert_eq!((found.total > 0, !found.results.is_empty()), (is_left, is_left), "{filter:?}");
    }
    for status in [ResultStatus::Ok, ResultStatus::Failed] {
        let filter = ResultFilter { status: Some(status), ..ResultFilter::default() };
        let found = paged(&store, &first, filter, 17).await;
        let expected = after.results.iter().filter(|result| result.written.status == Some(status));
        assert_eq!(found, expected.cloned().collect::<Vec<_>>());
    }
    for set in [&second, &log] {
        assert_eq!(names(&store, set, ResultFilter::default()).await, ["another"]);
    }
    let found = names(&store, &elsewhere, ResultFilter::default()).await;
    assert_eq!(found, ["external 5", "another"], "another storage");
    // What is written again is a new record.
    assert_eq!(store.upsert_results(&second, known("OK"), now(9)).await, upserted(1, 1));
    let again = all(&store, &second, with_partner("partner 10")).await;
    assert_eq!(again.results.len(), 1);
    assert!(again.ids()[0] > *after.ids().last().expect("results"), "ids are never given twice");
    assert_eq!((again.results[0].created_at, again.results[0].modified_at), (now(9), now(9)));
}

/// By partner only that partner's results go, also when others share the external id.
pub async fn one_of_two_partners_with_an_external_id_is_erased(store: Store) {
    let set = mixed(&store).await;
    let erased = store.erase(&set.storage, &partner("partner 20")).await;
    assert_eq!(erased, Ok(vec![Erased { owner: set.owner, results: 1 }]));
    let left = all(&store, &set, with_external("external 10")).await;
    assert_eq!(numbers(&left.results), [21]);
    assert_eq!(numbers(&all(&store, &set, ResultFilter::default()).await.results), expected(|number| number != 20));
}

/// Moments that were marked before do not tell of it either; the others' results come as they were then.
pub async fn what_is_erased_is_gone_from_earlier_moments(store: Store) {
    let set = mixed(&store).await;
    let (at, ids) = moment(&store, &set, None).await;
    let erased = all(&store, &set, with_external("external 7")).await.ids();
    assert_eq!(erased.len(), 2);
    let again = plain("external 7");
    assert_eq!(store.erase(&set.storage, &external("external 7")).await.map(|sets| sets.len()), Ok(1));
    store.upsert_results(&set, vec![again], now(9)).await.expect("written again");
    let left: Vec<u64> = ids.into_iter().filter(|id| !erased.contains(id)).collect();
    assert_eq!(moment(&store, &set, Some(at)).await.1, left);
    let found = store.read_at(&set, at, erased.iter().map(|id| Position(*id)).collect()).await.expect("read");
    assert!(found.rows.is_empty());
    assert_eq!(moment(&store, &set, None).await.1.len(), left.len() + 1);
}

/// A record that was erased from very many jobs is not looked for in each of them one by one; another record of the
/// partner is found behind them.
pub async fn the_newest_results_are_found_behind_erased_ones(store: Store) {
    let set = set("s", 1);
    let written = |external: &str, data: &str| {
        record(serde_json::json!({"businessPartnerId": "p", "externalId": external, "resultData": data}))
    };
    store.upsert_results(&set, vec![written("kept", "first")], now(0)).await.expect("written");
    for number in 1..=60 {
        let records = vec![written("erased", "x"), written("many", &number.to_string())];
        store.upsert_results(&of(&set, number), records, now(1)).await.expect("written");
    }
    // An older job writes again: its result is the newest.
    store.upsert_results(&of(&set, 3), vec![written("many", "again")], now(2)).await.expect("written");
    let query = || LastQuery { business_partner_ids: vec!["p".to_owned()], ..LastQuery::default() };
    let data = |results: Vec<JobResultData>| -> Vec<Option<String>> {
        results.into_iter().map(|result| result.written.result_data).collect()
    };
    assert_eq!(data(last(&store, &set, query()).await).len(), 3);
    let erased = store.erase(&set.storage, &external("erased")).await.expect("erased");
    assert_eq!(erased.iter().map(|set| set.results).sum::<u64>(), 60);
    let left = data(last(&store, &set, query()).await);
    assert_eq!(left, [Some("first".to_owned()), Some("again".to_owned())]);
    store.erase(&set.storage, &partner("p")).await.expect("erased");
    assert!(last(&store, &set, query()).await.is_empty());
}

/// What was last written before a moment goes step by step; what was written again since stays.
pub async fn old_results_are_removed(store: Store) {
    let set = log(&set("s", 1));
    let records = |range: std::ops::Range<usize>| -> Vec<Record> {
        let status = |number: usize| if number.is_multiple_of(5) { "FAILED" } else { "OK" };
        range
            .map(|number| {
                let data = "x".repeat(number % 50);
                let json = serde_json::json!({"externalId": format!("{number}"), "status": status(number), "resultData": data});
                record(json)
            })
            .collect()
    };
    assert_eq!(store.remove_older(&set, now(9), Position(0)).await, Ok(RemovedStep::default()), "of an unknown set");
    for (second, start) in (0..).zip((0..3000).step_by(500)) {
        store.upsert_results(&set, records(start..start + 500), now(second)).await.expect("written");
    }
    // Two old ones are written again.
    let again = [700, 1300].into_iter().flat_map(|number| records(number..number + 1)).collect();
    store.upsert_results(&set, again, now(8)).await.expect("written");
    let at = moment(&store, &set, None).await.0;
    assert_eq!(remove_older(&store, &set, now(3)).await, 1498);
    assert_eq!(remove_older(&store, &set, now(3)).await, 0);
    let left = names(&store, &set, ResultFilter::default()).await;
    let expected: Vec<String> = [700, 1300].into_iter().chain(1500..3000).map(|number| number.to_string()).collect();
    assert_eq!(left, expected);
    assert_eq!(sum(&store.statistics(&set).await.expect("counters")), 1502);
    let failed = ResultFilter { status: Some(ResultStatus::Failed), ..ResultFilter::default() };
    assert_eq!(paged(&store, &set, failed, 50).await.len(), 302);
    assert_eq!(moment(&store, &set, Some(at)).await.1.len(), 1502, "an earlier moment");
    assert_eq!(names(&store, &set, with_external("1")).await, [""; 0]);
    assert_eq!(names(&store, &set, with_external("700")).await, ["700"]);
    assert_eq!(remove_older(&store, &set, now(8)).await, 1500);
    assert_eq!(remove_older(&store, &set, now(9)).await, 2);
    assert_eq!(all(&store, &set, ResultFilter::default()).await.total, 0);
    assert_eq!(store.upsert_results(&set, records(0..600), now(9)).await, upserted(600, 0));
    assert_eq!(names(&store, &set, ResultFilter::default()).await.len(), 600);
    assert_eq!(remove_older(&store, &set, now(9)).await, 0);
}

/// A page that was begun ends as it should when results that it has not told yet are removed.
pub async fn a_page_outlives_the_removal_of_its_results(store: Store) {
    let set = set("s", 1);
    let large = |number: usize| {
        record(serde_json::json!({
            "externalId": format!("external {number}"), "businessPartnerId": "p", "resultData": "x".repeat(8_000),
        }))
    };
    assert_eq!(store.upsert_results(&set, (0..300).map(large).collect(), now(0)).await, upserted(300, 0));
    let by_id = PageQuery { filter: with_partner("p"), ..query(1000) };
    let last = LastQuery { business_partner_ids: vec!["p".to_owned()], limit: 1000, ..LastQuery::default() };
    let mut pages = vec![
        store.open_page(&set, query(1000)).await.expect("a page"),
        store.open_page(&set, by_id).await.expect("a page"),
        store.last_results(&set.storage, last).await.expect("a page"),
    ];
    let mut told = Vec::new();
    for page in &mut pages {
        told.push(page.next().await.expect("a chunk").expect("a chunk").count);
    }
    assert!(told[..2].iter().all(|told| *told < 299), "{told:?}");
    assert_eq!(store.erase(&set.storage, &external("external 299")).await.map(|erased| erased.len()), Ok(1));
    for (mut page, first) in pages.into_iter().zip(told) {
        let mut told = first;
        while let Some(chunk) = page.next().await.expect("a chunk") {
            let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
            serde_json::from_str::<Vec<JobResultData>>(&text).expect("results");
            told += chunk.count;
        }
        assert_eq!(told, if first == 300 { 300 } else { 299 });
    }
}

/// While results are removed and written, readers see whole ones, and each page tells as many as it counts.
pub async fn readers_go_on_while_results_are_removed(store: Store) {
    let set = set("s", 1);
    let write = |round: usize| -> Vec<Record> {
        let one = |number: usize| {
            record(serde_json::json!({
                "externalId": format!("external {number}"), "businessPartnerId": format!("partner {}", number % 10),
                "resultData": format!("{round} {}", "x".repeat(number)),
            }))
        };
        (0..100).map(one).collect()
    };
    store.upsert_results(&set, write(0), now(0)).await.expect("written");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let reading = {
        let (store, set) = (store.clone(), set.clone());
        tokio::spawn(async move {
            let mut pages = 0;
            while !*stopped.borrow() {
                for filter in [ResultFilter::default(), with_partner("partner 3")] {
                    all(&store, &set, filter).await;
                    pages += 1;
                }
                moment(&store, &set, None).await;
                let query = LastQuery { business_partner_ids: partners(&[3, 4]), ..LastQuery::default() };
                assert!(last(&store, &set, query).await.len() <= 20);
            }
            pages
        })
    };
    for round in 1..12 {
        for number in (round % 7..100).step_by(9) {
            store.erase(&set.storage, &external(&format!("external {number}"))).await.expect("erased");
        }
        store.upsert_results(&set, write(round), now(round as i64)).await.expect("written");
    }
    stop.send(true).expect("a reader");
    assert!(reading.await.expect("no reader failed") > 0);
    let every = all(&store, &set, ResultFilter::default()).await;
    assert_eq!((every.total, every.results.len()), (100, 100));
}

/// An organization's storages, whether their files are open or not; no other's.
pub async fn storages_are_listed(store: Store) {
    let set = set("b", 1);
    let other = |storage_id: &str| StorageKey { storage_id: storage_id.to_owned(), ..set.storage.clone() };
    assert_eq!(store.storages(&set.storage.organization).await, Ok(Storages::default()));
    let foreign = self::set("b", 1);
    for storage in [set.storage.clone(), other("a"), other("c"), foreign.storage] {
        let set = SetKey { storage, ..set.clone() };
        store.upsert_results(&set, vec![plain("x")], now(0)).await.expect("written");
    }
    let expected = vec![other("a"), other("b"), other("c")];
    let expected = Storages { keys: expected, unreadable: None };
    assert_eq!(store.storages(&set.storage.organization).await, Ok(expected));
    store.delete_job_sets(&other("b")).await.expect("deleted");
    let left = store.storages(&set.storage.organization).await.expect("listed").keys;
    assert!(left.contains(&other("a")) && left.contains(&other("c")));
}
