//! The connections that read a file: opened on demand, a bounded number at once.

use crate::store::StoreError;
use crate::store::sqlite::connection::open_reader;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The readers of one file.
pub struct Readers {
    path: PathBuf,
    cache_kib: u32,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// At most `limit` at once.
    pub fn new(path: PathBuf, cache_kib: u32, limit: usize) -> Self {
        Self { path, cache_kib, idle: Mutex::default(), turns: Arc::new(Semaphore::new(limit.max(1))) }
    }

    /// Waits for leave to read, for at most `patience`.
    pub async fn turn(&self, patience: Duration) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = tokio::time::timeout(patience, self.turns.clone().acquire_owned()).await;
        turn.map_err(|_| StoreError::Overloaded)?.map_err(|_| StoreError::Closing)
    }

    /// Lends a connection to `work`, which blocks. One that failed is closed.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path, self.cache_kib)?,
        };
        let result = work(&connection);
        if result.is_ok() && connection.is_autocommit() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        result
    }

    /// Closes those that nobody uses.
    pub fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Runs `work` in one read transaction: what it reads fits together, and asking again costs no lock.
pub fn in_snapshot<T>(connection: &Connection, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    if !connection.is_autocommit() {
        return work();
    }
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = work();
    let ended = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    let value = result?;
    ended?;
    Ok(value)
}
