//! The data directory: what it holds under which names, and who may use it.
//!
//! One server at a time: it holds the lock of `server.lock` as long as it lives. A directory that a restore was filling
//! when it was killed is marked by a file, and nobody but the next restore uses it.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The control plane's file.
pub const CONTROL_FILE: &str = "control.db";
/// The data plane's directory.
pub const RESULTS_DIRECTORY: &str = "results";
/// The directory of attachments.
pub const ATTACHMENTS_DIRECTORY: &str = "attachments";
/// The directory of comparisons that are kept; what is missing there is made again.
pub const COMPARISONS_DIRECTORY: &str = "comparisons";
/// The file whose lock says that a server uses the directory.
pub const LOCK_FILE: &str = "server.lock";
/// Says that a restore has begun and has not ended: what else is there is not whole.
pub const UNFINISHED_RESTORE: &str = "restore.unfinished";

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// A server, or a restore, is using it.
    #[error("another server uses it")]
    InUse,
    /// It was not filled to the end.
    #[error("a restore has begun here and has not ended; run `docket restore` again")]
    Unfinished,
    /// It can't be made or opened.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Claims the directory for this process, until what is answered is dropped. Makes it, with mode 0700, when it is missing.
pub fn claim(data: &Path) -> Result<File, ClaimError> {
    let lock = lock(data)?;
    check_whole(data)?;
    Ok(lock)
}

/// The same for a directory that may be unfinished.
pub fn lock(data: &Path) -> Result<File, ClaimError> {
    DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    let mut options = OpenOptions::new();
    let lock = options.create(true).truncate(false).write(true).mode(0o600).open(data.join(LOCK_FILE))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| ClaimError::InUse)?;
    Ok(lock)
}

/// Refuses a directory that a restore has not finished. For who does not claim it: a claim checks this itself.
pub fn check_whole(data: &Path) -> Result<(), ClaimError> {
    if data.join(UNFINISHED_RESTORE).try_exists()? { Err(ClaimError::Unfinished) } else { Ok(()) }
}

/// Whether a server uses the directory at this moment. Makes nothing.
pub fn is_in_use(data: &Path) -> io::Result<bool> {
    match File::open(data.join(LOCK_FILE)) {
        // A shared lock does not keep out others who ask the same.
        Ok(file) => Ok(flock(&file, FlockOperation::NonBlockingLockShared).is_err()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user_and_must_be_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        assert!(!is_in_use(&data).expect("asked"));
        let lock = claim(&data).expect("claimed");
        assert!(matches!(claim(&data), Err(ClaimError::InUse)));
        assert!(is_in_use(&data).expect("asked"));
        drop(lock);
        assert!(!is_in_use(&data).expect("asked"));
        std::fs::write(data.join(UNFINISHED_RESTORE), "").expect("written");
        assert!(matches!(claim(&data), Err(ClaimError::Unfinished)));
        assert!(super::lock(&data).is_ok());
    }
}
