//! Comparisons of two result sets as they were at two moments.
//!
//! Both sets are read at once, each by a task of its own: of each result a few hashes are kept (`digest`), parted by
//! record (`side`). Then the parts are joined (`join`), and what differs is brought into the order in which it is listed
//! (`sorter`). Memory is bounded whatever the sizes; what does not fit goes to files without a name (`scratch`). What comes
//! out holds ids and verdicts only (`finished`) and is kept for its pages (`cache`).
//!
//! One comparison is made at a time, a bounded number waits, and one that several ask for is made once. Whoever waits too
//! long for it is told to come again; it is made all the same.

mod cache;
mod digest;
mod finished;
mod join;
mod regressions;
mod scratch;
mod side;
mod sorter;

#[cfg(test)]
mod tests;

pub use finished::Finished;
pub use regressions::Regressions;

use crate::clock::Clock;
use crate::secrets;
use crate::store::{ResultStore, SetKey, Snapshot, SnapshotQuery, StoreError};
use cache::{Cache, Name};
use digest::Digester;
use docket_contract::result::ResultStatus;
use docket_contract::{Code, Error};
use finished::Changes;
use join::Room;
use side::{Entry, Side};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Comparisons that are being made or wait for it.
const MOST_BEGUN: usize = 16;
/// Those of one organization among them.
const MOST_OF_ORGANIZATION: usize = 4;
/// When to ask again for one that was not ready, in seconds.
const ASK_AGAIN: u32 = 2;
/// How often old comparisons are looked for.
const TIDY: Duration = Duration::from_secs(600);

/// What operators can say about comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompareOptions {
    /// Memory of the comparison that is being made, in bytes, besides what reading results takes.
    pub memory: usize,
    /// Bytes of comparisons that are kept.
    pub cache_bytes: u64,
    /// One that nobody asked for that long is removed.
    pub cache_age: Duration,
    /// How long a request waits for a comparison.
    pub wait: Duration,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            cache_bytes: 1 << 30,
            cache_age: Duration::from_secs(86_400),
            wait: Duration::from_secs(60),
        }
    }
}

/// What is compared: two sets of one organization, each at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The older set.
    pub before: SetKey,
    /// Its moment.
    pub before_at: Snapshot,
    /// The newer set.
    pub after: SetKey,
    /// Its moment.
    pub after_at: Snapshot,
}

impl Subject {
    fn name(&self) -> Name {
        let mut hasher = blake3::Hasher::new();
        for (set, at) in [(&self.before, self.before_at), (&self.after, self.after_at)] {
            for text in [&set.storage.organization, &set.storage.storage_id] {
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            }
            hasher.update(&set.owner.to_bytes()).update(&at.to_bytes());
        }
        let comparison = hex(&hasher.finalize());
        Name { organization: organization_name(&self.after.storage.organization), comparison }
    }
}

fn organization_name(organization: &str) -> String {
    hex(&blake3::hash(organization.as_bytes()))
}

fn hex(hash: &blake3::Hash) -> String {
    hash.to_hex()[..32].to_owned()
}

type Outcome = Option<Result<Arc<Finished>, StoreError>>;

/// Makes comparisons and keeps them.
#[derive(Clone)]
pub struct Comparisons {
    inner: Arc<Inner>,
}

struct Inner {
    results: Arc<dyn ResultStore>,
    clock: Arc<dyn Clock>,
    options: CompareOptions,
    cache: Cache,
    /// Where files without a name are made.
    scratch: PathBuf,
    begun: Mutex<HashMap<Name, watch::Receiver<Outcome>>>,
    turn: Semaphore,
    /// How often an organization was forgotten: what was begun before is not kept.
    forgotten: AtomicU64,
    stopped: Arc<AtomicBool>,
}

