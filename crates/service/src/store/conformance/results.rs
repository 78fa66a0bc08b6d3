//! The suite of [`ResultStore`]. `results_suite!(open)` makes a test of every case; `open` is a path to an async function
//! that answers a store and whatever must live as long as it.
//!
//! Every case works in an organization of its own, so that the cases can share a database.

use crate::store::{PageQuery, ResultFilter, ResultStore, SetKey, StorageKey, StoreError, Tally, Upserted};
use docket_contract::cursor::Position;
use docket_contract::result::{JobResultData, Record, ResultItem, ResultStatus};
use docket_contract::{JobId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Makes a test of every case of the suite.
#[macro_export]
macro_rules! results_suite {
    ($open:path) => {
        $crate::results_suite!(@ $open:
            what_is_created_is_read, what_is_known_is_updated, an_identity_may_come_twice_in_a_request,
            pages_follow_each_other_while_records_arrive, a_page_ends_where_it_says, filters_select,
            identities_select, filters_combine, only_wanted_members_are_sent, counters_follow_the_verdict,
            what_is_unknown_is_empty, sets_are_apart, organizations_are_apart, a_deleted_storage_is_gone,
            a_deleted_set_is_gone, ids_are_never_given_twice, names_are_only_names, large_rows_come_whole,
            writers_do_not_disturb_each_other, a_page_outlives_its_storage, many_rows_come_in_order);
    };
    (@ $open:path: $($case:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _guard) = $open().await;
                $crate::store::conformance::results::$case(store.clone()).await;
                store.close().await;
            }
        )+
    };
}

/// A store under test.
pub type Store = Arc<dyn ResultStore>;

fn now(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

fn set(storage: &str, job: u128) -> SetKey {
    let storage = StorageKey { organization: Uuid::now_v7().to_string(), storage_id: storage.to_owned() };
    SetKey { storage, job: JobId(Uuid::from_u128(job)) }
}

fn record(json: serde_json::Value) -> Record {
    match ResultItem::parse(&json.to_string()) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{json}: {failure:?}"),
    }
}

fn plain(external_id: &str) -> Record {
    record(serde_json::json!({"externalId": external_id, "resultData": format!("data of {external_id}")}))
}

fn upserted(created: u32, updated: u32) -> Result<Upserted, StoreError> {
    Ok(Upserted { created, updated })
}

/// A page, decoded.
#[derive(Debug)]
struct Read {
    results: Vec<JobResultData>,
    total: u64,
    more: bool,
}

impl Read {
    fn external_ids(&self) -> Vec<&str> {
        self.results.iter().map(|result| result.written.external_id.as_deref().unwrap_or_default()).collect()
    }

    fn ids(&self) -> Vec<u64> {
        self.results.iter().map(id).collect()
    }
}

fn id(result: &JobResultData) -> u64 {
    result.id.parse().expect("a number")
}

async fn read(store: &Store, set: &SetKey, query: PageQuery) -> Read {
    let limit = query.limit;
    let after = query.after;
    let mut page = store.open_page(set, query).await.expect("a page");
    let mut results: Vec<JobResultData> = Vec::new();
    while let Some(chunk) = page.next().await.expect("a chunk") {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        let part: Vec<JobResultData> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(part.len(), chunk.count);
        assert!(chunk.count > 0);
        assert_eq!(part.last().map(id), Some(chunk.last.0));
        results.extend(part);
    }
    assert!(page.next().await.expect("the end").is_none());
    assert!(results.len() <= limit);
    assert!(results.iter().map(id).is_sorted_by(|one, other| one < other), "ids grow");
    assert!(results.iter().all(|result| id(result) > after.0));
    Read { results, total: page.total(), more: page.has_more() }
}

fn query(limit: usize) -> PageQuery {
    PageQuery { filter: ResultFilter::default(), after: Position(0), limit, include_fields: None }
}

async fn all(store: &Store, set: &SetKey, filter: ResultFilter) -> Read {
    read(store, set, PageQuery { filter, ..query(100_000) }).await
}

