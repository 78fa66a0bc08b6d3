//! Whole trees end: at a cancel, at the end of the main process, and whatever they do to escape.

use std::time::Duration;

use docket_service::executors::conformance::{self, Watcher};
use docket_service::executors::{AttemptKey, Executor, Exit};

use super::{Place, is_alive, launch, run, until, whole_log};

/// How long a family may take to show itself.
const LONGEST: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(3600);

/// Writes the process ids of what it starts to the log: a child, one in its own session, one that was orphaned in a
/// session of its own, one that has dropped its environment as well.
const FAMILY: &str = "sh -c 'echo $$; while :; do sleep 1000; done' &
setsid sh -c 'echo $$; while :; do sleep 1000; done' &
(setsid sh -c 'echo $$; while :; do sleep 1000; done' &)
(env -i setsid /bin/sh -c 'echo $$; while :; do /bin/sleep 1000; done' &)
";

async fn family(executor: &impl Executor, key: AttemptKey) -> Vec<i32> {
    let begin = std::time::Instant::now();
    let wait = async {
        loop {
            let log = conformance::log(executor, key, docket_service::executors::LogRange::Whole).await;
            let log = String::from_utf8(log).unwrap();
            assert!(begin.elapsed() < LONGEST, "four process ids are not in the log: {log:?}");
            // Shells may add a word about a child that was killed.
            let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let pids: Vec<i32> = lines.filter_map(|line| line.trim().parse().ok()).collect();
            if pids.len() == 4 {
                return pids;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    conformance::patient(wait).await
}

#[tokio::test]
async fn a_cancel_ends_the_whole_tree() {
    let place = Place::new();
    let executor = place.connect(2);
    let wanted = launch(&format!("{FAMILY} wait; sleep 1000"));
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    let family = family(&executor, key).await;
    assert!(family.iter().all(|pid| is_alive(*pid)));
    executor.cancel(key, LONG).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Signal(15));
    assert_eq!(family.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

#[tokio::test]
async fn the_polite_signal_reaches_those_who_left_the_session() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch(
        "trap 'while ! grep -q polite ../1.log; do sleep 0.01; done; exit 9' TERM
         (setsid sh -c 'trap \"echo polite; exit\" TERM; echo ready; while :; do sleep 0.01; done' &)
         while :; do sleep 0.01; done",
    );
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    conformance::patient(conformance::until_log(&executor, key, b"ready\n")).await;
    executor.cancel(key, LONG).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Code(9));
    assert!(whole_log(&executor, key).await.contains("\npolite\n"));
}

#[tokio::test]
async fn a_tree_that_ignores_the_polite_signal_is_killed() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch(&format!("trap '' TERM; {FAMILY} while :; do sleep 1000; done"));
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    let family = family(&executor, key).await;
    executor.cancel(key, Duration::from_millis(50)).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Signal(9));
    assert_eq!(family.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

#[tokio::test]
async fn a_stopped_process_is_canceled_too() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("echo stopping; kill -STOP $$; sleep 1000");
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    conformance::patient(conformance::until_log(&executor, key, b"stopping\n")).await;
    executor.cancel(key, LONG).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Signal(15));
}

#[tokio::test]
async fn what_the_main_process_leaves_behind_is_killed_before_the_end_is_told() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted =
        launch(&format!("{FAMILY} while [ $(cat ../1.log 2>/dev/null | wc -l) -lt 4 ]; do sleep 0.01; done; exit 5"));
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(5));
    let family = family(&executor, key).await;
    assert_eq!(family.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

#[tokio::test]
async fn an_end_spares_the_daemons_of_other_attempts() {
    let place = Place::new();
    let executor = place.connect(2);
    let keeps = launch(&format!("{FAMILY} sleep 1000"));
    let kept = keeps.key;
    executor.launch(vec![keeps]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(kept).await;
    let spared = family(&executor, kept).await;
    for _ in 0..5 {
        let ends =
            launch(&format!("{FAMILY} while [ $(cat ../1.log 2>/dev/null | wc -l) -lt 4 ]; do sleep 0.01; done"));
        let key = ends.key;
        executor.launch(vec![ends]).await.unwrap();
        assert_eq!(watcher.exit(key).await, Exit::Code(0));
        let family = family(&executor, key).await;
        // The one that dropped every trace may go with the last attempt that could be its own.
        assert_eq!(family.iter().take(4).filter(|pid| is_alive(**pid)).count() / 2, 0);
        assert!(spared.iter().all(|pid| is_alive(*pid)));
    }
    executor.cancel(kept, LONG).await.unwrap();
    watcher.exit(kept).await;
    until("all daemons have gone", || super::processes("sleep 1000").iter().all(|pid| !of(*pid, &place)));
    assert_eq!(spared.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

/// Whether a process works below this place.
fn of(pid: i32, place: &Place) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory.starts_with(place.root()))
}

#[tokio::test]
async fn a_breeding_tree_is_killed() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch(
        "breed() { while :; do (setsid sleep 1000 &); (sh -c 'sleep 1000' &); sleep 0.02; done; }
         trap '' TERM; breed & breed & echo ready; wait",
    );
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    conformance::patient(conformance::until_log(&executor, key, b"ready\n")).await;
    executor.cancel(key, Duration::ZERO).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Signal(9));
    assert!(!super::processes("sleep 1000").iter().any(|pid| of(*pid, &place)));
}
