//! Jobs that must not run at the same time.

use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn one_job_holds_a_lock_and_the_others_say_who() {
    let server = Server::with(&["--slots", "4"]).await;
    let first = server.held("first", "exit 0", json!({"locks": ["master data", "other"]})).await;
    server.until(&first, &["RUNNING"]).await;
    let low = server.held("low", "exit 0", json!({"locks": ["master data"], "priority": 10})).await;
    let high = server.held("high", "exit 1", json!({"locks": ["master data"], "priority": 90})).await;
    let free = server.held("free", "exit 0", json!({"locks": ["another"]})).await;
    server.until(&free, &["RUNNING"]).await;
    let held_by = |holder: &str| format!("Waits for lock master data, which job {holder} holds.");
    for job in [&low, &high] {
        assert_eq!(server.until_told(job, &held_by(&first)).await["status"], "WAITING");
    }
    server.open_gate("first");
    server.until(&high, &["RUNNING"]).await;
    server.until_told(&low, &held_by(&high)).await;
    // However it ends, the lock is free.
    server.post(&format!("/jobs/{high}/cancel"), &json!({"gracePeriodSeconds": 0})).await.ok();
    server.until(&low, &["RUNNING"]).await;
    server.open_gate("low");
    server.until(&low, &["FINISHED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_counts_also_while_a_job_waits() {
    let server = Server::with(&["--slots", "4"]).await;
    let holder = server.held("holder", "exit 0", json!({"locks": ["x"]})).await;
    server.until(&holder, &["RUNNING"]).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let job = server.held("others", "exit 0", json!({"locks": ["x"]})).await;
        server.until(&job, &["WAITING"]).await;
        waiting.push(job);
    }
    server.put(&format!("/jobs/{}", waiting[2]), &json!({"priority": 60})).await.ok();
    server.open_gate("holder");
    server.until(&waiting[2], &["RUNNING"]).await;
    server.until_told(&waiting[0], &format!("Waits for lock x, which job {} holds.", waiting[2])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_outlives_the_kill_of_the_server_and_not_its_job() {
    let mut server = Server::with(&["--slots", "4"]).await;
    let holder = server.held("gate", "exit 0", json!({"locks": ["x"]})).await;
    server.until(&holder, &["RUNNING"]).await;
    let waiting = server.held("gate", "exit 0", json!({"locks": ["x"]})).await;
    server.until(&waiting, &["WAITING"]).await;
    server.kill();
    server.restart().await;
    let told = format!("Waits for lock x, which job {holder} holds.");
    assert_eq!(server.until(&waiting, &["WAITING"]).await["statusMessage"], told);
    server.kill();
    server.open_gate("gate");
    server.restart().await;
    server.until(&waiting, &["FINISHED"]).await;
}
