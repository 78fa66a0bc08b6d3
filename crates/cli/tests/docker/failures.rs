//! What can't be started, and ends that come from outside.

use std::time::Duration;

use docket_service::executors::conformance::{self, Watcher};
use docket_service::executors::docker::{DockerExecutor, DockerSettings};
use docket_service::executors::{Executor, Exit, State};

use bollard::query_parameters::KillContainerOptions;

use super::{Place, launch, name, refused, run};

#[tokio::test]
async fn an_image_that_is_not_to_be_had_is_refused_with_the_reason() {
    let place = Place::new().await;
    let executor = place.connect(1);
    // Nobody listens there.
    let mut missing = launch("exit 0");
    missing.image = "127.0.0.1:9/nobody/nothing:1".into();
    let reason = refused(&executor, missing).await;
    assert!(reason.starts_with("the image \"127.0.0.1:9/nobody/nothing:1\" can't be pulled: "), "{reason}");
    let mut wrong = launch("exit 0");
    wrong.image = "../../containers/create?x=".into();
    assert!(refused(&executor, wrong).await.contains("is no image reference"));

    let mut missing = launch("exit 0");
    missing.image = "nobody/nothing".into();
    let settings = DockerSettings { pull_limit: Duration::ZERO, ..place.settings(1) };
    let never = DockerExecutor::new(settings).unwrap();
    let reason = refused(&never, missing).await;
    assert!(reason.contains("is not on this machine"), "{reason}");
}

#[tokio::test]
async fn a_pull_that_takes_too_long_is_refused_and_one_that_is_canceled_ends() {
    let place = Place::new().await;
    // A registry that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let image = format!("127.0.0.1:{}/slow/image:1", silent.local_addr().unwrap().port());
    let settings = DockerSettings { pull_limit: Duration::from_secs(1), ..place.settings(1) };
    let executor = DockerExecutor::new(settings).unwrap();
    let mut slow = launch("exit 0");
    slow.image.clone_from(&image);
    let reason = refused(&executor, slow).await;
    assert!(reason.ends_with("was not pulled within 1 s"), "{reason}");

    let patient = place.connect(1);
    let mut slow = launch("exit 0");
    slow.image = image;
    let key = slow.key;
    patient.launch(vec![slow]).await.unwrap();
    conformance::patient(silent.accept()).await.unwrap();
    patient.cancel(key, Duration::from_secs(60)).await.unwrap();
    match Watcher::new(&patient).end(key).await {
        State::Refused { reason, .. } => assert_eq!(reason, docket_service::executors::CANCELED_BEFORE_START),
        other => panic!("it has started: {other:?}"),
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_is_refused_with_its_name() {
    let place = Place::new().await;
    place.daemon.import(&[("plain", "no program")]).await;
    let executor = place.connect(1);
    let long = "x".repeat(5000);
    let cases: [(&[&str], &str); 6] = [
        (&["no-such-program"], "\"no-such-program\" can't be started: it was not found in the image"),
        (&["/nowhere/program"], "\"/nowhere/program\" can't be started: it was not found"),
        (&["/plain"], "\"/plain\" can't be started: it is not executable"),
        (&["/bin"], "\"/bin\" can't be started: it is not executable"),
        (&[], "commands is empty, and the image names no program"),
        (&[&long], "can't be started"),
    ];
    for (commands, expected) in cases {
        let reason = refused(&executor, conformance::launch(commands.iter().map(|c| (*c).to_owned()).collect())).await;
        assert!(reason.contains(expected), "{commands:?}: {reason}");
    }
    let mut few = launch("exit 0");
    few.limits.memory_bytes = Some(1 << 20);
    let reason = refused(&executor, few).await;
    assert!(reason.starts_with("the container can't be created: "), "{reason}");
    // What was refused leaves nothing behind.
    conformance::patient(async { while !place.daemon.containers().await.is_empty() {} }).await;
}

#[tokio::test]
async fn ends_from_outside_are_told() {
    let place = Place::new().await;
    let executor = place.connect(2);
    let client = place.daemon.client();
    let (killed, removed) = (launch("sleep 1000"), launch("sleep 1000"));
    let (killed_key, removed_key) = (killed.key, removed.key);
    executor.launch(vec![killed, removed]).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    watcher.running(killed_key).await;
    watcher.running(removed_key).await;
    let signal = KillContainerOptions { signal: "SIGKILL".into() };
    client.kill_container(&name(killed_key), Some(signal)).await.unwrap();
    assert_eq!(watcher.exit(killed_key).await, Exit::Signal(9));
    place.daemon.remove(&name(removed_key)).await;
    // Killed first, then gone: the executor sees the one or the other.
    let exit = watcher.exit(removed_key).await;
    assert!(matches!(exit, Exit::Lost | Exit::Signal(9)), "{exit:?}");
    // Both make room.
    assert!(matches!(run(&executor, launch("exit 0")).await, State::Ended { exit: Exit::Code(0), .. }));
}
