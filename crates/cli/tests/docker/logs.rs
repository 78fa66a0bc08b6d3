//! Logs of containers.

use docket_service::executors::conformance::{self, patient};
use docket_service::executors::{Executor, ExecutorError, Exit, LogRange, State};

use super::{Place, launch, run, whole_log};

#[tokio::test]
async fn a_log_survives_its_container() {
    let place = Place::new().await;
    let executor = place.connect(1);
    // Two streams, bytes that are no text, a line longer than the daemon's pieces.
    let wanted = launch(
        "echo out; sleep 0.1; echo err >&2; sleep 0.1; printf '\\377\\000\\n'; head -c 40000 /dev/zero | tr '\\0' y; echo; echo end",
    );
    let key = wanted.key;
    assert!(matches!(run(&executor, wanted).await, State::Ended { exit: Exit::Code(0), .. }));
    executor.forget(&[key]).await.unwrap();
    patient(async { while !place.daemon.containers().await.is_empty() {} }).await;
    let mut expected = b"out\nerr\n\xff\0\n".to_vec();
    expected.extend([b'y'; 40_000]);
    expected.extend(b"\nend\n");
    assert_eq!(
        conformance::log(&executor, key, LogRange::Whole).await.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    executor.remove(key.job_id).await.unwrap();
    assert!(matches!(executor.read_log(key, LogRange::Whole).await.err(), Some(ExecutorError::NoLog(_))));
}

#[tokio::test]
async fn a_long_log_is_kept_at_both_ends() {
    let place = Place::new().await;
    let executor = place.connect(1);
    let mut wanted = launch("seq 20000");
    wanted.log_limit_bytes = 64 * 1024;
    let key = wanted.key;
    assert!(matches!(run(&executor, wanted).await, State::Ended { exit: Exit::Code(0), .. }));
    let log = whole_log(&executor, key).await;
    assert!(log.len() < 66 * 1024);
    assert!(log.starts_with("1\n2\n3\n"));
    let gap = log
        .lines()
        .zip(log.lines().skip(1))
        .find(|(one, next)| next.parse().ok() != one.parse().ok().map(|n: u64| n + 1));
    let (_, mark) = gap.unwrap();
    assert!(mark.ends_with("bytes of log were cut here]"), "{gap:?}");
    assert!(log.ends_with("\n19999\n20000\n"));
}

#[tokio::test]
async fn no_line_of_many_short_containers_is_missing() {
    let place = Place::new().await;
    let executor = place.connect(4);
    let launches: Vec<_> = (0..40).map(|number| launch(&format!("echo a{number}; echo b{number}"))).collect();
    let keys: Vec<_> = launches.iter().map(|launch| launch.key).collect();
    executor.launch(launches).await.unwrap();
    let mut watcher = conformance::Watcher::new(&executor);
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(watcher.exit(*key).await, Exit::Code(0));
        assert_eq!(whole_log(&executor, *key).await, format!("a{number}\nb{number}\n"));
    }
}
