//! A database as it was at one moment, copied beside its writer. Knows no table.
//!
//! SQLite's online backup starts anew whenever another process writes to its source, unless the source is within a read
//! transaction: then it copies what that transaction sees, page by page, however long it takes. Writers go on; only their
//! log can't begin anew meanwhile.

use super::connection::{damaged, open_reader};
use crate::store::StoreError;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Page cache of who copies, in KiB: pages are read once.
const CACHE_KIB: u32 = 1024;
/// Pages copied between two looks at the world outside.
const STEP_PAGES: i32 = 1024;

/// A database that does not change as long as this is there.
pub struct Snapshot {
    connection: Connection,
}

impl Snapshot {
    /// What is committed at this moment.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let connection = open_reader(path, CACHE_KIB)?;
        connection.execute_batch("BEGIN")?;
        // The transaction sees what there is when it reads first.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
        Ok(Self { connection })
    }

    /// A database that nobody uses meanwhile, without leaving anything beside it if nothing is.
    pub fn alone(path: &Path) -> Result<Self, StoreError> {
        let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
        match log.metadata() {
            Ok(log) if log.len() > 0 => Self::take(path),
            _ => Ok(Self { connection: open_still(path, CACHE_KIB)? }),
        }
    }

    /// To read what it holds. Within its transaction.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Writes it to a new file, readable only by its owner; not durable yet. `moved` is told the bytes of each step and
    /// may break the copy off.
    pub fn copy_to<E: From<StoreError>>(
        &self,
        target: &Path,
        mut moved: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let page: i64 =
            self.connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(StoreError::from)?;
        let page = u64::try_from(page).unwrap_or(0);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target);
        made.map_err(StoreError::from)?;
        let mut copy =
            Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(StoreError::from)?;
        // Nobody sees the file before it is whole: it needs no journal.
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(StoreError::from)?;
        let backup = Backup::new(&self.connection, &mut copy).map_err(StoreError::from)?;
        let mut copied = 0;
        loop {
            let step = backup.step(STEP_PAGES).map_err(StoreError::from)?;
            let progress = backup.progress();
            let now = u64::try_from(progress.pagecount - progress.remaining).unwrap_or(0) * page;
            moved(now.saturating_sub(std::mem::replace(&mut copied, now)))?;
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Within its transaction the source needs no lock, and nobody else has the target.
                _ => return Err(StoreError::Internal("a page could not be copied: it is locked".to_owned()).into()),
            }
        }
        drop(backup);
        copy.close().map_err(|(_, error)| StoreError::from(error).into())
    }
}

/// Opens a file that nobody writes, such as one of a backup, without making any other beside it.
pub fn open_still(path: &Path, cache_kib: u32) -> Result<Connection, StoreError> {
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(*byte),
            byte if byte.is_ascii_alphanumeric() => uri.push(*byte),
            byte => uri.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    uri.extend_from_slice(b"?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(OsStr::from_bytes(&uri), flags)?;
    super::connection::tune_reader(&connection, cache_kib)?;
    Ok(connection)
}

/// What SQLite finds wrong with a file; nothing if it is whole. At most ten findings.
pub fn integrity(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("PRAGMA integrity_check(10)")?;
    let findings = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    match findings.as_slice() {
        [] => Err(damaged("the check of the file gave no answer")),
        [one] if one == "ok" => Ok(Vec::new()),
        _ => Ok(findings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::connection::open_writer;

    fn rows(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).expect("counted")
    }

    #[test]
    fn a_copy_holds_what_was_there_when_it_began() {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("a file?#%.db");
        let writer = open_writer(&source, true, 4096, 1024, 0).expect("opened");
        writer.execute_batch("CREATE TABLE t (x)").expect("made");
        let insert = || {
            let many = "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO t SELECT hex(randomblob(100)) FROM n";
            writer.execute_batch(many).expect("inserted");
        };
        insert();
        let snapshot = Snapshot::take(&source).expect("taken");
        insert();
        let target = directory.path().join("copy ü.db");
        let mut steps = 0;
        let copied = snapshot.copy_to(&target, |_| {
            steps += 1;
            insert();
            Ok::<(), StoreError>(())
        });
        copied.expect("copied");
        assert!(steps > 1, "it was written to between the steps");
        let copy = open_still(&target, 1024).expect("opened");
        assert_eq!(rows(&copy), 20_000);
        assert_eq!(integrity(&copy), Ok(Vec::new()));
        assert_eq!(rows(snapshot.connection()), 20_000);
        let names = || std::fs::read_dir(directory.path()).expect("listed").count();
        assert_eq!(names(), 4, "two files, one with its log and the index of that");
        let broken = snapshot.copy_to(&directory.path().join("other"), |_| Err(StoreError::Full));
        assert_eq!(broken, Err(StoreError::Full));
    }
}
