use crate::support::{Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test(flavor = "multi_thread")]
async fn created_updated_failed() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let first = server.post(&path, &json!({"results": [record("a"), record("b"), record("a")]})).await.ok();
    assert_eq!((&first["created"], &first["updated"], &first["failed"]), (&json!(2), &json!(1), &json!(0)));
    let before = server.get(&path).await.ok();

    let mut changed = record("a");
    changed["status"] = json!("FAILED");
    let mut foreign = record("c");
    foreign["jobId"] = json!("35f23c03-1c22-45fe-9484-3ffe769325de");
    let mut long = record("d");
    long["resultData"] = json!("x".repeat(65_536));
    let body =
        json!({"results": [changed, foreign, long, {"dataSourceId": "x"}, 42, {"externalId": "e", "status": "GOOD"}]});
    let second = server.post(&path, &body).await.ok();
    assert_eq!((&second["created"], &second["updated"], &second["failed"]), (&json!(0), &json!(1), &json!(5)));
    let failures: Vec<_> = second["failures"]
        .as_array()
        .expect("failures")
        .iter()
        .map(|f| (f["index"].clone(), f["code"].clone()))
        .collect();
    let expected = [(1, "unknown_value"), (2, "too_long"), (3, "required"), (4, "wrong_type"), (5, "wrong_type")];
    assert_eq!(failures, expected.map(|(index, code)| (json!(index), json!(code))));
    assert_eq!(second["failures"][1]["externalId"], "d");

    let after = server.get(&path).await.ok();
    assert_eq!(after["total"], 2);
    let (old, new) = (&before["values"][0], &after["values"][0]);
    assert_eq!((&new["id"], &new["createdAt"], &new["status"]), (&old["id"], &old["createdAt"], &json!("FAILED")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_not_be_read_saves_nothing() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let many: Vec<Value> = (0..1001).map(|number| record(&number.to_string())).collect();
    let problem = server.post(&path, &json!({"results": many})).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/results");
    assert!(problem["detail"].as_str().expect("a detail").contains("1000"), "{problem}");
    let torn = format!("{{\"results\": [{}, {{\"externalId\": ", record("a"));
    server.send(Method::POST, &path, &JSON, torn).await.problem(400, "malformed_body");
    let deep = format!("{{\"results\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let problem = server.send(Method::POST, &path, &JSON, deep).await.problem(400, "invalid_request");
    assert!(problem["detail"].as_str().expect("a detail").contains("deeper than 128"), "{problem}");
    server
        .send(Method::POST, &path, &JSON, Bytes::from_static(b"{\"results\": [\"\xFF\"]}"))
        .await
        .problem(400, "malformed_body");
    let huge = vec![b' '; 97 << 20];
    server.send(Method::POST, &path, &JSON, huge).await.problem(413, "body_too_large");
    server.post(&path, &json!({"results": {}})).await.problem(400, "invalid_request");
    server.post(&path, &json!({})).await.problem(400, "invalid_request");
    let missing = server.post(&format!("/jobs/{job}/results"), &json!({"results": []})).await;
    assert_eq!(missing.problem(400, "invalid_request")["errors"][0]["pointer"], "/storageId");
    let surrogate = r#"{"results": [{"externalId": "a", "resultData": "\ud800"}]}"#;
    let answer = server.send(Method::POST, &path, &JSON, surrogate).await.ok();
    assert_eq!((&answer["created"], &answer["failures"][0]["code"]), (&json!(0), &json!("invalid_characters")));
    assert_eq!(server.get(&path).await.ok()["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_storage_names_are_only_names() {
    let server = Server::with(&["--slots", "0"]).await;
    let names = ["../../etc", "a/b", ".", "%", "ü 😀", &"x".repeat(255)];
    let job = server.idle_job("s").await;
    for (index, name) in names.iter().enumerate() {
        let name: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/jobs/{job}/results?storageId={name}");
        server.post(&path, &json!({"results": [record(&index.to_string())]})).await.ok();
        let page = server.get(&path).await.ok();
        assert_eq!((&page["total"], &page["values"][0]["externalId"]), (&json!(1), &json!(index.to_string())));
    }
    for entry in std::fs::read_dir(server.data().join("results")).expect("results") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(name == "trash" || name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_job_takes_no_results() {
    let server = Server::with(&["--slots", "0"]).await;
    let path = "/jobs/35f23c03-1c22-45fe-9484-3ffe769325de/results?storageId=s";
    server.post(path, &json!({"results": [record("a")]})).await.problem(404, "not_found");
}
