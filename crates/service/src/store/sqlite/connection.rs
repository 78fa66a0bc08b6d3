//! How every SQLite connection is opened, and what its errors mean. Knows no table.
//!
//! Writes are durable when `COMMIT` returns: write-ahead log with `synchronous=FULL`. Nothing is mapped into memory, so
//! that a file that shrinks under the server is an error and no signal.

use crate::store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::ffi::{self, ErrorCode};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Longest wait for another connection's lock. Only recovery after a crash holds one for more than an instant.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 48;

/// Opens a file for writing; `create` makes it when it is missing. `cache_kib` bounds the pages kept in memory.
///
/// `auto_checkpoint` is the length of the write-ahead log, in pages, that makes a commit move it into the file; 0 leaves
/// that to the caller.
pub fn open_writer(
    path: &Path,
    create: bool,
    page_size: u32,
    cache_kib: u32,
    auto_checkpoint: u32,
) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let connection = Connection::open_with_flags(path, flags)?;
    common(&connection, cache_kib)?;
    if create {
        connection.pragma_update(None, "page_size", page_size)?;
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Internal(format!("{}: no write-ahead log here, but {mode}", path.display())));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", auto_checkpoint)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Opens an existing file for reading.
pub fn open_reader(path: &Path, cache_kib: u32) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    common(&connection, cache_kib)?;
    Ok(connection)
}

/// Settings of a connection that was opened for reading in another way.
pub fn tune_reader(connection: &Connection, cache_kib: u32) -> Result<(), StoreError> {
    common(connection, cache_kib)
}

fn common(connection: &Connection, cache_kib: u32) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Without it statements are planned again when values are bound to them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Runs `work` in a transaction of a writer; whatever fails, nothing of it remains.
pub fn in_transaction<T, E: From<rusqlite::Error>>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let result = work().and_then(|value| {
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(value)
    });
    if result.is_err() && !connection.is_autocommit() {
        // Some errors end the transaction by themselves. One that can't be ended here fails the next BEGIN, loudly.
        let _ = connection.execute_batch("ROLLBACK");
    }
    result
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        meaning(&error)
    }
}

/// What an error of SQLite means.
pub fn meaning(error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
            (ErrorCode::DiskFull, _) => StoreError::Full,
            // What a full disk looks like to a write, and to the growth of the log's shared index.
            (_, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_TRUNCATE) => StoreError::Full,
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _)
            | (_, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS) => StoreError::Damaged(error.to_string()),
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => StoreError::Overloaded,
            _ => StoreError::Internal(format!("{error} (SQLite {})", failure.extended_code)),
        },
        // Every table is STRICT: a value of another type than the statement expects was not written by it.
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => StoreError::Damaged(error.to_string()),
        _ => StoreError::Internal(error.to_string()),
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Internal(error.to_string()),
        }
    }
}

/// The error of a file whose contents contradict themselves.
pub fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(extended_code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None).into()
    }

    #[test]
    fn codes_have_meanings() {
        assert_eq!(mapped(ffi::SQLITE_FULL), StoreError::Full);
        assert_eq!(mapped(ffi::SQLITE_IOERR_WRITE), StoreError::Full);
        assert_eq!(mapped(ffi::SQLITE_BUSY), StoreError::Overloaded);
        assert!(matches!(mapped(ffi::SQLITE_CORRUPT), StoreError::Damaged(_)));
        assert!(matches!(mapped(ffi::SQLITE_NOTADB), StoreError::Damaged(_)));
        assert!(matches!(mapped(ffi::SQLITE_IOERR_READ), StoreError::Internal(_)));
    }
}