/// All pages of a filter, one behind the other; every page must tell the same total.
async fn paged(store: &Store, set: &SetKey, filter: ResultFilter, limit: usize) -> Vec<JobResultData> {
    let (mut results, mut after) = (Vec::new(), Position(0));
    loop {
        let page = read(store, set, PageQuery { filter: filter.clone(), after, ..query(limit) }).await;
        assert!(!page.more || page.results.len() == limit, "only a full page has one behind it");
        results.extend(page.results);
        if !page.more {
            assert_eq!(page.total, results.len() as u64);
            return results;
        }
        after = Position(results.last().map(id).expect("a full page"));
    }
}

fn sum(tallies: &[Tally]) -> u64 {
    tallies.iter().map(|tally| tally.count).sum()
}

/// Everything that was written comes back, with ids and times.
pub async fn what_is_created_is_read(store: Store) {
    let set = set("s", 1);
    let full = serde_json::json!({
        "dataSourceId": "source", "businessPartnerId": "partner", "addressId": "address", "externalId": "external",
        "addressExternalId": "1", "addressVersion": {"characterSet": {"technicalKey": "INTERNATIONAL"}},
        "jobType": "DATA_CURATION_JOB", "resultData": "{\"a\": \"\\\"ü\\u0000\\n\"}", "status": "FAILED",
        "message": "what \"is\"\twrong", "countryShortName": "ch",
        "processingStatus": {"technicalKey": "DONE", "modifiedAt": "2020-08-31T16:47:00.000Z"},
        "configuration": {"id": "c", "version": 3},
    });
    assert_eq!(store.upsert_results(&set, vec![record(full.clone()), plain("b")], now(0)).await, upserted(2, 0));
    let page = all(&store, &set, ResultFilter::default()).await;
    assert_eq!((page.total, page.more, page.results.len()), (2, false, 2));
    let first = &page.results[0];
    assert!(id(first) > 0);
    assert_eq!((first.storage_id.as_str(), first.created_at, first.modified_at), ("s", now(0), now(0)));
    assert_eq!(first.written.job_id.as_deref(), Some(set.job.to_string().as_str()));
    let mut expected = full;
    expected["countryShortName"] = "CH".into();
    expected["jobId"] = set.job.to_string().into();
    assert_eq!(serde_json::to_value(&first.written).expect("JSON"), expected);
    assert_eq!(page.results[1].written.result_data.as_deref(), Some("data of b"));
    assert_eq!(store.upsert_results(&set, vec![], now(1)).await, upserted(0, 0));
}

/// An identity keeps its id and `createdAt`; the rest is replaced.
pub async fn what_is_known_is_updated(store: Store) {
    let set = set("s", 1);
    let records = || ["a", "b", "c"].map(plain).to_vec();
    assert_eq!(store.upsert_results(&set, records(), now(0)).await, upserted(3, 0));
    let before = all(&store, &set, ResultFilter::default()).await;
    let changed = record(serde_json::json!({"externalId": "b", "status": "FAILED", "message": "longer ".repeat(900)}));
    assert_eq!(store.upsert_results(&set, vec![changed, plain("d")], now(5)).await, upserted(1, 1));
    let after = all(&store, &set, ResultFilter::default()).await;
    assert_eq!(after.external_ids(), ["a", "b", "c", "d"]);
    assert_eq!(after.ids()[..3], before.ids());
    let b = &after.results[1];
    assert_eq!((b.created_at, b.modified_at), (now(0), now(5)));
    assert_eq!(b.written.result_data, None);
    assert_eq!(b.written.status, Some(ResultStatus::Failed));
    assert_eq!(after.results[0].modified_at, now(0));
    // The data source belongs to the identity.
    let elsewhere = record(serde_json::json!({"externalId": "a", "dataSourceId": "x"}));
    assert_eq!(store.upsert_results(&set, vec![elsewhere], now(6)).await, upserted(1, 0));
    assert_eq!(store.upsert_results(&set, records(), now(7)).await, upserted(0, 3));
    assert_eq!(all(&store, &set, ResultFilter::default()).await.total, 5);
}

