//! One run: its blocks in the file, its fences and filter in memory.

use super::{Entry, IndexOptions, sql};
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use crate::store::sqlite::results::bloom::Bloom;
use crate::store::sqlite::results::keys::{Kind, is_of, revision_key, sequence_of};
use rusqlite::{CachedStatement, Connection};

/// Bytes of an entry in a block: the key, and 40 bits of sequence.
const ENTRY_BYTES: usize = 13;
/// Entries of a block, so that a row of the table of blocks fills a page of 4096 bytes without overflowing.
pub const PAGE_ENTRIES: usize = 312;
/// Bits of a row id of blocks and filters that number them within the run.
pub const BLOCK_BITS: u32 = 24;

/// The row id of a block, or of a part of a filter.
pub fn block_id(run: u64, block: usize) -> i64 {
    (run << BLOCK_BITS | block as u64) as i64
}

/// Keys one after the other, then sequences.
pub fn encode_block(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    bytes.extend(entries.iter().flat_map(|entry| entry.key.to_le_bytes()));
    for entry in entries {
        bytes.extend_from_slice(&entry.sequence.to_le_bytes()[..5]);
    }
    bytes
}

/// A block as it stands in the file.
pub struct Block<'a> {
    keys: &'a [[u8; 8]],
    sequences: &'a [[u8; 5]],
}

