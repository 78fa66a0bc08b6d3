//! Jobs that start at a time.

use crate::support::Server;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// So many milliseconds from now.
fn in_millis(millis: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    docket_contract::Timestamp::from_millis(i64::try_from(now).expect("a time") + millis).to_string()
}

fn at(time: &str) -> serde_json::Value {
    json!({"dockerImageUrl": "host", "commands": ["/bin/true"], "startAt": time})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_at_its_time_and_not_before() {
    let server = Server::start().await;
    let time = in_millis(1000);
    let id = server.start_job(at(&time)).await;
    let job = server.until(&id, &["WAITING"]).await;
    assert_eq!(job["statusMessage"], format!("Waits for its start time, {time}."));
    let job = server.until(&id, &["FINISHED"]).await;
    assert!(job["startedAt"].as_str() >= Some(time.as_str()), "{job}");
    let past = server.start_job(at(&in_millis(-1000))).await;
    server.until(&past, &["FINISHED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_came_while_the_server_was_down_is_not_lost() {
    let mut server = Server::start().await;
    let soon = server.start_job(at(&in_millis(300))).await;
    let later = server.start_job(at(&in_millis(3_600_000))).await;
    server.kill();
    server.restart().await;
    server.until(&soon, &["FINISHED"]).await;
    assert_eq!(server.get(&format!("/jobs/{later}")).await.ok()["status"], "WAITING");
    let canceled = server.post(&format!("/jobs/{later}/cancel"), &json!({})).await.ok();
    assert_eq!(canceled["status"], "CANCELED");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_and_dependency_are_both_waited_for() {
    let server = Server::with(&["--slots", "4"]).await;
    let first = server.held("gate", "exit 0", json!({})).await;
    let time = in_millis(700);
    let mut job = at(&time);
    job["jobDependencies"] = json!([{"jobId": first}]);
    let id = server.start_job(job).await;
    server.until_told(&id, &format!("Waits for job {first} to be FINISHED and for its start time, {time}.")).await;
    server.until_told(&id, &format!("Waits for job {first} to be FINISHED.")).await;
    server.open_gate("gate");
    server.until(&id, &["FINISHED"]).await;
}
