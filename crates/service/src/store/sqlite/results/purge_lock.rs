//! Who may take bodies away from a storage: its tidier, unless somebody copies them meanwhile.
//!
//! A backup copies the file of bodies up to the end that its snapshot names. What is appended is no trouble to it, but a
//! body that is overwritten or becomes a hole is: it may belong to a set that the snapshot still has. So whoever copies
//! holds the lock of the file `purge.lock` shared (`flock`, so that it works between processes and ends with them), and
//! whoever takes bodies away holds it alone, for one step at a time, and comes back later when he can't have it.

use crate::store::StoreError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::path::Path;

/// The file in a storage's directory. It is empty.
pub const PURGE_LOCK: &str = "purge.lock";

/// The lock of one storage.
pub struct PurgeLock {
    file: File,
}

/// Bodies may be taken away while this is there.
pub struct Purging<'a>(&'a File);

impl PurgeLock {
    /// Opens the lock, which is made when it is missing.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(directory.join(PURGE_LOCK))?;
        Ok(Self { file })
    }

    /// Leave to take bodies away; `None` while somebody copies them.
    pub fn try_purge(&self) -> Result<Option<Purging<'_>>, StoreError> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Purging(&self.file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }

    /// Waits for the step of a purge that is going on, at most; until this is dropped no body is taken away.
    pub fn hold(directory: &Path) -> Result<Self, StoreError> {
        let lock = Self::open(directory)?;
        flock(&lock.file, FlockOperation::LockShared).map_err(std::io::Error::from)?;
        Ok(lock)
    }
}

impl Drop for Purging<'_> {
    fn drop(&mut self) {
        // It can't fail: the descriptor is open and holds the lock.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_away_under_a_copy() {
        let directory = tempfile::tempdir().expect("a directory");
        let tidier = PurgeLock::open(directory.path()).expect("a lock");
        let copies = [(), ()].map(|()| PurgeLock::hold(directory.path()).expect("held"));
        assert!(tidier.try_purge().expect("asked").is_none());
        drop(copies);
        let purging = tidier.try_purge().expect("asked");
        assert!(purging.is_some());
        let other = PurgeLock::open(directory.path()).expect("a lock");
        assert!(other.try_purge().expect("asked").is_none(), "one at a time");
        drop(purging);
        assert!(other.try_purge().expect("asked").is_some());
    }
}
