//! Filters, and the counters that give their totals.

use super::*;

/// Filters by data source and verdict.
pub async fn filters_select(store: Store) {
    let set = mixed(&store).await;
    let status = |status| ResultFilter { status: Some(status), ..ResultFilter::default() };
    let source = |name: &str| ResultFilter { data_source_ids: vec![name.to_owned()], ..ResultFilter::default() };
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

/// A filter may name several data sources; those that are unknown or come twice change nothing.
pub async fn one_of_several_data_sources_selects(store: Store) {
    let set = mixed(&store).await;
    let sources = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for limit in [1, 7, 1000] {
        let of = |filter| paged(&store, &set, filter, limit);
        let both =
            ResultFilter { data_source_ids: sources(&["source 2", "?", "source 1", "source 2"]), ..Default::default() };
        assert_eq!(numbers(&of(both.clone()).await), expected(|n| n % 3 != 0));
        let failed = ResultFilter { status: Some(ResultStatus::Failed), ..both.clone() };
        assert_eq!(numbers(&of(failed).await), expected(|n| n % 3 != 0 && n % 7 == 0));
        let ids = ResultFilter { business_partner_ids: partners(&[3, 4, 5, 6]), ..both };
        assert_eq!(numbers(&of(ids).await), [4, 5]);
        let one = ResultFilter { data_source_ids: sources(&["?", "source 1"]), ..Default::default() };
        assert_eq!(numbers(&of(one).await), expected(|n| n % 3 == 1));
        let none = ResultFilter { data_source_ids: sources(&["?", ""]), ..Default::default() };
        assert!(of(none).await.is_empty());
    }
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
    let source = ResultFilter { data_source_ids: vec!["source 2".into()], ..both.clone() };
    assert_eq!(numbers(&of(source).await), [2, 8]);
    let none = ResultFilter { data_source_ids: vec!["other".into()], ..both };
    assert!(of(none).await.is_empty());
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
