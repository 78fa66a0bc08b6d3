//! The Docker executor against a real daemon. Needs root, Debian's packages docker.io and busybox-static.

#![allow(clippy::unwrap_used, reason = "tests, also in their helpers")]

mod adoption;
mod confinement;
mod daemon;
mod failures;
mod logs;
mod server;
#[allow(dead_code, reason = "these tests need only a part of what the tests over HTTP share")]
#[path = "../http/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use docket_service::executors::conformance::{self, Does, Fixture, Watcher};
use docket_service::executors::docker::{DockerExecutor, DockerSettings};
use docket_service::executors::{AttemptKey, Executor, Launch, LogRange, State};
use tempfile::TempDir;

use daemon::Dockerd;

/// A data directory on a daemon.
struct Place {
    daemon: Arc<Dockerd>,
    data: TempDir,
}

impl Place {
    async fn new() -> Place {
        Place::on(&Arc::new(Dockerd::start().await))
    }

    fn on(daemon: &Arc<Dockerd>) -> Place {
        Place { daemon: Arc::clone(daemon), data: tempfile::tempdir().unwrap() }
    }

    fn settings(&self, max_running: u32) -> DockerSettings {
        DockerSettings {
            socket: self.daemon.socket(),
            max_running,
            network: "none".into(),
            ..DockerSettings::new(self.data.path().to_owned())
        }
    }

    fn connect(&self, max_running: u32) -> DockerExecutor {
        DockerExecutor::new(self.settings(max_running)).unwrap()
    }
}

impl Fixture for Place {
    type Executor = DockerExecutor;

    fn executor(&self, max_running: u32) -> DockerExecutor {
        self.connect(max_running)
    }

    fn commands(&self, does: &Does) -> Vec<String> {
        match does {
            Does::Exit(code) => sh(&format!("exit {code}")),
            Does::Signal(number) => sh(&format!("kill -{number} $$")),
            Does::Print(lines) => sh(&lines.iter().map(|line| format!("echo {line};")).collect::<String>()),
            Does::Hang => vec!["sleep".into(), "1000".into()],
            Does::HangStubbornly => sh("trap '' TERM; echo ready; while :; do sleep 1000; done"),
            Does::CannotStart => vec!["no-such-program".into()],
        }
    }
}

#[tokio::test]
async fn keeps_the_rules_of_executors() {
    let daemon = Arc::new(Dockerd::start().await);
    conformance::all(&|| Place::on(&daemon)).await;
}

fn sh(script: &str) -> Vec<String> {
    vec!["sh".into(), "-c".into(), script.into()]
}

fn launch(script: &str) -> Launch {
    conformance::launch(sh(script))
}

fn name(key: AttemptKey) -> String {
    format!("docket-{}-{}", key.job_id, key.attempt)
}

/// Runs one attempt to its end.
async fn run(executor: &DockerExecutor, launch: Launch) -> State {
    let key = launch.key;
    executor.launch(vec![launch]).await.unwrap();
    Watcher::new(executor).end(key).await
}

/// Runs one attempt that can't be started; answers why.
async fn refused(executor: &DockerExecutor, launch: Launch) -> String {
    match run(executor, launch).await {
        State::Refused { reason, .. } => reason,
        other => panic!("it has started: {other:?}"),
    }
}

async fn whole_log(executor: &DockerExecutor, key: AttemptKey) -> String {
    String::from_utf8(conformance::log(executor, key, LogRange::Whole).await).unwrap()
}

/// Living processes with this text in their command line.
fn processes(text: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    })
    .collect()
}

fn children(pid: i32) -> Vec<i32> {
    let read = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists: Vec<String> = tasks.filter_map(|task| Some(read(task.ok()?.path()))).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

fn kill(pid: i32) {
    let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
}

/// Waits for something that nobody announces.
fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