/// The last one counts, whether the identity was known or not.
pub async fn an_identity_may_come_twice_in_a_request(store: Store) {
    let set = set("s", 1);
    let with = |data: &str| record(serde_json::json!({"externalId": "a", "resultData": data}));
    assert_eq!(
        store.upsert_results(&set, vec![with("1"), plain("b"), with("2"), with("3")], now(0)).await,
        upserted(2, 2)
    );
    let page = all(&store, &set, ResultFilter::default()).await;
    assert_eq!(page.external_ids(), ["a", "b"]);
    assert_eq!(page.results[0].written.result_data.as_deref(), Some("3"));
    assert_eq!(store.upsert_results(&set, vec![with("4"), with("5")], now(1)).await, upserted(0, 2));
    let page = all(&store, &set, ResultFilter::default()).await;
    assert_eq!((page.total, page.results[0].written.result_data.as_deref()), (2, Some("5")));
}

/// A walk sees every record once, also those that arrive behind it meanwhile.
pub async fn pages_follow_each_other_while_records_arrive(store: Store) {
    let set = set("s", 1);
    let mut seen = Vec::new();
    let mut after = Position(0);
    for round in 0..20 {
        let records = (0..7).map(|number| plain(&format!("{round}-{number}"))).collect();
        assert_eq!(store.upsert_results(&set, records, now(round)).await, upserted(7, 0));
        let page = read(&store, &set, PageQuery { after, ..query(5) }).await;
        assert_eq!(page.total, 7 * (round as u64 + 1));
        assert!(page.more);
        after = Position(*page.ids().last().expect("a full page"));
        seen.extend(page.results);
    }
    let rest = read(&store, &set, PageQuery { after, ..query(1000) }).await;
    assert!(!rest.more);
    seen.extend(rest.results);
    let expected: Vec<String> =
        (0..20).flat_map(|round| (0..7).map(move |number| format!("{round}-{number}"))).collect();
    assert_eq!(seen.iter().filter_map(|result| result.written.external_id.clone()).collect::<Vec<_>>(), expected);
    assert!(seen.is_sorted_by_key(id));
}

/// Whether there is more is told exactly, at every limit and position.
pub async fn a_page_ends_where_it_says(store: Store) {
    let set = set("s", 1);
    let ids: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    store.upsert_results(&set, ids.iter().map(|id| plain(id)).collect(), now(0)).await.expect("saved");
    let every = all(&store, &set, ResultFilter::default()).await.ids();
    for limit in [0, 1, 9, 10, 11] {
        let page = read(&store, &set, query(limit)).await;
        assert_eq!((page.results.len(), page.more), (limit.min(10), limit < 10), "limit {limit}");
    }
    for (place, id) in every.iter().enumerate() {
        let page = read(&store, &set, PageQuery { after: Position(*id), ..query(3) }).await;
        assert_eq!(page.ids(), every[place + 1..].iter().take(3).copied().collect::<Vec<_>>());
        assert_eq!(page.more, place + 4 < 10);
    }
    for after in [every[0] - 1, every[9] + 1000, u64::MAX] {
        let page = read(&store, &set, PageQuery { after: Position(after), ..query(100) }).await;
        assert_eq!(page.results.len(), if after < every[0] { 10 } else { 0 });
        assert_eq!((page.total, page.more), (10, false));
    }
}

/// 300 records: data source of three, every seventh failed, two countries, two records an external id.
async fn mixed(store: &Store) -> SetKey {
    let set = set("s", 1);
    for batch in 0..3 {
        let records = (0..100).map(|number| {
            let number = batch * 100 + number;
            record(serde_json::json!({
                "dataSourceId": (number % 3 > 0).then(|| format!("source {}", number % 3)),
                "businessPartnerId": format!("partner {number}"),
                "externalId": format!("external {}", number / 2),
                "status": if number % 7 == 0 { "FAILED" } else { "OK" },
                "countryShortName": if number % 2 == 0 { "CH" } else { "DE" },
            }))
        });
        assert_eq!(store.upsert_results(&set, records.collect(), now(batch)).await, upserted(100, 0));
    }
    set
}