impl Comparisons {
    /// Keeps them in a directory, which is made when it is missing; without one only as long as this lives. Blocks.
    pub fn open(
        directory: Option<PathBuf>,
        results: Arc<dyn ResultStore>,
        clock: Arc<dyn Clock>,
        options: CompareOptions,
    ) -> io::Result<Self> {
        let scratch = directory.clone().unwrap_or_else(std::env::temp_dir);
        let cache = Cache::open(directory, options.cache_bytes, options.cache_age)?;
        cache.tidy(clock.now());
        let inner = Inner {
            results,
            clock,
            options,
            cache,
            scratch,
            begun: Mutex::default(),
            turn: Semaphore::new(1),
            forgotten: AtomicU64::new(0),
            stopped: Arc::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What a comparison of two sets would be of at this moment.
    pub async fn subject(&self, before: SetKey, after: SetKey) -> Result<Subject, StoreError> {
        let now = async |set: &SetKey| {
            let reader = self.inner.results.open_snapshot(set, SnapshotQuery::default()).await?;
            Ok::<_, StoreError>(reader.snapshot())
        };
        let (before_at, after_at) = (now(&before).await?, now(&after).await?);
        Ok(Subject { before, before_at, after, after_at })
    }

    /// The comparison: kept, or made now.
    ///
    /// # Errors
    /// `overloaded` when it is not ready in time, or too many are wanted; `not_found` when a set is gone; what reading
    /// results and writing files can come to.
    pub async fn compare(&self, subject: &Subject) -> Result<Arc<Finished>, Error> {
        let name = subject.name();
        if let Some(found) = self.inner.cache.get(&name, self.inner.clock.now()) {
            return Ok(found);
        }
        let mut outcome = self.begin(subject, name)?;
        let ready = tokio::time::timeout(self.inner.options.wait, outcome.wait_for(Option::is_some)).await;
        match ready.map(|ready| ready.map(|outcome| outcome.clone())) {
            Ok(Ok(Some(outcome))) => Ok(outcome?),
            Ok(_) => Err(StoreError::Internal("a comparison broke off".to_owned()).into()),
            Err(_) => Err(later("The comparison is not ready yet. It is being made: ask again.")),
        }
    }

    /// Begins to make a comparison, unless somebody else has; answers where its outcome is told.
    fn begin(&self, subject: &Subject, name: Name) -> Result<watch::Receiver<Outcome>, Error> {
        let mut begun = self.inner.begun();
        if let Some(outcome) = begun.get(&name) {
            return Ok(outcome.clone());
        }
        // It may have ended since it was looked for.
        if let Some(found) = self.inner.cache.get(&name, self.inner.clock.now()) {
            return Ok(watch::channel(Some(Ok(found))).1);
        }
        let same = begun.keys().filter(|other| other.organization == name.organization).count();
        if begun.len() >= MOST_BEGUN || same >= MOST_OF_ORGANIZATION {
            return Err(later("Too many comparisons are wanted at once."));
        }
        let (told, outcome) = watch::channel(None);
        begun.insert(name.clone(), outcome.clone());
        drop(begun);
        let (inner, subject) = (Arc::clone(&self.inner), subject.clone());
        tokio::spawn(async move {
            let ended = Ended { inner: &inner, name: &name };
            let made = inner.make(&subject, &name).await;
            if let Err(error) = &made {
                tracing::debug!(%error, "a comparison was not made");
            }
            // Nobody may wait for it any more.
            let _ = told.send(Some(made));
            drop(ended);
        });
        Ok(outcome)
    }

    /// Removes the comparisons of an organization, and keeps none that is being made now: to be called when records were
    /// erased.
    pub async fn forget(&self, organization: &str) {
        self.inner.forgotten.fetch_add(1, Ordering::SeqCst);
        let (inner, name) = (Arc::clone(&self.inner), organization_name(organization));
        // The task only removes files, and has nothing to answer.
        let _ = tokio::task::spawn_blocking(move || inner.cache.forget(&name)).await;
    }

    /// Removes old comparisons until `stop`; then breaks off what is being made.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(TIDY) => {}
                _ = stop.wait_for(|stopped| *stopped) => break,
            }
            let inner = Arc::clone(&self.inner);
            // As above.
            let _ = tokio::task::spawn_blocking(move || inner.cache.tidy(inner.clock.now())).await;
        }
        self.inner.stopped.store(true, Ordering::Relaxed);
    }
}

