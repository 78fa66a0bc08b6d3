//! One storage's file: how it is made, opened and closed.
//!
//! A storage is a directory that holds `results.db` with its log, and `rows`. It is made under another name and renamed, so that a
//! directory with its final name holds a whole file or a damaged one, never a half-made one.

use super::index_runs::{FilterMemory, Index, Maintenance};
use super::keys::Hasher;
use super::options::ResultsOptions;
use super::purge_lock::PurgeLock;
use super::queue::Queue;
use super::readers::{Readers, WipeLock};
use super::segment::Segment;
use super::sql;
use super::tidier::{Tidier, Wake};
use super::writer::Writer;
use crate::store::sqlite::connection::{damaged, open_writer};
use crate::store::{StorageKey, StoreError};
use refinery::error::Kind;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The database in a storage's directory.
pub const FILE: &str = "results.db";
/// "DkRs": marks a file of results.
pub const APPLICATION_ID: i32 = 0x446b_5273;
/// A pack of rows or a block of an index run fills one.
pub const PAGE_SIZE: u32 = 4096;

/// How hashes and index entries are made. A file with another number can't be read.
const LAYOUT: i64 = 2;

mod migrations {
    refinery::embed_migrations!("src/store/sqlite/results/migrations");
}

/// A storage that is open.
pub struct StorageFile {
    /// A result's id is this plus its sequence.
    pub base: u64,
    pub hasher: Hasher,
    pub index: Arc<Index>,
    pub segment: Arc<Segment>,
    pub queue: Arc<Queue>,
    pub readers: Readers,
    wake: Wake,
    threads: Mutex<Option<(JoinHandle<Connection>, JoinHandle<()>)>>,
}

impl StorageFile {
    /// Makes the directory of a storage that is not there yet; ids begin behind `base`.
    pub fn create(root: &Path, directory: &Path, key: &StorageKey, base: u64) -> Result<(), StoreError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| StoreError::Internal(error.to_string()))?;
        let unfinished =
            root.join(format!("{NEW_PREFIX}{:016x}", u64::from_le_bytes(std::array::from_fn(|i| secret[i]))));
        fs::create_dir(&unfinished)?;
        let made = Self::fill(&unfinished, key, &secret, base).and_then(|()| {
            sync_directory(&unfinished)?;
            fs::rename(&unfinished, directory)?;
            sync_directory(root)
        });
        if made.is_err() {
            // Swept at the next start if it can't be removed now.
            let _ = fs::remove_dir_all(&unfinished);
        }
        made
    }

    fn fill(directory: &Path, key: &StorageKey, secret: &[u8; 32], base: u64) -> Result<(), StoreError> {
        Segment::create(directory)?;
        let mut connection = open_writer(&directory.join(FILE), true, PAGE_SIZE, 256, 0)?;
        migrate(&mut connection)?;
        connection.execute(
            sql::INSERT_STORAGE,
            params![key.organization, key.storage_id, secret.as_slice(), base as i64, LAYOUT],
        )?;
        connection.execute(sql::INSERT_PROGRESS, [])?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        // The last connection moves the log into the file and removes it.
        connection.close().map_err(|(_, error)| error.into())
    }

    /// Opens the file of a storage and starts its threads.
    pub fn open(
        directory: &Path,
        key: &StorageKey,
        options: &ResultsOptions,
        filters: &Arc<FilterMemory>,
    ) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        if !path.try_exists()? {
            return Err(damaged("the file of the storage is missing"));
        }
        let mut connection = open_writer(&path, false, PAGE_SIZE, options.writer_cache_kib, 0)?;
        let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        if application != APPLICATION_ID {
            return Err(damaged("the file holds no results"));
        }
        migrate(&mut connection)?;
        let (base, secret) = identify(&connection, key)?;
        let mut hasher = Hasher::new(secret);
        let segment = Arc::new(open_segment(&connection, directory)?);
        let index = Index::load(&connection, &segment, &mut hasher, options.index(), filters.clone())?;
        let index = Arc::new(index);
        let second = open_writer(&path, false, PAGE_SIZE, options.reader_cache_kib, 0)?;
        let maintenance = Maintenance::new(index.clone(), &second)?;
        let queue = Arc::new(Queue::new(options.queue_bytes, options.patience));
        let wake = Wake::default();
        let writer = Writer::new(connection, index.clone(), segment.clone(), wake.clone(), options)?;
        let purge_lock = PurgeLock::open(directory)?;
        let locks = (purge_lock, WipeLock::default());
        let readers = Readers::new(path, options.reader_cache_kib, options.readers, locks.1.clone());
        let tidier = Tidier::new(
            second,
            segment.clone(),
            locks,
            maintenance,
            (queue.clone(), wake.clone()),
            options.removal_time,
        );
        let file = Self { base, hasher, index, segment, queue, readers, wake, threads: Mutex::new(None) };
        let queue = file.queue.clone();
        let writer = thread("results-writer", move || writer.run(&queue))?;
        let tidier = thread("results-tidier", move || tidier.run()).inspect_err(|_| file.queue.close())?;
        *file.threads.lock().unwrap_or_else(PoisonError::into_inner) = Some((writer, tidier));
        Ok(file)
    }

    /// Finishes what waits and closes every connection. With `keep` the log is moved into the file; without, the file is
    /// about to be deleted.
    pub fn close(&self, keep: bool) {
        self.wake.close();
        self.queue.close();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((writer, tidier)) = threads else { return };
        let tidier = tidier.join();
        let writer = writer.join();
        self.readers.close();
        match writer {
            Ok(connection) => {
                let skipped = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !keep);
                if let Err(error) = skipped.and_then(|_| connection.close().map_err(|(_, error)| error)) {
                    tracing::warn!(%error, "a storage was not closed cleanly; its log is read at the next start");
                }
            }
            Err(_) => tracing::error!("the writer of a storage panicked"),
        }
        if tidier.is_err() {
            tracing::error!("the tidier of a storage panicked");
        }
    }
}

