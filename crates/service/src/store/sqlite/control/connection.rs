//! Opens the control plane's file with settings of its own.

use crate::store::StoreError;
use crate::store::sqlite::connection::meaning;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for a lock that another process holds (a backup, a shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept by each connection; there are fewer.
const STATEMENTS: usize = 160;

/// Settings of the writing connection. A checkpoint comes every 8192 pages (32 MiB) of the write-ahead log.
const WRITER_PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 8192;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -32768;
    PRAGMA trusted_schema = OFF;
";
/// Settings of the reading connections.
const READER_PRAGMAS: &str = "
    PRAGMA query_only = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;
    PRAGMA trusted_schema = OFF;
";

/// Opens the file for the writer; creates it, readable only by its owner, when it is not there.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let created = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    created.map_err(|error| StoreError::Internal(format!("{}: {error}", path.display())))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, WRITER_PRAGMAS)
}

/// Opens the file, which the writer has made, for a reader.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, READER_PRAGMAS)
}

fn open(path: &Path, flags: OpenFlags, pragmas: &str) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(pragmas)?;
    // Without it each statement is planned anew whenever a value is bound, because SQLite was built with STAT4.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// What the failure of a migration means.
pub(super) fn migration_failed(error: refinery::Error) -> StoreError {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    cause.map_or_else(|| StoreError::Internal(error.to_string()), meaning)
}