fn numbers(results: &[JobResultData]) -> Vec<usize> {
    let number =
        |result: &JobResultData| result.written.business_partner_id.as_ref()?.strip_prefix("partner ")?.parse().ok();
    results.iter().map(|result| number(result).expect("a partner of ours")).collect()
}

fn expected(passes: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..300).filter(|number| passes(*number)).collect()
}

/// Filters by data source and verdict.
pub async fn filters_select(store: Store) {
    let set = mixed(&store).await;
    let status = |status| ResultFilter { status: Some(status), ..ResultFilter::default() };
    let source = |name: &str| ResultFilter { data_source_id: Some(name.to_owned()), ..ResultFilter::default() };
    for limit in [1, 7, 50, 1000] {
        let of = |filter| paged(&store, &set, filter, limit);
        assert_eq!(numbers(&of(ResultFilter::default()).await), expected(|_| true));
        assert_eq!(numbers(&of(status(ResultStatus::Failed)).await), expected(|n| n % 7 == 0));
        assert_eq!(numbers(&of(status(ResultStatus::Ok)).await), expected(|n| n % 7 != 0));
        assert_eq!(numbers(&of(source("source 2")).await), expected(|n| n % 3 == 2));
        let both = ResultFilter { status: Some(ResultStatus::Failed), ..source("source 1") };
        assert_eq!(numbers(&of(both).await), expected(|n| n % 3 == 1 && n % 7 == 0));
        assert!(of(source("source 0")).await.is_empty());
        assert!(of(source("")).await.is_empty());
    }
}

fn partners(ids: &[usize]) -> Vec<String> {
    ids.iter().map(|id| format!("partner {id}")).collect()
}

/// Filters by business partners and external ids; ids that are unknown or come twice change nothing.
pub async fn identities_select(store: Store) {
    let set = mixed(&store).await;
    for limit in [1, 4, 500] {
        let filter = ResultFilter { business_partner_ids: partners(&[299, 3, 3, 1000, 17]), ..Default::default() };
        assert_eq!(numbers(&paged(&store, &set, filter, limit).await), [3, 17, 299]);
        let external_ids = ["external 149", "external 0", "external", "partner 3"].map(String::from).to_vec();
        let filter = ResultFilter { external_ids, ..Default::default() };
        assert_eq!(numbers(&paged(&store, &set, filter, limit).await), [0, 1, 298, 299]);
    }
    let every: Vec<usize> = (0..500).collect();
    let filter = ResultFilter { business_partner_ids: partners(&every), ..Default::default() };
    assert_eq!(numbers(&paged(&store, &set, filter, 99).await), expected(|_| true));
    let filter = ResultFilter { business_partner_ids: partners(&[1000]), ..Default::default() };
    assert_eq!(all(&store, &set, filter).await.total, 0);
}

/// A result passes when it passes every filter.
pub async fn filters_combine(store: Store) {
    let set = mixed(&store).await;
    let of = |filter| paged(&store, &set, filter, 2);
    let both = ResultFilter {
        business_partner_ids: partners(&[0, 1, 2, 3, 4, 7, 8]),
        external_ids: ["external 1", "external 3", "external 4", "external 9"].map(String::from).to_vec(),
        ..Default::default()
    };
    assert_eq!(numbers(&of(both.clone()).await), [2, 3, 7, 8]);
    let failed = ResultFilter { status: Some(ResultStatus::Failed), ..both.clone() };
    assert_eq!(numbers(&of(failed).await), [7]);
    let source = ResultFilter { data_source_id: Some("source 2".into()), ..both.clone() };
    assert_eq!(numbers(&of(source).await), [2, 8]);
    let none = ResultFilter { data_source_id: Some("other".into()), ..both };
    assert!(of(none).await.is_empty());
}

