//! A comparison that is made: counts, and for each change the ids of its records, in the order in which they are listed.
//! It holds no contents: results are read from their sets, at the moments that were compared.
//!
//! A file: a head, then the pairs of ids of each change in the order of [`RecordChange::ALL`]. Its name is in the hash of
//! the head, so a file is what its name says or it is none.

use super::join::Sink;
use super::scratch;
use super::sorter::{PAIR_BYTES, Pair, Sorter, pair};
use docket_contract::operations::{DiffCounts, RecordChange};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MAGIC: &[u8; 8] = b"dktdiff1";
const CHANGES: usize = RecordChange::ALL.len();
/// Magic, the counts of each change, the count of what has not changed, and a hash.
const HEAD: usize = 8 + (CHANGES + 1) * 8 + 32;

/// Number of records of each change, then of those that have not changed.
type Counts = [u64; CHANGES + 1];

/// A comparison that is made.
#[derive(Debug)]
pub struct Finished {
    file: File,
    counts: Counts,
}

impl Finished {
    /// From its file; none if it is not that of a comparison of this name.
    pub fn open(file: File, name: &str) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD];
        if file.metadata()?.len() < HEAD as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut head, 0)?;
        let counts: Counts = std::array::from_fn(|place| word(&head, 8 + place * 8));
        let finished = Self { file, counts };
        let whole = head == finished.head(name) && finished.file.metadata()?.len() == finished.bytes();
        Ok(whole.then_some(finished))
    }

    fn head(&self, name: &str) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(MAGIC);
        for (place, count) in self.counts.iter().enumerate() {
            head[8 + place * 8..][..8].copy_from_slice(&count.to_le_bytes());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head[..HEAD - 32]).update(name.as_bytes());
        head[HEAD - 32..].copy_from_slice(hasher.finalize().as_bytes());
        head
    }

    /// Bytes of its file.
    pub fn bytes(&self) -> u64 {
        let pairs = self.counts[..CHANGES].iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        pairs.saturating_mul(PAIR_BYTES as u64).saturating_add(HEAD as u64)
    }

    /// Numbers of records.
    pub fn counts(&self) -> DiffCounts {
        let [newly_failed, fixed, changed, missing, new, unchanged] =
            self.counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        DiffCounts { newly_failed, fixed, changed, unchanged, missing, new }
    }

    /// Up to `limit` records of a change whose ids are greater than `after`, by ascending id, with the id of the other
    /// result (0 where there is none). Blocks.
    pub fn behind(&self, change: RecordChange, after: u64, limit: usize) -> io::Result<Vec<Pair>> {
        let number = RecordChange::ALL.iter().position(|other| *other == change).unwrap_or(0);
        let before: u64 = self.counts[..number].iter().sum();
        let start = HEAD as u64 + before * PAIR_BYTES as u64;
        let (mut low, mut high) = (0, self.counts[number]);
        let end = high;
        while low < high {
            let middle = low + (high - low) / 2;
            let mut bytes = [0; PAIR_BYTES];
            self.file.read_exact_at(&mut bytes, start + middle * PAIR_BYTES as u64)?;
            if pair(&bytes).0 > after { high = middle } else { low = middle + 1 }
        }
        let pairs = usize::try_from(end - low).unwrap_or(limit).min(limit);
        let mut bytes = vec![0; pairs * PAIR_BYTES];
        self.file.read_exact_at(&mut bytes, start + low * PAIR_BYTES as u64)?;
        Ok(bytes.chunks_exact(PAIR_BYTES).map(pair).collect())
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}

/// Gathers what a join tells.
pub struct Changes {
    unchanged: u64,
    /// One a change, in the order of [`RecordChange::ALL`].
    sorters: [Sorter; CHANGES],
    stopped: Arc<AtomicBool>,
}

impl Changes {
    /// Holds about `memory` bytes; the rest goes to files in `directory`. `stopped` breaks the join off.
    pub fn new(directory: &Path, memory: usize, stopped: Arc<AtomicBool>) -> Self {
        Self { unchanged: 0, sorters: std::array::from_fn(|_| Sorter::new(directory, memory / CHANGES)), stopped }
    }

