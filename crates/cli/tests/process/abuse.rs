//! Attempts that take all they can get: the supervisor answers, and their neighbours run on.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use docket_service::executors::conformance::{self, Watcher, until_log};
use docket_service::executors::{Executor, ExecutorError, Exit, State};

use super::confinement::of_both_kinds;
use super::{Place, is_alive, launch, until, whole_log};

#[tokio::test]
async fn a_fork_bomb_harms_nobody_and_is_canceled() {
    // Without root there is nothing that would hold it.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for place in of_both_kinds() {
        let executor = place.connect(2);
        let program = "$SIG{TERM} = 'IGNORE'; $| = 1; print qq(ready\n); for (;;) { fork }";
        let mut bomb = conformance::launch(["perl", "-e", program].map(String::from).to_vec());
        bomb.limits.processes = Some(150);
        let exploding = bomb.key;
        executor.launch(vec![bomb]).await.unwrap();
        let mut watcher = Watcher::new(&executor);
        watcher.running(exploding).await;
        conformance::patient(until_log(&executor, exploding, b"ready\n")).await;
        let neighbours: Vec<_> = (0..5).map(|n| launch(&format!("echo {n}"))).collect();
        let keys: Vec<_> = neighbours.iter().map(|launch| launch.key).collect();
        executor.launch(neighbours).await.unwrap();
        for key in &keys {
            assert_eq!(watcher.exit(*key).await, Exit::Code(0));
        }
        executor.cancel(exploding, Duration::from_millis(50)).await.unwrap();
        assert_eq!(watcher.exit(exploding).await, Exit::Signal(9));
        assert_eq!(super::working_in(place.root()), Vec::<i32>::new());
    }
}

#[tokio::test]
async fn nothing_is_lost_of_a_log_that_came_too_fast() {
    const BYTES: u64 = 48 * 1024 * 1024;
    let place = Place::new();
    let executor = place.connect(2);
    let mut flood = launch(&format!("yes | head -c {BYTES}"));
    flood.log_limit_bytes = 64 * 1024;
    let key = flood.key;
    executor.launch(vec![flood]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    let beside = launch("echo beside");
    let other = beside.key;
    executor.launch(vec![beside]).await.unwrap();
    assert_eq!(watcher.exit(other).await, Exit::Code(0));
    assert_eq!(watcher.exit(key).await, Exit::Code(0));
    let log = whole_log(&executor, key).await;
    let (head, rest) = log.split_once("[docket: ").unwrap();
    let (cut, tail) = rest.split_once(" bytes of log were cut here]\n").unwrap();
    assert_eq!(head.len() as u64 + cut.parse::<u64>().unwrap() + tail.len() as u64, BYTES);
}

/// A small file system of its own for a place, gone with it. Only who may mount has one.
struct SmallDisk(Place);

impl SmallDisk {
    fn new() -> Option<SmallDisk> {
        let place = Place::new();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m,mode=700", "none"]).arg(place.root()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(place))
    }

    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.root().join("filler");
        let written = Command::new("dd").arg("if=/dev/zero").arg(format!("of={}", path.display())).output().unwrap();
        assert!(!written.status.success(), "the disk is larger than it should be");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.0.stop();
        let _ = Command::new("umount").arg("-l").arg(self.0.root()).status();
    }
}

#[tokio::test]
async fn a_full_disk_costs_log_and_no_end() {
    let Some(disk) = SmallDisk::new() else {
        let rights = rustix::thread::capabilities(None).unwrap().effective;
        assert!(!rights.contains(rustix::thread::CapabilitySet::SYS_ADMIN), "who may mount can");
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let go = |n: u32| elsewhere.path().join(n.to_string());
    let executor = disk.0.connect(1);
    let wait = |n: u32| format!("while ! [ -e {} ]; do sleep 0.01; done", go(n).display());
    let mut writes = launch(&format!(
        "echo $$; {}; seq 1 3000000 | head -c 9000000; touch {}; {}; echo last; exit 7",
        wait(1),
        go(2).display(),
        wait(3)
    ));
    writes.log_limit_bytes = 64 * 1024 * 1024;
    let key = writes.key;
    // Their ends are more than the last block of the journal takes.
    let behind: Vec<_> = (0..100).map(|_| launch("exit 0")).collect();
    let queued: Vec<_> = behind.iter().map(|launch| launch.key).collect();
    executor.launch([vec![writes], behind].concat()).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    conformance::patient(until_log(&executor, key, b"\n")).await;
    let main: i32 = whole_log(&executor, key).await.trim().parse().unwrap();
    let filler = disk.fill();
    std::fs::write(go(1), "").unwrap();
    until("the job goes on while its log does not fit", || go(2).exists());
    let answers = futures_util::future::join_all(queued.iter().map(|key| executor.cancel(*key, Duration::ZERO))).await;
    let mut refused = 0;
    for answer in answers {
        match answer {
            Ok(()) => {}
            Err(ExecutorError::Refused(why)) if why.contains("journal") => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0, "the journal took it all");
    std::fs::write(go(3), "").unwrap();
    until("the job has ended", || !is_alive(main));
    // What can't be made durable is not told.
    assert!(executor.list().await.is_err());
    std::fs::remove_file(filler).unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Code(7));
    let log = whole_log(&executor, key).await;
    assert!(log.contains(" bytes of log were cut here]\n"), "{}", log.len());
    for key in queued {
        assert!(matches!(watcher.end(key).await, State::Refused { .. }));
    }
    assert_eq!(super::run(&executor, launch("exit 0")).await, Exit::Code(0));
    println!(
        "survived: a full disk under a log of 9 MB: its job ended with its code, {refused} cancels refused and none lost"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_written_costs_no_end() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("echo lost; sleep 1.2; echo kept; exit 7");
    let key = wanted.key;
    let log = executor.work_directory(key).with_extension("log");
    std::fs::create_dir(Path::new(&log).parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    executor.launch(vec![wanted]).await.unwrap();
    match Watcher::new(&executor).end(key).await {
        State::Ended { exit, .. } => assert_eq!(exit, Exit::Code(7)),
        other => panic!("{other:?}"),
    }
    std::fs::remove_file(&log).unwrap();
    assert_eq!(whole_log(&executor, key).await, "[docket: 5 bytes of log were cut here]\nkept\n");
}
