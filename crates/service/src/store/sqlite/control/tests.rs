//! The conformance suite on SQLite, and what only this driver promises.

#![allow(clippy::unwrap_used, reason = "tests")]

mod disk;
mod kill;

use super::SqliteControl;
use crate::store::ControlStore;
use crate::store::conformance::control::{Fixture, control_suite};
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
