//! Which files are open. A slot a storage: who uses the file holds its gate shared, who opens, closes or deletes it holds
//! the gate alone.

use super::backup::is_storage;
use super::blocking;
use super::chunks::Buffers;
use super::file::{FILE, NEW_PREFIX, PAGE_SIZE, StorageFile};
use super::index_runs::FilterMemory;
use super::keys::logs;
use super::options::ResultsOptions;
use super::page;
use super::segment::SEGMENT;
use super::sql;
use super::trash::{Floor, Trash};
use crate::store::sqlite::connection::{open_reader, open_writer};
use crate::store::{StorageKey, Storages, StoreError};
use docket_contract::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params_from_iter};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Pause before the open files are looked through again for one that can be closed.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// An open file; it is not closed or deleted while this is held.
pub type Opened = OwnedRwLockReadGuard<Option<StorageFile>, StorageFile>;

type Gate = OwnedRwLockWriteGuard<Option<StorageFile>>;

struct Slot {
    gate: Arc<RwLock<Option<StorageFile>>>,
    /// Milliseconds since the store was opened.
    used: AtomicU64,
}

/// All files of a store.
pub struct Slots {
    pub options: ResultsOptions,
    /// For the chunks of pages.
    pub buffers: Arc<Buffers>,
    root: PathBuf,
    filters: Arc<FilterMemory>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    /// Whose the directories are that were asked for their names.
    names: Mutex<HashMap<String, StorageKey>>,
    open_files: AtomicUsize,
    opened_at: Instant,
    closing: AtomicBool,
    floor: Mutex<Floor>,
    trash: Trash,
}

impl Slots {
    /// Opens the directory.
    pub fn open(root: &Path, options: ResultsOptions) -> Result<Arc<Self>, StoreError> {
        fs::create_dir_all(root)?;
        let floor = Floor::open(root)?;
        let patrol = (options.idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(10));
        let patrolled: Arc<OnceLock<Weak<Self>>> = Arc::default();
        let patrolling = patrolled.clone();
        let close_idle = move || {
            if let Some(slots) = patrolling.get().and_then(Weak::upgrade) {
                slots.close_idle();
            }
        };
        let slots = Arc::new(Self {
            filters: FilterMemory::new(options.filter_bytes),
            options,
            buffers: Arc::default(),
            root: root.to_owned(),
            slots: Mutex::default(),
            names: Mutex::default(),
            open_files: AtomicUsize::new(0),
            opened_at: Instant::now(),
            closing: AtomicBool::new(false),
            floor: Mutex::new(floor),
            trash: Trash::new(root, patrol, close_idle)?,
        });
        patrolled.get_or_init(|| Arc::downgrade(&slots));
        slots.sweep()?;
        Ok(slots)
    }

