//! Makes a backup.

use super::copy::{Content, Making, checksum, copy};
use super::list::{DirectoryOrFile, NewList, Sum};
use super::manifest::{LeftOut, Manifest};
use super::room::Room;
use super::{BackupError, DATA, FILES, MANIFEST, UNFINISHED, Watcher, at, sync_directory, sync_file_system};
use crate::clock::Clock;
use crate::data::{self, ATTACHMENTS_DIRECTORY, CONTROL_FILE, ClaimError, RESULTS_DIRECTORY};
use crate::executors::files::jobs_directory;
use crate::failpoint;
use crate::secrets::SECRET_FILE;
use crate::store::StoreError;
use crate::store::sqlite::results_backup::{self, StillStorage};
use crate::store::sqlite::snapshot::Snapshot;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, DirEntry, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Copies a data directory, which a server may be using, into a directory that must be empty or not there yet. What a
/// backup that was killed has left there is removed first. When it fails, everything that it made is removed.
///
/// # Errors
/// See [`BackupError`]. A storage that can't be read is no error: the manifest names it as left out.
pub fn take(data: &Path, backup: &Path, clock: &dyn Clock, watcher: &mut dyn Watcher) -> Result<Manifest, BackupError> {
    let wrong = |error: &dyn std::fmt::Display| BackupError::Refused(format!("data {}: {error}", data.display()));
    match data.join(CONTROL_FILE).try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(wrong(&format!("there is no {CONTROL_FILE}: no server has used it"))),
        Err(error) => return Err(wrong(&error)),
    }
    data::check_whole(data).map_err(|error: ClaimError| wrong(&error))?;
    let target = Target::claim(backup, data)?;
    let taken = fill(data, backup, clock, watcher);
    match &taken {
        Ok(_) => {
            std::fs::remove_file(backup.join(UNFINISHED)).map_err(at(backup))?;
            sync_directory(backup)?;
        }
        Err(_) => target.give_back(),
    }
    taken
}

/// The directory that the backup is made in.
struct Target<'a> {
    backup: &'a Path,
    /// Whether it was made for the backup.
    made: bool,
    _lock: File,
}

impl<'a> Target<'a> {
    fn claim(backup: &'a Path, data: &Path) -> Result<Self, BackupError> {
        let refused = |reason: &str| Err(BackupError::Refused(format!("{}: {reason}", backup.display())));
        let made = !backup.try_exists().map_err(at(backup))?;
        DirBuilder::new().recursive(true).mode(0o700).create(backup).map_err(at(backup))?;
        let whole = backup.canonicalize().map_err(at(backup))?;
        if whole.starts_with(data.canonicalize().map_err(at(data))?) {
            if made {
                // Nothing else was made.
                let _ = std::fs::remove_dir(backup);
            }
            return refused("lies in the data directory itself");
        }
        let names = names(backup)?;
        if names.iter().any(|name| name == MANIFEST) {
            return refused("holds a backup already; give each backup a directory of its own");
        }
        if !names.is_empty() && !names.iter().any(|name| name == UNFINISHED) {
            return refused("is not empty");
        }
        let marker = backup.join(UNFINISHED);
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(&marker).map_err(at(&marker))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return refused("another backup is being made in it");
        }
        let target = Self { backup, made, _lock: lock };
        target.clear()?;
        sync_directory(backup)?;
        Ok(target)
    }

    /// Removes all but the marker.
    fn clear(&self) -> Result<(), BackupError> {
        for path in [DATA, FILES, "manifest.json.new"].map(|name| self.backup.join(name)) {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Leaves nothing of a backup that failed: it would only take room.
    fn give_back(self) {
        let cleared = self.clear().is_ok() && std::fs::remove_file(self.backup.join(UNFINISHED)).is_ok();
        let removed = cleared && (!self.made || std::fs::remove_dir(self.backup).is_ok());
        if !removed {
            tracing::warn!(directory = %self.backup.display(), "what a failed backup had written could not be removed");
        }
    }
}

fn names(directory: &Path) -> Result<Vec<String>, BackupError> {
    let entries = std::fs::read_dir(directory).map_err(at(directory))?;
    entries.map(|entry| Ok(entry.map_err(at(directory))?.file_name().to_string_lossy().into_owned())).collect()
}

fn fill(data: &Path, backup: &Path, clock: &dyn Clock, watcher: &mut dyn Watcher) -> Result<Manifest, BackupError> {
    let started_at = clock.now();
    let needed = needed(data)?;
    let room = Room::check(backup, Some(data), needed)?;
    watcher.begin("copying", needed);
    let list = NewList::create(&backup.join(FILES))?;
    let mut taking = Taking { data, target: backup.join(DATA), list, room, watcher };
    make_directory(&taking.target)?;
    let jobs = taking.control()?;
    taking.file(SECRET_FILE)?;
    let storages = taking.storages()?;
    taking.tree(ATTACHMENTS_DIRECTORY)?;
    taking.tree(&jobs_directory(Path::new("")).to_string_lossy())?;
    let Taking { list, .. } = taking;
    let (files, bytes) = (list.files, list.bytes);
    let files_blake3 = list.finish()?.to_hex().to_string();
    sync_file_system(backup)?;
    failpoint::pass("backup.synced");
    let manifest = Manifest {
        format: Manifest::FORMAT,
        docket: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        finished_at: clock.now(),
        jobs,
        storages: storages.count,
        results: storages.results,
        files,
        bytes,
        files_blake3,
        left_out: storages.left_out,
    };
    manifest.write(backup)?;
    failpoint::pass("backup.written");
    Ok(manifest)
}

/// Bytes that a backup takes, about: it changes meanwhile.
fn needed(data: &Path) -> Result<u64, BackupError> {
    let control = data.join(CONTROL_FILE);
    let mut bytes = control.metadata().map_err(at(&control))?.len();
    let jobs = jobs_directory(Path::new(""));
    for top in [Path::new(RESULTS_DIRECTORY), Path::new(ATTACHMENTS_DIRECTORY), &jobs] {
        for directory in entries(&data.join(top))? {
            for file in entries(&directory.path())? {
                // It may be gone.
                bytes += file.metadata().map_or(0, |found| if found.is_file() { found.blocks() * 512 } else { 0 });
            }
        }
    }
    Ok(bytes)
}

/// What a directory holds; nothing if it is gone or is none.
fn entries(directory: &Path) -> Result<Box<dyn Iterator<Item = DirEntry>>, BackupError> {
    match std::fs::read_dir(directory) {
        Ok(entries) => Ok(Box::new(entries.filter_map(Result::ok))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Box::new(std::iter::empty()))
        }
        Err(error) => Err(at(directory)(error)),
    }
}