/// Of the JSON in `resultData` only the wanted members are sent; other texts as they are.
pub async fn only_wanted_members_are_sent(store: Store) {
    let set = set("s", 1);
    let data = ["{\"a\": 1.50, \"b\": {\"c\": [1, 2]}, \"d\": null}", "{\"d\": 1}", "no JSON", "[\"a\"]"];
    let mut records: Vec<Record> = data
        .iter()
        .enumerate()
        .map(|(number, data)| record(serde_json::json!({"externalId": number.to_string(), "resultData": data})))
        .collect();
    records.push(record(serde_json::json!({"externalId": "none"})));
    store.upsert_results(&set, records, now(0)).await.expect("saved");
    let include_fields = Some(["b", "a"].map(String::from).to_vec().into());
    let page = read(&store, &set, PageQuery { include_fields, ..query(10) }).await;
    let kept: Vec<Option<&str>> = page.results.iter().map(|result| result.written.result_data.as_deref()).collect();
    let first = "{\"a\":1.50,\"b\":{\"c\": [1, 2]}}";
    assert_eq!(kept, [Some(first), Some("{}"), Some("no JSON"), Some("[\"a\"]"), None]);
}

/// Counters tell what a recount would, after every change.
pub async fn counters_follow_the_verdict(store: Store) {
    let set = mixed(&store).await;
    let recount = async || {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for result in all(&store, &set, ResultFilter::default()).await.results {
            let country = result.written.country_short_name.and_then(|name| name.into_bytes().try_into().ok());
            let status = result.written.status.unwrap_or_default();
            *counts.entry((result.written.data_source_id, country, status)).or_default() += 1;
        }
        let tally = |((data_source_id, country, status), count)| Tally { data_source_id, country, status, count };
        counts.into_iter().map(tally).collect::<Vec<_>>()
    };
    let counters = async || {
        let mut tallies = store.statistics(&set).await.expect("counters");
        tallies.sort();
        tallies
    };
    assert_eq!(counters().await, recount().await);
    assert_eq!(sum(&counters().await), 300);
    // Verdicts and countries change, there and back.
    for (round, failed) in [(1, 0), (2, 1), (3, 0), (4, 2)] {
        let records = (0..300).step_by(3).map(|number| {
            record(serde_json::json!({
                "businessPartnerId": format!("partner {number}"),
                "externalId": format!("external {}", number / 2),
                "status": if number % 2 == failed || failed == 2 { "FAILED" } else { "OK" },
                "countryShortName": if round % 2 == 0 { Some("FR") } else { None },
            }))
        });
        assert_eq!(store.upsert_results(&set, records.collect(), now(10 + round)).await, upserted(0, 100));
        assert_eq!(counters().await, recount().await);
        for status in [ResultStatus::Ok, ResultStatus::Failed] {
            let filter = ResultFilter { status: Some(status), ..Default::default() };
            let found = paged(&store, &set, filter, 13).await;
            let of_status: Vec<Tally> = counters().await.into_iter().filter(|tally| tally.status == status).collect();
            assert_eq!(found.len() as u64, sum(&of_status));
            assert!(found.iter().all(|result| result.written.status == Some(status)));
        }
    }
}

/// Storages and sets that were never written read as empty and are not made by that.
pub async fn what_is_unknown_is_empty(store: Store) {
    let unknown = set("s", 1);
    for _ in 0..2 {
        let page = all(&store, &unknown, ResultFilter::default()).await;
        assert_eq!((page.total, page.more, page.results.len()), (0, false, 0));
        assert_eq!(store.statistics(&unknown).await, Ok(vec![]));
        assert_eq!(store.delete_set(&unknown).await, Ok(0));
        assert_eq!(store.delete_storage(&unknown.storage).await, Ok(0));
    }
    store.upsert_results(&unknown, vec![plain("a")], now(0)).await.expect("saved");
    let other = SetKey { job: JobId(Uuid::from_u128(2)), ..unknown };
    assert_eq!(all(&store, &other, ResultFilter::default()).await.total, 0);
    assert_eq!(store.statistics(&other).await, Ok(vec![]));
    assert_eq!(store.delete_set(&other).await, Ok(0));
}

