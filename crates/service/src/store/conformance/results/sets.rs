//! Storages and sets: apart from each other, unknown, deleted.

use super::*;

/// Storages and sets that were never written read as empty and are not made by that.
pub async fn what_is_unknown_is_empty(store: Store) {
    let unknown = set("s", 1);
    for _ in 0..2 {
        let page = all(&store, &unknown, ResultFilter::default()).await;
        assert_eq!((page.total, page.more, page.results.len()), (0, false, 0));
        assert_eq!(store.statistics(&unknown).await, Ok(vec![]));
        assert_eq!(store.delete_set(&unknown).await, Ok(0));
        assert_eq!(store.delete_job_sets(&unknown.storage).await, Ok(0));
    }
    store.upsert_results(&unknown, vec![plain("a")], now(0)).await.expect("saved");
    let other = SetKey { owner: job(2), ..unknown };
    assert_eq!(all(&store, &other, ResultFilter::default()).await.total, 0);
    assert_eq!(store.statistics(&other).await, Ok(vec![]));
    assert_eq!(store.delete_set(&other).await, Ok(0));
}

/// The same identity in two sets of a storage is two results; ids grow over all sets.
pub async fn sets_are_apart(store: Store) {
    let one = set("s", 1);
    let other = SetKey { owner: job(2), ..one.clone() };
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
    assert_eq!(store.delete_job_sets(&other.storage).await, Ok(2));
    assert_eq!(all(&store, &one, ResultFilter::default()).await.external_ids(), ["a"]);
    // Where one name ends and the other begins matters.
    let key = |organization: &str, storage_id: &str| StorageKey {
        organization: format!("{}{organization}", one.storage.organization),
        storage_id: storage_id.to_owned(),
    };
    let near = SetKey { storage: key("a", "b"), ..one.clone() };
    store.upsert_results(&near, vec![plain("a")], now(0)).await.expect("saved");
    for storage in [key("ab", ""), key("", "ab")] {
        assert_eq!(store.delete_job_sets(&storage).await, Ok(0));
    }
    assert_eq!(store.delete_job_sets(&near.storage).await, Ok(1));
}

/// A deleted storage is gone at once; its name can be used again.
pub async fn a_deleted_storage_is_gone(store: Store) {
    let one = mixed(&store).await;
    let other = SetKey { owner: job(2), ..one.clone() };
    store.upsert_results(&other, vec![plain("a")], now(0)).await.expect("saved");
    assert_eq!(store.delete_job_sets(&one.storage).await, Ok(301));
    for set in [&one, &other] {
        assert_eq!(all(&store, set, ResultFilter::default()).await.total, 0);
        assert_eq!(store.statistics(set).await, Ok(vec![]));
    }
    assert_eq!(store.delete_job_sets(&one.storage).await, Ok(0));
    assert_eq!(store.upsert_results(&one, vec![plain("a")], now(1)).await, upserted(1, 0));
    assert_eq!(all(&store, &one, ResultFilter::default()).await.external_ids(), ["a"]);
}

/// A deleted set is gone at once, the others stay; its job can write again.
pub async fn a_deleted_set_is_gone(store: Store) {
    let one = mixed(&store).await;
    let other = SetKey { owner: job(2), ..one.clone() };
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
            if round % 2 == 0 { store.delete_job_sets(&set.storage).await } else { store.delete_set(&set).await };
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
        owner: job(1),
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
        assert_eq!(store.delete_job_sets(&key(name).storage).await, Ok(1));
    }
}

/// The last result is the one with the greatest id of its set, whatever is written again.
pub async fn the_last_result_is_the_one_created_last(store: Store) {
    let one = set("s", 1);
    let other = SetKey { owner: job(2), ..one.clone() };
    assert_eq!(store.last_result(&one).await, Ok(None));
    for round in 0..3 {
        for set in [&one, &other] {
            let records = vec![plain(&format!("a {round}")), plain(&format!("b {round}"))];
            store.upsert_results(set, records, now(round)).await.expect("saved");
            let page = all(&store, set, ResultFilter::default()).await;
            let newest = page.ids().last().copied().map(Position);
            assert_eq!(store.last_result(set).await, Ok(newest));
            store.upsert_results(set, vec![plain("a 0")], now(round)).await.expect("saved");
            assert_eq!(store.last_result(set).await, Ok(newest), "a known record changes nothing");
        }
    }
    store.delete_set(&one).await.expect("deleted");
    assert_eq!(store.last_result(&one).await, Ok(None));
    assert_ne!(store.last_result(&other).await, Ok(None));
}
