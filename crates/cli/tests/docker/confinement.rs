//! What an attempt can't do in its container, seen from inside, and the limits it runs into.

use std::time::Duration;

use docket_service::executors::conformance::{self, Watcher, patient, until_log};
use docket_service::executors::docker::settings::User;
use docket_service::executors::docker::{DockerExecutor, DockerSettings};
use docket_service::executors::{Executor, Exit, State};

use super::{Dockerd, Place, launch, name, run, whole_log};

#[tokio::test]
async fn a_container_is_hardened() {
    let place = Place::new().await;
    let executor = place.connect(1);
    let mut wanted = launch(
        "grep -E '^(NoNewPrivs|CapEff|CapBnd|Seccomp):' /proc/self/status; id -u; pwd; touch mine && echo work; \
         touch /tmp/mine && echo tmp; touch /mine 2>&1; touch /bin/mine 2>&1; mkdir /x 2>&1; ls /var/run/docker.sock 2>&1; \
         cat /proc/1/comm; echo $HOME $LANG $DOCKET_URL; ls /sys/class/net; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; \
         head -c 300m /dev/zero 2>&1 > big; wc -c < big",
    );
    wanted.environment =
        [("LANG", "de_AT"), ("DOCKET_URL", "http://127.0.0.1:1")].map(|(n, v)| (n.into(), v.into())).into();
    wanted.limits.processes = Some(77);
    let key = wanted.key;
    let end = run(&executor, wanted).await;
    let log = whole_log(&executor, key).await;
    assert!(matches!(end, State::Ended { exit: Exit::Code(0), .. }), "{end:?}: {log}");
    for line in [
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "65534",
        "/work",
        "work",
        "tmp",
        "touch: /mine: Read-only file system",
        "touch: /bin/mine: Read-only file system",
        "mkdir: can't create directory '/x': Read-only file system",
        "ls: /var/run/docker.sock: No such file or directory",
        "docker-init",
        "/work de_AT http://127.0.0.1:1",
        "lo",
        "77",
        "head: standard output: I/O error",
        "268435456",
    ] {
        assert!(log.lines().any(|there| there == line), "{line:?} is missing in {log}");
    }
    assert!(!log.contains("eth0"), "{log}");
}

#[tokio::test]
async fn only_configuration_relaxes_it() {
    let place = Place::new().await;
    let settings = DockerSettings {
        user: User::Image,
        capabilities: vec!["CHOWN".into()],
        writable_root: true,
        network: "host".into(),
        work_bytes: 1 << 20,
        ..place.settings(1)
    };
    let executor = DockerExecutor::new(settings).unwrap();
    let wanted = launch("id -u; touch /mine && chown 7 /mine && stat -c %u /mine; df -k /work | tail -1");
    let key = wanted.key;
    assert!(matches!(run(&executor, wanted).await, State::Ended { exit: Exit::Code(0), .. }));
    let log = whole_log(&executor, key).await;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..2], ["0", "7"]);
    assert_eq!(lines[2].split_whitespace().nth(1), Some("1024"));
}

#[tokio::test]
async fn memory_beyond_the_limit_is_told_as_such() {
    let place = Place::new().await;
    let executor = place.connect(2);
    let mut main = conformance::launch(["tail", "/dev/zero"].map(String::from).into());
    let mut child = launch("tail /dev/zero; echo a child was killed; exit 3");
    let mut survivor = launch("tail /dev/zero; exit 0");
    let keys = [main.key, child.key, survivor.key];
    for launch in [&mut main, &mut child, &mut survivor] {
        launch.limits.memory_bytes = Some(32 << 20);
    }
    executor.launch(vec![main, child, survivor]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    for key in &keys[..2] {
        match watcher.end(*key).await {
            State::Ended { exit, usage, .. } => {
                assert_eq!(exit, Exit::OutOfMemory);
                assert_eq!(usage.memory_peak_bytes, Some(32 << 20));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(watcher.exit(keys[2]).await, Exit::Code(0), "it got over it");
}

#[tokio::test]
async fn the_time_limit_holds_also_across_servers() {
    let place = Place::new().await;
    let executor = place.connect(3);
    let limited = |script: &str, seconds: u64| {
        let mut launch = launch(script);
        launch.time_limit = Some(Duration::from_secs(seconds));
        launch.grace_period = Duration::from_millis(300);
        launch
    };
    let polite = limited("sleep 1000", 1);
    let stubborn = limited("trap '' TERM; echo ready; while :; do sleep 1; done", 1);
    let in_time = limited("exit 9", 1000);
    let keys = [polite.key, stubborn.key, in_time.key];
    executor.launch(vec![polite, stubborn, in_time]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    assert_eq!(watcher.exit(keys[0]).await, Exit::TimedOut);
    assert_eq!(watcher.exit(keys[1]).await, Exit::TimedOut);
    assert_eq!(watcher.exit(keys[2]).await, Exit::Code(9));

    let later = limited("sleep 1000", 3);
    let key = later.key;
    executor.launch(vec![later]).await.unwrap();
    watcher.running(key).await;
    drop(executor);
    let second = place.connect(3);
    assert_eq!(Watcher::new(&second).exit(key).await, Exit::TimedOut);
    drop(second);
    // The reason is durable: who comes after the end is told the same.
    let third = place.connect(3);
    let mut watcher = Watcher::new(&third);
    for key in [keys[0], keys[1], key] {
        assert_eq!(watcher.exit(key).await, Exit::TimedOut);
    }
    assert_eq!(watcher.exit(keys[2]).await, Exit::Code(9));
}

#[tokio::test]
async fn a_cancel_reaches_the_whole_tree() {
    let place = Place::new().await;
    let executor = place.connect(1);
    // The shell waits for its child, which gets the signal as well.
    let wanted = launch(
        "trap 'echo told' TERM; sh -c 'trap \"echo child told; exit 3\" TERM; echo ready; while :; do sleep 0.05; done'; exit $?",
    );
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    patient(until_log(&executor, key, b"ready\n")).await;
    executor.cancel(key, Duration::from_secs(60)).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Code(3));
    assert!(whole_log(&executor, key).await.contains("child told\n"));

    let tree = launch("(setsid sh -c 'trap \"\" TERM; sleep 1001') & trap '' TERM; echo ready; sleep 1000; sleep 1000");
    let key = tree.key;
    executor.launch(vec![tree]).await.unwrap();
    watcher.running(key).await;
    patient(until_log(&executor, key, b"ready\n")).await;
    executor.cancel(key, Duration::from_millis(50)).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Signal(9));
    assert!(!place.daemon.is_running(&name(key)).await);
    assert_eq!(super::processes("sleep 1001"), Vec::<i32>::new(), "nothing of it survives");
}

#[tokio::test]
async fn a_daemon_without_an_init_runs_containers_all_the_same() {
    let daemon = std::sync::Arc::new(Dockerd::start_with(&["--init-path", "/nowhere/docker-init"]).await);
    let place = Place::on(&daemon);
    let executor = place.connect(1);
    let wanted = launch("cat /proc/1/comm");
    let key = wanted.key;
    assert!(matches!(run(&executor, wanted).await, State::Ended { exit: Exit::Code(0), .. }));
    assert_eq!(whole_log(&executor, key).await, "cat\n");
}
