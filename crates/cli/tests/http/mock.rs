//! The mock: beside the real service, and by itself.

use crate::support::{Response, Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::json;

/// The vendor's path.
const VENDOR: &str = "/_mock/apis/jobs-management-api/api-v2";
const JOB: &str = "35f23c03-1c22-45fe-9484-3ffe769325de";

async fn prefer(server: &Server, path: &str, prefer: &str) -> Response {
    server.send(Method::GET, path, &[("prefer", prefer)], Bytes::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_stands_beside_the_service_needs_no_key_and_stores_nothing() {
    let server = Server::with(&["--slots", "0"]).await;
    let key = server.key("acme", "admin");
    let spec = json!({"dockerImageUrl": "host", "type": "DATA_VALIDATION_JOB"});
    for prefix in [VENDOR.to_owned(), format!("{VENDOR}/v2")] {
        let job = server.post(&format!("{prefix}/jobs"), &spec).await.ok();
        assert_eq!((job["id"].as_str(), job["status"].as_str()), (Some(JOB), Some("PERSISTED")));
        let summary = server
            .post(&format!("{prefix}/jobs/{JOB}/results?storageId=s"), &json!({"results": [record("a")]}))
            .await
            .ok();
        assert_eq!(summary["created"], 1);
        assert_eq!(server.delete(&format!("{prefix}/jobs/{JOB}")).await.ok()["status"], "FINISHED");
    }
    let real = server.send(Method::GET, "/jobs?featuresOn=NUMBER_OF_TOTAL", &[("x-api-key", &key)], Bytes::new()).await;
    assert_eq!(real.ok()["total"], 0);
    server.get("/jobs").await.problem(401, "unauthenticated");
    server.get(&format!("{VENDOR}/nothing")).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_by_itself_has_all_paths_and_the_probes() {
    let mut server = Server::mock(&[]).await;
    for prefix in ["", "/v2", VENDOR] {
        assert_eq!(server.get(&format!("{prefix}/jobs/{JOB}")).await.ok()["status"], "RUNNING", "{prefix}");
    }
    assert_eq!(server.get("/readyz").await.ok(), json!({"status": "ready"}));
    assert_eq!(server.get("/openapi.json").await.ok()["openapi"], "3.1.0");
    let problem = prefer(&server, "/jobs", "code=429").await.problem(429, "rate_limited");
    let page = server.get(problem["type"].as_str().expect("a URI")).await;
    assert_eq!(page.status.as_u16(), 200, "the type of a problem resolves");
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_the_real_error() {
    let server = Server::mock(&[]).await;
    let problem = server.post("/jobs", &json!({"priority": 101})).await.problem(400, "invalid_request");
    let pointers: Vec<_> = problem["errors"].as_array().expect("errors").iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(pointers, ["/dockerImageUrl", "/priority"]);
    server.put(&format!("/jobs/{JOB}"), &json!({"progress": "many"})).await.problem(400, "invalid_request");
    let json = [("content-type", "application/json")];
    server.send(Method::POST, "/jobs", &json, "{").await.problem(400, "malformed_body");
    server
        .send(Method::POST, "/jobs", &[("content-type", "text/csv")], "a")
        .await
        .problem(415, "unsupported_media_type");
    server.send(Method::PATCH, "/jobs", &json, "{}").await.problem(405, "method_not_allowed");
    let odd = server.post("/jobs", &json!({"dockerImageUrl": "x", "dokcer": 1})).await;
    assert_eq!((odd.status.as_u16(), odd.header("docket-ignored-fields")), (200, "dokcer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_what_it_prefers() {
    let server = Server::mock(&[]).await;
    let path = format!("/jobs/{JOB}");
    let answer = prefer(&server, &path, "code=404, wait=0.01").await;
    answer.problem(404, "not_found");
    assert_eq!(answer.header("preference-applied"), "code=404, wait=0.01");
    let limited = prefer(&server, &path, "code=429").await;
    limited.problem(429, "rate_limited");
    assert_eq!(limited.header("retry-after"), "1");
    let refused = prefer(&server, &path, "code=405").await;
    refused.problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET");
    prefer(&server, &path, "code=402").await.problem(400, "invalid_request");

    let failed = prefer(&server, &path, "example=failed").await;
    assert_eq!(failed.ok()["exitCode"], 3);
    assert_eq!(failed.header("preference-applied"), "example=failed");
    let results = format!("{path}/results?storageId=s");
    assert!(prefer(&server, &results, "example=more-pages").await.ok()["nextStartAfter"].is_string());

    let random = prefer(&server, &path, "dynamic=true").await;
    assert_ne!(random.ok(), server.get(&path).await.ok());
    let again = prefer(&server, &path, random.header("preference-applied")).await;
    assert_eq!(again.ok(), random.ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_checked_and_forgotten() {
    let server = Server::mock(&[]).await;
    let send = async |key: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key), ("prefer", "example=default")];
        server.send(Method::POST, "/jobs", &headers, body.to_owned()).await
    };
    for body in [r#"{"dockerImageUrl":"a"}"#, r#"{"dockerImageUrl":"b"}"#] {
        let answer = send("k", body).await;
        answer.ok();
        assert_eq!(
            (answer.header("idempotency-replayed"), answer.header("preference-applied")),
            ("", "example=default")
        );
    }
    send("not visible", "{}").await.problem(400, "invalid_request");
}