fn make_directory(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(at(path))
}

#[derive(Default)]
struct Storages {
    count: u64,
    results: u64,
    left_out: Vec<LeftOut>,
}

struct Taking<'a> {
    data: &'a Path,
    target: PathBuf,
    list: NewList,
    room: Room,
    watcher: &'a mut dyn Watcher,
}

impl Taking<'_> {
    /// The control plane as it is at one moment; answers how many jobs it knows.
    fn control(&mut self) -> Result<u64, BackupError> {
        let path = self.data.join(CONTROL_FILE);
        let failed = |source: StoreError| store_failed(&path, source);
        let snapshot = Snapshot::take(&path).map_err(failed)?;
        let jobs = "SELECT coalesce(sum(count), 0) FROM job_count";
        let jobs: i64 =
            snapshot.connection().query_row(jobs, [], |row| row.get(0)).map_err(|error| failed(error.into()))?;
        let copied = self.database(&snapshot, CONTROL_FILE)?;
        self.note(&copied)?;
        Ok(u64::try_from(jobs).unwrap_or(0))
    }

    fn database(&mut self, snapshot: &Snapshot, path: &str) -> Result<DirectoryOrFile, BackupError> {
        let (source, target) = (self.data.join(path), self.target.join(path));
        let (room, watcher) = (&mut self.room, &mut *self.watcher);
        let moved = |bytes| {
            watcher.advance(bytes);
            room.took(bytes).map_err(Broken::Off)
        };
        snapshot.copy_to(&target, moved).map_err(|broken| match broken {
            Broken::Off(error) => error,
            Broken::Store(error) => store_failed(&source, error),
        })?;
        let content = checksum(&target, &mut |_| Ok(()))?;
        let mode = source.metadata().map_err(at(&source))?.mode();
        Ok(entry(path, mode, content))
    }

    fn note(&mut self, file: &DirectoryOrFile) -> Result<(), BackupError> {
        self.list.add(file)?;
        failpoint::pass("backup.file");
        Ok(())
    }

    /// Makes a directory as it is in the data directory; answers whether it is there.
    fn directory(&mut self, path: &str) -> Result<bool, BackupError> {
        let source = self.data.join(path);
        let mode = match source.metadata() {
            Ok(metadata) if metadata.is_dir() => metadata.mode(),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&source)(error)),
            _ => return Ok(false),
        };
        make_directory(&self.target.join(path))?;
        self.list.add(&DirectoryOrFile { path: path.to_owned(), mode: mode & 0o7777, file: None })?;
        Ok(true)
    }

    /// Copies a file as far as it is there now, if it is there at all.
    fn file(&mut self, path: &str) -> Result<(), BackupError> {
        let source = self.data.join(path);
        let file = match File::open(&source) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(&source)(error)),
        };
        let length = file.metadata().map_err(at(&source))?.len();
        let copied = self.part(path, &file, length)?;
        self.note(&copied)
    }

    fn part(&mut self, path: &str, file: &File, length: u64) -> Result<DirectoryOrFile, BackupError> {
        let (room, watcher) = (&mut self.room, &mut *self.watcher);
        let mut moved = |bytes| {
            watcher.advance(bytes);
            room.took(bytes)
        };
        let (source, making) = (self.data.join(path), Making { mode: 0o600, owner: None });
        let content = copy((file, &source), length, &self.target.join(path), making, &mut moved)?;
        let mode = file.metadata().map_err(at(&source))?.mode();
        Ok(entry(path, mode, content))
    }

    fn storages(&mut self) -> Result<Storages, BackupError> {
        let mut storages = Storages::default();
        if !self.directory(RESULTS_DIRECTORY)? {
            return Ok(storages);
        }
        for entry in entries(&self.data.join(RESULTS_DIRECTORY))? {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !results_backup::is_storage(&name) {
                continue;
            }
            let path = format!("{RESULTS_DIRECTORY}/{name}");
            match StillStorage::take(&entry.path()).and_then(|taken| {
                let census = taken.as_ref().map(StillStorage::census).transpose()?;
                Ok(taken.zip(census))
            }) {
                Ok(None) => {}
                Ok(Some((storage, (_, results)))) => {
                    if self.storage(&path, &storage)? {
                        storages.count += 1;
                        storages.results += results;
                    }
                }
                Err(StoreError::Damaged(reason)) => {
                    tracing::error!(storage = path, reason, "a storage can't be read and is left out");
                    storages.left_out.push(LeftOut { directory: path, reason });
                }
                Err(error) => return Err(store_failed(&entry.path(), error)),
            }
        }
        // Behind the storages: of one that was deleted meanwhile this tells which ids it has given.
        self.file(&format!("{RESULTS_DIRECTORY}/{}", results_backup::IDS))?;
        Ok(storages)
    }

    /// Copies a storage; answers whether it was there to the end. The list names it only then.
    fn storage(&mut self, path: &str, storage: &StillStorage) -> Result<bool, BackupError> {
        let target = self.target.join(path);
        make_directory(&target)?;
        let mode = self.data.join(path).metadata().map_or(0o700, |metadata| metadata.mode());
        let copied = self.database(storage.database(), &format!("{path}/{}", results_backup::DATABASE));
        let copied = copied.and_then(|database| {
            let (file, end) = storage.bodies();
            Ok([database, self.part(&format!("{path}/{}", results_backup::BODIES), file, end)?])
        });
        if storage.is_there().map_err(|error| store_failed(Path::new(path), error))? {
            self.list.add(&DirectoryOrFile { path: path.to_owned(), mode: mode & 0o7777, file: None })?;
            for file in copied? {
                self.note(&file)?;
            }
            return Ok(true);
        }
        std::fs::remove_dir_all(&target).map_err(at(&target))?;
        Ok(false)
    }

    /// Copies the directories of a directory with their files. The directories within them come empty: they are the work
    /// directories of attempts, whose being there says what ran the attempt.
    fn tree(&mut self, top: &str) -> Result<(), BackupError> {
        if !self.directory(top)? {
            return Ok(());
        }
        for directory in entries(&self.data.join(top))? {
            let Ok(name) = directory.file_name().into_string() else { continue };
            let path = format!("{top}/{name}");
            if !self.directory(&path)? {
                continue;
            }
            for file in entries(&directory.path())? {
                let (Ok(found), Ok(name)) = (file.file_type(), file.file_name().into_string()) else { continue };
                let path = format!("{path}/{name}");
                if found.is_file() {
                    self.file(&path)?;
                } else if found.is_dir() {
                    self.directory(&path)?;
                }
            }
        }
        Ok(())
    }
}

fn entry(path: &str, mode: u32, content: Content) -> DirectoryOrFile {
    let file = Some(Sum { bytes: content.bytes, blake3: content.hash.to_hex().to_string() });
    DirectoryOrFile { path: path.to_owned(), mode: mode & 0o7777, file }
}

/// Why the copy of a database ended.
enum Broken {
    Off(BackupError),
    Store(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn store_failed(path: &Path, source: StoreError) -> BackupError {
    match source {
        StoreError::Full => BackupError::NoRoom(format!("{}: the disk is full", path.display())),
        source => BackupError::Store { path: path.to_owned(), source },
    }
}
