use crate::support::Server;
use bytes::Bytes;
use http::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_masked() {
    let server = Server::with(&["--slots", "0"]).await;
    let (operator, reader) = (server.key("acme", "operator"), server.key("acme", "reader"));
    let body = json!({"dockerImageUrl": "i", "environmentVariables": [
        {"name": "DB_PASSWORD", "value": "hidden"}, {"name": "LEVEL", "value": "info"}]});
    let headers = [("x-api-key", operator.as_str()), ("content-type", "application/json")];
    let started = server.send(Method::POST, "/jobs", &headers, body.to_string()).await.ok();
    let path = format!("/jobs/{}", started["id"].as_str().expect("an id"));
    for (key, expected) in [(&operator, ["***", "info"]), (&reader, ["***", "***"])] {
        let job = server.send(Method::GET, &path, &[("x-api-key", key)], Bytes::new()).await.ok();
        let values: Vec<_> =
            job["environmentVariables"].as_array().expect("variables").iter().map(|v| &v["value"]).collect();
        assert_eq!(values, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_jobs_are_not_found() {
    let server = Server::with(&["--slots", "0"]).await;
    for id in ["00000000-0000-7000-8000-000000000000", "no-uuid", "%00", "..%2F.."] {
        server.get(&format!("/jobs/{id}")).await.problem(404, "not_found");
    }
}
