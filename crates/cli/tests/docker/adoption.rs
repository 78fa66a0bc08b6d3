//! Servers come and go while containers run, and so does the daemon.

use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, InspectContainerOptions, RenameContainerOptions};
use docket_service::executors::conformance::{Watcher, patient, until_log};
use docket_service::executors::{Executor, ExecutorError, Exit, Launch, Observed, State, Usage};

use super::{Dockerd, Place, launch, name, whole_log};

/// Goes on for four seconds, whoever looks.
const SLOW: &str = "i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.1; done; exit 4";

fn slow_log() -> String {
    (0..40).map(|number| format!("{number}\n")).collect()
}

#[tokio::test]
async fn a_new_server_adopts_what_runs_and_loses_no_line() {
    let place = Place::new().await;
    let first = place.connect(1);
    let runs = launch(SLOW);
    let waits = launch("exit 6");
    let (running, queued) = (runs.key, waits.key);
    first.launch(vec![runs, waits.clone()]).await.unwrap();
    Watcher::new(&first).running(running).await;
    patient(until_log(&first, running, b"\n5\n")).await;
    drop(first);

    let second = place.connect(1);
    let listed = second.list().await.unwrap();
    // What waited for its turn was in the first server's memory: its absence says that it must be launched again.
    assert!(matches!(&listed[..], [Observed { key, state: State::Running { .. } }] if *key == running), "{listed:?}");
    second.launch(vec![waits]).await.unwrap();
    let mut watcher = Watcher::new(&second);
    assert_eq!(watcher.exit(running).await, Exit::Code(4));
    assert_eq!(watcher.exit(queued).await, Exit::Code(6));
    assert_eq!(whole_log(&second, running).await, slow_log());
}

#[tokio::test]
async fn an_end_without_a_server_is_told_to_the_next() {
    let place = Place::new().await;
    let first = place.connect(3);
    let ends = launch("echo one; sleep 1; echo two; exit 7");
    let mut memory = launch("sleep 0.5; tail /dev/zero; exit 1");
    let key = ends.key;
    memory.limits.memory_bytes = Some(16 << 20);
    let full = memory.key;
    first.launch(vec![ends, memory]).await.unwrap();
    let mut watcher = Watcher::new(&first);
    watcher.running(key).await;
    watcher.running(full).await;
    drop(first);
    for key in [key, full] {
        patient(async { while place.daemon.is_running(&name(key)).await {} }).await;
    }
    let third = place.connect(3);
    let mut watcher = Watcher::new(&third);
    assert_eq!(watcher.exit(key).await, Exit::Code(7));
    assert_eq!(watcher.exit(full).await, Exit::OutOfMemory);
    let State::Ended { started_at_ms, finished_at_ms, .. } = watcher.newest[&key] else { panic!("it has not ended") };
    assert!((900..20_000).contains(&(finished_at_ms - started_at_ms)), "the times are the daemon's");
    assert_eq!(whole_log(&third, key).await, "one\ntwo\n");
    third.forget(&[key, full]).await.unwrap();
    patient(async { while !place.daemon.containers().await.is_empty() {} }).await;
    assert_eq!(third.list().await.unwrap(), []);
    assert_eq!(whole_log(&third, key).await, "one\ntwo\n", "the log outlives the container");
}

#[tokio::test]
async fn a_container_that_an_earlier_server_did_not_start_is_started_once() {
    let place = Place::new().await;
    let first = place.connect(1);
    let model = launch("echo once");
    let key = model.key;
    assert!(matches!(super::run(&first, model).await, State::Ended { .. }));
    // As the server leaves it that dies between creation and start.
    let client = place.daemon.client();
    let found = client.inspect_container(&name(key), None::<InspectContainerOptions>).await.unwrap();
    drop(first);
    place.daemon.remove(&name(key)).await;
    let config = found.config.unwrap();
    let body = ContainerCreateBody {
        image: config.image,
        entrypoint: config.entrypoint,
        env: config.env,
        labels: config.labels,
        host_config: found.host_config,
        ..Default::default()
    };
    let options = CreateContainerOptions { name: Some(name(key)), ..Default::default() };
    client.create_container(Some(options), body).await.unwrap();
    std::fs::remove_dir_all(place.data.path().join("jobs").join(key.job_id.to_string())).unwrap();

    let second = place.connect(1);
    assert_eq!(second.list().await.unwrap(), [Observed { key, state: State::Queued }]);
    assert_eq!(Watcher::new(&second).exit(key).await, Exit::Code(0));
    assert_eq!(whole_log(&second, key).await, "once\n");
    drop(second);
    let third = place.connect(1);
    assert_eq!(Watcher::new(&third).exit(key).await, Exit::Code(0));
    assert_eq!(whole_log(&third, key).await, "once\n");
}

