//! A storage as it is at one moment, for who copies it, also from another process.
//!
//! The order matters: the lock that keeps bodies in their places first, then the snapshot of the database, which names
//! the end of the file of bodies. What stands in front of that end is durable and does not change any more.

use super::file::{APPLICATION_ID, FILE};
use super::purge_lock::PurgeLock;
use super::segment::SEGMENT;
use super::trash::FLOOR;
use super::{page, sql};
use crate::store::sqlite::connection::damaged;
use crate::store::sqlite::snapshot::Snapshot;
use crate::store::{StorageKey, StoreError};
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use super::check::check;
pub use super::file::NEW_PREFIX;
pub use super::slots::name;
pub use super::trash::DIRECTORY as TRASH;

/// The database in a storage's directory.
pub const DATABASE: &str = FILE;
/// The file of bodies in a storage's directory.
pub const BODIES: &str = SEGMENT;
/// The file in the directory of all storages below which no new storage begins its ids.
pub const IDS: &str = FLOOR;

/// Characters of the name of a storage's directory: a hash in hexadecimal digits.
const NAME_LENGTH: usize = 64;

/// Whether a directory of this name is a storage's.
pub fn is_storage(name: &str) -> bool {
    name.len() == NAME_LENGTH && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A storage that is being copied.
pub struct StillStorage {
    directory: PathBuf,
    database: Snapshot,
    bodies: File,
    end: u64,
    /// Not needed where nobody else uses the directory.
    _lock: Option<PurgeLock>,
}

impl StillStorage {
    /// The storage in a directory as it is now; `None` if it is gone.
    pub fn take(directory: &Path) -> Result<Option<Self>, StoreError> {
        let bodies = match File::open(directory.join(SEGMENT)) {
            Ok(bodies) => bodies,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Err(_) if directory.try_exists()? => return Err(damaged("the file of bodies is missing")),
            Err(_) => return Ok(None),
        };
        // What was deleted while it was opened fails in many ways.
        let there = bodies.try_clone()?;
        let opened = PurgeLock::hold(directory).and_then(|lock| Self::open(directory, bodies, Some(lock)));
        match opened {
            Ok(taken) => Ok(taken.is_there()?.then_some(taken)),
            Err(_) if !stands_at(&there, directory)? => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The storage in a directory that nobody uses meanwhile. Makes nothing there.
    pub fn alone(directory: &Path) -> Result<Self, StoreError> {
        match File::open(directory.join(SEGMENT)) {
            Ok(bodies) => Self::open(directory, bodies, None),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(damaged("the file of bodies is missing")),
            Err(error) => Err(error.into()),
        }
    }

    fn open(directory: &Path, bodies: File, lock: Option<PurgeLock>) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        if !path.try_exists()? {
            return Err(damaged("the file of the storage is missing"));
        }
        let database = if lock.is_some() { Snapshot::take(&path)? } else { Snapshot::alone(&path)? };
        let connection = database.connection();
        let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        if application != APPLICATION_ID {
            return Err(damaged("the file holds no results"));
        }
        let end: i64 = connection.query_row(sql::SEGMENT_END, [], |row| row.get(0))?;
        let end = u64::try_from(end).map_err(|_| damaged("the file of bodies has no end"))?;
        if bodies.metadata()?.len() < end {
            return Err(damaged("the file of bodies is too short"));
        }
        Ok(Self { directory: directory.to_owned(), database, bodies, end, _lock: lock })
    }

    /// Whether the storage was not deleted so far: a deleted one is moved away before anything of it is removed. As long
    /// as it was not, all that was read of it was its own.
    pub fn is_there(&self) -> Result<bool, StoreError> {
        stands_at(&self.bodies, &self.directory)
    }

    /// Its database.
    pub fn database(&self) -> &Snapshot {
        &self.database
    }

    /// The file of bodies, and the end up to which the database names it.
    pub fn bodies(&self) -> (&File, u64) {
        (&self.bodies, self.end)
    }

    /// Whose it is, and how many results it holds.
    pub fn census(&self) -> Result<(StorageKey, u64), StoreError> {
        let connection = self.database.connection();
        let key = connection
            .query_row(sql::STORAGE, [], |row| Ok(StorageKey { organization: row.get(0)?, storage_id: row.get(1)? }))?;
        Ok((key, page::total(connection)?))
    }
}

/// Whether this file is the one of bodies in a directory. An open file's number is not given to another one.
fn stands_at(bodies: &File, directory: &Path) -> Result<bool, StoreError> {
    let number = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match directory.join(SEGMENT).metadata() {
        Ok(metadata) => Ok(number(metadata) == number(bodies.metadata()?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}