    /// Writes all to a new file of the directory; answers it with its path, durable, under a name that says that it is a
    /// part.
    pub fn write(self, directory: &Path, name: &str) -> io::Result<(Finished, PathBuf)> {
        let (file, path) = scratch::part(directory)?;
        let written = self.fill(file, name);
        if written.is_err() {
            // Whatever the reason was: the next start removes what can't be removed now.
            let _ = std::fs::remove_file(&path);
        }
        Ok((written?, path))
    }

    fn fill(self, file: File, name: &str) -> io::Result<Finished> {
        let mut counts = [self.unchanged; CHANGES + 1];
        for (count, sorter) in counts.iter_mut().zip(&self.sorters) {
            *count = sorter.count();
        }
        let finished = Finished { file, counts };
        let mut out = BufWriter::with_capacity(64 << 10, &finished.file);
        out.write_all(&finished.head(name))?;
        for sorter in self.sorters {
            sorter.finish(|(id, other)| {
                out.write_all(&id.to_le_bytes())?;
                out.write_all(&other.to_le_bytes())
            })?;
        }
        out.flush()?;
        drop(out);
        finished.file.sync_data()?;
        Ok(finished)
    }
}

impl Sink for Changes {
    fn unchanged(&mut self) {
        self.unchanged += 1;
    }

    fn changed(&mut self, change: RecordChange, id: u64, other: u64) -> io::Result<()> {
        let number = RecordChange::ALL.iter().position(|one| *one == change).unwrap_or(0);
        self.sorters[number].push((id, other))
    }

    fn go_on(&self) -> io::Result<()> {
        if self.stopped.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(directory: &Path) -> (Finished, PathBuf) {
        let mut changes = Changes::new(directory, 200, Arc::default());
        for id in (1..100).rev() {
            changes.changed(RecordChange::Fixed, id * 10, id).expect("taken");
        }
        changes.changed(RecordChange::New, 7, 0).expect("taken");
        changes.unchanged();
        changes.write(directory, "a").expect("written")
    }

    #[test]
    fn lists_are_read_behind_any_id() {
        let directory = tempfile::tempdir().expect("a directory");
        let (written, path) = made(directory.path());
        let read = Finished::open(File::open(&path).expect("opened"), "a").expect("read").expect("whole");
        for finished in [written, read] {
            let counts = DiffCounts { fixed: 99, unchanged: 1, new: 1, ..DiffCounts::default() };
            assert_eq!(finished.counts(), counts);
            let behind = |change, after, limit| finished.behind(change, after, limit).expect("read");
            assert_eq!(behind(RecordChange::Fixed, 0, 2), [(10, 1), (20, 2)]);
            assert_eq!(behind(RecordChange::Fixed, 10, 2), [(20, 2), (30, 3)]);
            assert_eq!(behind(RecordChange::Fixed, 975, 5), [(980, 98), (990, 99)]);
            assert_eq!(behind(RecordChange::Fixed, 990, 5), []);
            assert_eq!(behind(RecordChange::New, 0, 5), [(7, 0)]);
            assert_eq!(behind(RecordChange::Missing, 0, 5), []);
        }
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_, path) = made(directory.path());
        let whole = std::fs::read(&path).expect("read");
        let opens = |bytes: &[u8], name: &str| {
            std::fs::write(&path, bytes).expect("written");
            Finished::open(File::open(&path).expect("opened"), name).expect("read").is_some()
        };
        assert!(opens(&whole, "a") && !opens(&whole, "b"));
        let mut other = whole.clone();
        other[9] ^= 1;
        assert!(!opens(&other, "a") && !opens(&whole[..whole.len() - 1], "a") && !opens(&[], "a"));
        assert!(!opens(&[0; 4096], "a"));
    }

    #[test]
    fn a_join_that_is_stopped_goes_no_further() {
        let directory = tempfile::tempdir().expect("a directory");
        let stopped = Arc::new(AtomicBool::new(false));
        let changes = Changes::new(directory.path(), 200, stopped.clone());
        assert!(changes.go_on().is_ok());
        stopped.store(true, Ordering::Relaxed);
        assert!(changes.go_on().is_err());
    }
}