#[tokio::test]
async fn other_containers_are_left_alone() {
    let place = Place::new().await;
    let (one, other) = (place.connect(1), Place::on(&place.daemon));
    let neighbour = other.connect(1);
    let (mine, theirs) = (launch("sleep 1000"), launch("sleep 1000"));
    let (my_key, their_key) = (mine.key, theirs.key);
    one.launch(vec![mine]).await.unwrap();
    neighbour.launch(vec![theirs.clone()]).await.unwrap();
    Watcher::new(&one).running(my_key).await;
    Watcher::new(&neighbour).running(their_key).await;
    // A stranger's container under the name that an attempt of mine needs.
    let wanted = launch("exit 0");
    let rename = RenameContainerOptions { name: name(wanted.key) };
    place.daemon.client().rename_container(&name(their_key), rename).await.unwrap();

    assert_eq!(one.list().await.unwrap().len(), 1);
    one.cancel(their_key, Duration::ZERO).await.unwrap();
    one.forget(&[their_key]).await.unwrap();
    one.cancel(my_key, Duration::ZERO).await.unwrap();
    let mut watcher = Watcher::new(&one);
    assert_eq!(watcher.exit(my_key).await, Exit::Signal(9));
    let key = wanted.key;
    one.launch(vec![wanted]).await.unwrap();
    match watcher.end(key).await {
        State::Refused { reason, .. } => assert!(reason.contains("already in use"), "{reason}"),
        other => panic!("it has started: {other:?}"),
    }
    one.forget(&[my_key, key]).await.unwrap();
    patient(async { while place.daemon.containers().await.len() > 1 {} }).await;
    assert!(place.daemon.is_running(&name(key)).await, "the stranger's container lives");
}

#[tokio::test]
async fn without_a_daemon_every_call_says_so_until_there_is_one() {
    let daemon = std::sync::Arc::new(Dockerd::prepare(&[]));
    let place = Place::on(&daemon);
    let executor = place.connect(1);
    let wanted = launch("exit 5");
    let key = wanted.key;
    let unreachable = |error: ExecutorError| matches!(error, ExecutorError::Unreachable(_));
    assert!(unreachable(executor.launch(vec![wanted.clone()]).await.unwrap_err()));
    assert!(unreachable(executor.cancel(key, Duration::ZERO).await.unwrap_err()));
    assert!(unreachable(executor.list().await.unwrap_err()));
    assert!(unreachable(executor.forget(&[key]).await.unwrap_err()));
    assert!(unreachable(executor.events().await.unwrap_err()));
    daemon.up().await;
    daemon.import(&[]).await;
    assert_eq!(executor.list().await.unwrap(), []);
    executor.launch(vec![wanted]).await.unwrap();
    assert_eq!(Watcher::new(&executor).exit(key).await, Exit::Code(5));
}

/// How many containers run when the daemon is killed: few, or as many as the full examination wants.
pub fn many() -> u32 {
    if std::env::var("DOCKET_SURVIVE").is_ok_and(|how| how == "full") { 50 } else { 5 }
}

/// A launch with the variables by which a process is known.
fn as_the_engine_does(script: &str) -> Launch {
    let mut launch = launch(script);
    let (job, attempt) = (launch.key.job_id.to_string(), launch.key.attempt.to_string());
    launch.environment = vec![("DOCKET_JOB_ID".into(), job), ("DOCKET_ATTEMPT".into(), attempt)];
    launch
}

