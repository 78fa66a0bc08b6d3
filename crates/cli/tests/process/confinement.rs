//! What an attempt may do and use. Users of their own and control groups of version 1 need root; without, the same
//! tests see that what can't be enforced is refused.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use docket_service::executors::conformance::{self, Watcher, until_log};
use docket_service::executors::process::policy::{Powers, Users};
use docket_service::executors::process::{ProcessExecutor, policy::Unenforced};
use docket_service::executors::{AttemptKey, Executor, Exit, Launch, Limits, State, Usage};

use super::{Place, is_alive, launch, run, until, whole_log};

/// A place whose attempts run as users of their own, as those of a server that is root do; nothing where this can't be.
pub fn with_users() -> Option<Place> {
    let users = Users::resolve(None, &Powers::of_this_process()).unwrap();
    if !matches!(users, Users::Range { .. }) {
        assert!(!rustix::process::geteuid().is_root() || std::env::var_os("CI").is_none(), "root gives users");
        return None;
    }
    let mut place = Place::new();
    std::fs::set_permissions(place.root(), std::fs::Permissions::from_mode(0o711)).unwrap();
    place.policy.users = users;
    Some(place)
}

/// Places of both kinds, as far as they can be had.
pub fn of_both_kinds() -> Vec<Place> {
    std::iter::once(Place::new()).chain(with_users()).collect()
}

/// Runs one attempt to its end, and tells what it used; `None` when it was refused because this machine has no control
/// group for its limits.
async fn usage(executor: &ProcessExecutor, launch: Launch) -> Option<(Exit, Usage)> {
    let key = launch.key;
    executor.launch(vec![launch]).await.unwrap();
    match Watcher::new(executor).end(key).await {
        State::Ended { exit, usage, .. } => Some((exit, usage)),
        State::Refused { reason, .. } => {
            assert!(reason.contains("Limit can't be enforced: the supervisor has no control group with"), "{reason}");
            assert!(reason.contains("--unenforced-limits ignore"), "{reason}");
            assert!(!controls_are_writable(), "{reason}");
            None
        }
        other => panic!("{other:?}"),
    }
}

/// Whether groups can be made by this user, as far as the test can tell.
pub fn controls_are_writable() -> bool {
    let probe = Path::new("/sys/fs/cgroup/memory").join(format!("docket-probe-{}", std::process::id()));
    let made = std::fs::create_dir(&probe).is_ok();
    let _ = std::fs::remove_dir(&probe);
    made
}

