//! Jobs in containers as a client of the server sees them, while the daemon is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use docket_service::executors::conformance;
use serde_json::{Value, json};

use super::adoption::many;
use super::daemon::{Dockerd, IMAGE};
use crate::support::Server;

async fn start(daemon: &Dockerd, slots: u32) -> Server {
    let (socket, slots) = (format!("unix://{}", daemon.socket().display()), slots.to_string());
    Server::with(&["--executor", "docker", "--docker-socket", &socket, "--docker-network", "none", "--slots", &slots])
        .await
}

fn job(script: &str) -> Value {
    json!({"dockerImageUrl": IMAGE, "commands": ["sh", "-c", script], "tags": ["survivor"]})
}

/// How often each status, of an attempt, occurs in a list of jobs.
async fn counts(server: &Server) -> BTreeMap<(String, i64), usize> {
    let page = server.get("/jobs?tags=survivor&limit=100").await.ok();
    let mut counts = BTreeMap::new();
    for job in page["values"].as_array().unwrap() {
        let status = job["status"].as_str().unwrap().to_owned();
        *counts.entry((status, job["attempt"].as_i64().unwrap())).or_default() += 1;
    }
    counts
}

async fn until(server: &Server, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(status, count)| (((*status).to_owned(), 1), *count)).collect();
    let mut found = BTreeMap::new();
    let all = async {
        while found != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
            found = counts(server).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(120), all).await;
    assert!(in_time.is_ok(), "expected {expected:?}, found {found:?}");
}

/// Starts jobs, kills the daemon under them and starts it again; answers the jobs' server and their number.
async fn interrupted(daemon: &Dockerd, script: &str) -> (Server, usize) {
    let count = many();
    let server = start(daemon, count).await;
    let count = count as usize;
    for _ in 0..count {
        server.start_job(job(script)).await;
    }
    until(&server, &[("RUNNING", count)]).await;
    daemon.kill();
    until(&server, &[("UNKNOWN", count)]).await;
    daemon.up().await;
    (server, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_unknown_while_the_daemon_is_away_and_died_with_it() {
    let daemon = Dockerd::start().await;
    let (server, count) = interrupted(&daemon, "exec sleep 1000").await;
    until(&server, &[("DIED", count)]).await;
    let removed = async { while !daemon.containers().await.is_empty() {} };
    conformance::patient(removed).await;
    let next = server.start_job(job("exit 3")).await;
    assert_eq!(server.until_ended(&next).await["exitCode"], 3, "the daemon serves again");
    println!("survived: dockerd killed under {count} jobs: {count} UNKNOWN, then {count} DIED with it, none twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_outlive_a_daemon_that_restores_them() {
    let daemon = Dockerd::start_with(&["--live-restore"]).await;
    let (server, count) = interrupted(&daemon, "echo begun; sleep 20; echo done; exit 7").await;
    until(&server, &[("FAILED", count)]).await;
    let page = server.get("/jobs?tags=survivor&limit=100").await.ok();
    for job in page["values"].as_array().unwrap() {
        assert_eq!(job["exitCode"], 7, "{job}");
        let log = server.log(job["id"].as_str().unwrap()).await;
        assert_eq!(log.matches("begun").count(), 1, "it ran once: {log}");
    }
    println!(
        "survived: dockerd with live-restore killed under {count} jobs: {count} UNKNOWN, then each ended with its code"
    );
}