/// Kills the daemon under running containers, one of which ends while it is away, and starts it again.
async fn survive(arguments: &[&str], expected: fn(&Exit) -> bool) {
    let daemon = std::sync::Arc::new(Dockerd::start_with(arguments).await);
    let place = Place::on(&daemon);
    let count = many();
    let executor = place.connect(count);
    // Waiting ones as well: their turn comes when the daemon is back.
    let launches: Vec<_> = (0..count).map(|_| as_the_engine_does("echo started; sleep 4; echo ended")).collect();
    let waiting: Vec<_> = (0..3).map(|_| launch("echo started; echo ended")).collect();
    let keys: Vec<_> = launches.iter().map(|launch| launch.key).collect();
    executor.launch(launches).await.unwrap();
    executor.launch(waiting).await.unwrap();
    let running = async {
        loop {
            let listed = executor.list().await.unwrap();
            if listed.iter().filter(|one| matches!(one.state, State::Running { .. })).count() >= count as usize / 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    patient(running).await;
    daemon.kill();
    let broken = async { while executor.events().await.is_ok() {} };
    patient(broken).await;
    assert!(matches!(executor.list().await, Err(ExecutorError::Unreachable(_))));
    daemon.up().await;
    let listed = patient(async {
        loop {
            match executor.list().await {
                Ok(listed) => break listed,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert_eq!(listed.await.len(), count as usize + 3, "no attempt is lost");
    let all_ended = async {
        loop {
            let listed = executor.list().await.unwrap();
            if listed.iter().all(|one| one.state.is_final()) {
                break listed;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let listed = tokio::time::timeout(Duration::from_secs(120), all_ended).await.expect("all come to an end");
    for Observed { key, state } in listed {
        let log = whole_log(&executor, key).await;
        assert!(log.matches("started").count() <= 1, "{key} ran twice: {log}");
        match state {
            // What it wrote while nobody was there to take it is lost.
            State::Ended { exit: Exit::Code(0), .. } => assert!("started\nended\n".starts_with(&log), "{key}: {log}"),
            State::Ended { exit, .. } => {
                // What waited either ran whole later, or its start was what the daemon went away over.
                assert!(keys.contains(&key) || exit == Exit::Lost, "{key}: {exit:?}");
                assert!(expected(&exit), "{key}: {exit:?}");
                // Of a lost one nobody knows how far it came.
                assert!(exit == Exit::Lost || !log.contains("ended"), "{key}: {exit:?}");
            }
            other => panic!("{key}: {other:?}"),
        }
    }
    assert_eq!(super::processes("echo started; sleep 4"), Vec::<i32>::new(), "nothing runs that nobody knows");
    println!("survived: dockerd {arguments:?} killed under {count} containers: each has one end, none ran twice");
}

#[tokio::test]
async fn a_daemon_that_is_killed_takes_its_containers_along_and_none_is_lost() {
    survive(&[], |exit| matches!(exit, Exit::Signal(9 | 15) | Exit::Lost)).await;
}

#[tokio::test]
async fn containers_outlive_a_daemon_that_restores_them() {
    // What was just being started can't be told, as nobody knows whether it ran.
    survive(&["--live-restore"], |exit| *exit == Exit::Lost).await;
}

#[tokio::test]
async fn what_it_used_is_seen_before_it_is_gone() {
    let place = Place::new().await;
    let executor = place.connect(1);
    let wanted = launch(
        "head -c 8000000 /dev/zero | tail -c 8000000 >/dev/null; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 2",
    );
    let key = wanted.key;
    executor.launch(vec![wanted]).await.unwrap();
    let end = Watcher::new(&executor).end(key).await;
    let State::Ended { exit: Exit::Code(0), usage: Usage { memory_peak_bytes, cpu_time_ms }, .. } = end else {
        panic!("{end:?}")
    };
    assert!(memory_peak_bytes.unwrap() > 100_000 && cpu_time_ms.unwrap() > 0);
    drop(executor);
    let again = place.connect(1);
    assert_eq!(Watcher::new(&again).end(key).await, end, "a later server tells the same");
}
