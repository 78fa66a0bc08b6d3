//! Jobs that go by themselves some time after their end.

use crate::support::{PATIENCE, Server};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_job_goes_with_its_log_and_results() {
    let server = Server::with(&["--slots", "2"]).await;
    let short = json!({"ttlSecondsAfterFinished": 1, "resultStorageId": "s"});
    let id = server.held("gate", "echo bye", short).await;
    let kept = server.held("gate", "echo bye", json!({"ttlSecondsAfterFinished": 3600})).await;
    server.until(&id, &["RUNNING"]).await;
    let results = format!("/jobs/{id}/results?storageId=s");
    server.post(&results, &json!({"results": [crate::support::record("a")]})).await.ok();
    server.open_gate("gate");
    let job = server.until(&kept, &["FINISHED"]).await;
    let time =
        |field: &str| job[field].as_str().expect("a time").parse::<docket_contract::Timestamp>().expect("a time");
    assert_eq!(time("expiresAt").as_millis() - time("finishedAt").as_millis(), 3_600_000);
    let begin = Instant::now();
    while server.get(&format!("/jobs/{id}")).await.status != 404 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.get(&results).await.problem(404, "not_found");
    server.get(&format!("/jobs/{id}/log")).await.problem(404, "not_found");
    server.get(&format!("/jobs/{kept}/log")).await.text();
    assert_eq!(server.log(&kept).await, "bye\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_expired_while_the_server_was_down_goes_at_the_start() {
    let mut server = Server::start().await;
    let id = server.held("gate", "exit 0", json!({"ttlSecondsAfterFinished": 0})).await;
    server.until(&id, &["RUNNING"]).await;
    server.kill();
    server.open_gate("gate");
    server.restart().await;
    let begin = Instant::now();
    while server.get(&format!("/jobs/{id}")).await.status != 404 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
