//! The process executor and its supervisor against real processes.

#![allow(clippy::unwrap_used, reason = "tests, also in their helpers")]

mod abuse;
mod adoption;
mod confinement;
mod crash;
mod limits;
mod logs;
mod programs;
mod survival;
mod trees;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use docket_service::executors::conformance::{self, Does, Fixture, Watcher};
use docket_service::executors::process::policy::Policy;
use docket_service::executors::process::{ProcessExecutor, ProcessSettings};
use docket_service::executors::{AttemptKey, Executor, Exit, Launch};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_docket");

/// A data directory with its supervisor, which ends with it.
struct Place {
    root: TempDir,
    data: PathBuf,
    idle_ms: u64,
    /// The user of the tests, unless a test says otherwise.
    policy: Policy,
}

impl Place {
    fn new() -> Place {
        Place::below("data")
    }

    fn below(path: &str) -> Place {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join(path);
        let idle_ms = 30_000;
        Place { root, data, idle_ms, policy: Policy::default() }
    }

    fn connect(&self, max_running: u32) -> ProcessExecutor {
        let settings = ProcessSettings {
            data: self.data.clone(),
            program: PROGRAM.into(),
            arguments: ["supervise", "--idle-ms", &self.idle_ms.to_string()].map(String::from).to_vec(),
            max_running,
            policy: self.policy.clone(),
        };
        ProcessExecutor::new(settings).unwrap()
    }

    /// Without the directory's own name in it, so that a test can look for it elsewhere.
    fn root(&self) -> &Path {
        self.root.path()
    }

    fn supervisor(&self) -> Option<i32> {
        let lock = std::fs::read_to_string(self.data.join("supervisor/lock")).ok()?;
        lock.trim().parse().ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Place {
    /// Ends the supervisor; its trees go with it.
    fn stop(&self) {
        if let Some(pid) = self.supervisor()
            && command_line(pid).is_some_and(|line| line.contains(self.data.to_str().unwrap()))
        {
            kill(pid, "-TERM");
            until("the supervisor has gone", || !is_alive(pid));
        }
    }
}

impl Fixture for Place {
    type Executor = ProcessExecutor;

    fn executor(&self, max_running: u32) -> ProcessExecutor {
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
    conformance::all(&Place::new).await;
}

fn sh(script: &str) -> Vec<String> {
    vec!["sh".into(), "-c".into(), script.into()]
}

fn launch(script: &str) -> Launch {
    conformance::launch(sh(script))
}

/// Runs one attempt to its end.
async fn run(executor: &ProcessExecutor, launch: Launch) -> Exit {
    let key = launch.key;
    executor.launch(vec![launch]).await.unwrap();
    Watcher::new(executor).exit(key).await
}

async fn whole_log(executor: &ProcessExecutor, key: AttemptKey) -> String {
    let log = conformance::log(executor, key, docket_service::executors::LogRange::Whole).await;
    String::from_utf8(log).unwrap()
}

/// Living processes whose directory is below this one.
fn working_in(root: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let below = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.starts_with(root));
    pids.filter(|pid| is_alive(*pid) && below(pid)).collect()
}

/// A process that is there and not just waiting to be reaped.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn command_line(pid: i32) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&line).replace('\0', " "))
}

/// Living processes with this text in their command line.
fn processes(text: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| is_alive(*pid) && command_line(*pid).is_some_and(|line| line.contains(text))).collect()
}

fn kill(pid: i32, signal: &str) {
    std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
}

/// Waits for something that nobody announces.
fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
