//! The file of a storage that holds what its results say: one body behind the other, only ever appended.
//!
//! SQLite says where a body stands, and `progress` where the file ends. A commit writes bodies behind that end and makes
//! them durable before the transaction that names them; what stands behind the end when the file is opened was never
//! acknowledged and is cut off. Bodies that nothing names any more are given back as holes.

use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The file in a storage's directory.
pub const SEGMENT: &str = "rows";
/// Everything that is appended begins at a multiple of this.
pub const UNIT: u64 = 16;
/// The longest body: what is longer in a file was not written by us. A request is shorter.
pub const MAX_BODY: u64 = 128 << 20;
/// Holes are made of whole blocks of the file system.
const BLOCK: u64 = 4096;

/// The bodies of one storage. One writes, everybody reads.
pub struct Segment {
    file: File,
    /// What is durable: nothing behind it is read.
    length: AtomicU64,
    /// How often holes were made.
    punches: AtomicU64,
    /// Whether something may stand behind the end.
    torn: AtomicBool,
}

impl Segment {
    /// Makes an empty one; durable once its directory is.
    pub fn create(directory: &Path) -> Result<(), StoreError> {
        Ok(File::create_new(directory.join(SEGMENT))?.sync_all()?)
    }

    /// Opens the file and cuts off what stands behind `end`.
    pub fn open(directory: &Path, end: u64) -> Result<Self, StoreError> {
        let file = match File::options().read(true).write(true).open(directory.join(SEGMENT)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(damaged("the file of bodies is missing")),
            file => file?,
        };
        let length = file.metadata()?.len();
        if length < end {
            return Err(damaged("the file of bodies is too short"));
        }
        if length > end {
            file.set_len(end)?;
        }
        let (length, punches, torn) = (AtomicU64::new(end), AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self { file, length, punches, torn })
    }

    /// A file that is only read, up to `end`; it must be that long.
    pub fn still(file: File, end: u64) -> Self {
        let (length, punches, torn) = (AtomicU64::new(end), AtomicU64::new(0), AtomicBool::new(false));
        Self { file, length, punches, torn }
    }

    /// Where the next append begins, unless a transaction that named more was rolled back.
    pub fn end(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Writes `parts` one behind the other from `end` on, the end that the last commit left, and makes them durable. The
    /// lengths of the parts are multiples of [`UNIT`].
    pub fn append(&self, end: u64, parts: &[&[u8]]) -> Result<(), StoreError> {
        let mut at = end;
        self.torn.store(true, Ordering::Relaxed);
        for part in parts {
            self.file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        self.file.sync_data()?;
        self.length.store(at, Ordering::Release);
        self.torn.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// After a transaction that failed with `error`: answers where the next append begins, given where it would have
    /// begun before.
    ///
    /// What was appended is forgotten and its space given back, with one exception: when it was durable and the commit
    /// behind it failed for another reason than a full disk, the commit may still be found whole after a crash. What it
    /// names is then left in its place for good.
    pub fn take_back(&self, end: u64, error: &StoreError) -> u64 {
        let durable = self.end();
        if durable > end && *error != StoreError::Full {
            return durable;
        }
        self.length.store(end, Ordering::Release);
        if (self.torn.swap(false, Ordering::Relaxed) || durable > end)
            && let Err(error) = self.file.set_len(end)
        {
            // It is overwritten by the next append, or cut off when the file is opened.
            tracing::warn!(%error, "bodies that were not saved still take space");
        }
        end
    }

    /// Fills the buffer from an offset.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.end()) {
            return Err(damaged("a body stands behind the end of its file"));
        }
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => damaged("the file of bodies is too short"),
            _ => error.into(),
        })
    }

    /// Reads `length` bytes from an offset into `buffer`, whose length does not shrink: `buffer[..length]` is them.
    pub fn read_into(&self, offset: u64, length: u64, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        if offset.checked_add(length).is_none_or(|end| end > self.end()) || length > MAX_BODY {
            return Err(damaged("a body stands behind the end of its file"));
        }
        let length = length as usize;
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        self.read(offset, &mut buffer[..length])
    }

    /// Gives the blocks back that lie within a range that nothing names.
    pub fn punch(&self, offset: u64, length: u64) -> Result<(), StoreError> {
        let (from, to) = (offset.next_multiple_of(BLOCK), (offset + length) / BLOCK * BLOCK);
        if from >= to {
            return Ok(());
        }
        // Before the first byte is gone: see `punches`.
        self.punches.fetch_add(1, Ordering::SeqCst);
        // On a file system without holes the space comes back with the storage.
        self.make_hole(from, to).map(drop)
    }

    /// Answers whether the file system can make holes.
    fn make_hole(&self, from: u64, to: u64) -> Result<bool, StoreError> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, from, to - from) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }

    /// Overwrites a range with zeros; the blocks within it are given back. Durable after [`Segment::settle`].
    pub fn wipe(&self, offset: u64, length: u64) -> Result<(), StoreError> {
        let end = offset.saturating_add(length);
        if end > self.end() {
            return Err(damaged("what is to be overwritten stands behind the end of its file"));
        }
        let (from, to) = (offset.next_multiple_of(BLOCK), end / BLOCK * BLOCK);
        if from < to && self.make_hole(from, to)? {
            self.zero(offset, from)?;
            return self.zero(to, end);
        }
        self.zero(offset, end)
    }

    fn zero(&self, mut from: u64, to: u64) -> Result<(), StoreError> {
        while from < to {
            let length = (to - from).min(BLOCK);
            self.file.write_all_at(&[0; BLOCK as usize][..length as usize], from)?;
            from += length;
        }
        Ok(())
    }

    /// Makes durable what was overwritten.
    pub fn settle(&self) -> Result<(), StoreError> {
        Ok(self.file.sync_data()?)
    }

    /// How often holes were made. Who reads the same before and after reading bodies that its snapshot names has read no
    /// hole made meanwhile.
    pub fn punches(&self) -> u64 {
        self.punches.load(Ordering::SeqCst)
    }
}

