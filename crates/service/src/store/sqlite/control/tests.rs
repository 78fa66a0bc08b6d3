//! The conformance suite on SQLite, and what only this driver promises.

#![allow(clippy::unwrap_used, reason = "tests")]

mod disk;
mod kill;
mod retention;
mod schedules;

use super::SqliteControl;
use crate::store::conformance::control::{Fixture, at, control_suite, new_id};
use crate::store::{ControlStore, Idempotency, IdempotencyKey, StoredReply};
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A file in a directory that goes with the test.
struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("control.db")
    }
}

#[async_trait]
impl Fixture for File {
    async fn open(&self) -> Arc<dyn ControlStore> {
        Arc::new(SqliteControl::open(&self.path()).expect("the file opens"))
    }

    fn check(&self) {
        kill::check(&self.path());
    }
}

control_suite!(File::new());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_answer_leaves_nothing_in_the_file() {
    const TEXT: &[u8] = b"a text that stands nowhere else";
    let file = File::new();
    let holds_it = || memchr::memmem::find(&std::fs::read(file.path()).unwrap(), TEXT).is_some();
    let key = IdempotencyKey { organization: "a".into(), key: "k".into(), request_hash: [7; 32], run: new_id() };
    for forget in [false, true] {
        let store = file.open().await;
        if forget {
            assert_eq!(store.forget_answers("a", [TEXT.to_vec()].into(), "", 10).await.unwrap(), None);
        } else {
            let reply = StoredReply { status: 200, media_type: "text/plain".into(), body: TEXT.repeat(100) };
            assert!(matches!(store.begin_request(&key, new_id(), at(0)).await.unwrap(), Idempotency::Proceed(_)));
            store.end_request(&key, Some(reply)).await.unwrap();
        }
        store.close().await;
        let log = rusqlite::Connection::open(file.path()).unwrap();
        log.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        assert_eq!(holds_it(), !forget);
    }
}