/// The same identity in two sets of a storage is two results; ids grow over all sets.
pub async fn sets_are_apart(store: Store) {
    let one = set("s", 1);
    let other = SetKey { job: JobId(Uuid::from_u128(2)), ..one.clone() };
    let mut last = 0;
    for round in 0..3 {
        for set in [&one, &other] {
            let records = vec![plain("same"), plain(&format!("round {round}"))];
            let expected = if round == 0 { upserted(2, 0) } else { upserted(1, 1) };
            assert_eq!(store.upsert_results(set, records, now(round)).await, expected);
            let ids = all(&store, set, ResultFilter::default()).await.ids();
            let newest = *ids.last().expect("some");
            assert!(newest > last);
            last = newest;
        }
    }
    let filter = ResultFilter { external_ids: vec!["same".into()], ..Default::default() };
    for set in [&one, &other] {
        assert_eq!(all(&store, set, filter.clone()).await.total, 1);
        assert_eq!(sum(&store.statistics(set).await.expect("counters")), 4);
    }
}

/// Two organizations may call their storages the same.
pub async fn organizations_are_apart(store: Store) {
    let one = set("same", 1);
    let other = SetKey { storage: set("same", 1).storage, ..one.clone() };
    store.upsert_results(&one, vec![plain("a")], now(0)).await.expect("saved");
    assert_eq!(all(&store, &other, ResultFilter::default()).await.total, 0);
    store.upsert_results(&other, vec![plain("b"), plain("c")], now(0)).await.expect("saved");
    assert_eq!(store.delete_storage(&other.storage).await, Ok(2));
    assert_eq!(all(&store, &one, ResultFilter::default()).await.external_ids(), ["a"]);
    // Where one name ends and the other begins matters.
    let key = |organization: &str, storage_id: &str| StorageKey {
        organization: format!("{}{organization}", one.storage.organization),
        storage_id: storage_id.to_owned(),
    };
    let near = SetKey { storage: key("a", "b"), ..one.clone() };
    store.upsert_results(&near, vec![plain("a")], now(0)).await.expect("saved");
    for storage in [key("ab", ""), key("", "ab")] {
        assert_eq!(store.delete_storage(&storage).await, Ok(0));
    }
    assert_eq!(store.delete_storage(&near.storage).await, Ok(1));
}

/// A deleted storage is gone at once; its name can be used again.
pub async fn a_deleted_storage_is_gone(store: Store) {
    let one = mixed(&store).await;
    let other = SetKey { job: JobId(Uuid::from_u128(2)), ..one.clone() };
    store.upsert_results(&other, vec![plain("a")], now(0)).await.expect("saved");
    assert_eq!(store.delete_storage(&one.storage).await, Ok(301));
    for set in [&one, &other] {
        assert_eq!(all(&store, set, ResultFilter::default()).await.total, 0);
        assert_eq!(store.statistics(set).await, Ok(vec![]));
    }
    assert_eq!(store.delete_storage(&one.storage).await, Ok(0));
    assert_eq!(store.upsert_results(&one, vec![plain("a")], now(1)).await, upserted(1, 0));
    assert_eq!(all(&store, &one, ResultFilter::default()).await.external_ids(), ["a"]);
}

