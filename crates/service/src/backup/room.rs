//! Room on the disk that a backup is written to: asked for before, and looked after while it shares the disk with the
//! server's data, which a full disk would keep from writing.

use super::{BackupError, at};
use rustix::fs::statvfs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes that are left to the server on a disk that it shares with the backup.
const RESERVE: u64 = 64 << 20;
/// Bytes between two looks.
const LOOK: u64 = 16 << 20;

/// The room that a backup may take.
pub struct Room {
    directory: PathBuf,
    /// Whether the server writes to the same disk.
    shared: bool,
    unseen: u64,
}

impl Room {
    /// Refuses when `needed` bytes are more than there are.
    pub fn check(directory: &Path, data: Option<&Path>, needed: u64) -> Result<Self, BackupError> {
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).map_err(at(path));
        let shared = match data {
            Some(data) => device(directory)? == device(data)?,
            None => false,
        };
        let room = Self { directory: directory.to_owned(), shared, unseen: 0 };
        let (free, reserve) = (room.free()?, if shared { RESERVE } else { 0 });
        if needed.saturating_add(reserve) > free {
            let kept = if shared { ", of which the server needs 64 MiB" } else { "" };
            let message = format!(
                "{}: about {} MiB are needed, {} MiB are free{kept}",
                directory.display(),
                needed.div_ceil(1 << 20),
                free >> 20
            );
            return Err(BackupError::NoRoom(message));
        }
        Ok(room)
    }

    /// So many bytes were written.
    pub fn took(&mut self, bytes: u64) -> Result<(), BackupError> {
        self.unseen += bytes;
        if !self.shared || self.unseen < LOOK {
            return Ok(());
        }
        self.unseen = 0;
        if self.free()? < RESERVE {
            let message = format!("{}: the disk is full but for what the server needs", self.directory.display());
            return Err(BackupError::NoRoom(message));
        }
        Ok(())
    }

    fn free(&self) -> Result<u64, BackupError> {
        let status = statvfs(&self.directory).map_err(std::io::Error::from).map_err(at(&self.directory))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}
