use crate::support::{Server, scheduled};
use bytes::Bytes;
use http::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_masked() {
    let server = Server::with(&["--slots", "0"]).await;
    let (operator, reader) = (server.key("acme", "operator"), server.key("acme", "reader"));
    let mut body = scheduled("@daily", "true");
    body["scheduledJob"]["job"]["environmentVariables"] =
        json!([{"name": "DB_PASSWORD", "value": "hidden"}, {"name": "LEVEL", "value": "info"}]);
    let headers = [("x-api-key", operator.as_str()), ("content-type", "application/json")];
    let made = server.send(Method::POST, "/scheduledjobs", &headers, body.to_string()).await.ok();
    let path = format!("/scheduledjobs/{}", made["id"].as_str().expect("an id"));
    for (key, expected) in [(&operator, ["***", "info"]), (&reader, ["***", "***"])] {
        let read = server.send(Method::GET, &path, &[("x-api-key", key)], Bytes::new()).await.ok();
        let variables = read["job"]["environmentVariables"].as_array().expect("variables").clone();
        assert_eq!(variables.iter().map(|variable| &variable["value"]).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_ones_are_not_found() {
    let server = Server::with(&["--slots", "0"]).await;
    for id in ["00000000-0000-7000-8000-000000000000", "no-uuid", "%00"] {
        server.get(&format!("/scheduledjobs/{id}")).await.problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_allowed_any_more_pauses_it() {
    let mut server = Server::with(&["--slots", "0", "--allow-image", "host"]).await;
    let id = server.schedule("* * * * * *", "true", json!({"misfirePolicy": "ALL"})).await;
    server.kill();
    server.set_flags(&["--slots", "0", "--allow-image", "other"]);
    server.restart().await;
    let path = format!("/scheduledjobs/{id}");
    let begin = std::time::Instant::now();
    let paused = loop {
        let read = server.get(&path).await.ok();
        if read["paused"] == true {
            break read;
        }
        assert!(begin.elapsed() < crate::support::PATIENCE, "{read}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert!(paused["pausedReason"].as_str().is_some_and(|why| why.contains("dockerImageUrl")), "{paused}");
    assert_eq!(paused["nextFireAt"], json!(null));
    let runs = server.until_runs(&id, 1).await;
    assert_eq!((&runs[0]["kind"], &runs[0]["reason"]), (&json!("SKIPPED"), &json!("INVALID_JOB")), "{runs:?}");
    let refused = server.post(&format!("{path}/resume"), &json!({})).await.problem(400, "invalid_request");
    assert_eq!(refused["errors"][0]["pointer"], "/job/dockerImageUrl");
}
