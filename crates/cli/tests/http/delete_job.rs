use crate::support::{Server, record};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_job_goes_with_results_and_log() {
    let server = Server::start().await;
    let id = server.shell("echo hello").await;
    server.until(&id, &["FINISHED"]).await;
    let kept = server.shell("true").await;
    for (job, storage) in [(&id, "one"), (&id, "two"), (&kept, "one")] {
        let path = format!("/jobs/{job}/results?storageId={storage}");
        server.post(&path, &json!({"results": [record("a")]})).await.ok();
    }
    let deleted = server.delete(&format!("/jobs/{id}")).await.ok();
    assert_eq!(deleted["status"], "FINISHED");
    for path in ["", "/log", "/results?storageId=one", "/results/statistics?storageId=one"] {
        server.get(&format!("/jobs/{id}{path}")).await.problem(404, "not_found");
    }
    assert!(!server.data().join("jobs").join(&id).exists(), "its files are gone");
    let others = server.get(&format!("/jobs/{kept}/results?storageId=one")).await.ok();
    assert_eq!(others["total"], 1, "another job's results of the same storage stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_not_ended_stays() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.shell("true").await;
    server.delete(&format!("/jobs/{id}")).await.problem(409, "job_not_ended");
    server.get(&format!("/jobs/{id}")).await.ok();
}