/// Fills up to the next multiple of [`UNIT`].
pub fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(UNIT as usize), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_damaged<T>(result: Result<T, StoreError>) -> bool {
        matches!(result, Err(StoreError::Damaged(_)))
    }

    #[test]
    fn what_was_not_committed_is_cut_off() {
        let directory = tempfile::tempdir().expect("a directory");
        Segment::create(directory.path()).expect("a file");
        let segment = Segment::open(directory.path(), 0).expect("a segment");
        segment.append(0, &[&[1; 32], &[2; 16]]).expect("appended");
        segment.append(48, &[&[3; 16]]).expect("appended");
        assert_eq!(segment.take_back(48, &StoreError::Full), 48);
        assert!(is_damaged(segment.read(40, &mut [0; 16])));
        let mut bytes = [0; 32];
        segment.read(16, &mut bytes).expect("bytes");
        assert_eq!(bytes.as_chunks::<16>().0, [[1; 16], [2; 16]]);
        segment.append(48, &[&[4; 16]]).expect("appended");
        drop(segment);
        let segment = Segment::open(directory.path(), 48).expect("a segment");
        assert_eq!((segment.end(), std::fs::metadata(directory.path().join(SEGMENT)).expect("a file").len()), (48, 48));
        assert!(is_damaged(Segment::open(directory.path(), 64)));
        assert!(is_damaged(segment.read_into(u64::MAX, 2, &mut Vec::new())));
    }

    #[test]
    fn what_a_commit_of_unknown_fate_names_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        Segment::create(directory.path()).expect("a file");
        let segment = Segment::open(directory.path(), 0).expect("a segment");
        let unknown = StoreError::Internal("the commit was not synced".to_owned());
        assert_eq!(segment.take_back(0, &unknown), 0, "nothing was appended");
        segment.append(0, &[&[1; 32]]).expect("appended");
        assert_eq!(segment.take_back(0, &unknown), 32);
        segment.append(32, &[&[2; 16]]).expect("appended");
        drop(segment);
        // The commit is there after a crash; the one behind it is not.
        let segment = Segment::open(directory.path(), 32).expect("a segment");
        let mut bytes = [0; 32];
        segment.read(0, &mut bytes).expect("bytes");
        assert_eq!(bytes, [1; 32]);
    }

    #[test]
    fn what_is_wiped_is_zero_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("a directory");
        Segment::create(directory.path()).expect("a file");
        let segment = Segment::open(directory.path(), 0).expect("a segment");
        segment.append(0, &[&[1; 6 * 4096]]).expect("appended");
        let ranges = [(5, 20), (4000, 200), (8000, 3 * 4096), (24_000, 576)];
        for (offset, length) in ranges {
            segment.wipe(offset, length).expect("wiped");
        }
        segment.settle().expect("settled");
        assert!(is_damaged(segment.wipe(24_000, 577)));
        let mut bytes = vec![0; 6 * 4096];
        segment.read(0, &mut bytes).expect("bytes");
        for (place, byte) in (0..).zip(bytes) {
            let is_wiped = ranges.iter().any(|(offset, length)| (*offset..offset + length).contains(&place));
            assert_eq!(byte, u8::from(!is_wiped), "at {place}");
        }
    }

    #[test]
    fn holes_take_whole_blocks_only() {
        let directory = tempfile::tempdir().expect("a directory");
        Segment::create(directory.path()).expect("a file");
        let segment = Segment::open(directory.path(), 0).expect("a segment");
        segment.append(0, &[&[1; 5 * 4096]]).expect("appended");
        segment.punch(16, 4096).expect("nothing to do");
        assert_eq!(segment.punches(), 0);
        segment.punch(4080, 2 * 4096 + 32).expect("a hole");
        assert_eq!(segment.punches(), 1);
        let mut bytes = Vec::new();
        segment.read_into(0, 5 * 4096, &mut bytes).expect("bytes");
        let blocks: Vec<bool> = bytes.chunks(4096).map(|block| block.iter().all(|byte| *byte == 0)).collect();
        assert_eq!(blocks, [false, true, true, false, false]);
        assert!(bytes[..4096].iter().chain(&bytes[3 * 4096..]).all(|byte| *byte == 1));
    }
}
