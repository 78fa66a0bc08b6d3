//! Many trees at once: the supervisor is killed under them, and they are canceled. In a shortened form, unless the
//! variable `DOCKET_SURVIVE` says `full`.

use std::time::{Duration, Instant};

use docket_service::executors::conformance::{Watcher, patient, until_log};
use docket_service::executors::{AttemptKey, Executor, Exit, Launch, Limits, State};

use super::confinement::{controls_are_writable, of_both_kinds};
use super::{kill, launch, run, working_in};

/// Ignores the polite signal, and has a child, one in a session of its own, one that was orphaned there, and one that
/// dropped its environment as well.
const STUBBORN: &str = "trap '' TERM
sh -c 'trap \"\" TERM; while :; do sleep 1000; done' &
setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' &
(setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' &)
(env -i setsid /bin/sh -c 'trap \"\" TERM; echo ready; while :; do /bin/sleep 1000; done' &)
while :; do sleep 1000; done";

fn count(short: usize, full: usize) -> usize {
    if std::env::var("DOCKET_SURVIVE").is_ok_and(|value| value == "full") { full } else { short }
}

fn stubborn(n: usize) -> (Vec<Launch>, Vec<AttemptKey>) {
    // The bound that a server sets for every attempt, by which a shared user gets control groups.
    let limits = Limits { processes: Some(1024), ..Limits::default() };
    let launches: Vec<Launch> = (0..n).map(|_| Launch { limits, ..launch(STUBBORN) }).collect();
    let keys = launches.iter().map(|launch| launch.key).collect();
    (launches, keys)
}

#[tokio::test]
async fn many_attempts_of_a_killed_supervisor_are_lost_and_leave_nothing() {
    let n = count(8, 50);
    for place in of_both_kinds() {
        let executor = place.connect(u32::try_from(n).unwrap());
        let (launches, keys) = stubborn(n);
        executor.launch(launches).await.unwrap();
        for key in &keys {
            patient(until_log_exists(&executor, *key)).await;
        }
        let before = executor.supervisor_pid().await.unwrap();
        kill(before, "-KILL");
        let killed = Instant::now();
        while executor.events().await.is_ok() {}
        let listed = executor.list().await.unwrap();
        assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
        assert_eq!(listed.len(), n);
        for observed in &listed {
            assert!(matches!(observed.state, State::Ended { exit: Exit::Lost, .. }), "{observed:?}");
        }
        assert_eq!(surely_of(&place), Vec::<i32>::new());
        assert_eq!(run(&executor, launch("exit 5")).await, Exit::Code(5));
        assert_ne!(executor.supervisor_pid().await.unwrap(), before);
        let users = place.policy.users.are_others();
        println!("survived: the supervisor killed under {n} jobs (own users: {users}): {n} DIED, no process left");
    }
}

#[tokio::test]
async fn many_stubborn_trees_are_canceled_without_a_survivor() {
    const GRACE: Duration = Duration::from_millis(200);
    let (n, at_once) = (count(15, 200), count(3, 10));
    for place in of_both_kinds() {
        let executor = place.connect(u32::try_from(at_once).unwrap());
        let mut watcher = Watcher::new(&executor);
        let mut slowest = Duration::ZERO;
        for _ in 0..n / at_once {
            let (launches, keys) = stubborn(at_once);
            executor.launch(launches).await.unwrap();
            for key in &keys {
                patient(until_log_exists(&executor, *key)).await;
            }
            let asked = Instant::now();
            for key in &keys {
                executor.cancel(*key, GRACE).await.unwrap();
            }
            for key in &keys {
                assert_eq!(watcher.exit(*key).await, Exit::Signal(9));
            }
            let took = asked.elapsed();
            assert!(took < GRACE + Duration::from_secs(2), "{took:?}");
            slowest = slowest.max(took);
            assert_eq!(working_in(place.root()), Vec::<i32>::new());
            executor.forget(&keys).await.unwrap();
        }
        let users = place.policy.users.are_others();
        println!(
            "survived: {n} trees that ignore signals canceled (own users: {users}), slowest {slowest:?}: none left"
        );
    }
}

/// Processes that are the attempts' beyond doubt. Without control groups and a user of its own, one that has dropped every
/// trace can't be told from a stranger once its supervisor is gone.
fn surely_of(place: &super::Place) -> Vec<i32> {
    let without_trace = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.is_empty() || !environment.windows(13).any(|name| name == b"DOCKET_JOB_ID")
    };
    let shared = !place.policy.users.are_others() && !controls_are_writable();
    let mut found = working_in(place.root());
    for pid in found.extract_if(.., |pid| shared && without_trace(pid)) {
        kill(pid, "-KILL");
    }
    found
}

/// Waits until an attempt has said that its tree stands.
async fn until_log_exists(executor: &impl Executor, key: AttemptKey) {
    loop {
        let known = executor.list().await.unwrap();
        if known.iter().any(|observed| observed.key == key && matches!(observed.state, State::Running { .. })) {
            return until_log(executor, key, b"ready\n").await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
