//! Jobs and the server live apart.

use crate::support::{PATIENCE, Server, signal, supervisors};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_the_kill_of_the_server() {
    let mut server = Server::start().await;
    let gate = server.data().join("gate");
    let script = format!("echo before; while [ ! -e {} ]; do sleep 0.01; done; echo after; exit 7", gate.display());
    let id = server.shell(&script).await;
    server.until(&id, &["RUNNING"]).await;
    server.kill();
    server.restart().await;
    assert_eq!(server.until(&id, &["RUNNING"]).await["attempt"], 1);
    std::fs::write(gate, "").expect("opened");
    let job = server.until_ended(&id).await;
    assert_eq!((&job["status"], &job["exitCode"]), (&json!("FAILED"), &json!(7)));
    assert_eq!(server.log(&id).await, "before\nafter\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_the_server_is_down_is_recorded() {
    for stop in [true, false] {
        let mut server = Server::start().await;
        let (gate, done) = (server.data().join("gate"), server.data().join("done"));
        let script = format!(
            "while [ ! -e {} ]; do sleep 0.01; done; echo bye; touch {}; exit 4",
            gate.display(),
            done.display()
        );
        let id = server.shell(&script).await;
        server.until(&id, &["RUNNING"]).await;
        if stop {
            assert_eq!(server.terminate(), Some(0));
        } else {
            server.kill();
        }
        std::fs::write(gate, "").expect("opened");
        let begin = Instant::now();
        while !done.exists() {
            assert!(begin.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.restart().await;
        let job = server.until_ended(&id).await;
        assert_eq!((&job["status"], &job["exitCode"]), (&json!("FAILED"), &json!(4)), "{job}");
        assert_eq!(server.log(&id).await, "bye\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_whose_supervisor_is_killed_have_died() {
    let server = Server::start().await;
    let id = server.shell("exec sleep 100").await;
    server.until(&id, &["RUNNING"]).await;
    let supervisor = supervisors(server.data());
    assert_eq!(supervisor.len(), 1);
    signal(supervisor[0], "KILL");
    let job = server.until_ended(&id).await;
    assert_eq!(job["status"], "DIED", "{job}");
    let next = server.shell("true").await;
    server.until(&next, &["FINISHED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_kept_over_a_restart() {
    let mut server = Server::start().await;
    let id = server.shell("trap '' TERM; while :; do sleep 0.01; done").await;
    server.until(&id, &["RUNNING"]).await;
    server.post(&format!("/jobs/{id}/cancel"), &json!({"reason": "late", "gracePeriodSeconds": 1})).await.ok();
    server.kill();
    server.restart().await;
    let job = server.until_ended(&id).await;
    assert_eq!((&job["status"], &job["statusMessage"]), (&json!("CANCELED"), &json!("Canceled: late")));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_through_many_kills_run_once_each() {
    let mut server = Server::start().await;
    let ran = server.data().join("ran");
    std::fs::create_dir(&ran).expect("a directory");
    let mut ids = Vec::new();
    for round in 0..10 {
        for number in 0..10 {
            // `mkdir` fails where it ran before: a second run would be FAILED.
            let script = format!("mkdir {}/{round}-{number}", ran.display());
            ids.push(server.shell(&script).await);
        }
        server.kill();
        server.restart().await;
    }
    for id in &ids {
        let job = server.until_ended(id).await;
        assert_eq!((&job["status"], &job["attempt"]), (&json!("FINISHED"), &json!(1)), "{job}");
    }
}
