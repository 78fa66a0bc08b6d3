//! One side of a comparison: what is known of each of its results, parted by the hash of the record.
//!
//! A part is filled in memory, block by block; full blocks go to a file. Both sides are parted alike, so a record's two
//! results are in parts of the same number, and parts can be joined one after the other.

use super::scratch::Scratch;
use std::io;
use std::path::Path;

/// Parts of a side.
pub const PARTS: usize = 256;
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 32;
/// Largest id: one bit of its word is the verdict's.
const MAX_ID: u64 = u64::MAX >> 1;

/// What is known of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The hash of the record's identity.
    pub identity: (u64, u64),
    /// The hash of what it says.
    pub content: u64,
    /// Id of the result, and the verdict.
    id_and_verdict: u64,
}

impl Entry {
    /// Of a result; the id is below 2^63, as everywhere.
    pub fn new(identity: (u64, u64), content: u64, id: u64, failed: bool) -> Self {
        Self { identity, content, id_and_verdict: id.min(MAX_ID) << 1 | u64::from(failed) }
    }

    /// The result's id.
    pub fn id(self) -> u64 {
        self.id_and_verdict >> 1
    }

    /// Its verdict.
    pub fn failed(self) -> bool {
        self.id_and_verdict & 1 == 1
    }

    /// Its part, at this depth of parting.
    fn part(self, depth: usize) -> usize {
        self.identity.0.to_be_bytes()[depth % 8].into()
    }

    fn words(self) -> [u64; 4] {
        [self.identity.0, self.identity.1, self.content, self.id_and_verdict]
    }

    fn read(bytes: &[u8]) -> Self {
        let word = |place: usize| {
            let bytes = bytes.get(place * 8..place * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        Self { identity: (word(0), word(1)), content: word(2), id_and_verdict: word(3) }
    }
}

/// A side.
pub struct Side {
    parts: Vec<Part>,
    scratch: Scratch,
    /// Bytes of a full block.
    block: usize,
    /// How often the entries were parted before.
    depth: usize,
}

#[derive(Default)]
struct Part {
    /// Where its full blocks stand.
    blocks: Vec<u64>,
    tail: Vec<u8>,
}

impl Side {
    /// An empty one, that holds about `memory` bytes at most; the rest goes to a file in `directory`.
    pub fn new(directory: &Path, memory: usize, depth: usize) -> Self {
        let block = (memory / PARTS / ENTRY_BYTES).max(1) * ENTRY_BYTES;
        let parts = (0..PARTS).map(|_| Part::default()).collect();
        Self { parts, scratch: Scratch::new(directory), block, depth }
    }

    /// How often its entries were parted before it.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) -> io::Result<()> {
        let part = &mut self.parts[entry.part(self.depth)];
        for word in entry.words() {
            part.tail.extend_from_slice(&word.to_le_bytes());
        }
        if part.tail.len() >= self.block {
            part.blocks.push(self.scratch.append(&part.tail)?);
            part.tail.clear();
        }
        Ok(())
    }

    /// Number of entries of a part.
    pub fn count(&self, part: usize) -> usize {
        let part = &self.parts[part];
        (part.blocks.len() * self.block + part.tail.len()) / ENTRY_BYTES
    }

    /// Calls `take` with each entry of a part.
    pub fn each(&self, part: usize, mut take: impl FnMut(Entry) -> io::Result<()>) -> io::Result<()> {
        let part = &self.parts[part];
        let mut block = vec![0; if part.blocks.is_empty() { 0 } else { self.block }];
        for at in &part.blocks {
            self.scratch.read(*at, &mut block)?;
            block.chunks_exact(ENTRY_BYTES).map(Entry::read).try_for_each(&mut take)?;
        }
        part.tail.chunks_exact(ENTRY_BYTES).map(Entry::read).try_for_each(&mut take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_come_back_from_their_parts(
            entries in prop::collection::vec((any::<u64>(), any::<u64>(), 0..=MAX_ID, any::<bool>()), 0..300),
            memory in 0_usize..40_000,
            depth in 0_usize..3,
        ) {
            let directory = tempfile::tempdir().expect("a directory");
            let mut side = Side::new(directory.path(), memory, depth);
            let mut pushed = Vec::new();
            for (head, content, id, failed) in entries {
                let entry = Entry::new((head, !head), content, id, failed);
                prop_assert_eq!((entry.id(), entry.failed()), (id, failed));
                side.push(entry).expect("written");
                pushed.push(entry);
            }
            let mut found = Vec::new();
            for part in 0..PARTS {
                let before = found.len();
                side.each(part, |entry| {
                    found.push(entry);
                    Ok(())
                }).expect("read");
                prop_assert_eq!(found.len() - before, side.count(part));
                prop_assert!(found[before..].iter().all(|entry| entry.part(depth) == part));
            }
            found.sort_unstable();
            pushed.sort_unstable();
            prop_assert_eq!(found, pushed);
        }
    }
}
