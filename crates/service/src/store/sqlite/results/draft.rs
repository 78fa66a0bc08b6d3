//! What a transaction of the writer will have changed: bodies, packs, index entries and counts of a group of requests.
//!
//! Bodies of new rows are gathered in one buffer and revisions in another, so that the bodies of a pack follow each other;
//! [`Draft::save`] puts them into the segment, one buffer behind the other.

use super::index_runs::{Entry, save_pending};
use super::keys::{Hashes, Tag, id_key, identity_key, record_of, revision_key, row_id};
use super::pack::{Head, PACK_ROWS};
use super::revisions;
use super::segment::{Segment, pad};
use super::sql;
use crate::store::body::Body;
use crate::store::{SetOwner, StoreError};
use docket_contract::Timestamp;
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// Places in the segment that an index entry can name.
const MAX_PLACE: u64 = 1 << 40;

/// Where in a buffer a set has written.
struct Stretch {
    set_no: u64,
    start: u64,
}

/// Bytes to append, and whose they are.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    stretches: Vec<Stretch>,
}

impl Buffer {
    /// What follows is written by this set.
    fn begin(&mut self, set_no: u64) {
        let start = self.bytes.len() as u64;
        match self.stretches.last_mut() {
            Some(last) if last.set_no == set_no => {}
            Some(last) if last.start == start => last.set_no = set_no,
            _ => self.stretches.push(Stretch { set_no, start }),
        }
    }

    /// The stretches of a buffer that will begin at an offset: set, from, to.
    fn regions(&self, offset: u64) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let ends = self.stretches.iter().skip(1).map(|next| next.start).chain([self.bytes.len() as u64]);
        let regions = self.stretches.iter().zip(ends);
        regions.map(move |(one, end)| (one.set_no, offset + one.start, offset + end)).filter(|(_, from, to)| from < to)
    }
}

/// Rows of a request that follow each other.
struct OpenPack {
    first: u64,
    offset: u64,
    heads: Vec<u8>,
    rows: usize,
}

/// Where the newest body of a row stands.
#[derive(Clone, Copy, Debug)]
pub enum Newest {
    /// In its pack.
    Packed,
    /// At this place of the segment.
    Revised(u64),
    /// Written by this transaction: it begins there in the buffer of revisions.
    Drafted(u64),
}

/// A row that is there already.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub sequence: u64,
    pub tag: Tag,
    pub newest: Newest,
}

/// What a transaction will have changed.
#[derive(Default)]
pub struct Draft {
    pub next_sequence: u64,
    pub last_pending: i64,
    /// Where the segment ends; moved by [`Draft::save`].
    pub end: u64,
    pub sets: HashMap<SetOwner, u64>,
    pub sources: HashMap<String, u64>,
    deleted: Vec<SetOwner>,
    /// Whether the sets of all jobs were deleted.
    jobs_deleted: bool,
    /// Rows written, by set and identity.
    pub rows: HashMap<(u64, [u8; 16]), Known>,
    /// What the index is to learn after the commit.
    pub entries: Vec<Entry>,
    /// The last region of each set that wrote: where it begins and ends.
    pub last_regions: HashMap<u64, (u64, u64)>,
    set_no: u64,
    now: Timestamp,
    created: Buffer,
    revised: Buffer,
    /// The rows of the revisions, where those begin in their buffer, and what they follow.
    revisions: Vec<(u64, u64, Newest)>,
    pack: Option<OpenPack>,
    /// Entries that packs do not tell.
    pending: Vec<Entry>,
    counts: HashMap<(u64, Tag), i64>,
    last_sequences: HashMap<u64, u64>,
    /// Sets of which rows were written again, with the sequence that was next then.
    last_revised: HashMap<u64, u64>,
}

impl Draft {
    pub fn new(next_sequence: u64, last_pending: i64, end: u64) -> Self {
        Self { next_sequence, last_pending, end, ..Self::default() }
    }

    /// What follows, until [`Draft::end`], is written to this set.
    pub fn begin(&mut self, set_no: u64, now: Timestamp) {
        (self.set_no, self.now) = (set_no, now);
        self.created.begin(set_no);
        self.revised.begin(set_no);
    }

    /// Adds a new row; answers its sequence.
    pub fn append(
        &mut self,
        connection: &Connection,
        hashes: &Hashes,
        head: Head,
        body: Body<'_>,
    ) -> Result<u64, StoreError> {
        if self.pack.as_ref().is_some_and(|pack| pack.rows == PACK_ROWS) {
            self.end(connection)?;
        }
        let (sequence, offset) = (self.next_sequence, self.end + self.created.bytes.len() as u64);
        let new = || OpenPack { first: sequence, offset, heads: Vec::with_capacity(4096), rows: 0 };
        let pack = self.pack.get_or_insert_with(new);
        head.write(&mut pack.heads);
        pack.rows += 1;
        body.write(&mut self.created.bytes);
        self.next_sequence += 1;
        let (set_no, record) = (self.set_no, record_of(&hashes.identity));
        self.entries.push(Entry::new(identity_key(&hashes.identity, set_no), sequence));
        self.entries.push(Entry::new(head.tag.key(set_no), sequence));
        let ids = [hashes.business_partner, hashes.external_id].into_iter().flatten();
        self.entries.extend(ids.map(|head| Entry { key: id_key(head, set_no), sequence, record }));
        *self.counts.entry((self.set_no, head.tag)).or_default() += 1;
        self.last_sequences.insert(self.set_no, sequence);
        Ok(sequence)
    }

