//! Backup and restore of a data directory, whether a server runs on it or not.
//!
//! A backup is a directory: `data/` with the files as a restored directory will hold them, `files.ndjson` with size and
//! checksum of each, and `manifest.json`, which is written last and makes the backup one. Without it the directory is no
//! backup, and nothing restores it.
//!
//! **Order.** The control plane is copied first, then the storages, each at one moment of its own. So whatever the
//! control plane says has ended is whole in the data plane, which is newer; what jobs wrote that the control plane does
//! not know yet is there and harms nobody. Every record that was acknowledged before the backup began is in it. What was
//! deleted while it was made may be in it or not: a job may come back without its results, log and attachments.
//!
//! **What is left out**: locks, sockets, the supervisor's journal, what lies in work directories of attempts, deleted
//! storages. A job
//! that was running is one that the restored server looks for and does not find: it has DIED.
//!
//! Everything here blocks: it is the work of a command, not of the server.

mod copy;
mod list;
mod manifest;
mod restore;
mod room;
mod take;
mod verify;

pub use list::{DirectoryOrFile, Files};
pub use manifest::{LeftOut, Manifest};
pub use restore::restore;
pub use take::take;
pub use verify::verify;

use crate::store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// The directory in a backup that holds the files.
pub const DATA: &str = "data";
/// The manifest of a backup.
pub const MANIFEST: &str = "manifest.json";
/// The list of the files of a backup.
pub const FILES: &str = "files.ndjson";
/// Says that a backup has begun; its lock is held by who makes it.
pub const UNFINISHED: &str = "backup.unfinished";

/// Is told how far a backup or restore has come.
pub trait Watcher {
    /// About so many bytes are to be read from now on.
    fn begin(&mut self, doing: &'static str, bytes: u64);
    /// So many more have been.
    fn advance(&mut self, bytes: u64);
}

/// For who does not want to know.
pub struct Unwatched;

impl Watcher for Unwatched {
    fn begin(&mut self, _doing: &'static str, _bytes: u64) {}
    fn advance(&mut self, _bytes: u64) {}
}

/// Why a backup or a restore was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What was asked for can't be done with these directories; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// There is not enough room on a disk.
    #[error("{0}")]
    NoRoom(String),
    /// A backup is not what its manifest says.
    #[error("{0}")]
    Damaged(String),
    /// A file failed.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A database failed.
    #[error("{path}: {source}")]
    Store {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

/// Names the file at which something failed.
fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + '_ {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            BackupError::NoRoom(format!("{}: the disk is full", path.display()))
        }
        _ => BackupError::Io { path: path.to_owned(), source },
    }
}

/// Makes the entries of a directory durable.
fn sync_directory(directory: &Path) -> Result<(), BackupError> {
    std::fs::File::open(directory).and_then(|opened| opened.sync_all()).map_err(at(directory))
}

/// Makes everything durable on the file system of a directory. One call costs less than one for each of many files.
fn sync_file_system(directory: &Path) -> Result<(), BackupError> {
    let opened = std::fs::File::open(directory).map_err(at(directory))?;
    rustix::fs::syncfs(opened).map_err(io::Error::from).map_err(at(directory))
}
