//! One run: its blocks in the file, its fences and filter in memory.

use super::{Entry, IndexOptions, sql};
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use crate::store::sqlite::results::bloom::Bloom;
use crate::store::sqlite::results::keys::{
    Kind, MAX_SETS, first_key, head_of, is_of, is_of_id, revision_key, sequence_of,
};
use rusqlite::{CachedStatement, Connection};

/// Bytes of an entry in a block: the key, and 40 bits of sequence.
const ENTRY_BYTES: usize = 13;
/// Bytes of an entry of an id: 40 bits of the record besides. A block holds either such entries or others.
const ID_ENTRY_BYTES: usize = 18;
/// Entries of a block, so that a row of the table of blocks fills a page of 4096 bytes without overflowing. Of entries of
/// ids there is room for fewer.
pub const PAGE_ENTRIES: usize = 312;
/// Bits of a row id of blocks and filters that number them within the run.
pub const BLOCK_BITS: u32 = 24;

/// The row id of a block, or of a part of a filter.
pub fn block_id(run: u64, block: usize) -> i64 {
    (run << BLOCK_BITS | block as u64) as i64
}

/// Keys one after the other, then sequences; then records, if the first key is of an id.
pub fn encode_block(entries: &[Entry]) -> Vec<u8> {
    let tells_records = entries.first().is_some_and(|entry| is_of_id(entry.key));
    let mut bytes = Vec::with_capacity(entries.len() * if tells_records { ID_ENTRY_BYTES } else { ENTRY_BYTES });
    bytes.extend(entries.iter().flat_map(|entry| entry.key.to_le_bytes()));
    let mut put = |number: u64| bytes.extend_from_slice(&number.to_le_bytes()[..5]);
    entries.iter().for_each(|entry| put(entry.sequence));
    if tells_records {
        entries.iter().for_each(|entry| put(entry.record));
    }
    bytes
}

/// A block as it stands in the file.
pub struct Block<'a> {
    keys: &'a [[u8; 8]],
    sequences: &'a [[u8; 5]],
    /// None in a block that holds no entries of ids.
    records: &'a [[u8; 5]],
}

impl<'a> Block<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let wrong = || damaged("a block of an index run has a wrong length");
        let first = bytes.first_chunk().ok_or_else(wrong)?;
        let tells_records = is_of_id(u64::from_le_bytes(*first));
        let entries = bytes.len() / if tells_records { ID_ENTRY_BYTES } else { ENTRY_BYTES };
        let (keys, numbers) = bytes.split_at_checked(entries * 8).ok_or_else(wrong)?;
        let (keys, (numbers, rest)) = (keys.as_chunks::<8>().0, numbers.as_chunks::<5>());
        let (sequences, records) = numbers.split_at_checked(entries).ok_or_else(wrong)?;
        if entries == 0 || records.len() != if tells_records { entries } else { 0 } || !rest.is_empty() {
            return Err(wrong());
        }
        Ok(Self { keys, sequences, records })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn entry(&self, place: usize) -> Entry {
        let number = |[a, b, c, d, e]: [u8; 5]| u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
        Entry {
            key: u64::from_le_bytes(self.keys[place]),
            sequence: number(self.sequences[place]),
            record: self.records.get(place).copied().map_or(0, number),
        }
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

    /// How many entries its filter knows, from above, given how many a block has room for.
    pub fn filtered(&self, block_entries: usize) -> usize {
        let tags = first_key(Kind::Tag);
        let filtered = &self.fences[..self.fences.partition_point(|fence| fence.key < tags)];
        filtered.iter().map(|fence| room(block_entries, *fence)).sum()
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
        let may_hold = |key: u64| self.filter.as_ref().is_none_or(|filter| filter.may_contain(head_of(key), key));
        self.search(connection, keys, 0, may_hold, |place, entry| {
            found(place, entry.sequence);
            Ok(())
        })
    }

    /// Calls `found` with the place in `heads` and every entry of these ids in all sets. `heads` must be in ascending order.
    pub fn find_everywhere(
        &self,
        connection: &Connection,
        heads: &[u64],
        found: impl FnMut(usize, Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let may_hold = |head: u64| self.filter.as_ref().is_none_or(|filter| filter.may_contain_head(head));
        self.search(connection, heads, MAX_SETS - 1, may_hold, found)
    }

    /// Calls `found` with every entry whose key is one of `keys`, or the key and up to `spread` more.
    fn search(
        &self,
        connection: &Connection,
        keys: &[u64],
        spread: u64,
        may_hold: impl Fn(u64) -> bool,
        mut found: impl FnMut(usize, Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut wanted = keys.iter().enumerate().filter(|(_, key)| may_hold(**key)).peekable();
        if wanted.peek().is_none() {
            return Ok(());
        }
        let mut statement = connection.prepare_cached(sql::BLOCK)?;
        let mut loaded = Loaded::default();
        for (index, key) in wanted {
            let (first, last) = (Entry::new(*key, 0), *key + spread);
            for block in self.first_block(first)..self.blocks() {
                if self.fences[block].key > last {
                    break;
                }
                loaded.load(&mut statement, self.no, block)?;
                let block = Block::read(&loaded.bytes)?;
                for place in block.seek(first)..block.len() {
                    let entry = block.entry(place);
                    if entry.key > last {
                        break;
                    }
                    found(index, entry)?;
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
        let first = Entry::new(key, after + 1);
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
        let (first, last) = (Entry::new(revision_key(first), 0), revision_key(last));
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
                Entry::new(word as u64, (word >> 64) as u64)
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

/// Entries of a block that holds entries such as this one.
fn room(block_entries: usize, entry: Entry) -> usize {
    if is_of_id(entry.key) { (block_entries * ENTRY_BYTES / ID_ENTRY_BYTES).max(1) } else { block_entries }
}

/// Whether two entries can't share a block.
fn differ(one: Entry, other: Entry) -> bool {
    is_of_id(one.key) != is_of_id(other.key)
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
            self.filter.insert(head_of(entry.key), entry.key);
        }
        self.revisions += u64::from(is_revision);
        // A block is closed only by the entry behind it, so that `open` knows the last entry.
        let is_full = self.open.len() >= room(self.block_entries, entry)
            || self.open.last().is_some_and(|last| differ(*last, entry));
        let full = if is_full { self.close_block() } else { None };
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
