use crate::support::{Server, record};
use serde_json::{Value, json};

async fn stocked(count: usize) -> (Server, String) {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let records: Vec<Value> = (0..count)
        .map(|number| {
            let mut record = record(&format!("r{number}"));
            record["dataSourceId"] = json!(format!("source-{}", number % 3));
            record["status"] = json!(if number % 10 == 0 { "FAILED" } else { "OK" });
            record
        })
        .collect();
    for batch in records.chunks(1000) {
        server.post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": batch})).await.ok();
    }
    (server, format!("/jobs/{job}/results?storageId=s"))
}

fn external_ids(page: &Value) -> Vec<String> {
    let values = page["values"].as_array().expect("values");
    values.iter().map(|value| value["externalId"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_ids_and_tokens_page_through_everything() {
    let (mut server, path) = stocked(2500).await;
    for feature in ["", "&featuresOn=USE_NEXT_START_AFTER"] {
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let page = server.get(&format!("{path}&limit=999{feature}{next}")).await.ok();
            assert_eq!((&page["total"], &page["limit"]), (&json!(2500), &json!(999)));
            found.extend(external_ids(&page));
            let ids: Vec<u64> = page["values"]
                .as_array()
                .expect("values")
                .iter()
                .map(|v| v["id"].as_str().expect("an id").parse().expect("digits"))
                .collect();
            assert!(ids.is_sorted() && ids[0] > 0);
            let last = if feature.is_empty() {
                assert_eq!(page.get("nextStartAfter"), None);
                (ids.len() == 999).then(|| ids[998].to_string())
            } else {
                // A token outlives the server.
                server.kill();
                server.restart().await;
                page["nextStartAfter"].as_str().map(str::to_owned)
            };
            let Some(last) = last else { break };
            next = format!("&startAfter={last}");
        }
        assert_eq!(found, (0..2500).map(|number| format!("r{number}")).collect::<Vec<_>>(), "{feature}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_to_its_filters() {
    let (server, path) = stocked(20).await;
    let other = server.idle_job("s").await;
    let page = server.get(&format!("{path}&limit=5&featuresOn=USE_NEXT_START_AFTER")).await.ok();
    let token = page["nextStartAfter"].as_str().expect("a token").to_owned();
    let with = |path: &str, more: &str| format!("{path}&featuresOn=USE_NEXT_START_AFTER&startAfter={token}{more}");
    assert_eq!(external_ids(&server.get(&with(&path, "&limit=7")).await.ok())[0], "r5", "another limit is fine");
    for wrong in [
        with(&path, "&jobResultStatus=OK"),
        with(&path, "&dataSourceId=source-1"),
        with(&path, "&externalId=r1"),
        with(&path.replace("storageId=s", "storageId=t"), ""),
        with(&format!("/jobs/{other}/results?storageId=s"), ""),
        format!("{path}&featuresOn=USE_NEXT_START_AFTER&startAfter=5712566172571652"),
        format!("{path}&featuresOn=USE_NEXT_START_AFTER&startAfter={}x", &token[..token.len() - 1]),
    ] {
        server.get(&wrong).await.problem(400, "invalid_page_token");
    }
    let plain = server.get(&format!("{path}&startAfter={token}")).await.problem(400, "invalid_request");
    assert_eq!(plain["errors"][0]["pointer"], "/startAfter");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_their_totals() {
    let (server, path) = stocked(60).await;
    for (query, expected) in [
        ("jobResultStatus=FAILED", vec!["r0", "r10", "r20", "r30", "r40", "r50"]),
        ("jobResultStatus=FAILED&dataSourceId=source-1", vec!["r10", "r40"]),
        ("externalId=r3,r5", vec!["r3", "r5"]),
        ("externalId=r5&externalId=r3", vec!["r3", "r5"]),
        ("businessPartnerId=bp-r7,bp-r8", vec!["r7", "r8"]),
        ("businessPartnerId=bp-r7&externalId=r7,r8", vec!["r7"]),
        ("businessPartnerId=bp-r7&externalId=r8", vec![]),
        ("externalId=r10,r11&jobResultStatus=FAILED", vec!["r10"]),
        ("dataSourceId=nowhere", vec![]),
    ] {
        let page = server.get(&format!("{path}&{query}")).await.ok();
        assert_eq!(external_ids(&page), expected, "{query}");
        assert_eq!(page["total"], expected.len(), "{query}");
        let first = server.get(&format!("{path}&{query}&limit=1")).await.ok();
        assert_eq!(first["total"], expected.len(), "{query} with limit=1");
    }
    let page = server.get(&format!("{path}&limit=9999")).await.ok();
    assert_eq!(page["limit"], 5000);
    let many = (0..501).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    for field in ["externalId", "businessPartnerId"] {
        let problem = server.get(&format!("{path}&{field}={many}")).await.problem(400, "invalid_request");
        assert!(problem["detail"].as_str().expect("a detail").contains("500"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_ids_may_hold_commas() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    server.post(&path, &json!({"results": [record("a,b"), record("a"), record("b")]})).await.ok();
    let found = external_ids(&server.get(&format!("{path}&externalId=a,b")).await.ok());
    assert_eq!(found, ["a,b", "a", "b"], "one occurrence: whole and split");
    let found = external_ids(&server.get(&format!("{path}&externalId=a,b&externalId=b")).await.ok());
    assert_eq!(found, ["a,b", "b"], "two occurrences: as they are");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_wanted_fields() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let mut object = record("a");
    object["resultData"] = json!(r#"{"dataDefects": [1, 2.50], "corrections": {}, "more": null}"#);
    let mut text = record("b");
    text["resultData"] = json!("{'param1': 'value1'}");
    server.post(&path, &json!({"results": [object, text]})).await.ok();
    let page = server.get(&format!("{path}&includeResultDataFields=dataDefects,more")).await.ok();
    let data = page["values"][0]["resultData"].as_str().expect("a text");
    assert_eq!(serde_json::from_str::<Value>(data).expect("JSON"), json!({"dataDefects": [1, 2.50], "more": null}));
    assert!(data.contains("2.50"), "numbers are not rewritten: {data}");
    assert_eq!(page["values"][1]["resultData"], "{'param1': 'value1'}");
    assert_eq!(page["values"][1]["storageId"], "s");
    assert_eq!(page["values"][1]["jobId"], job);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_storage_is_empty() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let page = server.get(&format!("/jobs/{job}/results?storageId=nothing")).await.ok();
    assert_eq!(page, json!({"limit": 500, "total": 0, "values": []}));
}
