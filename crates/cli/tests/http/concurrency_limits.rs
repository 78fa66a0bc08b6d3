//! How many jobs of an organization run at once.

use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_over_a_limit_wait_for_room() {
    let server =
        Server::with(&["--slots", "8", "--jobs-per-organization", "2", "--jobs-per-type", "DATA_CURATION_JOB=1"]).await;
    let typed = json!({"type": "DATA_CURATION_JOB"});
    let first = server.held("first", "exit 0", typed.clone()).await;
    server.until(&first, &["RUNNING"]).await;
    let second = server.held("second", "exit 0", typed).await;
    let organization = first_organization(&server, &first).await;
    let told = format!("Waits for room: organization {organization} runs 1 of 1 jobs of type DATA_CURATION_JOB.");
    assert_eq!(server.until_told(&second, &told).await["status"], "WAITING");
    let third = server.held("third", "exit 0", json!({})).await;
    server.until(&third, &["RUNNING"]).await;
    let fourth = server.held("fourth", "exit 0", json!({})).await;
    let told = format!("Waits for room: organization {organization} runs 2 of 2 jobs.");
    assert_eq!(server.until_told(&fourth, &told).await["status"], "WAITING");
    server.open_gate("first");
    server.until(&second, &["RUNNING"]).await;
    assert_eq!(server.get(&format!("/jobs/{fourth}")).await.ok()["status"], "WAITING");
    server.open_gate("third");
    server.until(&fourth, &["RUNNING"]).await;
}

async fn first_organization(server: &Server, id: &str) -> String {
    server.get(&format!("/jobs/{id}")).await.ok()["organizationId"].as_str().expect("an organization").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_was_changed_holds_after_the_restart() {
    let mut server = Server::with(&["--slots", "8"]).await;
    let running = server.held("running", "exit 0", json!({})).await;
    server.until(&running, &["RUNNING"]).await;
    server.kill();
    server.set_flags(&["--slots", "8", "--jobs-per-organization", "1"]);
    server.restart().await;
    // What ran before there was a limit counts.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let job = server.held("others", "exit 0", json!({})).await;
        server.until(&job, &["WAITING"]).await;
        waiting.push(job);
    }
    server.kill();
    server.set_flags(&["--slots", "8"]);
    server.restart().await;
    for job in &waiting {
        server.until(job, &["RUNNING"]).await;
    }
}
