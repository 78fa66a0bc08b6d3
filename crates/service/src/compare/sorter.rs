//! Puts pairs of ids into the order of the first one, however many there are: some are sorted in memory, sorted runs go
//! to a file, and in the end the runs are merged.

use super::scratch::Scratch;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::path::Path;

/// The id by which a record is listed, and that of its other result.
pub type Pair = (u64, u64);

/// Bytes of a pair.
pub const PAIR_BYTES: usize = 16;
/// Runs that are merged into one when there are so many: each takes a buffer at the end.
const MOST_RUNS: usize = 256;
/// Pairs of a run that are read at a time.
const AHEAD: usize = 512;

/// Sorts pairs.
pub struct Sorter {
    pairs: Vec<Pair>,
    most: usize,
    runs: Vec<Run>,
    scratch: Scratch,
    count: u64,
}

/// A sorted run in the file.
#[derive(Clone, Copy)]
struct Run {
    at: u64,
    pairs: u64,
}

impl Sorter {
    /// Holds about `memory` bytes of pairs.
    pub fn new(directory: &Path, memory: usize) -> Self {
        let most = (memory / PAIR_BYTES).max(1);
        Self { pairs: Vec::new(), most, runs: Vec::new(), scratch: Scratch::new(directory), count: 0 }
    }

    /// Pairs taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes a pair.
    pub fn push(&mut self, pair: Pair) -> io::Result<()> {
        self.count += 1;
        self.pairs.push(pair);
        if self.pairs.len() < self.most {
            return Ok(());
        }
        self.pairs.sort_unstable();
        let run = write_run(&mut self.scratch, self.pairs.drain(..).map(Ok))?;
        self.runs.push(run);
        if self.runs.len() >= MOST_RUNS {
            let runs = std::mem::take(&mut self.runs);
            // Reading and writing are of one file: what is merged is read some pairs ahead of what is written behind it.
            let mut merged = Merge::new(&self.scratch, &runs)?;
            let mut writer = RunWriter::default();
            while let Some(pair) = merged.next(&self.scratch)? {
                writer.push(&mut self.scratch, pair)?;
            }
            self.runs.push(writer.finish(&mut self.scratch)?);
        }
        Ok(())
    }

    /// Calls `take` with each pair, in order.
    pub fn finish(mut self, mut take: impl FnMut(Pair) -> io::Result<()>) -> io::Result<()> {
        self.pairs.sort_unstable();
        let mut held = self.pairs.into_iter().peekable();
        let mut merge = Merge::new(&self.scratch, &self.runs)?;
        while let Some(pair) = merge.next(&self.scratch)? {
            while let Some(first) = held.next_if(|held| *held < pair) {
                take(first)?;
            }
            take(pair)?;
        }
        held.try_for_each(take)
    }
}

/// Appends a run.
#[derive(Default)]
struct RunWriter {
    bytes: Vec<u8>,
    at: Option<u64>,
    pairs: u64,
}

impl RunWriter {
    fn push(&mut self, scratch: &mut Scratch, (id, other): Pair) -> io::Result<()> {
        self.bytes.extend_from_slice(&id.to_le_bytes());
        self.bytes.extend_from_slice(&other.to_le_bytes());
        self.pairs += 1;
        if self.bytes.len() >= AHEAD * PAIR_BYTES { self.flush(scratch) } else { Ok(()) }
    }

    /// What is flushed stands behind what was flushed before: nobody else appends meanwhile.
    fn flush(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let at = scratch.append(&self.bytes)?;
        self.at.get_or_insert(at);
        self.bytes.clear();
        Ok(())
    }

    fn finish(mut self, scratch: &mut Scratch) -> io::Result<Run> {
        self.flush(scratch)?;
        Ok(Run { at: self.at.unwrap_or(0), pairs: self.pairs })
    }
}

fn write_run(scratch: &mut Scratch, pairs: impl Iterator<Item = io::Result<Pair>>) -> io::Result<Run> {
    let mut writer = RunWriter::default();
    for pair in pairs {
        writer.push(scratch, pair?)?;
    }
    writer.finish(scratch)
}

/// Merges runs.
struct Merge {
    readers: Vec<RunReader>,
    heads: BinaryHeap<Reverse<(Pair, usize)>>,
}

struct RunReader {
    rest: Run,
    /// Read ahead, the next one last.
    ahead: Vec<Pair>,
}

impl Merge {
    fn new(scratch: &Scratch, runs: &[Run]) -> io::Result<Self> {
        let readers = runs.iter().map(|rest| RunReader { rest: *rest, ahead: Vec::new() }).collect();
        let mut merge = Self { readers, heads: BinaryHeap::new() };
        for reader in 0..runs.len() {
            merge.refill(scratch, reader)?;
        }
        Ok(merge)
    }

    fn next(&mut self, scratch: &Scratch) -> io::Result<Option<Pair>> {
        let Some(Reverse((pair, reader))) = self.heads.pop() else { return Ok(None) };
        self.refill(scratch, reader)?;
        Ok(Some(pair))
    }

    fn refill(&mut self, scratch: &Scratch, number: usize) -> io::Result<()> {
        let reader = &mut self.readers[number];
        if reader.ahead.is_empty() {
            let pairs = reader.rest.pairs.min(AHEAD as u64);
            let mut bytes = vec![0; pairs as usize * PAIR_BYTES];
            scratch.read(reader.rest.at, &mut bytes)?;
            reader.ahead.extend(bytes.chunks_exact(PAIR_BYTES).rev().map(pair));
            reader.rest = Run { at: reader.rest.at + bytes.len() as u64, pairs: reader.rest.pairs - pairs };
        }
        if let Some(pair) = reader.ahead.pop() {
            self.heads.push(Reverse((pair, number)));
        }
        Ok(())
    }
}

/// The pair that these bytes are.
pub fn pair(bytes: &[u8]) -> Pair {
    let word =
        |bytes: Option<&[u8]>| u64::from_le_bytes(bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default());
    (word(bytes.get(..8)), word(bytes.get(8..16)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_come_in_order(ids in prop::collection::vec(any::<u64>(), 0..3000), memory in 1_usize..4000) {
            let directory = tempfile::tempdir().expect("a directory");
            let mut sorter = Sorter::new(directory.path(), memory);
            for id in &ids {
                sorter.push((*id, !id)).expect("taken");
            }
            prop_assert_eq!(sorter.count(), ids.len() as u64);
            let mut found = Vec::new();
            sorter.finish(|pair| {
                found.push(pair);
                Ok(())
            }).expect("sorted");
            let mut expected: Vec<Pair> = ids.into_iter().map(|id| (id, !id)).collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