    /// Removes what a crash left behind.
    fn sweep(&self) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(NEW_PREFIX.as_bytes()) {
                self.trash.put(&self.root, &entry.path(), None)?;
            }
        }
        self.trash.sweep()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Slot>>> {
        // Nothing panics while it holds the lock.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        let used = self.opened_at.elapsed().as_millis() as u64;
        let mut slots = self.lock();
        let slot = slots
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Slot { gate: Arc::new(RwLock::new(None)), used: AtomicU64::new(used) }));
        slot.used.store(used, Ordering::Relaxed);
        slot.clone()
    }

    /// Forgets slots without a file that nobody else holds.
    fn forget(&self, name: &str, slot: &Arc<Slot>) {
        let mut slots = self.lock();
        if Arc::strong_count(slot) == 2 && slot.gate.try_read().is_ok_and(|file| file.is_none()) {
            slots.remove(name);
        }
    }

    /// The file of a storage; `None` if there is no such storage.
    pub async fn existing(self: &Arc<Self>, key: &StorageKey) -> Result<Option<Opened>, StoreError> {
        self.file(key, None).await
    }

    /// The file of a storage, which is made when it is missing.
    pub async fn existing_or_new(self: &Arc<Self>, key: &StorageKey, now: Timestamp) -> Result<Opened, StoreError> {
        let file = self.file(key, Some(now)).await?;
        file.ok_or_else(|| StoreError::Internal("a storage was not made".to_owned()))
    }

    async fn file(self: &Arc<Self>, key: &StorageKey, make: Option<Timestamp>) -> Result<Option<Opened>, StoreError> {
        let name = name(key);
        let slot = self.slot(&name);
        let shared = slot.gate.clone().read_owned().await;
        // A gate that is closed by `close` never opens again: this is asked behind it.
        if self.closing.load(Ordering::Acquire) {
            return Err(StoreError::Closing);
        }
        if let Ok(file) = OwnedRwLockReadGuard::try_map(shared, Option::as_ref) {
            return Ok(Some(file));
        }
        let mut gate = slot.gate.clone().write_owned().await;
        if self.closing.load(Ordering::Acquire) {
            return Err(StoreError::Closing);
        }
        if gate.is_none() {
            let (slots, key, directory) = (self.clone(), key.clone(), self.root.join(&name));
            // The gate goes along: it must stay shut until the file is open, also if the caller goes away.
            gate = blocking(move || {
                *gate = slots.open_file(&key, &directory, make)?;
                Ok(gate)
            })
            .await
            .inspect_err(|_| self.forget(&name, &slot))?;
        }
        let file = OwnedRwLockReadGuard::try_map(gate.downgrade(), Option::as_ref).ok();
        if file.is_none() {
            self.forget(&name, &slot);
        }
        Ok(file)
    }

    fn open_file(
        self: &Arc<Self>,
        key: &StorageKey,
        directory: &Path,
        make: Option<Timestamp>,
    ) -> Result<Option<StorageFile>, StoreError> {
        if !directory.try_exists()? {
            let Some(now) = make else { return Ok(None) };
            let floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner).get();
            let base = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(1000).max(floor);
            StorageFile::create(&self.root, directory, key, base)?;
        }
        self.make_room()?;
        let file = StorageFile::open(directory, key, &self.options, &self.filters);
        if file.is_err() {
            self.open_files.fetch_sub(1, Ordering::AcqRel);
        }
        file.map(Some)
    }

    /// All storages. Blocks: each one that was not asked for its name before is opened for a moment.
    pub fn storages(&self) -> Result<Storages, StoreError> {
        let mut unreadable = None;
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *names);
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !is_storage(&name) {
                continue;
            }
            let key = match known.remove(&name) {
                Some(key) => key,
                None => match name_of(&self.root.join(&name)) {
                    Ok(key) => key,
                    // It was deleted meanwhile.
                    Err(_) if !self.root.join(&name).try_exists()? => continue,
                    Err(error) => {
                        tracing::error!(%error, storage = name, "a storage can't be asked whose it is");
                        unreadable.get_or_insert(error);
                        continue;
                    }
                },
            };
            names.insert(name, key);
        }
        Ok(Storages { keys: names.values().cloned().collect(), unreadable })
    }

    /// Counts one more file in; closes those that were used least recently if there are too many. Waits while all are in
    /// use.
    fn make_room(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.options.patience;
        let fits = |open: usize| (open < self.options.open_files.max(1)).then_some(open + 1);
        while self.open_files.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_err() {
            let mut slots: Vec<Arc<Slot>> = self.lock().values().cloned().collect();
            // Others use slots meanwhile: each is asked once.
            slots.sort_by_cached_key(|slot| slot.used.load(Ordering::Relaxed));
            let idle = slots.iter().find_map(|slot| {
                let gate = slot.gate.clone().try_write_owned().ok()?;
                gate.is_some().then_some(gate)
            });
            match idle {
                Some(gate) => self.close_file(gate),
                None if Instant::now() >= deadline => return Err(StoreError::Overloaded),
                None => std::thread::sleep(BUSY_PAUSE),
            }
        }
        Ok(())
    }

    fn close_file(&self, mut gate: Gate) {
        if let Some(file) = gate.take() {
            file.close(true);
            self.open_files.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn close_idle(&self) {
        let idle = self.options.idle.as_millis() as u64;
        let now = self.opened_at.elapsed().as_millis() as u64;
        let slots: Vec<(String, Arc<Slot>)> =
            self.lock().iter().map(|(name, slot)| (name.clone(), slot.clone())).collect();
        for (name, slot) in slots {
            if slot.used.load(Ordering::Relaxed) + idle <= now {
                if let Ok(gate) = slot.gate.clone().try_write_owned() {
                    self.close_file(gate);
                }
                self.forget(&name, &slot);
            }
        }
    }

    /// Removes a storage; answers how many results it held. Unless `whole`, one that holds processing logs is left alone,
    /// and the answer is `None`.
    pub async fn delete(self: &Arc<Self>, key: &StorageKey, whole: bool) -> Result<Option<u64>, StoreError> {
        let name = name(key);
        let slot = self.slot(&name);
        let mut gate = slot.gate.clone().write_owned().await;
        if self.closing.load(Ordering::Acquire) {
            return Err(StoreError::Closing);
        }
        let slots = self.clone();
        let directory = self.root.join(&name);
        let deleted = blocking(move || {
            if !directory.try_exists()? {
                return Ok(Some(0));
            }
            let Census { results, next_id, has_logs } = match gate.as_ref() {
                Some(file) => file.readers.read(|reader| census(&reader.connection)),
                None => census_of_closed(&directory),
            }
            .unwrap_or_else(|error| {
                // A damaged storage can be deleted, or it could never be repaired. Its ids are estimated from above: a
                // result takes more than 32 bytes of the one file, and two of the other.
                tracing::warn!(%error, "a storage is deleted that can't be read");
                let bytes = |name: &str| fs::metadata(directory.join(name)).map_or(0, |data| data.len());
                let next_id = slots.highest_base() + (bytes(FILE) / 32).max(bytes(SEGMENT) / 2);
                Census { results: 0, next_id, has_logs: false }
            });
            if has_logs && !whole {
                return Ok(None);
            }
            slots.floor.lock().unwrap_or_else(PoisonError::into_inner).raise(next_id)?;
            let file = gate.take();
            slots.open_files.fetch_sub(usize::from(file.is_some()), Ordering::AcqRel);
            slots.trash.put(&slots.root, &directory, file)?;
            Ok(Some(results))
        })
        .await;
        self.forget(&name, &slot);
        deleted
    }

    /// No storage began its ids behind this.
    fn highest_base(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner).get();
        floor.max(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }

    /// Closes every file, once what uses it has ended. Nothing is opened any more.
    pub async fn close(self: &Arc<Self>) {
        self.closing.store(true, Ordering::Release);
        let slots: Vec<Arc<Slot>> = self.lock().drain().map(|(_, slot)| slot).collect();
        for slot in slots {
            let gate = slot.gate.clone().write_owned().await;
            let slots = self.clone();
            if let Err(error) = blocking(move || {
                slots.close_file(gate);
                Ok(())
            })
            .await
            {
                tracing::error!(%error, "a storage was not closed");
            }
        }
    }
}

/// The name of a storage's directory.
pub fn name(key: &StorageKey) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [&key.organization, &key.storage_id] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Whose storage a directory holds.
fn name_of(directory: &Path) -> Result<StorageKey, StoreError> {
    let connection = open_reader(&directory.join(FILE), 64)?;
    let key = |row: &rusqlite::Row<'_>| Ok(StorageKey { organization: row.get(0)?, storage_id: row.get(1)? });
    Ok(connection.query_row(sql::STORAGE, [], key)?)
}

/// What is to be known of a file before it is deleted.
struct Census {
    results: u64,
    /// The first id that it never gave.
    next_id: u64,
    has_logs: bool,
}

fn census(connection: &Connection) -> Result<Census, StoreError> {
    let base: i64 = connection.query_row(sql::STORAGE, [], |row| row.get(3))?;
    let next: i64 = connection.query_row(sql::NEXT_SEQUENCE, [], |row| row.get(0))?;
    let has_logs = connection.query_row(sql::HAS_LOGS, params_from_iter(logs()), |row| row.get(0))?;
    Ok(Census { results: page::total(connection)?, next_id: (base + next) as u64, has_logs })
}

fn census_of_closed(directory: &Path) -> Result<Census, StoreError> {
    let connection = open_writer(&directory.join(FILE), false, PAGE_SIZE, 1024, 0)?;
    // The log of a file that is to be deleted need not be moved.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    census(&connection)
}
