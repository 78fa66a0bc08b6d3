//! Large things, deep places, full disks.

use docket_service::executors::conformance::{Watcher, launch as plain};
use docket_service::executors::{Executor, ExecutorError, Exit, Launch};

use super::{Place, launch, run, sh, whole_log};

#[tokio::test]
async fn an_environment_of_half_a_megabyte_passes() {
    let place = Place::new();
    let executor = place.connect(1);
    let mut wanted = launch("env | grep -c '^V'; printf %s \"$V7\" | wc -c");
    // Every byte takes six in a message.
    let value = "\u{1}".repeat(5_200);
    wanted.environment = (0..100).map(|n| (format!("V{n}"), value.clone())).collect();
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    assert_eq!(whole_log(&executor, key).await, "100\n5200\n");
}

#[tokio::test]
async fn a_launch_over_the_bound_of_a_message_is_refused_by_name() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = plain(vec!["true".into(), "x".repeat(17 * 1024 * 1024)]);
    let large = wanted.key;
    match executor.launch(vec![wanted]).await {
        Err(ExecutorError::TooLarge { key, .. }) => assert_eq!(key, large),
        other => panic!("{other:?}"),
    }
    assert_eq!(run(&executor, launch("exit 0")).await, Exit::Code(0));
}

#[tokio::test]
async fn a_full_queue_says_so_and_takes_again_later() {
    let place = Place::new();
    let executor = place.connect(1);
    let first = launch("sleep 1000");
    let key = first.key;
    executor.launch(vec![first]).await.unwrap();
    Watcher::new(&executor).running(key).await;
    let many: Vec<Launch> = (0..10_001).map(|_| launch("exit 0")).collect();
    assert!(matches!(executor.launch(many).await, Err(ExecutorError::Full(_))));
    assert!(executor.list().await.unwrap().len() <= 10_001);
    assert_eq!(executor.list().await.unwrap().iter().filter(|observed| observed.key == key).count(), 1);
}

#[tokio::test]
async fn a_deep_data_directory_works() {
    let place = Place::below(&["a-directory-with-a-long-name"; 12].join("/"));
    assert!(place.data.as_os_str().len() > 300);
    let executor = place.connect(1);
    let wanted = launch("echo deep");
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    assert_eq!(whole_log(&executor, key).await, "deep\n");
    assert_eq!(place.connect(1).list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_journal_stays_short() {
    let place = Place::new();
    let executor = place.connect(4);
    let mut watcher = Watcher::new(&executor);
    for _ in 0..10 {
        let batch: Vec<Launch> = (0..100).map(|_| plain(vec!["true".into()])).collect();
        let keys: Vec<_> = batch.iter().map(|launch| launch.key).collect();
        executor.launch(batch).await.unwrap();
        for key in &keys {
            assert_eq!(watcher.exit(*key).await, Exit::Code(0));
        }
        executor.forget(&keys).await.unwrap();
    }
    let journal = std::fs::read_to_string(place.data.join("supervisor/journal")).unwrap();
    assert!(journal.lines().count() < 2_500, "{}", journal.lines().count());
    assert_eq!(executor.list().await.unwrap(), []);
}

#[tokio::test]
async fn more_than_one_runs_at_once_up_to_the_bound() {
    let place = Place::new();
    let executor = place.connect(3);
    let together = place.root().join("together");
    let script = format!("echo x >> {0}; while [ $(wc -l < {0}) -lt 3 ]; do sleep 0.01; done", together.display());
    let batch: Vec<Launch> = (0..3).map(|_| plain(sh(&script))).collect();
    let keys: Vec<_> = batch.iter().map(|launch| launch.key).collect();
    executor.launch(batch).await.unwrap();
    let mut watcher = Watcher::new(&executor);
    for key in keys {
        assert_eq!(watcher.exit(key).await, Exit::Code(0));
    }
}
