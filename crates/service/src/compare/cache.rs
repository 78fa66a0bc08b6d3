//! Comparisons that were made, kept so that their pages come fast and stay the same. Bounded by bytes, number and age; the
//! one used least recently goes first.
//!
//! On disk: a directory an organization, a file a comparison, both named by hashes. What is missing is made again, so
//! nothing here is precious: a file that is damaged or not whole is removed.

use super::finished::Finished;
use super::scratch::PART;
use docket_contract::Timestamp;
use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// Most comparisons that are kept: each holds a file open.
const MOST: usize = 128;

/// What a comparison is called: by hashes of its organization, and of all that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Of the organization.
    pub organization: String,
    /// Of the comparison.
    pub comparison: String,
}

/// The comparisons that are kept.
pub struct Cache {
    /// `None` keeps them only as long as the server lives.
    directory: Option<PathBuf>,
    most_bytes: u64,
    most_age: Duration,
    kept: Mutex<HashMap<Name, Kept>>,
}

struct Kept {
    finished: Arc<Finished>,
    used: Timestamp,
}

impl Cache {
    /// In a directory, which is made when it is missing; without one in memory. What an earlier server kept there is kept
    /// on, and what it had begun is removed. Blocks.
    pub fn open(directory: Option<PathBuf>, most_bytes: u64, most_age: Duration) -> io::Result<Self> {
        let mut kept = HashMap::new();
        if let Some(directory) = &directory {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            for entry in std::fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    find(&entry.path(), &mut kept)?;
                } else if entry.path().to_string_lossy().ends_with(PART) {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(Self { directory, most_bytes, most_age, kept: Mutex::new(kept) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them.
    pub fn get(&self, name: &Name, now: Timestamp) -> Option<Arc<Finished>> {
        let mut kept = self.lock();
        let found = kept.get_mut(name)?;
        found.used = now;
        Some(Arc::clone(&found.finished))
    }

    /// Keeps one whose file has this path. Blocks.
    pub fn put(&self, name: Name, finished: Arc<Finished>, part: &Path, now: Timestamp) -> io::Result<()> {
        match self.path(&name) {
            Some(path) => {
                if let Some(directory) = path.parent() {
                    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
                }
                std::fs::rename(part, path)?;
            }
            None => std::fs::remove_file(part)?,
        }
        self.lock().insert(name, Kept { finished, used: now });
        self.tidy(now);
        Ok(())
    }

    /// Removes what is too old, or too much. The newest one stays. Blocks.
    pub fn tidy(&self, now: Timestamp) {
        let mut removed = Vec::new();
        let mut kept = self.lock();
        let oldest = now.plus_millis(-i64::try_from(self.most_age.as_millis()).unwrap_or(i64::MAX));
        let mut by_use: Vec<(Timestamp, Name, u64)> =
            kept.iter().map(|(name, kept)| (kept.used, name.clone(), kept.finished.bytes())).collect();
        by_use.sort_unstable_by(|one, other| other.cmp(one));
        let mut bytes = 0_u64;
        for (place, (used, name, size)) in by_use.into_iter().enumerate() {
            bytes = bytes.saturating_add(size);
            let is_much = place > 0 && (bytes > self.most_bytes || place >= MOST);
            if used < oldest || is_much {
                kept.remove(&name);
                removed.push(name);
            }
        }
        drop(kept);
        for name in removed {
            self.remove(&name);
        }
    }

    /// Removes those of an organization. Blocks.
    pub fn forget(&self, organization: &str) {
        let mut removed = Vec::new();
        self.lock().retain(|name, _| {
            let stays = name.organization != organization;
            if !stays {
                removed.push(name.clone());
            }
            stays
        });
        for name in removed {
            self.remove(&name);
        }
    }

    fn path(&self, name: &Name) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(&name.organization).join(&name.comparison))
    }

    fn remove(&self, name: &Name) {
        let Some(path) = self.path(name) else { return };
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a comparison that is not kept any more can't be removed");
        }
        // Goes with its last comparison; it is not empty before.
        if let Some(directory) = path.parent() {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Finds the comparisons of an organization that are whole, and removes the other files.
fn find(directory: &Path, kept: &mut HashMap<Name, Kept>) -> io::Result<()> {
    let text = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = Name { organization: text(directory), comparison: text(&path) };
        let file = File::open(&path)?;
        let used = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        match Finished::open(file, &name.comparison)? {
            Some(finished) if kept.len() < MOST => {
                let used = Timestamp::from_millis(i64::try_from(used.as_millis()).unwrap_or(i64::MAX));
                kept.insert(name, Kept { finished: Arc::new(finished), used });
            }
            _ => std::fs::remove_file(&path)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::finished::Changes;
    use crate::compare::join::Sink;
    use docket_contract::operations::RecordChange;

    fn name(organization: &str, comparison: &str) -> Name {
        Name { organization: organization.to_owned(), comparison: comparison.to_owned() }
    }

    fn put(cache: &Cache, directory: &Path, name: Name, pairs: u64, now: i64) {
        let mut changes = Changes::new(directory, 1000, Arc::default());
        for id in 0..pairs {
            changes.changed(RecordChange::New, id, 0).expect("taken");
        }
        let (finished, part) = changes.write(directory, &name.comparison).expect("written");
        cache.put(name, Arc::new(finished), &part, Timestamp::from_millis(now)).expect("kept");
    }

    fn files(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(files(&path));
            } else {
                found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path();
        let cache = Cache::open(Some(place.to_owned()), 4000, Duration::from_secs(60)).expect("opened");
        let get = |comparison: &str, now| cache.get(&name("o", comparison), Timestamp::from_millis(now)).is_some();
        put(&cache, place, name("o", "a"), 100, 0);
        put(&cache, place, name("o", "b"), 100, 1);
        assert!(get("a", 2));
        put(&cache, place, name("o", "c"), 100, 3);
        assert_eq!((get("a", 4), get("b", 4), get("c", 4)), (true, false, true));
        assert_eq!(files(place), ["a", "c"]);
        put(&cache, place, name("o", "large"), 10_000, 5);
        assert_eq!(files(place), ["large"], "the newest one stays, however large");
        cache.tidy(Timestamp::from_millis(60_005));
        assert_eq!(files(place), ["large"]);
        cache.tidy(Timestamp::from_millis(60_006));
        assert_eq!((files(place), get("large", 0)), (Vec::new(), false));
        assert_eq!(std::fs::read_dir(place).expect("listed").count(), 0);
    }

    #[test]
    fn what_is_whole_is_found_again_and_the_rest_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path();
        let open = || Cache::open(Some(place.to_owned()), 1 << 20, Duration::MAX).expect("opened");
        let cache = open();
        put(&cache, place, name("o", "a"), 10, 0);
        put(&cache, place, name("p", "b"), 10, 0);
        std::fs::write(place.join("o/c"), "torn").expect("written");
        std::fs::write(place.join(format!("x{PART}")), "begun").expect("written");
        let cache = open();
        assert_eq!(files(place), ["a", "b"]);
        assert!(cache.get(&name("o", "a"), Timestamp::default()).is_some());
        cache.forget("o");
        assert_eq!(
            (files(place), cache.get(&name("o", "a"), Timestamp::default()).is_some()),
            (vec!["b".to_owned()], false)
        );
    }

    #[test]
    fn without_a_directory_nothing_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(None, 1 << 20, Duration::MAX).expect("opened");
        put(&cache, directory.path(), name("o", "a"), 10, 0);
        let found = cache.get(&name("o", "a"), Timestamp::default()).expect("kept");
        assert_eq!(found.behind(RecordChange::New, 0, 3).expect("read").len(), 3);
        assert_eq!(files(directory.path()), [""; 0]);
    }
}