/// The directories of an attempt's control groups.
fn groups(key: AttemptKey) -> Vec<PathBuf> {
    let name = format!("{}-{}", key.job_id, key.attempt);
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                match entry.file_name().to_str() == Some(&name) {
                    true => found.push(entry.path()),
                    false => waiting.push(entry.path()),
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn keeps_the_rules_of_executors_with_users() {
    if with_users().is_some() {
        conformance::all(&|| with_users().unwrap()).await;
    }
}

#[tokio::test]
async fn no_attempt_gets_new_privileges() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("grep NoNewPrivs /proc/self/status");
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    assert_eq!(whole_log(&executor, key).await, "NoNewPrivs:\t1\n");
}

#[tokio::test]
async fn an_attempt_of_root_has_a_user_of_its_own_and_no_rights() {
    let Some(place) = with_users() else { return };
    let executor = place.connect(2);
    let script = "id -u; id -g; id -G; stat -c '%u %g %a' .; grep -c ' *0000000000000000$' /proc/self/status; \
                  grep '^Cap' /proc/self/status | grep -vc '0000000000000000$'; \
                  awk '/Max processes/ {print $3, $4}' /proc/self/limits; touch \"$TMPDIR/mine\" && ls ~; echo out > /dev/stdout";
    let mut first = launch(script);
    first.limits.processes = Some(77);
    let mut second = launch(script);
    second.limits.processes = Some(77);
    let keys = [first.key, second.key];
    executor.launch(vec![first, second]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    let mut users = Vec::new();
    for key in keys {
        assert_eq!(watcher.exit(key).await, Exit::Code(0));
        let log = whole_log(&executor, key).await;
        let user = log.lines().next().unwrap().to_owned();
        assert!(log.starts_with(&format!("{user}\n{user}\n{user}\n{user} {user} 700\n")), "{log}");
        assert!(log.ends_with("\n0\n77 77\nmine\nout\n"), "{log}");
        users.push(user);
        // Nobody else gets what it has left.
        let left = std::fs::metadata(executor.work_directory(key)).unwrap();
        assert_eq!((left.uid(), left.mode() & 0o777), (0, 0o700));
    }
    assert_ne!(users[0], users[1]);
    executor.remove(keys[0].job_id).await.unwrap();
    assert!(!executor.work_directory(keys[0]).exists());
}

#[tokio::test]
async fn the_data_directory_is_closed_to_jobs() {
    let Some(place) = with_users() else { return };
    let data = &place.data;
    std::fs::create_dir_all(data.join("results/deep")).unwrap();
    for file in ["secret.key", "control.db", "results/deep/page"] {
        std::fs::write(data.join(file), "secret").unwrap();
    }
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let executor = place.connect(2);
    let waits = launch("echo private > mine; chmod 644 mine; echo ready; while :; do sleep 0.01; done");
    let neighbour = waits.key;
    executor.launch(vec![waits]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(neighbour).await;
    conformance::patient(until_log(&executor, neighbour, b"ready\n")).await;
    let other = executor.work_directory(neighbour);
    let job = other.parent().unwrap();
    let files = [
        data.join("secret.key"),
        data.join("control.db"),
        data.join("results/deep/page"),
        data.join("supervisor/journal"),
        data.join("supervisor/log"),
        data.join("supervisor/socket"),
        other.join("mine"),
        job.join("1.log"),
    ];
    let directories = [data.clone(), data.join("jobs"), data.join("supervisor"), job.to_owned(), other.clone()];
    let list = |paths: &[PathBuf]| paths.iter().map(|path| format!("'{}' ", path.display())).collect::<String>();
    let script = format!(
        "for f in {}; do cat $f && echo read $f; test -w $f && echo writes $f; done; \
         for d in {}; do ls $d && echo lists $d; touch $d/x && echo makes in $d; done; \
         kill -0 {} && echo signals; echo done",
        list(&files),
        list(&directories),
        executor.supervisor_pid().await.unwrap(),
    );
    let tries = launch(&format!("{{ {script}; }} 2>/dev/null"));
    let key = tries.key;
    executor.launch(vec![tries]).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Code(0));
    assert_eq!(whole_log(&executor, key).await, "done\n");
    executor.cancel(neighbour, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(watcher.exit(neighbour).await, Exit::Signal(9));
}

#[tokio::test]
async fn who_uses_more_memory_than_allowed_is_out_of_memory_and_its_peak_is_told() {
    const LIMIT: u64 = 48 * 1024 * 1024;
    for place in of_both_kinds() {
        let executor = place.connect(1);
        let limited = |script: &str| {
            let mut wanted = launch(script);
            wanted.limits.memory_bytes = Some(LIMIT);
            wanted
        };
        let greedy = limited("exec tail /dev/zero");
        let key = greedy.key;
        let Some((exit, used)) = usage(&executor, greedy).await else { return };
        assert_eq!(exit, Exit::OutOfMemory);
        let peak = used.memory_peak_bytes.unwrap();
        assert!(peak > LIMIT / 2 && peak <= LIMIT, "{peak}");
        assert_eq!(groups(key), Vec::<PathBuf>::new());
        // One of its processes was killed: when it fails for that, that is why; when it can do without, it is well.
        let (exit, _) = usage(&executor, limited("tail /dev/zero; exit 3")).await.unwrap();
        assert_eq!(exit, Exit::OutOfMemory);
        let (exit, _) = usage(&executor, limited("(tail /dev/zero); exit 0")).await.unwrap();
        assert!(matches!(exit, Exit::Code(0) | Exit::OutOfMemory), "version 2 kills all of it: {exit:?}");
        let (exit, _) = usage(&executor, limited("exit 4")).await.unwrap();
        assert_eq!(exit, Exit::Code(4));
    }
}

#[tokio::test]
async fn limits_are_set_on_groups_that_the_attempt_is_in_from_its_start() {
    for place in of_both_kinds() {
        let executor = place.connect(1);
        let mut wanted = launch("cat /proc/self/cgroup; while :; do sleep 0.01; done");
        wanted.limits = Limits { memory_bytes: Some(64 << 20), cpu_millis: Some(500), processes: Some(50) };
        let key = wanted.key;
        executor.launch(vec![wanted]).await.unwrap();
        let mut watcher = Watcher::new(&executor);
        if !controls_are_writable() {
            assert!(matches!(watcher.end(key).await, State::Refused { .. }));
            return;
        }
        watcher.running(key).await;
        let name = format!("{}-1", key.job_id);
        let groups = groups(key);
        let file = |name: &str| groups.iter().find_map(|group| std::fs::read_to_string(group.join(name)).ok());
        let memory = file("memory.max").or(file("memory.limit_in_bytes")).unwrap();
        assert_eq!(memory.trim(), (64 << 20).to_string());
        let cpu = file("cpu.max").or(file("cpu.cfs_quota_us")).unwrap();
        assert_eq!(cpu.split_ascii_whitespace().next(), Some("50000"));
        if place.policy.users == Users::Own {
            assert_eq!(file("pids.max").unwrap().trim(), "50");
        }
        until("the log names the groups", || {
            let log = std::fs::read_to_string(executor.work_directory(key).with_extension("log"));
            log.is_ok_and(|log| log.contains(&name))
        });
        executor.cancel(key, std::time::Duration::ZERO).await.unwrap();
        assert_eq!(watcher.exit(key).await, Exit::Signal(9));
        until("the groups are removed", || self::groups(key).is_empty());
    }
}

#[tokio::test]
async fn usage_is_told_without_limits_too() {
    let place = Place::new();
    let executor = place.connect(1);
    let busy = launch("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
    let (exit, used) = usage(&executor, busy).await.unwrap();
    assert_eq!(exit, Exit::Code(0));
    assert!(used.cpu_time_ms.unwrap() > 0, "{used:?}");
    assert!(used.memory_peak_bytes.unwrap() > 100_000, "{used:?}");
}

#[tokio::test]
async fn who_starts_more_processes_than_allowed_fails_alone() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for place in of_both_kinds() {
        let executor = place.connect(2);
        let mut many = launch("for i in $(seq 60); do sleep 1000 & done; echo all of them");
        many.limits.processes = Some(20);
        let few = launch("for i in $(seq 60); do sleep 0 & done; wait; echo all of them");
        let (bounded, free) = (many.key, few.key);
        executor.launch(vec![many, few]).await.unwrap();
        let mut watcher = Watcher::new(&executor);
        assert_eq!(watcher.exit(bounded).await, Exit::Code(2));
        assert_eq!(watcher.exit(free).await, Exit::Code(0));
        assert!(!whole_log(&executor, bounded).await.contains("all of them"));
        assert_eq!(whole_log(&executor, free).await, "all of them\n");
    }
}

#[tokio::test]
async fn what_left_every_trace_behind_dies_with_its_user() {
    let Some(place) = with_users() else { return };
    let executor = place.connect(2);
    let keeps = launch("echo ready; while :; do sleep 0.01; done");
    let kept = keeps.key;
    executor.launch(vec![keeps]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(kept).await;
    // No session, no group, no parent, no environment, while another attempt runs whose it could be.
    let leaves = launch(
        "(env -i setsid /bin/sh -c 'echo $$; while :; do /bin/sleep 1000; done' &)
         while ! [ -s ../1.log ] && ! [ -e said ]; do sleep 0.05; touch said; done; sleep 0.2",
    );
    let key = leaves.key;
    executor.launch(vec![leaves]).await.unwrap();
    assert_eq!(watcher.exit(key).await, Exit::Code(0));
    let pid: i32 = whole_log(&executor, key).await.trim().parse().unwrap();
    assert!(!is_alive(pid));
    assert!(!watcher.newest[&kept].is_final());
}

#[tokio::test]
async fn a_limit_that_may_be_ignored_is() {
    let mut place = Place::new();
    place.policy.unenforced = Unenforced::Ignore;
    let executor = place.connect(1);
    let mut wanted = launch("exit 3");
    wanted.limits = Limits { memory_bytes: Some(64 << 20), cpu_millis: Some(500), processes: Some(50) };
    assert_eq!(run(&executor, wanted).await, Exit::Code(3));
}
