use crate::support::{Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const LOG: &str = "/processinglogs/s/VALIDATION_LOG";

/// A log of records: data source of three, every tenth failed.
async fn stocked(count: usize) -> Server {
    let server = Server::with(&["--slots", "0"]).await;
    let records: Vec<Value> = (0..count)
        .map(|number| {
            let mut record = record(&format!("r{number}"));
            record["dataSourceId"] = json!(format!("source-{}", number % 3));
            record["status"] = json!(if number % 10 == 0 { "FAILED" } else { "OK" });
            record
        })
        .collect();
    for batch in records.chunks(1000) {
        server.post(LOG, &json!({"results": batch})).await.ok();
    }
    server
}

fn external_ids(page: &Value) -> Vec<String> {
    let values = page["values"].as_array().expect("values");
    values.iter().map(|value| value["externalId"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_page_through_everything_also_over_a_restart() {
    let mut server = stocked(2500).await;
    let (mut found, mut next, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = server.get(&format!("{LOG}?limit=999{next}")).await.ok();
        assert_eq!((&page["total"], &page["limit"]), (&json!(2500), &json!(999)));
        assert!(page["values"].as_array().expect("values").iter().all(|value| value["storageId"] == "s"));
        found.extend(external_ids(&page));
        pages += 1;
        server.kill();
        server.restart().await;
        let Some(token) = page["nextStartAfter"].as_str() else { break };
        next = format!("&startAfter={token}");
    }
    assert_eq!((pages, found), (3, (0..2500).map(|number| format!("r{number}")).collect::<Vec<_>>()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_to_storage_log_and_filters() {
    let server = stocked(20).await;
    let page = server.get(&format!("{LOG}?limit=5")).await.ok();
    let token = page["nextStartAfter"].as_str().expect("a token").to_owned();
    let with = |path: &str, more: &str| format!("{path}?startAfter={token}{more}");
    let again = server.get(&with(LOG, "&limit=7&featuresOff=NUMBER_OF_TOTAL,FETCH_RESULT_DATA")).await.ok();
    assert_eq!(external_ids(&again)[0], "r5", "what is shown may differ");
    for wrong in [
        with(LOG, "&status=OK"),
        with(LOG, "&dataSourceId=source-1"),
        with(LOG, "&externalId=r1"),
        with(LOG, "&businessPartnerId=bp-r1"),
        with(LOG, "&createdFrom=2020-01-01T00:00Z"),
        with(LOG, "&createdTo=2120-01-01T00:00Z"),
        with(LOG, "&modifiedFrom=2020-01-01T00:00Z"),
        with(LOG, "&modifiedTo=2120-01-01T00:00Z"),
        with("/processinglogs/t/VALIDATION_LOG", ""),
        with("/processinglogs/s/CURATION_LOG", ""),
        format!("{LOG}?startAfter=5712566172571652"),
        format!("{LOG}?startAfter={}x", &token[..token.len() - 1]),
    ] {
        server.get(&wrong).await.problem(400, "invalid_page_token");
    }
    let job = server.idle_job("s").await;
    let results = format!("/jobs/{job}/results?storageId=s&featuresOn=USE_NEXT_START_AFTER&startAfter={token}");
    server.get(&results).await.problem(400, "invalid_page_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_their_totals() {
    let server = stocked(60).await;
    for (query, expected) in [
        ("status=FAILED", vec!["r0", "r10", "r20", "r30", "r40", "r50"]),
        ("status=FAILED&dataSourceId=source-1", vec!["r10", "r40"]),
        ("status=FAILED&dataSourceId=source-1&dataSourceId=source-2", vec!["r10", "r20", "r40", "r50"]),
        ("status=FAILED&dataSourceId=source-1,source-0,nowhere", vec!["r0", "r10", "r30", "r40"]),
        ("externalId=r3,r5", vec!["r3", "r5"]),
        ("externalId=r5&externalId=r3", vec!["r3", "r5"]),
        ("businessPartnerId=bp-r7,bp-r8", vec!["r7", "r8"]),
        ("businessPartnerId=bp-r7,bp-r8&dataSourceId=source-1,source-0", vec!["r7"]),
        ("businessPartnerId=bp-r7&externalId=r8", vec![]),
        ("dataSourceId=nowhere", vec![]),
    ] {
        let page = server.get(&format!("{LOG}?{query}")).await.ok();
        assert_eq!((external_ids(&page), &page["total"]), (strings(&expected), &json!(expected.len())), "{query}");
        let first = server.get(&format!("{LOG}?{query}&limit=1")).await.ok();
        assert_eq!(first["total"], expected.len(), "{query} with limit=1");
    }
    assert_eq!(server.get(&format!("{LOG}?limit=9999")).await.ok()["limit"], 5000);
    let many = (0..501).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    for field in ["externalId", "businessPartnerId", "dataSourceId"] {
        let problem = server.get(&format!("{LOG}?{field}={many}")).await.problem(400, "invalid_request");
        assert!(problem["detail"].as_str().expect("a detail").contains("500"), "{problem}");
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn features_can_be_turned_off() {
    let server = Server::with(&["--slots", "0"]).await;
    let mut one = record("a");
    one["resultData"] = json!(r#"{"dataDefects": [1, 2.50], "more": null}"#);
    server.post(LOG, &json!({"results": [one, record("b")]})).await.ok();
    let page = server.get(&format!("{LOG}?featuresOff=FETCH_RESULT_DATA")).await.ok();
    assert_eq!((&page["total"], external_ids(&page)), (&json!(2), strings(&["a", "b"])));
    for value in page["values"].as_array().expect("values") {
        assert_eq!((value.get("resultData"), &value["countryShortName"]), (None, &json!("CH")));
    }
    let page = server.get(&format!("{LOG}?featuresOff=NUMBER_OF_TOTAL&limit=1")).await.ok();
    assert_eq!((page.get("total"), external_ids(&page)), (None, strings(&["a"])));
    assert!(page["nextStartAfter"].is_string() && page["values"][0]["resultData"].is_string(), "{page}");
    let page = server.get(&format!("{LOG}?includeResultDataFields=dataDefects")).await.ok();
    let data = |place: usize| page["values"][place]["resultData"].as_str().expect("a text");
    assert_eq!((data(0), data(1)), (r#"{"dataDefects":[1, 2.50]}"#, r#"{"dataDefects":[]}"#));
    let problem = server.get(&format!("{LOG}?featuresOff=RESULTS")).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["code"], "unknown_value");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_from_and_before() {
    let server = Server::with(&["--slots", "0"]).await;
    let write = async |ids: &[&str]| {
        let records: Vec<Value> = ids.iter().map(|id| record(id)).collect();
        server.post(LOG, &json!({"results": records})).await.ok();
        let page = server.get(&format!("{LOG}?externalId={}", ids[0])).await.ok();
        // Times have milliseconds: the next write has another one.
        tokio::time::sleep(Duration::from_millis(2)).await;
        page["values"][0]["modifiedAt"].as_str().expect("a time").to_owned()
    };
    let times = [write(&["a", "b"]).await, write(&["c", "d"]).await, write(&["a", "c", "e"]).await];
    let [first, second, third] = &times;
    for (query, expected) in [
        (format!("createdFrom={second}"), vec!["c", "d", "e"]),
        (format!("createdTo={second}"), vec!["a", "b"]),
        (format!("createdFrom={second}&createdTo={third}"), vec!["c", "d"]),
        (format!("modifiedFrom={third}"), vec!["a", "c", "e"]),
        (format!("modifiedTo={third}"), vec!["b", "d"]),
        (format!("modifiedFrom={second}&modifiedTo={third}"), vec!["d"]),
        (format!("createdTo={third}&modifiedFrom={third}"), vec!["a", "c"]),
        (format!("createdFrom={first}&createdTo={first}"), vec![]),
        (format!("modifiedFrom={third}&status=FAILED"), vec![]),
    ] {
        let page = server.get(&format!("{LOG}?{query}")).await.ok();
        assert_eq!(external_ids(&page), expected, "{query}");
        assert_eq!(page.get("nextStartAfter"), None);
        // Nothing counts by time. Where no entry has the verdict, there is nothing to count.
        let total = query.contains("FAILED").then_some(&Value::from(0)).cloned();
        assert_eq!(page.get("total"), total.as_ref(), "{query}");
        let first = server.get(&format!("{LOG}?{query}&limit=1")).await.ok();
        assert_eq!(first.get("nextStartAfter").is_some(), expected.len() > 1, "{query} with limit=1");
    }
    let page = server.get(&format!("{LOG}?modifiedFrom={third}&externalId=a,b,c")).await.ok();
    assert_eq!(
        (&page["total"], external_ids(&page)),
        (&json!(2), strings(&["a", "c"])),
        "ids are looked up and counted"
    );
    for (query, pointer) in [
        (format!("createdFrom={third}&createdTo={first}"), "/createdTo"),
        (format!("modifiedFrom={third}&modifiedTo={first}"), "/modifiedTo"),
        ("createdFrom=yesterday".to_owned(), "/createdFrom"),
    ] {
        let problem = server.get(&format!("{LOG}?{query}")).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_empty_or_refused() {
    let server = stocked(1).await;
    let empty = json!({"limit": 500, "total": 0, "values": []});
    for path in ["/processinglogs/nothing/VALIDATION_LOG", "/v2/processinglogs/s/DUPLICATE_LOG"] {
        assert_eq!(server.get(path).await.ok(), empty);
    }
    let problem = server.get("/processinglogs/s/validation_log").await.problem(400, "invalid_request");
    let error = &problem["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/processingLogId"), &json!("unknown_value")));
    assert!(error["detail"].as_str().expect("a detail").contains("SANCTION_AND_WATCHLISTS_LOG"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn organizations_have_logs_of_their_own() {
    let server = Server::with(&["--slots", "0"]).await;
    let (ours, theirs) = (server.key("acme", "worker"), server.key("other", "worker"));
    let body = Bytes::from(json!({"results": [record("a"), record("b")]}).to_string());
    let headers = [("x-api-key", ours.as_str()), ("content-type", "application/json")];
    server.send(Method::POST, LOG, &headers, body).await.ok();
    let read = async |key: &str, path: &str| server.send(Method::GET, path, &[("x-api-key", key)], Bytes::new()).await;
    let page = read(&ours, &format!("{LOG}?limit=1")).await.ok();
    assert_eq!(page["total"], 2);
    let theirs_reads = read(&theirs, LOG).await;
    assert_eq!(theirs_reads.body, read(&theirs, "/processinglogs/none/VALIDATION_LOG").await.body, "byte for byte");
    let token = page["nextStartAfter"].as_str().expect("a token");
    read(&theirs, &format!("{LOG}?startAfter={token}")).await.problem(400, "invalid_page_token");
}