/// A deleted set is gone at once, the others stay; its job can write again.
pub async fn a_deleted_set_is_gone(store: Store) {
    let one = mixed(&store).await;
    let other = SetKey { job: JobId(Uuid::from_u128(2)), ..one.clone() };
    store.upsert_results(&other, vec![plain("a")], now(0)).await.expect("saved");
    let last = *all(&store, &one, ResultFilter::default()).await.ids().last().expect("some");
    for round in 0..3 {
        assert_eq!(store.delete_set(&one).await, Ok(if round == 0 { 300 } else { 2 }));
        let filter = ResultFilter { business_partner_ids: partners(&[1, 2]), ..Default::default() };
        for filter in [ResultFilter::default(), filter] {
            assert_eq!(all(&store, &one, filter).await.total, 0);
        }
        assert_eq!(store.statistics(&one).await, Ok(vec![]));
        assert_eq!(store.delete_set(&one).await, Ok(0));
        assert_eq!(store.upsert_results(&one, vec![plain("a"), plain("b")], now(round)).await, upserted(2, 0));
        let page = all(&store, &one, ResultFilter::default()).await;
        assert_eq!(page.external_ids(), ["a", "b"]);
        assert!(page.ids()[0] > last);
    }
    assert_eq!(all(&store, &other, ResultFilter::default()).await.external_ids(), ["a"]);
}

/// Also after a deletion, and when the clock goes back.
pub async fn ids_are_never_given_twice(store: Store) {
    let set = set("s", 1);
    let mut last = 0;
    for round in 0..5 {
        // Each time an hour earlier.
        let now = now(-3600 * round);
        for half in ["a", "b"] {
            store.upsert_results(&set, vec![plain(half)], now).await.expect("saved");
            let newest = *all(&store, &set, ResultFilter::default()).await.ids().last().expect("one");
            assert!(newest > last, "round {round}: {newest} after {last}");
            last = newest;
        }
        let deleted =
            if round % 2 == 0 { store.delete_storage(&set.storage).await } else { store.delete_set(&set).await };
        assert_eq!(deleted, Ok(2));
    }
}

/// Names are the callers' own strings, whatever they look like.
pub async fn names_are_only_names(store: Store) {
    let organization = Uuid::now_v7().to_string();
    let long = "ü🦀".repeat(126);
    let names =
        ["../..", "..", ".", "a/b", "a\\b", "/etc/passwd", " ", "", "a\"b", "CON", "%2e", "'; --", "trash", &long];
    let key = |name: &str| SetKey {
        storage: StorageKey { organization: organization.clone(), storage_id: name.to_owned() },
        job: JobId(Uuid::from_u128(1)),
    };
    for name in names {
        assert_eq!(store.upsert_results(&key(name), vec![plain(&format!("in {name}"))], now(0)).await, upserted(1, 0));
    }
    for name in names {
        let page = all(&store, &key(name), ResultFilter::default()).await;
        assert_eq!(
            (page.external_ids()[0], page.results[0].storage_id.as_str()),
            (format!("in {name}").as_str(), name)
        );
        assert_eq!(store.delete_storage(&key(name).storage).await, Ok(1));
    }
}

/// The largest records the contract allows.
pub async fn large_rows_come_whole(store: Store) {
    let set = set("s", 1);
    let data = |number: usize| format!("{number}{}", "ü".repeat(65_530));
    let large = |number: usize| {
        record(
            serde_json::json!({"externalId": number.to_string(), "resultData": data(number), "message": data(number)}),
        )
    };
    for half in 0..2 {
        let records = (0..20).map(|number| large(half * 20 + number)).collect();
        assert_eq!(store.upsert_results(&set, records, now(0)).await, upserted(20, 0));
    }
    assert_eq!(store.upsert_results(&set, vec![plain("3"), large(7)], now(1)).await, upserted(0, 2));
    let results = paged(&store, &set, ResultFilter::default(), 17).await;
    assert_eq!(results.len(), 40);
    for (number, result) in results.iter().enumerate() {
        let data = if number == 3 { "data of 3".to_owned() } else { data(number) };
        assert_eq!(result.written.result_data.as_ref(), Some(&data), "{number}");
    }
}

