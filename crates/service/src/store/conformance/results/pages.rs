//! Pages: where they end, how they follow each other, what they show.

use super::*;

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

/// Without any member of the JSON in `resultData` the whole of it is left out; all else is sent.
pub async fn results_can_be_left_out(store: Store) {
    let set = set("s", 1);
    let records = ["{\"a\": 1}", "no JSON", ",\"resultData\":"]
        .map(|data| record(serde_json::json!({"externalId": data, "resultData": data, "message": "m"})));
    let without = record(serde_json::json!({"externalId": "none", "message": "m"}));
    let records = records.into_iter().chain([without]).collect();
    assert_eq!(store.upsert_results(&set, records, now(0)).await, upserted(4, 0));
    let page = read(&store, &set, PageQuery { include_fields: Some(Vec::new().into()), ..query(10) }).await;
    assert_eq!(page.external_ids(), ["{\"a\": 1}", "no JSON", ",\"resultData\":", "none"]);
    for result in &page.results {
        assert_eq!((result.written.result_data.as_deref(), result.written.message.as_deref()), (None, Some("m")));
    }
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
    assert_eq!(store.delete_job_sets(&set.storage).await, Ok(60));
    store.upsert_results(&set, records("new "), now(1)).await.expect("saved");
    while let Some(chunk) = page.next().await.expect("a chunk or the end") {
        assert!(!std::str::from_utf8(&chunk.bytes).expect("UTF-8").contains("new "));
    }
    assert!(!page.has_more());
}

/// A page that is being read when its set is deleted ends, sooner or later, in whole results of that set.
pub async fn a_page_outlives_its_set(store: Store) {
    let one = set("s", 1);
    let other = SetKey { owner: job(2), ..one.clone() };
    let large = |name: &str| record(serde_json::json!({"externalId": name, "resultData": "x".repeat(60_000)}));
    let records = |prefix: &str| (0..60).map(|number| large(&format!("{prefix}{number}"))).collect::<Vec<_>>();
    store.upsert_results(&one, records("old "), now(0)).await.expect("saved");
    store.upsert_results(&one, records("old "), now(1)).await.expect("saved");
    store.upsert_results(&other, records("other "), now(1)).await.expect("saved");
    let mut page = store.open_page(&one, query(1000)).await.expect("a page");
    assert!(page.next().await.expect("a chunk").expect("a first part").count < 60, "a chunk is at most a few MiB");
    assert_eq!(store.delete_set(&one).await, Ok(60));
    store.upsert_results(&one, records("new "), now(1)).await.expect("saved");
    while let Some(chunk) = page.next().await.expect("a chunk or the end") {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        let results: Vec<JobResultData> = serde_json::from_str(&text).expect("whole results");
        let old = |result: &JobResultData| result.written.external_id.as_ref().is_some_and(|id| id.starts_with("old "));
        assert!(results.iter().all(old));
    }
    assert!(!page.has_more());
    assert_eq!(all(&store, &other, ResultFilter::default()).await.total, 60);
}