    /// Adds a revision of a row; answers what the row is then.
    pub fn revise(&mut self, known: Known, tag: Tag, body: Body<'_>) -> Known {
        let Known { sequence, tag: old, newest } = known;
        let start = revisions::write(&mut self.revised.bytes, sequence, tag, self.now, body);
        self.revisions.push((sequence, start, newest));
        self.last_revised.insert(self.set_no, self.next_sequence);
        if tag != old {
            *self.counts.entry((self.set_no, old)).or_default() -= 1;
            *self.counts.entry((self.set_no, tag)).or_default() += 1;
        }
        let key = tag.key(self.set_no);
        if key != old.key(self.set_no) {
            self.pending.push(Entry::new(key, sequence));
        }
        Known { sequence, tag, newest: Newest::Drafted(start) }
    }

    /// Counts a row out that is removed.
    pub fn uncount(&mut self, set_no: u64, tag: Tag) {
        *self.counts.entry((set_no, tag)).or_default() -= 1;
    }

    /// Closes the pack of the rows that were added last.
    pub fn end(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if let Some(pack) = self.pack.take() {
            let id = row_id(self.set_no, pack.first);
            let row = params![id, self.now.as_millis(), pack.offset as i64, pack.heads];
            connection.prepare_cached(sql::INSERT_PACK)?.execute(row)?;
        }
        Ok(())
    }

    /// The set of an owner was deleted. What was written to it before stays until it is purged.
    pub fn forget(&mut self, owner: SetOwner, set_no: u64) {
        self.sets.remove(&owner);
        self.last_sequences.remove(&set_no);
        self.last_revised.remove(&set_no);
        self.deleted.push(owner);
    }

    /// The sets of all jobs were deleted.
    pub fn forget_jobs(&mut self) {
        self.sets.retain(|owner, _| matches!(owner, SetOwner::Log(_)));
        self.jobs_deleted = true;
    }

    /// Whether a set that was there before this transaction is gone.
    pub fn is_deleted(&self, owner: SetOwner) -> bool {
        self.jobs_deleted && matches!(owner, SetOwner::Job(_)) || self.deleted.contains(&owner)
    }

    /// Whether any set is gone.
    pub fn has_deleted(&self) -> bool {
        self.jobs_deleted || !self.deleted.is_empty()
    }

    pub fn save_counts(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(sql::COUNT)?;
        for ((set_no, tag), change) in self.counts.drain().filter(|(_, change)| *change != 0) {
            statement.execute([set_no as i64, tag.0 as i64, change])?;
        }
        Ok(())
    }

    /// Writes what is left to write: into the open transaction, and durably into the segment. `regions` are the last
    /// regions of sets as far as they are known.
    pub fn save(
        &mut self,
        connection: &Connection,
        segment: &Segment,
        regions: &HashMap<u64, (u64, u64)>,
    ) -> Result<(), StoreError> {
        self.save_counts(connection)?;
        pad(&mut self.created.bytes);
        let (start, middle) = (self.end, self.end + self.created.bytes.len() as u64);
        self.end = middle + self.revised.bytes.len() as u64;
        if revisions::place_of(self.end) >= MAX_PLACE {
            return Err(StoreError::Internal("the file of bodies has its largest size".to_owned()));
        }
        let place = |start: u64| revisions::place_of(middle + start);
        for (row, at, newest) in self.revisions.drain(..) {
            let before = match newest {
                Newest::Packed => revisions::PACKED,
                Newest::Revised(place) => place,
                Newest::Drafted(start) => place(start),
            };
            revisions::link(&mut self.revised.bytes, at, before);
            self.pending.push(Entry::new(revision_key(row), place(at)));
        }
        self.last_pending = save_pending(connection, &self.pending, self.last_pending)?;
        self.entries.append(&mut self.pending);
        for (set_no, last) in &self.last_sequences {
            connection.prepare_cached(sql::SET_LAST_SEQUENCE)?.execute([*set_no as i64, *last as i64])?;
        }
        for (set_no, next) in &self.last_revised {
            connection.prepare_cached(sql::SET_LAST_REVISED)?.execute([*set_no as i64, *next as i64])?;
        }
        if self.end == start {
            return Ok(());
        }
        let written: Vec<_> = self.created.regions(start).chain(self.revised.regions(middle)).collect();
        for (set_no, from, to) in written {
            self.save_region(connection, regions, set_no, (from, to))?;
        }
        connection.prepare_cached(sql::SET_PROGRESS)?.execute([self.next_sequence as i64, self.end as i64])?;
        segment.append(start, &[&self.created.bytes, &self.revised.bytes])
    }

    fn save_region(
        &mut self,
        connection: &Connection,
        regions: &HashMap<u64, (u64, u64)>,
        set_no: u64,
        (from, to): (u64, u64),
    ) -> Result<(), StoreError> {
        let last = self.last_regions.get(&set_no).or_else(|| regions.get(&set_no));
        let (statement, start) = match last {
            Some((start, end)) if *end == from => (sql::LENGTHEN_REGION, *start),
            _ => (sql::INSERT_REGION, from),
        };
        connection.prepare_cached(statement)?.execute([set_no as i64, start as i64, (to - from) as i64])?;
        self.last_regions.insert(set_no, (start, to));
        Ok(())
    }
}
