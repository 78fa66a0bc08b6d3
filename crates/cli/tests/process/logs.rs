//! Logs of real processes: order, cut, tail, floods.

use docket_service::executors::conformance::{self, Watcher};
use docket_service::executors::{Executor, Exit, LogRange};

use super::{Place, launch, run, whole_log};

#[tokio::test]
async fn both_streams_are_kept_in_order_and_bytes_as_they_are() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf '\\377\\000\\376'");
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    let log = conformance::log(&executor, key, LogRange::Whole).await;
    assert_eq!(log, b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n\xff\x00\xfe");
}

#[tokio::test]
async fn a_long_log_keeps_its_start_and_its_end_around_a_mark() {
    let place = Place::new();
    let executor = place.connect(1);
    let mut wanted = launch("seq 1 200000");
    wanted.log_limit_bytes = 16 * 1024;
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    let written: u64 = (1..=200_000_u32).map(|n| n.to_string().len() as u64 + 1).sum();
    let log = whole_log(&executor, key).await;
    assert!(log.starts_with("1\n2\n3\n"));
    assert!(log.ends_with("\n199999\n200000\n"));
    let (head, rest) = log.split_once("[docket: ").unwrap();
    let (cut, tail) = rest.split_once(" bytes of log were cut here]\n").unwrap();
    assert!(!tail.contains("docket"));
    // The mark stands on a line of its own: the newline before it is not of the log when the head was cut in a line.
    let added = u64::from(head.len() as u64 > 8 * 1024);
    let cut: u64 = cut.parse().unwrap();
    assert_eq!(head.len() as u64 - added + cut + tail.len() as u64, written);
    assert_eq!(head.len() as u64 - added, 8 * 1024);
    assert!(tail.len() <= 8 * 1024 && tail.len() > 6 * 1024 - 64, "{}", tail.len());
    let last = conformance::log(&executor, key, LogRange::Tail { lines: 2 }).await;
    assert_eq!(last, b"199999\n200000\n");
    let all = conformance::log(&executor, key, LogRange::Tail { lines: 1_000_000 }).await;
    assert_eq!(all, log.as_bytes());
}

#[tokio::test]
async fn a_log_is_read_while_it_is_written() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("echo before; sleep 1000");
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    conformance::patient(async {
        Watcher::new(&executor).running(key).await;
        conformance::until_log(&executor, key, b"before\n").await;
    })
    .await;
}

#[tokio::test]
async fn a_flood_starves_nobody() {
    let place = Place::new();
    let executor = place.connect(2);
    let mut flood = launch("yes");
    flood.log_limit_bytes = 64 * 1024;
    let flooding = flood.key;
    let others: Vec<_> = (0..20).map(|n| launch(&format!("echo {n}"))).collect();
    let keys: Vec<_> = others.iter().map(|launch| launch.key).collect();
    executor.launch(vec![flood]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(flooding).await;
    executor.launch(others).await.unwrap();
    for key in &keys {
        assert_eq!(watcher.exit(*key).await, Exit::Code(0));
    }
    assert!(!watcher.newest[&flooding].is_final());
    let log = whole_log(&executor, flooding).await;
    assert!(log.len() <= 64 * 1024 + 100, "{}", log.len());
    executor.cancel(flooding, std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!(watcher.exit(flooding).await, Exit::Signal(15));
}

#[tokio::test]
async fn output_held_open_by_a_stranger_does_not_hold_up_the_end() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("echo said; touch said; while ! [ -e go ]; do sleep 0.01; done");
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    conformance::until_log(&executor, key, b"said\n").await;
    let shell = main_of(key.job_id);
    let held = std::fs::OpenOptions::new().write(true).open(format!("/proc/{shell}/fd/1")).unwrap();
    std::fs::write(executor.work_directory(key).join("go"), "").unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Code(0));
    drop(held);
}

/// The main process of a job, found by its directory.
fn main_of(job: uuid::Uuid) -> i32 {
    let entries = std::fs::read_dir("/proc").unwrap();
    let mut pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let works = |pid: &i32| {
        let directory = std::fs::read_link(format!("/proc/{pid}/cwd"));
        directory.is_ok_and(|d| d.to_string_lossy().contains(&job.to_string()))
            && super::command_line(*pid).is_some_and(|line| line.starts_with("sh -c"))
    };
    pids.find(works).unwrap()
}
