//! Who reads a file: each with a connection and a buffer, made on demand, a bounded number at once. Nobody reads while
//! texts of removed rows are overwritten.

use super::walk::Row;
use crate::store::StoreError;
use crate::store::sqlite::connection::open_reader;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A buffer that has grown over this is not kept.
const BUFFER: usize = 1 << 20;

/// One reader.
pub struct Reader {
    pub connection: Connection,
    /// For bodies.
    pub buffer: Vec<u8>,
    /// For the rows whose bodies are read.
    pub rows: Vec<Row>,
}

/// Keeps readers from bodies that are being overwritten: each of their turns is short, and so is each step of that.
#[derive(Clone, Default)]
pub struct WipeLock(Arc<RwLock<()>>);

impl WipeLock {
    /// Waits for the readers that are reading; those to come wait until this is dropped.
    pub fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The readers of one file.
pub struct Readers {
    path: PathBuf,
    cache_kib: u32,
    wipe_lock: WipeLock,
    idle: Mutex<Vec<Reader>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// At most `limit` at once.
    pub fn new(path: PathBuf, cache_kib: u32, limit: usize, wipe_lock: WipeLock) -> Self {
        Self { path, cache_kib, wipe_lock, idle: Mutex::default(), turns: Arc::new(Semaphore::new(limit.max(1))) }
    }

    /// Waits for leave to read, for at most `patience`.
    pub async fn turn(&self, patience: Duration) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = tokio::time::timeout(patience, self.turns.clone().acquire_owned()).await;
        turn.map_err(|_| StoreError::Overloaded)?.map_err(|_| StoreError::Closing)
    }

    /// Lends a reader to `work`, which blocks. One that failed is closed.
    pub fn read<T>(&self, work: impl FnOnce(&mut Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => {
                Reader { connection: open_reader(&self.path, self.cache_kib)?, buffer: Vec::new(), rows: Vec::new() }
            }
        };
        let reading = self.wipe_lock.0.read().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut reader);
        drop(reading);
        if result.is_ok() && reader.connection.is_autocommit() {
            if reader.buffer.capacity() > BUFFER {
                reader.buffer = Vec::new();
            }
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
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
