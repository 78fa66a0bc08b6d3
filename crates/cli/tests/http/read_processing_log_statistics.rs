use crate::support::{Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

const LOG: &str = "/processinglogs/s/CURATION_LOG";

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_a_log_are_counted() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server
        .start_job(json!({"dockerImageUrl": "i", "resultStorageId": "s", "processingLogId": "CURATION_LOG"}))
        .await;
    let with = |id: &str, status: &str, rules: &[&str]| {
        let mut record = record(id);
        record["status"] = json!(status);
        record["resultData"] = json!(json!({"rules": rules}).to_string());
        record
    };
    let path = format!("/jobs/{job}/results?storageId=s");
    let first = [with("a", "FAILED", &["VAT"]), with("b", "FAILED", &["VAT", "IBAN"])];
    server.post(&path, &json!({"results": first})).await.ok();
    server.post(&path, &json!({"results": [with("a", "OK", &[])]})).await.ok();
    let found = server.get(&format!("{LOG}/statistics?pointer=/rules")).await.ok();
    assert_eq!((&found["total"], &found["ok"], &found["failed"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(found["countries"], json!([{"value": "CH", "count": 2, "failed": 1}]));
    let value = |value: &str| json!({"value": value, "count": 1, "failed": 1});
    assert_eq!(
        found["members"],
        json!([{"pointer": "/rules", "counted": 1, "absent": 1, "notJson": 0, "distinct": 2, "truncated": false,
            "values": [value("IBAN"), value("VAT")]}])
    );
    let of_the_job = server.get(&format!("/jobs/{job}/results/statistics?pointer=/rules")).await.ok();
    assert_eq!(of_the_job, found);
    server.get(&format!("{LOG}/statistics?pointer=rules")).await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_and_what_is_anothers_counts_nothing() {
    let server = Server::with(&["--slots", "0"]).await;
    let (own, other) = (server.key("acme", "admin"), server.key("other", "admin"));
    let send = async |key: &str, method: Method, path: &str, body: Value| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        server.send(method, path, &headers, body).await
    };
    let spec = json!({"dockerImageUrl": "i", "resultStorageId": "s", "processingLogId": "CURATION_LOG"});
    let job = send(&own, Method::POST, "/jobs", spec).await.ok();
    let path = format!("/jobs/{}/results?storageId=s", job["id"].as_str().expect("an id"));
    send(&own, Method::POST, &path, json!({"results": [record("a")]})).await.ok();
    let path = format!("{LOG}/statistics?pointer=/dataDefects");
    assert_eq!(send(&own, Method::GET, &path, json!(null)).await.ok()["total"], 1);
    let foreign = send(&other, Method::GET, &path, json!(null)).await;
    let found = foreign.ok();
    assert_eq!(
        (&found["total"], &found["countries"], &found["members"][0]["absent"]),
        (&json!(0), &json!([]), &json!(0))
    );
    let unknown = send(&other, Method::GET, &path.replace("/s/", "/unknown/"), json!(null)).await;
    assert_eq!(foreign.body, unknown.body, "not byte for byte");
    let wrong = send(&own, Method::GET, &path.replace("CURATION", "NO"), json!(null)).await;
    assert!([400, 404].contains(&wrong.status.as_u16()), "{}", wrong.text());
}
