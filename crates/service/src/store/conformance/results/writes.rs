//! What is written comes back, also when it is written again, in large pieces, or by many at once.

use super::*;

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
    assert_eq!(first.written.job_id.as_deref(), Some(JobId(Uuid::from_u128(1)).to_string().as_str()));
    let mut expected = full;
    expected["countryShortName"] = "CH".into();
    expected["jobId"] = JobId(Uuid::from_u128(1)).to_string().into();
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
