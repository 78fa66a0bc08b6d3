use crate::support::{PATIENCE, Server, processes};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_ends_at_once() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.shell("true").await;
    let path = format!("/jobs/{id}/cancel");
    let job = server.post(&path, &json!({"reason": "wrong input"})).await.ok();
    assert_eq!((&job["status"], &job["statusMessage"]), (&json!("CANCELED"), &json!("Canceled: wrong input")));
    let again = server.post(&path, &json!({})).await.ok();
    assert_eq!(again, job, "canceling again changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_gets_the_polite_signal_first() {
    let server = Server::start().await;
    let id = server.shell("trap 'echo stopping; exit 0' TERM; echo up; while :; do sleep 0.01; done").await;
    until_log(&server, &id, "up\n").await;
    let job = server.post(&format!("/jobs/{id}/cancel"), &json!({"reason": "enough"})).await.ok();
    assert_eq!(job["statusMessage"], "Cancel requested: enough");
    let job = server.until_ended(&id).await;
    assert_eq!((&job["status"], &job["statusMessage"]), (&json!("CANCELED"), &json!("Canceled: enough")));
    // The whole tree gets the signal: the shell may tell of its child.
    let log = server.log(&id).await;
    assert!(log.starts_with("up\n") && log.ends_with("stopping\n"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_tree_ends() {
    let server = Server::start().await;
    let mark = format!("7{}.123", std::process::id());
    let script = format!(
        "trap '' TERM; sleep {mark} & setsid sleep {mark} & (setsid sh -c 'sleep {mark} &') & echo up; wait; sleep {mark}"
    );
    let id = server.shell(&script).await;
    until_log(&server, &id, "up\n").await;
    server.post(&format!("/jobs/{id}/cancel"), &json!({"gracePeriodSeconds": "0"})).await.ok();
    assert_eq!(server.until_ended(&id).await["status"], "CANCELED");
    let left = processes(|arguments| arguments.contains(&mark));
    assert_eq!(left, Vec::<u32>::new());
}

async fn until_log(server: &Server, id: &str, expected: &str) {
    let begin = Instant::now();
    while server.log(id).await != expected {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