impl<'a> Block<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let entries = bytes.len() / ENTRY_BYTES;
        let (keys, sequences) = bytes.split_at(entries * 8);
        let (keys, (sequences, rest)) = (keys.as_chunks::<8>().0, sequences.as_chunks::<5>());
        if entries == 0 || sequences.len() != entries || !rest.is_empty() {
            return Err(damaged("a block of an index run has a wrong length"));
        }
        Ok(Self { keys, sequences })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn entry(&self, place: usize) -> Entry {
        let [a, b, c, d, e] = self.sequences[place];
        let sequence = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
        Entry { key: u64::from_le_bytes(self.keys[place]), sequence }
    }

    /// The place of the first entry that is not before `entry`.
    pub fn seek(&self, entry: Entry) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.entry(middle) < entry {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// A sorted run that stands in the file.
pub struct Run {
    pub no: u64,
    /// How often its entries were merged.
    pub level: u32,
    pub fences: Vec<Entry>,
    /// How many of its entries are places of revisions.
    pub revisions: u64,
    /// `None` when the memory for filters is used up: the blocks are asked then.
    pub filter: Option<Bloom>,
}

impl Run {
    pub fn blocks(&self) -> usize {
        self.fences.len()
    }

    /// The first block that may hold an entry that is not before `entry`.
    pub fn first_block(&self, entry: Entry) -> usize {
        self.fences.partition_point(|fence| *fence < entry).saturating_sub(1)
    }

    /// Calls `found` with the place in `keys` and the sequence of every entry of these keys, which are no tags and must be
    /// in ascending order.
    pub fn find(
        &self,
        connection: &Connection,
        keys: &[u64],
        mut found: impl FnMut(usize, u64),
    ) -> Result<(), StoreError> {
        let may_hold = |key: u64| self.filter.as_ref().is_none_or(|filter| filter.may_contain(key));
        let mut wanted = keys.iter().enumerate().filter(|(_, key)| may_hold(**key)).peekable();
        if wanted.peek().is_none() {
            return Ok(());
        }
        let mut statement = connection.prepare_cached(sql::BLOCK)?;
        let mut loaded = Loaded::default();
        for (index, key) in wanted {
            let first = Entry { key: *key, sequence: 0 };
            for block in self.first_block(first)..self.blocks() {
                if self.fences[block].key > *key {
                    break;
                }
                loaded.load(&mut statement, self.no, block)?;
                let block = Block::read(&loaded.bytes)?;
                for place in block.seek(first)..block.len() {
                    let entry = block.entry(place);
                    if entry.key != *key {
                        break;
                    }
                    found(index, entry.sequence);
                }
            }
        }
        Ok(())
    }

    /// The sequences of a tag key behind `after`, in order; at most `limit`.
    pub fn tail(
        &self,
        connection: &Connection,
        key: u64,
        after: u64,
        limit: usize,
        sequences: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let first = Entry { key, sequence: after + 1 };
        let mut statement = connection.prepare_cached(sql::BLOCK)?;
        let mut loaded = Loaded::default();
        let end = sequences.len() + limit;
        for block in self.first_block(first)..self.blocks() {
            if self.fences[block].key > key || sequences.len() >= end {
                break;
            }
            loaded.load(&mut statement, self.no, block)?;
            let block = Block::read(&loaded.bytes)?;
            for place in block.seek(first)..block.len() {
                let entry = block.entry(place);
                if entry.key != key || sequences.len() >= end {
                    break;
                }
                sequences.push(entry.sequence);
            }
        }
        Ok(())
    }

    /// The places of the revisions of the rows from `first` to `last`, in order, behind those that are there already.
    pub fn revisions(
        &self,
        connection: &Connection,
        first: u64,
        last: u64,
        places: &mut Vec<(u64, u64)>,
    ) -> Result<(), StoreError> {
        if self.revisions == 0 {
            return Ok(());
        }
        let (first, last) = (Entry { key: revision_key(first), sequence: 0 }, revision_key(last));
        let mut statement = connection.prepare_cached(sql::BLOCK)?;
        let mut loaded = Loaded::default();
        for block in self.first_block(first)..self.blocks() {
            if self.fences[block].key > last {
                break;
            }
            loaded.load(&mut statement, self.no, block)?;
            let block = Block::read(&loaded.bytes)?;
            for place in block.seek(first)..block.len() {
                let entry = block.entry(place);
                if entry.key > last {
                    return Ok(());
                }
                places.push((sequence_of(entry.key as i64), entry.sequence));
            }
        }
        Ok(())
    }

    /// Checks that the fences fit: what is read from a file may be anything.
    pub fn read_fences(bytes: &[u8]) -> Option<Vec<Entry>> {
        let (words, rest) = bytes.as_chunks::<16>();
        let fences: Vec<Entry> = words
            .iter()
            .map(|word| {
                let word = u128::from_le_bytes(*word);
                Entry { key: word as u64, sequence: (word >> 64) as u64 }
            })
            .collect();
        (rest.is_empty() && !fences.is_empty() && fences.is_sorted()).then_some(fences)
    }

    pub fn write_fences(fences: &[Entry]) -> Vec<u8> {
        fences
            .iter()
            .flat_map(|fence| (u128::from(fence.sequence) << 64 | u128::from(fence.key)).to_le_bytes())
            .collect()
    }
}

/// The block that was read last: neighbouring keys often share one.
#[derive(Default)]
struct Loaded {
    block: Option<usize>,
    bytes: Vec<u8>,
}

impl Loaded {
    fn load(&mut self, statement: &mut CachedStatement<'_>, run: u64, block: usize) -> Result<(), StoreError> {
        if self.block == Some(block) {
            return Ok(());
        }
        self.block = None;
        self.bytes.clear();
        let mut rows = statement.query([block_id(run, block)])?;
        let row = rows.next()?.ok_or_else(|| damaged("a block of an index run is missing"))?;
        self.bytes.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        self.block = Some(block);
        Ok(())
    }
}

/// Builds a run from entries in ascending order.
pub struct Builder {
    pub no: u64,
    pub level: u32,
    entries: u64,
    revisions: u64,
    fences: Vec<Entry>,
    filter: Bloom,
    open: Vec<Entry>,
    block_entries: usize,
}

impl Builder {
    /// `expected` is the number of hash entries, from above.
    pub fn new(no: u64, level: u32, expected: usize, options: &IndexOptions) -> Self {
        let filter = Bloom::new(expected, options.filter_bits);
        let block_entries = options.block_entries;
        Self {
            no,
            level,
            entries: 0,
            revisions: 0,
            fences: Vec::new(),
            filter,
            open: Vec::with_capacity(block_entries),
            block_entries,
        }
    }

    /// Adds an entry; answers a block when one is full.
    pub fn push(&mut self, entry: Entry) -> Option<(i64, Vec<u8>)> {
        let is_revision = is_of(Kind::Revision, entry.key);
        match self.open.last_mut() {
            Some(last) if *last == entry => return None,
            // Of a row's revisions the newest counts.
            Some(last) if is_revision && last.key == entry.key => {
                *last = entry;
                return None;
            }
            _ => {}
        }
        if !is_of(Kind::Tag, entry.key) {
            self.filter.insert(entry.key);
        }
        self.revisions += u64::from(is_revision);
        // A block is closed only by the entry behind it, so that `open` knows the last entry.
        let full = if self.open.len() == self.block_entries { self.close_block() } else { None };
        self.open.push(entry);
        full
    }

    /// The last block, if it holds anything.
    pub fn close_block(&mut self) -> Option<(i64, Vec<u8>)> {
        let first = *self.open.first()?;
        let block = (block_id(self.no, self.fences.len()), encode_block(&self.open));
        self.fences.push(first);
        self.entries += self.open.len() as u64;
        self.open.clear();
        Some(block)
    }

    pub fn filter(&self) -> &Bloom {
        &self.filter
    }

    /// What the table of runs says of it: number, level, entries, revisions and fences.
    pub fn row(&self) -> (u64, u32, u64, u64, Vec<u8>) {
        (self.no, self.level, self.entries, self.revisions, Run::write_fences(&self.fences))
    }

    pub fn into_run(self) -> Run {
        let Self { no, level, fences, revisions, filter, .. } = self;
        Run { no, level, fences, revisions, filter: Some(filter) }
    }
}
