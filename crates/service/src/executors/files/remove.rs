//! Removes the directory of a job, also when the job left directories that forbid it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removes a directory with all that is in it; a missing one is no error. Follows no symbolic link.
pub fn remove_tree(directory: &Path) -> io::Result<()> {
    match gone_is_fine(fs::remove_dir_all(directory)) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_directories(directory)?;
            gone_is_fine(fs::remove_dir_all(directory))
        }
        other => other,
    }
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gives the owner every right on all directories of a tree.
fn open_directories(root: &Path) -> io::Result<()> {
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_forbids_it_and_twice() {
        let directory = tempfile::tempdir().unwrap();
        let job = directory.path().join("job");
        let closed = job.join("1/work/closed");
        fs::create_dir_all(closed.join("deeper")).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        fs::set_permissions(closed.join("deeper"), Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o0)).unwrap();
        open_directories(&job).unwrap();
        assert_eq!(fs::metadata(&closed).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&closed, Permissions::from_mode(0o0)).unwrap();
        remove_tree(&job).unwrap();
        assert!(!job.exists());
        remove_tree(&job).unwrap();
    }
}
