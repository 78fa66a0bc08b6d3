//! Loops over pages as clients write them, and the numbers that typed clients can't do without.

use super::Stock;
use serde::Deserialize;
use serde_json::Value;

/// A client whose `limit` and `total` are integers of 32 bits and never null, as an `Int` of Kotlin or an `int` of C#.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StrictPage {
    start_after: Option<String>,
    next_start_after: Option<String>,
    limit: i32,
    total: i32,
    values: Vec<Value>,
}

fn strict(value: Value) -> StrictPage {
    for (name, value) in value.as_object().expect("an object") {
        assert!(!value.is_null(), "{name} is null: a client without nullable types can't read that");
    }
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_over_results_end() {
    let stock = Stock::new().await;
    for limit in [1, 5, 6, 12, 500] {
        let base = format!("/jobs/{}/results?storageId=s&limit={limit}", stock.job);
        // while (page.nextStartAfter != null)
        let (mut found, mut pages, mut next) = (0, 0, Some(String::new()));
        while let Some(token) = next {
            let page = stock.server.get(&format!("{base}&featuresOn=USE_NEXT_START_AFTER&startAfter={token}")).await;
            let page = strict(page.ok());
            assert_eq!((page.limit, page.total), (limit, 12));
            assert_eq!(page.start_after.as_deref().unwrap_or(""), token);
            found += page.values.len();
            pages += 1;
            next = page.next_start_after;
        }
        assert_eq!((found, pages), (12, 12_usize.div_ceil(limit as usize)), "by tokens, {limit} a page");

        // do { … } while (!page.values.isEmpty())
        let (mut found, mut after) = (0, "0".to_owned());
        loop {
            let page = strict(stock.server.get(&format!("{base}&startAfter={after}")).await.ok());
            assert_eq!((page.limit, page.total, page.next_start_after), (limit, 12, None));
            let Some(last) = page.values.last() else { break };
            after = last["id"].as_str().expect("an id").to_owned();
            found += page.values.len();
        }
        assert_eq!(found, 12, "by ids, {limit} a page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_there_for_those_who_need_them() {
    let stock = Stock::new().await;
    // An empty page has them, too.
    let empty = strict(stock.server.get(&format!("/jobs/{}/results?storageId=none", stock.job)).await.ok());
    assert_eq!((empty.limit, empty.total, empty.values.len()), (500, 0, 0));

    // The total of List Jobs costs a count and stands only in answers to those who ask for it: a client that can't do
    // without it asks. It is then an integer on every page, also when nothing matches; never null.
    let asked = |query: &str| format!("/jobs?featuresOn=NUMBER_OF_TOTAL{query}");
    for (query, limit, total) in [("", 100, 3), ("&limit=2", 2, 3), ("&limit=1000", 100, 3), ("&tags=none", 100, 0)] {
        let page = strict(stock.server.get(&asked(query)).await.ok());
        assert_eq!((page.limit, page.total), (limit, total), "{query}");
    }
    let page = strict(stock.server.get(&asked("&limit=2")).await.ok());
    let token = page.next_start_after.expect("another page");
    let last = strict(stock.server.get(&asked(&format!("&limit=2&startAfter={token}"))).await.ok());
    assert_eq!((last.limit, last.total, last.values.len(), last.next_start_after), (2, 3, 1, None));
    let plain = stock.server.get("/jobs").await.ok();
    assert!(plain["limit"].is_i64() && plain.get("total").is_none(), "absent, not null: {plain}");
}
