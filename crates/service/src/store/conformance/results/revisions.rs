//! Records that are written again and again: what counts is what they became last.

use super::*;

fn version(name: &str, version: usize, failed: bool) -> Record {
    record(serde_json::json!({
        "externalId": name, "businessPartnerId": format!("partner of {name}"),
        "status": if failed { "FAILED" } else { "OK" },
        "resultData": format!("{version}{}", "x".repeat(version % 7 * 500)),
    }))
}

fn version_of(result: &JobResultData) -> Option<usize> {
    result.written.result_data.as_ref()?.trim_end_matches('x').parse().ok()
}

/// One record changes with every request, others now and then; every page shows the last version of each.
pub async fn a_record_may_change_often(store: Store) {
    let set = set("s", 1);
    let name = |number: usize| format!("record {number}");
    let mut last = [0; 60];
    let first = (0..60).map(|number| version(&name(number), 0, false)).collect();
    assert_eq!(store.upsert_results(&set, first, now(0)).await, upserted(60, 0));
    let ids = all(&store, &set, ResultFilter::default()).await.ids();
    for round in 1..150 {
        let changed = [7, round * 13 % 60];
        let records: Vec<Record> =
            changed.iter().map(|number| version(&name(*number), round, round % 2 == 0)).collect();
        changed.iter().for_each(|number| last[*number] = round);
        assert_eq!(store.upsert_results(&set, records, now(round as i64)).await, upserted(0, 2));
        if round % 10 != 0 {
            continue;
        }
        let results = paged(&store, &set, ResultFilter::default(), 13).await;
        assert_eq!(results.iter().map(id).collect::<Vec<_>>(), ids);
        for (number, result) in results.iter().enumerate() {
            assert_eq!(version_of(result), Some(last[number]), "record {number} in round {round}");
            assert_eq!((result.created_at, result.modified_at), (now(0), now(last[number] as i64)));
        }
    }
}

/// Filters, totals and counters go by the last version, whichever index finds the record.
pub async fn filters_see_what_a_record_became(store: Store) {
    let set = set("s", 1);
    let name = |number: usize| format!("record {number}");
    let mut failed = vec![false; 400];
    for batch in 0..4 {
        let records = (0..100).map(|number| version(&name(batch * 100 + number), 0, false)).collect();
        assert_eq!(store.upsert_results(&set, records, now(0)).await, upserted(100, 0));
    }
    for round in 1..8 {
        let changed: Vec<usize> = (0..400).filter(|number| (number * 7 + round) % 5 == 0).collect();
        let records = changed.iter().map(|number| {
            failed[*number] = (number + round) % 3 == 0;
            version(&name(*number), round, failed[*number])
        });
        let count = changed.len() as u32;
        assert_eq!(store.upsert_results(&set, records.collect(), now(round as i64)).await, upserted(0, count));
        let wanted = |status: bool| (0..400).filter(|number| failed[*number] == status).map(name).collect::<Vec<_>>();
        let names = |results: Vec<JobResultData>| -> Vec<String> {
            results.into_iter().filter_map(|result| result.written.external_id).collect()
        };
        for (status, is_failed) in [(ResultStatus::Ok, false), (ResultStatus::Failed, true)] {
            let filter = ResultFilter { status: Some(status), ..ResultFilter::default() };
            assert_eq!(names(paged(&store, &set, filter, 37).await), wanted(is_failed));
            let external_ids = (100..300).map(name).collect();
            let filter = ResultFilter { external_ids, status: Some(status), ..ResultFilter::default() };
            let expected: Vec<String> = (100..300).filter(|number| failed[*number] == is_failed).map(name).collect();
            assert_eq!(names(paged(&store, &set, filter, 50).await), expected);
        }
        let business_partner_ids = changed.iter().map(|number| format!("partner of {}", name(*number))).collect();
        let filter = ResultFilter { business_partner_ids, ..ResultFilter::default() };
        let found = paged(&store, &set, filter, 500).await;
        assert!(found.len() == changed.len() && found.iter().all(|result| version_of(result) == Some(round)));
        let tallies = store.statistics(&set).await.expect("counters");
        let of = |status| tallies.iter().filter(|tally| tally.status == status).map(|tally| tally.count).sum::<u64>();
        assert_eq!(of(ResultStatus::Failed), wanted(true).len() as u64);
        assert_eq!(of(ResultStatus::Ok), wanted(false).len() as u64);
    }
}

/// Of a set that is deleted nothing comes back when its records are written anew, and others keep their changes.
pub async fn a_changed_set_is_deleted_whole(store: Store) {
    let one = set("s", 1);
    let other = SetKey { owner: job(2), ..one.clone() };
    let records = |round: usize, failed| -> Vec<Record> {
        (0..300).map(|number| version(&format!("record {number}"), round, failed)).collect()
    };
    for round in 0..3 {
        for set in [&one, &other] {
            let expected = if round == 0 { upserted(300, 0) } else { upserted(0, 300) };
            assert_eq!(store.upsert_results(set, records(round, round == 2), now(round as i64)).await, expected);
        }
    }
    for round in 3..6 {
        assert_eq!(store.delete_set(&one).await, Ok(300));
        assert_eq!(store.upsert_results(&one, records(round, false), now(round as i64)).await, upserted(300, 0));
        let anew = paged(&store, &one, ResultFilter::default(), 70).await;
        assert!(anew.iter().all(|result| version_of(result) == Some(round)));
        assert!(anew.iter().all(|result| result.created_at == now(round as i64)));
        assert_eq!(store.upsert_results(&one, records(round + 10, false), now(9)).await, upserted(0, 300));
        let external_ids = vec!["record 7".to_owned()];
        let found = all(&store, &one, ResultFilter { external_ids, ..ResultFilter::default() }).await;
        assert_eq!(found.results.iter().map(version_of).collect::<Vec<_>>(), [Some(round + 10)]);
    }
    let kept = paged(&store, &other, ResultFilter::default(), 70).await;
    assert!(kept.len() == 300 && kept.iter().all(|result| version_of(result) == Some(2)));
    let failed = ResultFilter { status: Some(ResultStatus::Failed), ..ResultFilter::default() };
    assert_eq!(paged(&store, &other, failed.clone(), 70).await.len(), 300);
    assert_eq!(all(&store, &one, failed).await.total, 0);
}
