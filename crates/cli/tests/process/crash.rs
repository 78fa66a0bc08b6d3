//! The supervisor is killed at any moment.

use std::collections::HashMap;
use std::time::Duration;

use docket_service::executors::conformance::{self, Watcher, until_log};
use docket_service::executors::{AttemptKey, Executor, ExecutorError, Exit, LogRange, State};

use super::{Place, is_alive, kill, launch, until};

#[tokio::test]
async fn attempts_of_a_killed_supervisor_are_lost_and_leave_nothing() {
    let place = Place::new();
    let executor = place.connect(1);
    let ended = launch("exit 8");
    let runs = launch(
        "sh -c 'echo $$; while :; do sleep 1000; done' &
         (setsid sh -c 'echo $$; while :; do sleep 1000; done' &)
         env -i /bin/sh -c 'echo $$; while :; do /bin/sleep 1000; done' &
         echo $$; wait",
    );
    let waits = launch("exit 0");
    let (done, running, queued) = (ended.key, runs.key, waits.key);
    executor.launch(vec![ended, runs, waits]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    assert_eq!(watcher.exit(done).await, Exit::Code(8));
    watcher.running(running).await;
    let family = async {
        loop {
            let log = conformance::log(&executor, running, LogRange::Whole).await;
            if log.iter().filter(|byte| **byte == b'\n').count() == 4 {
                return String::from_utf8(log)
                    .unwrap()
                    .lines()
                    .map(|pid| pid.parse::<i32>().unwrap())
                    .collect::<Vec<_>>();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let family = conformance::patient(family).await;
    let before = executor.supervisor_pid().await.unwrap();
    kill(before, "-KILL");
    assert!(matches!(executor.events().await, Err(ExecutorError::Unreachable(_))));
    let listed: HashMap<AttemptKey, State> =
        executor.list().await.unwrap().into_iter().map(|observed| (observed.key, observed.state)).collect();
    assert!(!listed.contains_key(&queued), "it was never started");
    assert_eq!(listed.len(), 2);
    assert!(matches!(listed[&done], State::Ended { exit: Exit::Code(8), .. }));
    assert!(matches!(listed[&running], State::Ended { exit: Exit::Lost, .. }));
    assert_eq!(family.iter().filter(|pid| is_alive(**pid)).count(), 0);
    let mut after = Watcher::new(&executor);
    assert_eq!(after.exit(running).await, Exit::Lost);
    assert_ne!(executor.supervisor_pid().await.unwrap(), before);
    // What was never started can be launched again, what was lost can't.
    let again = vec![waits_again(queued), waits_again(running)];
    executor.launch(again).await.unwrap();
    assert_eq!(after.exit(queued).await, Exit::Code(0));
    assert_eq!(after.exit(running).await, Exit::Lost);
}

fn waits_again(key: AttemptKey) -> docket_service::executors::Launch {
    docket_service::executors::Launch { key, ..launch("exit 0") }
}

/// Kills the supervisor again and again under load: no attempt runs twice, none is forgotten, none says what it did not do.
#[tokio::test]
async fn no_attempt_is_doubled_or_invented_by_crashes() {
    let place = Place::new();
    let runs = place.root().join("runs");
    let script = |n: usize| format!("echo {n} >> {}; exit {}", runs.display(), n % 50);
    let executor = place.connect(3);
    let mut open: HashMap<AttemptKey, usize> = HashMap::new();
    let mut ends: HashMap<usize, State> = HashMap::new();
    let mut launched = HashMap::new();
    let mut next = 0;
    let mut crashes = 0;
    while next < 600 || !open.is_empty() {
        while open.len() < 40 && next < 600 {
            let wanted = launch(&script(next));
            open.insert(wanted.key, next);
            launched.insert(wanted.key, wanted);
            next += 1;
        }
        let batch: Vec<_> = open.keys().map(|key| launched[key].clone()).collect();
        // Launching what is known does nothing; after a crash it brings back what was never started.
        let _ = executor.launch(batch).await;
        if ends.len() / 40 > crashes {
            crashes += 1;
            if let Ok(pid) = executor.supervisor_pid().await {
                kill(pid, "-KILL");
            }
        }
        let Ok(events) = conformance::patient(executor.events()).await else {
            continue;
        };
        let mut told = Vec::new();
        for observed in events {
            if observed.state.is_final() {
                told.push(observed.key);
                if let Some(n) = open.remove(&observed.key) {
                    ends.insert(n, observed.state);
                }
            }
        }
        let _ = executor.forget(&told).await;
    }
    assert!(crashes >= 10);
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for line in std::fs::read_to_string(&runs).unwrap().lines() {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    for n in 0..600 {
        let count = counts.get(&n).copied().unwrap_or(0);
        match &ends[&n] {
            State::Ended { exit: Exit::Code(code), .. } => {
                assert_eq!((*code as usize, count), (n % 50, 1), "attempt {n}");
            }
            State::Ended { exit: Exit::Lost, .. } => assert!(count <= 1, "attempt {n}"),
            other => panic!("attempt {n}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn main_processes_die_with_the_supervisor() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("echo $$; exec sleep 1000");
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    conformance::patient(async {
        Watcher::new(&executor).running(key).await;
        until_log(&executor, key, b"\n").await;
    })
    .await;
    let pid: i32 = super::whole_log(&executor, key).await.trim().parse().unwrap();
    kill(executor.supervisor_pid().await.unwrap(), "-KILL");
    until("the process has gone", || !is_alive(pid));
}