fn later(detail: &str) -> Error {
    Error { retry_after: Some(ASK_AGAIN), ..Error::new(Code::Overloaded, detail) }
}

/// Whatever a comparison comes to, it is not being made any more.
struct Ended<'a> {
    inner: &'a Inner,
    name: &'a Name,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.inner.begun().remove(self.name);
    }
}

impl Inner {
    fn begun(&self) -> MutexGuard<'_, HashMap<Name, watch::Receiver<Outcome>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(self: &Arc<Self>, subject: &Subject, name: &Name) -> Result<Arc<Finished>, StoreError> {
        let turn = self.turn.acquire().await;
        let (started, forgotten) = (Instant::now(), self.forgotten.load(Ordering::SeqCst));
        let mut key = [0; 16];
        secrets::random(&mut key)?;
        let digester = Digester::new(key);
        let mut sides = JoinSet::new();
        for (is_after, set, at) in
            [(false, &subject.before, subject.before_at), (true, &subject.after, subject.after_at)]
        {
            let (inner, digester, set) = (Arc::clone(self), digester.clone(), set.clone());
            sides.spawn(async move { Ok::<_, StoreError>((is_after, inner.read(digester, &set, at).await?)) });
        }
        let (mut before, mut after) = (None, None);
        while let Some(side) = sides.join_next().await {
            let (is_after, side) = side.map_err(|error| StoreError::Internal(error.to_string()))??;
            *if is_after { &mut after } else { &mut before } = Some(side);
        }
        let (Some(before), Some(after)) = (before, after) else {
            return Err(StoreError::Internal("a side of a comparison is missing".to_owned()));
        };
        let (inner, name) = (Arc::clone(self), name.clone());
        let made = blocking(move || {
            let memory = inner.options.memory;
            let mut changes = Changes::new(&inner.scratch, memory / 4, Arc::clone(&inner.stopped));
            let room = Room { directory: &inner.scratch, parts: memory / 4, side: memory / 8 };
            join::join(&before, &after, room, &mut changes)?;
            drop((before, after));
            let (finished, part) = changes.write(&inner.scratch, &name.comparison)?;
            crate::failpoint::pass("compare.written");
            let finished = Arc::new(finished);
            let organization = name.organization.clone();
            inner.cache.put(name, Arc::clone(&finished), &part, inner.clock.now())?;
            if inner.forgotten.load(Ordering::SeqCst) != forgotten {
                inner.cache.forget(&organization);
            }
            Ok(finished)
        })
        .await;
        drop(turn);
        if self.stopped.load(Ordering::Relaxed) {
            return Err(StoreError::Closing);
        }
        let finished = made?;
        tracing::debug!(counts = ?finished.counts(), elapsed = ?started.elapsed(), "compared");
        Ok(finished)
    }

    /// Reads a set to its end.
    async fn read(&self, digester: Digester, set: &SetKey, at: Snapshot) -> Result<Side, StoreError> {
        let query = SnapshotQuery { at: Some(at), ..SnapshotQuery::default() };
        let mut reader = self.results.open_snapshot(set, query).await?;
        let mut side = Side::new(&self.scratch, self.options.memory / 8, 0);
        while let Some(chunk) = reader.next().await? {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(StoreError::Closing);
            }
            let digester = digester.clone();
            side = blocking(move || {
                for (row, body) in chunk.iter() {
                    let digest = digester.of(body).ok_or_else(|| {
                        StoreError::Damaged(format!("result {} has not the form in which results are stored", row.id.0))
                    })?;
                    let failed = row.status == ResultStatus::Failed;
                    side.push(Entry::new(digest.identity, digest.content, row.id.0, failed))?;
                }
                Ok(side)
            })
            .await?;
        }
        Ok(side)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Internal(format!("a comparison broke off: {error}"))),
    }
}