/// Requests at the same time, some with the same identities: nothing is lost, nothing doubled, the counts add up.
pub async fn writers_do_not_disturb_each_other(store: Store) {
    let set = set("s", 1);
    let tasks: Vec<_> = (0..8)
        .map(|writer| {
            let (store, set) = (store.clone(), set.clone());
            tokio::spawn(async move {
                let (mut created, mut updated) = (0, 0);
                for round in 0..10 {
                    let own = (0..20).map(|number| plain(&format!("{writer}-{round}-{number}")));
                    let shared = (0..20).map(|number| plain(&format!("shared {number}")));
                    let done =
                        store.upsert_results(&set, own.chain(shared).collect(), now(round)).await.expect("saved");
                    created += done.created;
                    updated += done.updated;
                    let page = read(&store, &set, query(50)).await;
                    assert!(page.total >= u64::from(created));
                }
                (created, updated)
            })
        })
        .collect();
    let (mut created, mut updated) = (0, 0);
    for task in tasks {
        let done = task.await.expect("no panic");
        created += done.0;
        updated += done.1;
    }
    assert_eq!((created, updated), (8 * 10 * 20 + 20, 79 * 20));
    let results = paged(&store, &set, ResultFilter::default(), 333).await;
    let mut ids: Vec<_> = results.iter().filter_map(|result| result.written.external_id.as_deref()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((results.len(), ids.len()), (1620, 1620));
    assert_eq!(sum(&store.statistics(&set).await.expect("counters")), 1620);
}

/// A page that is being read when its storage is deleted ends; one of the storage's successor is not mixed in.
pub async fn a_page_outlives_its_storage(store: Store) {
    let set = set("s", 1);
    let large = |name: &str| record(serde_json::json!({"externalId": name, "resultData": "x".repeat(60_000)}));
    let records = |prefix: &str| (0..60).map(|number| large(&format!("{prefix}{number}"))).collect::<Vec<_>>();
    store.upsert_results(&set, records("old "), now(0)).await.expect("saved");
    let mut page = store.open_page(&set, query(1000)).await.expect("a page");
    let first = page.next().await.expect("a chunk").expect("a first part");
    assert!(first.count < 60, "a chunk is at most a few MiB");
    assert_eq!(store.delete_storage(&set.storage).await, Ok(60));
    store.upsert_results(&set, records("new "), now(1)).await.expect("saved");
    while let Some(chunk) = page.next().await.expect("a chunk or the end") {
        assert!(!std::str::from_utf8(&chunk.bytes).expect("UTF-8").contains("new "));
    }
    assert!(!page.has_more());
}

/// More rows than any buffer holds, in shuffled order, written twice.
pub async fn many_rows_come_in_order(store: Store) {
    let set = set("s", 1);
    const ROWS: usize = 6000;
    let shuffled = |place: usize| place * 3571 % ROWS;
    for round in 0..2 {
        for batch in 0..ROWS / 500 {
            let records = (0..500).map(|place| {
                let number = shuffled(batch * 500 + place);
                record(serde_json::json!({
                    "businessPartnerId": format!("partner {number}"),
                    "externalId": "shared by all",
                    "status": if (number + round) % 50 == 0 { "FAILED" } else { "OK" },
                }))
            });
            let expected = if round == 0 { upserted(500, 0) } else { upserted(0, 500) };
            assert_eq!(store.upsert_results(&set, records.collect(), now(round as i64)).await, expected);
        }
        let numbers = |results: Vec<JobResultData>| numbers(&results);
        let every: Vec<usize> = (0..ROWS).map(shuffled).collect();
        assert_eq!(numbers(paged(&store, &set, ResultFilter::default(), 5000).await), every);
        let failed: Vec<usize> = every.iter().copied().filter(|number| (number + round) % 50 == 0).collect();
        let filter = ResultFilter { status: Some(ResultStatus::Failed), ..Default::default() };
        assert_eq!(numbers(paged(&store, &set, filter, 17).await), failed);
        let filter = ResultFilter { external_ids: vec!["shared by all".into()], ..Default::default() };
        assert_eq!(numbers(paged(&store, &set, filter, 3000).await), every);
    }
}