impl Drop for StorageFile {
    fn drop(&mut self) {
        self.close(true);
    }
}

/// Begins the name of a directory that is being made.
pub const NEW_PREFIX: &str = "new-";

fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    Ok(std::thread::Builder::new().name(name.to_owned()).spawn(work)?)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrations::migrations::runner().run(connection).map(drop).map_err(|error| {
        if matches!(error.kind(), Kind::DivergentVersion(..) | Kind::MissingVersion(_)) {
            return damaged(&format!("its layout is that of another version of the server: {error}"));
        }
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if let Some(rusqlite::Error::SqliteFailure(failure, text)) = error.downcast_ref() {
                return rusqlite::Error::SqliteFailure(*failure, text.clone()).into();
            }
            cause = error.source();
        }
        StoreError::Internal(error.to_string())
    })
}

/// Opens the file of bodies of a storage.
pub fn open_segment(connection: &Connection, directory: &Path) -> Result<Segment, StoreError> {
    let end: i64 = connection.query_row(sql::SEGMENT_END, [], |row| row.get(0))?;
    Segment::open(directory, u64::try_from(end).map_err(|_| damaged("the file of bodies has no end"))?)
}

/// Reads base and secret; the file must be the storage's own.
fn identify(connection: &Connection, key: &StorageKey) -> Result<(u64, [u8; 32]), StoreError> {
    let row = connection
        .query_row(sql::STORAGE, [], |row| {
            let names: (String, String) = (row.get(0)?, row.get(1)?);
            Ok((names, row.get::<_, [u8; 32]>(2)?, row.get::<_, i64>(3)?, row.get::<_, i64>(4)?))
        })
        .optional()?;
    let ((organization, storage_id), secret, base, layout) = row.ok_or_else(|| damaged("the file names no storage"))?;
    if layout != LAYOUT {
        return Err(damaged("its layout is that of another version of the server"));
    }
    if (&organization, &storage_id) != (&key.organization, &key.storage_id) {
        return Err(damaged("the file holds another storage"));
    }
    let base = u64::try_from(base).map_err(|_| damaged("the first id is negative"))?;
    Ok((base, secret))
}

/// Makes a rename or a new name in a directory durable.
pub fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    Ok(fs::File::open(directory)?.sync_all()?)
}
