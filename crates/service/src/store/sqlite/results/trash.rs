//! What is left of deleted storages: their space comes back behind, their ids never.

use super::file::{StorageFile, sync_directory};
use crate::store::StoreError;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Where deleted storages wait for their removal, in the directory of all storages.
pub const DIRECTORY: &str = "trash";
pub const FLOOR: &str = "ids";
/// Bytes that are cut off a file at a time, so that giving back a large file holds up no other.
const CUT: u64 = 64 << 20;
/// Pause between two cuts.
const BREATH: Duration = Duration::from_millis(5);

/// A deleted storage, with its file if it is still open.
type Deleted = (PathBuf, Option<StorageFile>);

/// Removes what was deleted, in a thread of its own, which also looks after idle files.
pub struct Trash {
    directory: PathBuf,
    deleted: Sender<Deleted>,
    number: AtomicU64,
}

impl Trash {
    /// The trash of a store. `patrol` is called every `period`, unless a removal is going on.
    pub fn new(root: &Path, period: Duration, patrol: impl Fn() + Send + 'static) -> Result<Self, StoreError> {
        let directory = root.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let (deleted, removals) = mpsc::channel::<Deleted>();
        std::thread::Builder::new().name("results-trash".to_owned()).spawn(move || {
            loop {
                match removals.recv_timeout(period) {
                    Ok((path, file)) => {
                        if let Some(file) = file {
                            file.close(false);
                        }
                        if let Err(error) = remove(&path) {
                            tracing::warn!(%error, "a deleted storage is still there; the next start removes it");
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => patrol(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { directory, deleted, number: AtomicU64::new(0) })
    }

    /// Moves a directory of `root` here and removes it behind. It is gone when this returns, also after a crash.
    pub fn put(&self, root: &Path, path: &Path, file: Option<StorageFile>) -> Result<(), StoreError> {
        let target = loop {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let target = self.directory.join(number.to_string());
            if !target.try_exists()? {
                break target;
            }
        };
        fs::rename(path, &target)?;
        sync_directory(root)?;
        sync_directory(&self.directory)?;
        self.remove_behind(target, file);
        Ok(())
    }

    /// Removes what earlier starts left.
    pub fn sweep(&self) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.directory)? {
            self.remove_behind(entry?.path(), None);
        }
        Ok(())
    }

    fn remove_behind(&self, path: PathBuf, file: Option<StorageFile>) {
        // The thread ends only after the sender is gone.
        let _ = self.deleted.send((path, file));
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let path = entry?.path();
        let file = File::options().write(true).open(&path)?;
        let mut length = file.metadata()?.len();
        while length > CUT {
            length -= CUT;
            file.set_len(length)?;
            std::thread::sleep(BREATH);
        }
        fs::remove_file(path)?;
    }
    Ok(fs::remove_dir(path)?)
}

/// No storage of the store may begin its ids below this: deleted ones gave those before. Kept in eight bytes that are
/// overwritten in place, which also works on a full disk.
pub struct Floor {
    file: File,
    floor: u64,
}

impl Floor {
    /// Reads it.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(root.join(FLOOR))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let floor = match bytes.as_slice().try_into() {
            Ok(bytes) => u64::from_le_bytes(bytes),
            Err(_) if bytes.is_empty() => {
                file.write_all_at(&0u64.to_le_bytes(), 0)?;
                file.sync_all()?;
                sync_directory(root)?;
                0
            }
            Err(_) => return Err(StoreError::Damaged(format!("the file {FLOOR:?} of the results is no number"))),
        };
        Ok(Self { file, floor })
    }

    /// The lowest base that a new storage may have.
    pub fn get(&self) -> u64 {
        self.floor
    }

    /// Raises it; never goes back.
    pub fn raise(&mut self, floor: u64) -> Result<(), StoreError> {
        if floor > self.floor {
            self.file.write_all_at(&floor.to_le_bytes(), 0)?;
            self.file.sync_all()?;
            self.floor = floor;
        }
        Ok(())
    }
}
