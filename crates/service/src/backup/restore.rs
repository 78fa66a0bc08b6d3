//! Fills a data directory from a backup.
//!
//! A marker stands in the directory from before the first file until all are durable: whoever is killed in between leaves
//! a directory that no server starts on, and that the next restore clears and fills again.

use super::copy::{Making, copy};
use super::list::DirectoryOrFile;
use super::manifest::Manifest;
use super::room::Room;
use super::verify::verify;
use super::{BackupError, DATA, Watcher, at, sync_directory, sync_file_system};
use crate::data::{self, ClaimError, LOCK_FILE, UNFINISHED_RESTORE};
use crate::failpoint;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// Verifies a backup, then makes a data directory of it. The directory must be empty, or what an earlier restore that
/// did not end has left; it is made when it is missing. Its owner, if it is there, will own everything in it.
///
/// # Errors
/// See [`BackupError`]; with [`BackupError::Refused`] and [`BackupError::Damaged`] the directory is as it was.
pub fn restore(backup: &Path, target: &Path, watcher: &mut dyn Watcher) -> Result<Manifest, BackupError> {
    Manifest::read(backup)?;
    let owner = owner(target)?;
    if data::is_in_use(target).map_err(at(target))? {
        return Err(BackupError::Refused(format!("data {}: {}", target.display(), ClaimError::InUse)));
    }
    check_empty(target)?;
    let (manifest, findings) = verify(backup, watcher)?;
    if let Some(first) = findings.first() {
        let more = match findings.len() - 1 {
            0 => String::new(),
            more => format!(" ({more} more: docket check --backup names them)"),
        };
        return Err(BackupError::Damaged(format!("{}: is damaged: {first}{more}", backup.display())));
    }
    let _lock = claim(target)?;
    if let Some((user, group)) = owner {
        let lock = target.join(LOCK_FILE);
        chown(&lock, Some(user), Some(group)).map_err(at(&lock))?;
    }
    // What was there is asked again, now that nobody else may change it.
    check_empty(target)?;
    mark(target)?;
    clear(target)?;
    let mut room = Room::check(target, None, 0)?;
    watcher.begin("restoring", manifest.bytes);
    for entry in Manifest::files(backup)? {
        let entry = entry?;
        if entry.file.is_none() {
            make_directory(&target.join(&entry.path), owner)?;
            continue;
        }
        file(backup, target, &entry, owner, &mut |bytes| {
            watcher.advance(bytes);
            room.took(bytes)
        })?;
        failpoint::pass("restore.file");
    }
    // Last: the mode of a directory may keep even its owner from writing.
    for entry in Manifest::files(backup)? {
        let entry = entry?;
        if entry.file.is_none() {
            let path = target.join(&entry.path);
            std::fs::set_permissions(&path, Permissions::from_mode(entry.mode)).map_err(at(&path))?;
        }
    }
    sync_file_system(target)?;
    failpoint::pass("restore.synced");
    let marker = target.join(UNFINISHED_RESTORE);
    std::fs::remove_file(&marker).map_err(at(&marker))?;
    sync_directory(target)?;
    failpoint::pass("restore.done");
    Ok(manifest)
}

/// Whose the directory is, where that is another one than who restores.
fn owner(target: &Path) -> Result<Option<(u32, u32)>, BackupError> {
    match target.metadata() {
        Ok(metadata) => {
            let owner = (metadata.uid(), metadata.gid());
            let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            Ok((owner != own).then_some(owner))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(target)(error)),
    }
}

fn claim(target: &Path) -> Result<File, BackupError> {
    data::lock(target).map_err(|error| match error {
        ClaimError::Io(source) => at(target)(source),
        other => BackupError::Refused(format!("data {}: {other}", target.display())),
    })
}

/// Refuses a directory that holds anything but the remains of a restore.
fn check_empty(target: &Path) -> Result<(), BackupError> {
    let refused = |reason: &str| Err(BackupError::Refused(format!("data {}: {reason}", target.display())));
    match target.join(UNFINISHED_RESTORE).try_exists() {
        Ok(true) => Ok(()),
        Ok(false) if others(target)? == 0 => Ok(()),
        Ok(false) => refused("is not empty; move it away first"),
        Err(error) => Err(at(target)(error)),
    }
}

/// How many entries the directory has beside its lock.
fn others(target: &Path) -> Result<usize, BackupError> {
    match std::fs::read_dir(target) {
        Ok(entries) => {
            let mut count = 0;
            for entry in entries {
                count += usize::from(entry.map_err(at(target))?.file_name() != OsStr::new(LOCK_FILE));
            }
            Ok(count)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(at(target)(error)),
    }
}

/// Marks the directory as unfinished, durably.
fn mark(target: &Path) -> Result<(), BackupError> {
    let marker = target.join(UNFINISHED_RESTORE);
    let mut file = File::create(&marker).map_err(at(&marker))?;
    file.write_all(b"A restore has begun here. Until it has ended this is no data directory.\n")
        .map_err(at(&marker))?;
    file.sync_all().map_err(at(&marker))?;
    sync_directory(target)?;
    failpoint::pass("restore.marked");
    Ok(())
}

/// Removes what an earlier restore has left.
fn clear(target: &Path) -> Result<(), BackupError> {
    for entry in std::fs::read_dir(target).map_err(at(target))? {
        let entry = entry.map_err(at(target))?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == OsStr::new(LOCK_FILE) || name == OsStr::new(UNFINISHED_RESTORE) {
            continue;
        }
        let is_directory = entry.file_type().map_err(at(&path))?.is_dir();
        let removed = if is_directory { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(at(&path))?;
    }
    Ok(())
}

fn make_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(at(path))?;
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).map_err(at(path))?;
    }
    Ok(())
}

fn file(
    backup: &Path,
    target: &Path,
    entry: &DirectoryOrFile,
    owner: Option<(u32, u32)>,
    moved: &mut dyn FnMut(u64) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let (from, to) = (backup.join(DATA).join(&entry.path), target.join(&entry.path));
    let source = File::open(&from).map_err(at(&from))?;
    let content = copy((&source, &from), u64::MAX, &to, Making { mode: entry.mode, owner }, moved)?;
    let is_same = entry
        .file
        .as_ref()
        .is_some_and(|sum| (sum.bytes, sum.blake3.as_str()) == (content.bytes, content.hash.to_hex().as_str()));
    if is_same {
        return Ok(());
    }
    Err(BackupError::Damaged(format!("{}: has changed since it was verified", from.display())))
}
