//! Servers come and go while attempts run.

use std::time::Duration;

use docket_service::executors::conformance::{Watcher, until_log};
use docket_service::executors::process::protocol::{self, Decoder, Hello, PROTOCOL, Reply, Request};
use docket_service::executors::{Executor, ExecutorError, Exit, Observed, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{Place, is_alive, launch, until, whole_log};

#[tokio::test]
async fn a_new_server_adopts_what_runs() {
    let place = Place::new();
    let first = place.connect(1);
    let runs = launch("echo one; while ! [ -e go ]; do sleep 0.01; done; echo two; exit 4");
    let waits = launch("exit 6");
    let (running, queued) = (runs.key, waits.key);
    first.launch(vec![runs, waits]).await.unwrap();
    Watcher::new(&first).running(running).await;
    until_log(&first, running, b"one\n").await;
    let work = first.work_directory(running);
    let supervisor = first.supervisor_pid().await.unwrap();
    drop(first);

    let second = place.connect(1);
    let mut listed = second.list().await.unwrap();
    listed.sort_by_key(|observed| observed.state == State::Queued);
    assert!(matches!(listed[0], Observed { key, state: State::Running { .. } } if key == running));
    assert_eq!(listed[1].key, queued);
    std::fs::write(work.join("go"), "").unwrap();
    let mut watcher = Watcher::new(&second);
    assert_eq!(watcher.exit(running).await, Exit::Code(4));
    assert_eq!(watcher.exit(queued).await, Exit::Code(6));
    assert_eq!(whole_log(&second, running).await, "one\ntwo\n");
    assert_eq!(second.supervisor_pid().await.unwrap(), supervisor);
}

#[tokio::test]
async fn an_end_without_a_server_is_told_to_the_next() {
    let place = Place::new();
    let first = place.connect(1);
    let ends = launch("while ! [ -e go ]; do sleep 0.01; done; kill -11 $$");
    let key = ends.key;
    first.launch(vec![ends]).await.unwrap();
    Watcher::new(&first).running(key).await;
    let work = first.work_directory(key);
    let supervisor = first.supervisor_pid().await.unwrap();
    drop(first);
    std::fs::write(work.join("go"), "").unwrap();
    let journal = place.data.join("supervisor/journal");
    until("the end is recorded", || std::fs::read_to_string(&journal).unwrap().contains("Final"));

    let second = place.connect(1);
    assert_eq!(Watcher::new(&second).exit(key).await, Exit::Signal(11));
    assert!(is_alive(supervisor));
    drop(second);
    let third = place.connect(1);
    assert_eq!(Watcher::new(&third).exit(key).await, Exit::Signal(11));
    third.forget(&[key]).await.unwrap();
    assert_eq!(third.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_server_that_is_replaced_stays_away() {
    let place = Place::new();
    let first = place.connect(1);
    let waiting = launch("sleep 1000");
    let key = waiting.key;
    first.launch(vec![waiting]).await.unwrap();
    Watcher::new(&first).running(key).await;
    let second = place.connect(1);
    assert_eq!(second.list().await.unwrap().len(), 1);
    assert!(matches!(first.events().await, Err(ExecutorError::Replaced)));
    assert!(matches!(first.events().await, Err(ExecutorError::Replaced)));
    assert!(matches!(first.list().await, Err(ExecutorError::Replaced)));
    assert_eq!(second.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_version_is_refused_and_told_which() {
    let place = Place::new();
    let executor = place.connect(1);
    executor.list().await.unwrap();
    let mut stranger = UnixStream::connect(place.data.join("supervisor/socket")).await.unwrap();
    let mut frame = Vec::new();
    let hello = Hello { protocol: PROTOCOL + 1, max_running: 1, ..Hello::default() };
    protocol::encode(&Request::Hello(hello), &mut frame).unwrap();
    stranger.write_all(&frame).await.unwrap();
    let mut answer = Vec::new();
    stranger.read_to_end(&mut answer).await.unwrap();
    let mut decoder = Decoder::default();
    decoder.feed(&answer);
    let reply: Option<Reply> = decoder.next_frame().unwrap();
    assert!(matches!(reply, Some(Reply::Hello { protocol: PROTOCOL, .. })));
    assert_eq!(decoder.next_frame::<Reply>().unwrap(), None);
    assert_eq!(executor.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_supervisor_of_another_version_is_named() {
    let place = Place::new();
    let executor = place.connect(1);
    let listener = tokio::net::UnixListener::bind(place.data.join("supervisor/socket")).unwrap();
    let later = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut frame = vec![0; 1024];
        assert!(stream.read(&mut frame).await.unwrap() > 4);
        frame.clear();
        let hello = Reply::Hello { protocol: PROTOCOL + 1, pid: 1 };
        protocol::encode(&hello, &mut frame).unwrap();
        stream.write_all(&frame).await.unwrap();
    };
    let (listed, ()) = tokio::join!(executor.list(), later);
    match listed {
        Err(ExecutorError::Version { ours, theirs }) => {
            assert_eq!((ours, theirs), (PROTOCOL, PROTOCOL + 1))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_sends_garbage_or_too_much_is_cut_off() {
    let place = Place::new();
    let executor = place.connect(1);
    executor.list().await.unwrap();
    for garbage in [&b"\0\0\0\x02xy"[..], &[0xff; 8], b"\0\0\0\x14{\"List\":{\"call\":111}}"] {
        let mut stranger = UnixStream::connect(place.data.join("supervisor/socket")).await.unwrap();
        stranger.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        // Cut off with or without an error, but without an answer.
        let _ = stranger.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
    assert_eq!(executor.list().await.unwrap(), []);
}

#[tokio::test]
async fn an_idle_supervisor_ends_and_another_is_started() {
    let mut place = Place::new();
    place.idle_ms = 50;
    let first = place.connect(1);
    let ends = launch("exit 0");
    let key = ends.key;
    first.launch(vec![ends]).await.unwrap();
    Watcher::new(&first).exit(key).await;
    let before = first.supervisor_pid().await.unwrap();
    drop(first);
    // An end that nobody has recorded keeps it.
    let second = place.connect(1);
    assert_eq!(second.supervisor_pid().await.unwrap(), before);
    second.forget(&[key]).await.unwrap();
    drop(second);
    until("the supervisor has gone", || !is_alive(before));
    assert!(!place.data.join("supervisor/socket").exists());
    let third = place.connect(1);
    assert_eq!(third.list().await.unwrap(), []);
    assert_ne!(third.supervisor_pid().await.unwrap(), before);
}

#[tokio::test]
async fn a_second_supervisor_does_not_get_the_directory() {
    let place = Place::new();
    let executor = place.connect(1);
    let supervisor = executor.supervisor_pid().await.unwrap();
    let second = std::process::Command::new(super::PROGRAM)
        .args(["supervise", "--data"])
        .arg(&place.data)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = tokio::task::spawn_blocking(|| second.wait_with_output().unwrap()).await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("another supervisor holds"));
    assert_eq!(executor.list().await.unwrap(), []);
    assert_eq!(executor.supervisor_pid().await.unwrap(), supervisor);
}

#[tokio::test]
async fn a_supervisor_whose_directory_goes_away_ends_with_its_trees() {
    let place = Place::new();
    let executor = place.connect(1);
    let runs = launch("echo $$; exec sleep 1000");
    let key = runs.key;
    executor.launch(vec![runs]).await.unwrap();
    Watcher::new(&executor).running(key).await;
    docket_service::executors::conformance::patient(until_log(&executor, key, b"\n")).await;
    let process: i32 = whole_log(&executor, key).await.trim().parse().unwrap();
    let supervisor = executor.supervisor_pid().await.unwrap();
    std::fs::remove_dir_all(&place.data).unwrap();
    until("supervisor and process have gone", || !is_alive(supervisor) && !is_alive(process));
}

#[tokio::test]
async fn told_to_end_it_ends_its_trees_and_records_their_ends() {
    let place = Place::new();
    let executor = place.connect(1);
    let runs = launch("trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    let waits = launch("exit 0");
    let (running, queued) = (runs.key, waits.key);
    executor.launch(vec![runs, waits]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(running).await;
    until_log(&executor, running, b"ready\n").await;
    let before = executor.supervisor_pid().await.unwrap();
    super::kill(before, "-TERM");
    until("the supervisor has gone", || !is_alive(before));
    drop(executor);
    let executor = place.connect(1);
    let listed = executor.list().await.unwrap();
    // The queued one was never started, so it is not known any more.
    assert!(!listed.iter().any(|observed| observed.key == queued));
    assert_eq!(Watcher::new(&executor).exit(running).await, Exit::Code(3));
    assert!(whole_log(&executor, running).await.contains("\nasked\n"));
    tokio::time::timeout(Duration::from_secs(30), executor.forget(&[running])).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_supervisor_whose_server_dies_before_a_start_is_told_rests() {
    let place = Place::new();
    for round in 0..10_usize {
        let executor = place.connect(20);
        let begins = launch("touch begun; exec sleep 1000");
        let begun = executor.work_directory(begins.key).join("begun");
        executor.launch(vec![begins]).await.unwrap();
        let supervisor = executor.supervisor_pid().await.unwrap();
        until("the program runs", || begun.exists());
        // At different moments around the one at which the start would be told.
        tokio::time::sleep(Duration::from_micros(400) * u32::try_from(round).unwrap()).await;
        drop(executor);
        let before = cpu_ticks(supervisor);
        // What does not rest shows in the time that it takes.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let used = cpu_ticks(supervisor) - before;
        assert!(used < 10, "{used} hundredths of a second of 20, in round {round}");
    }
}

/// CPU time of a process, in hundredths of a second.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    behind_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
