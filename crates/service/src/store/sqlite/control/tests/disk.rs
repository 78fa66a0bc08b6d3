//! Full disks, damaged files, full queues, and failures beside others in one transaction.

use super::super::writer::{QUEUE, Tx};
use super::super::{connection, jobs};
use super::{File, SqliteControl};
use crate::store::conformance::control::{at, new_job, of};
use crate::store::{ControlStore, StoreError};
use docket_contract::job::ExecutorKind;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::mpsc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Sets the number of pages that the file may have, as a disk would.
async fn limit_pages(store: &SqliteControl, pages: i64) {
    let set = move |tx: &mut Tx<'_>, (): &()| {
        Ok(tx.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?)
    };
    store.writer.write((), set).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_gone_with_space() {
    let file = File::new();
    let store = Arc::new(SqliteControl::open(&file.path()).unwrap());
    let before = store.insert_job(new_job("a")).await.unwrap();
    limit_pages(&store, 1).await;
    let mut large = new_job("a");
    large.spec.description = Some("x".repeat(65_000));
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, mut large) = (Arc::clone(&store), large.clone());
        large.id = crate::store::conformance::control::new_id();
        writes.spawn(async move { (large.id, store.insert_job(large).await) });
    }
    for (id, outcome) in writes.join_all().await {
        assert_eq!(outcome, Err(StoreError::Full));
        assert_eq!(store.read_job(&of("a"), id).await, Ok(None));
    }
    assert_eq!(store.read_job(&of("a"), before.job.id).await, Ok(Some(before)));
    limit_pages(&store, 1_000_000).await;
    let after = store.insert_job(large).await.unwrap();
    assert_eq!(store.read_job(&of("a"), after.job.id).await, Ok(Some(after)));
    let list = store.list_jobs(crate::store::conformance::control::model::query(of("a"))).await.unwrap();
    assert_eq!(list.total, Some(2));
}

/// Holds the writer inside a transaction, so that requests wait behind it, until the sender is dropped.
async fn hold(store: &Arc<SqliteControl>) -> (mpsc::Sender<()>, JoinHandle<Result<(), StoreError>>) {
    let (release, held) = mpsc::channel();
    let entered = Arc::new(Notify::new());
    let (store, enters) = (Arc::clone(store), Arc::clone(&entered));
    let hold = move |_: &mut Tx<'_>, (): &()| {
        enters.notify_one();
        // Ends with an error when the sender is dropped, at once if the request is made again.
        held.recv().unwrap_err();
        Ok(())
    };
    let holder = tokio::spawn(async move { store.writer.write((), hold).await });
    entered.notified().await;
    (release, holder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failure_does_not_undo_its_neighbours() {
    let file = File::new();
    let store = Arc::new(SqliteControl::open(&file.path()).unwrap());
    let (release, holder) = hold(&store).await;
    let (first, second) = (new_job("a"), new_job("new organization"));
    let mut half = new_job("b");
    half.spec.job_type = Some("HALF_JOB".to_owned());
    let (half_id, panicking) = (half.id, new_job("c"));
    let panicking_id = panicking.id;
    let results = {
        let insert = |job| {
            let store = Arc::clone(&store);
            async move { store.insert_job(job).await.map(|_| ()) }
        };
        let fail = |job: crate::store::NewJob, panics: bool| {
            let store = Arc::clone(&store);
            async move {
                let spec = jobs::encode(&job.spec)?;
                let work = move |tx: &mut Tx<'_>, (): &()| {
                    jobs::insert(tx, &job, &spec)?;
                    assert!(!panics, "as asked");
                    Err::<(), _>(StoreError::Internal("as asked".to_owned()))
                };
                store.writer.write((), work).await
            }
        };
        let all = async {
            tokio::join!(insert(first.clone()), fail(half, false), fail(panicking, true), insert(second.clone()))
        };
        let release = async {
            // The four are in the queue: `join!` polls each of them before this one.
            drop(release);
        };
        tokio::join!(all, release).0
    };
    holder.await.unwrap().unwrap();
    assert_eq!((&results.0, &results.3), (&Ok(()), &Ok(())));
    assert_eq!(results.1, Err(StoreError::Internal("as asked".to_owned())));
    assert!(matches!(results.2, Err(StoreError::Internal(_))));
    assert_eq!(store.read_job(&of("b"), half_id).await, Ok(None));
    assert_eq!(store.read_job(&of("c"), panicking_id).await, Ok(None));
    for job in [first, second] {
        assert!(store.read_job(&of(&job.organization), job.id).await.unwrap().is_some());
    }
    store.close().await;
    super::kill::check(&file.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_overload() {
    let file = File::new();
    let store = Arc::new(SqliteControl::open(&file.path()).unwrap());
    let (release, holder) = hold(&store).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..QUEUE + 10 {
        let store = Arc::clone(&store);
        waiting.spawn(async move { store.claim_due(ExecutorKind::Process, at(0), 0).await });
    }
    // Those beyond the bound give up; the others wait.
    for _ in 0..10 {
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), Err(StoreError::Overloaded));
    }
    drop(release);
    assert!(waiting.join_all().await.into_iter().all(|outcome| outcome == Ok(Vec::new())));
    holder.await.unwrap().unwrap();
}

#[test]
fn a_file_that_is_no_database_is_damaged() {
    let file = File::new();
    std::fs::write(file.path(), "no database ".repeat(1000)).unwrap();
    assert!(matches!(SqliteControl::open(&file.path()).err(), Some(StoreError::Damaged(_))));
}

#[tokio::test]
async fn only_the_owner_reads_the_file() {
    let file = File::new();
    let store = SqliteControl::open(&file.path()).unwrap();
    store.insert_job(new_job("a")).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", file.path().display());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{path}");
    }
}

#[tokio::test]
async fn the_schema_refuses_inconsistent_jobs() {
    let file = File::new();
    let store = SqliteControl::open(&file.path()).unwrap();
    store.insert_job(new_job("a")).await.unwrap();
    store.close().await;
    let connection = connection::open_writer(&file.path()).unwrap();
    for assignment in ["finished_at = 1", "status = 6", "claimed = 1", "status = 10", "attempt = -1", "id = x'00'"] {
        let outcome = connection.execute(&format!("UPDATE job SET {assignment}"), []);
        assert!(outcome.is_err(), "{assignment}");
    }
    assert_eq!(connection.execute("UPDATE job SET claimed = 1, attempt = 1, status = 5", []), Ok(1));
}
