//! Attempts that fail or die, and those that follow.

use crate::support::{Server, supervisors};
use serde_json::{Value, json};

fn retrying(script: &str, retry: Value) -> Value {
    json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script], "retry": retry})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_followed_by_another_one() {
    let server = Server::start().await;
    let script = format!("echo attempt $DOCKET_ATTEMPT; [ -e {} ] || exit 3", server.data().join("gate").display());
    let id = server.start_job(retrying(&script, json!({"maxAttempts": 3, "backoffSeconds": 1}))).await;
    let job = server.until(&id, &["WAITING"]).await;
    assert_eq!((&job["attempt"], &job["exitCode"], &job["finishedAt"]), (&json!(1), &json!(3), &Value::Null));
    assert!(job["startedAt"].is_string(), "{job}");
    let told = job["statusMessage"].as_str().expect("a message");
    assert!(told.starts_with("Attempt 2 of 3 starts after "), "{told}");
    assert!(told.ends_with(" s. The job ended with exit code 3."), "{told}");
    server.open_gate("gate");
    let job = server.until(&id, &["FINISHED"]).await;
    assert_eq!((&job["attempt"], &job["exitCode"]), (&json!(2), &json!(0)));
    assert_eq!(server.log(&id).await, "attempt 2\n");
    let history = server.get(&format!("/jobs/{id}/history")).await.ok();
    let retried: Vec<_> =
        history["values"].as_array().expect("events").iter().filter(|event| event["cause"] == "RETRIED").collect();
    assert_eq!(retried.len(), 1);
    assert_eq!((&retried[0]["attempt"], &retried[0]["exitCode"]), (&json!(1), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_attempt_the_end_counts() {
    let server = Server::start().await;
    let retry = json!({"maxAttempts": 3, "backoffSeconds": 0});
    let id = server.start_job(retrying("exit 7", retry)).await;
    let job = server.until_ended(&id).await;
    assert_eq!((&job["status"], &job["attempt"], &job["exitCode"]), (&json!("FAILED"), &json!(3), &json!(7)));
    assert_eq!(job["statusMessage"], "The job ended with exit code 7.");
    // Only the ends that are named grant another attempt.
    let retry = json!({"maxAttempts": 3, "backoffSeconds": 0, "on": ["DIED"]});
    let failed = server.start_job(retrying("exit 7", retry.clone())).await;
    assert_eq!(server.until_ended(&failed).await["attempt"], 1);
    let died = server.start_job(retrying("kill -9 $$", retry)).await;
    let died = server.until_ended(&died).await;
    assert_eq!((&died["status"], &died["attempt"]), (&json!("DIED"), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_is_the_end_of_all_attempts() {
    let server = Server::start().await;
    let retry = json!({"maxAttempts": 20, "backoffSeconds": 3600});
    let waiting = server.start_job(retrying("exit 1", retry.clone())).await;
    server.until(&waiting, &["WAITING"]).await;
    let running = server.start_job(retrying("exec sleep 100", retry)).await;
    server.until(&running, &["RUNNING"]).await;
    for job in [&waiting, &running] {
        server.post(&format!("/jobs/{job}/cancel"), &json!({"gracePeriodSeconds": 0})).await.ok();
        let job = server.until_ended(job).await;
        assert_eq!((&job["status"], &job["attempt"]), (&json!("CANCELED"), &json!(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_delay_outlives_the_kill_of_the_server() {
    let mut server = Server::start().await;
    let id = server.start_job(retrying("exit 1", json!({"maxAttempts": 2, "backoffSeconds": 1}))).await;
    server.until(&id, &["WAITING"]).await;
    server.kill();
    server.restart().await;
    let job = server.until_ended(&id).await;
    assert_eq!((&job["status"], &job["attempt"]), (&json!("FAILED"), &json!(2)));
    // An attempt that is lost with its supervisor is followed by another one, too.
    let id = server.start_job(retrying(
        "[ $DOCKET_ATTEMPT = 2 ] || exec sleep 100",
        json!({"maxAttempts": 2, "backoffSeconds": 0}),
    ));
    let id = id.await;
    server.until(&id, &["RUNNING"]).await;
    for pid in supervisors(server.data()) {
        crate::support::signal(pid, "KILL");
    }
    let job = server.until_ended(&id).await;
    assert_eq!((&job["status"], &job["attempt"]), (&json!("FINISHED"), &json!(2)));
}
