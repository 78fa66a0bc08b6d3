//! One set: the regions from their first byte to their last. Each byte belongs to a pack, to a revision, or fills up;
//! each body is a record with the identity and the verdict that its head tells.

use super::finds::{Keys, TagWindows};
use crate::store::sqlite::connection::damaged;
use crate::store::sqlite::flaw::{Find, Part, or_flaw};
use crate::store::sqlite::results::index_runs::Index;
use crate::store::sqlite::results::keys::{Hasher, Tag, id_key, identity_key, row_id};
use crate::store::sqlite::results::pack::{Head, Pack, PackFinder};
use crate::store::sqlite::results::revisions::Revision;
use crate::store::sqlite::results::segment::{Segment, UNIT};
use crate::store::sqlite::results::{revisions, sql};
use crate::store::{SetOwner, StoreError};
use docket_contract::result::{Record, ResultItem};
use rusqlite::Connection;
use std::collections::{HashMap, VecDeque};

/// Packs that are read at a time.
const PACKS: i64 = 64;
/// By primary key: packs of a set behind one.
const NEXT_PACKS: &str = "
    SELECT id, created_at, offset, heads
    FROM packs
    WHERE id > ?1 AND id < ?2
    ORDER BY id
    LIMIT ?3";
/// By primary key.
const REGIONS: &str = "SELECT offset, length FROM regions WHERE set_no = ?1 ORDER BY offset";

/// Where a set stands.
pub struct Place<'a> {
    pub connection: &'a Connection,
    pub segment: &'a Segment,
    /// `None` when it can't be read.
    pub index: Option<&'a Index>,
    /// Numbers of data sources.
    pub sources: &'a HashMap<String, u64>,
}

struct OwnedPack {
    id: i64,
    first: u64,
    last: u64,
    offset: u64,
    length: u64,
    /// Those that are there.
    rows: Vec<(u64, Head, u64)>,
}

/// The check of one set.
pub struct SetCheck<'a> {
    place: Place<'a>,
    hasher: Hasher,
    set_no: u64,
    owner: SetOwner,
    packs: VecDeque<OwnedPack>,
    /// The id of the last pack that was read from the table.
    read: i64,
    rows: u64,
    /// The first row that is there.
    first: Option<u64>,
    last: u64,
    counts: HashMap<Tag, u64>,
    keys: Keys,
    tags: TagWindows,
    /// Revisions whose rows must lead to them: row and place.
    revised: Vec<(u64, u64)>,
    buffer: Vec<u8>,
}

impl<'a> SetCheck<'a> {
    pub fn new(place: Place<'a>, hasher: Hasher, set_no: u64, owner: SetOwner) -> Self {
        Self {
            place,
            hasher,
            set_no,
            owner,
            packs: VecDeque::new(),
            read: row_id(set_no, 0),
            rows: 0,
            first: None,
            last: 0,
            counts: HashMap::new(),
            keys: Keys::default(),
            tags: TagWindows::default(),
            revised: Vec::new(),
            buffer: Vec::new(),
        }
    }

    fn name(&self) -> String {
        match self.owner {
            SetOwner::Job(job) => format!("results of job {job}"),
            SetOwner::Log(log) => format!("records of log {log}"),
        }
    }

    /// Checks the set; answers how many rows it has.
    pub fn check(
        &mut self,
        (first_sequence, last_sequence): (u64, u64),
        moved: &mut dyn FnMut(u64),
        find: Find<'_>,
    ) -> Result<u64, StoreError> {
        let name = self.name();
        let mut named = |part, what: String| find(part, format!("{name}: {what}"));
        let checked = self.walk(moved, &mut named);
        or_flaw(checked, Part::Bodies, "", &mut named)?;
        if self.last != last_sequence {
            named(Part::Rows, format!("its last row is {} and should be {last_sequence}", self.last));
        }
        if let Some(first) = self.first
            && first < first_sequence
        {
            named(Part::Rows, format!("its first row is {first}, before {first_sequence}, where it should begin"));
        }
        self.count(&mut named)?;
        Ok(self.rows)
    }

    fn walk(&mut self, moved: &mut dyn FnMut(u64), find: Find<'_>) -> Result<(), StoreError> {
        let connection = self.place.connection;
        let mut statement = connection.prepare_cached(REGIONS)?;
        let mut regions = statement.query([self.set_no as i64])?;
        while let Some(row) = regions.next()? {
            let (offset, length) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64);
            self.region(offset, offset.saturating_add(length), find)?;
            moved(length);
        }
        while let Some(pack) = self.next_pack(find)? {
            self.packs.pop_front();
            let what = format!("rows {} to {} stand at {}, outside of the set's regions", pack.0, pack.1, pack.2);
            find(Part::Bodies, what);
        }
        self.flush(find)
    }

    /// First and last row and the offset of the pack that comes next.
    fn next_pack(&mut self, find: Find<'_>) -> Result<Option<(u64, u64, u64)>, StoreError> {
        if self.packs.is_empty() {
            self.read_packs(find)?;
        }
        Ok(self.packs.front().map(|pack| (pack.first, pack.last, pack.offset)))
    }

    fn read_packs(&mut self, find: Find<'_>) -> Result<(), StoreError> {
        let mut statement = self.place.connection.prepare_cached(NEXT_PACKS)?;
        // Ids of packs are behind that of row 0, which no set has.
        let mut rows = statement.query([self.read, row_id(self.set_no + 1, 0), PACKS])?;
        let mut read = Vec::new();
        while let Some(row) = rows.next()? {
            self.read = row.get(0)?;
            let pack = Pack::read(row).map(|pack| {
                let (offset, length, rows) = (pack.stands_at(), pack.length(), pack.rows().collect());
                OwnedPack { id: self.read, first: pack.first, last: pack.last(), offset, length, rows }
            });
            read.extend(or_flaw(pack, Part::Rows, "a pack", find)?);
        }
        for pack in read {
            if pack.first <= self.last {
                find(Part::Rows, format!("row {} comes twice", pack.first));
            }
            self.last = self.last.max(pack.last);
            self.rows += pack.rows.len() as u64;
            self.first = self.first.or(pack.rows.first().map(|(sequence, ..)| *sequence));
            self.count_rows(&pack, find)?;
            self.packs.push_back(pack);
        }
        Ok(())
    }

    /// Counts the rows of a pack by what they are now, and asks the index for them by that.
    fn count_rows(&mut self, pack: &OwnedPack, find: Find<'_>) -> Result<(), StoreError> {
        let Place { connection, segment, index, .. } = self.place;
        let sequences: Vec<u64> = pack.rows.iter().map(|(sequence, ..)| *sequence).collect();
        let newest = match index {
            Some(index) => or_flaw(index.revisions_of(connection, &sequences), Part::Index, "", find)?,
            None => None,
        };
        let mut newest = newest.unwrap_or_default().into_iter().peekable();
        for (sequence, head, _) in &pack.rows {
            let mut tag = head.tag;
            if let Some((_, place)) = newest.next_if(|(row, _)| row == sequence) {
                let revision = revisions::head(segment, *sequence, place);
                let what = format!("row {sequence} at {}", place * UNIT);
                tag = or_flaw(revision, Part::Index, &what, find)?.map_or(tag, |revision| revision.tag);
            }
            *self.counts.entry(tag).or_default() += 1;
            if let Some(index) = index {
                let found = self.tags.find(connection, index, tag.key(self.set_no), *sequence);
                if or_flaw(found, Part::Index, "", find)? == Some(false) {
                    find(Part::Index, format!("row {sequence} is not found by its data source and verdict"));
                }
            }
        }
        Ok(())
    }

    /// From the first byte of a region to its last.
    fn region(&mut self, from: u64, to: u64, find: Find<'_>) -> Result<(), StoreError> {
        let mut at = from;
        while at < to {
            match self.next_pack(find)? {
                Some((first, last, offset)) if offset < at => {
                    self.packs.pop_front();
                    find(
                        Part::Bodies,
                        format!("rows {first} to {last} stand at {offset}, where something else stands"),
                    );
                }
                Some((_, _, offset)) if offset == at => at = self.pack(at, to, find)?,
                _ if !at.is_multiple_of(UNIT) => at = self.filling(at, to, find)?,
                next => {
                    let revision = self.revision(at, find);
                    // Behind what is no revision the next pack is the next thing that is known.
                    let behind = next.map_or(to, |(_, _, offset)| offset.min(to));
                    at = or_flaw(revision, Part::Bodies, &format!("at {at}"), find)?.map_or(behind, |size| at + size);
                }
            }
        }
        if at > to {
            find(Part::Bodies, format!("what stands before {at} reaches over the end of its region at {to}"));
        }
        Ok(())
    }

    /// What fills up to the next unit: zeros.
    fn filling(&mut self, at: u64, to: u64, find: Find<'_>) -> Result<u64, StoreError> {
        let end = at.next_multiple_of(UNIT).min(to);
        let mut bytes = [0; UNIT as usize];
        let bytes = &mut bytes[..(end - at) as usize];
        self.place.segment.read(at, bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            find(Part::Bodies, format!("something unknown stands at {at}"));
        }
        Ok(end)
    }

    /// The bodies of the next pack, which stands here; answers where they end.
    fn pack(&mut self, at: u64, to: u64, find: Find<'_>) -> Result<u64, StoreError> {
        let Some(pack) = self.packs.pop_front() else { return Ok(to) };
        debug_assert!(pack.id <= self.read, "packs are read in order");
        if pack.rows.is_empty() {
            return Ok(at.saturating_add(pack.length));
        }
        let length = pack.length;
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.place.segment.read_into(at, length, &mut buffer);
        let what = format!("rows {} to {}", pack.first, pack.last);
        if or_flaw(read, Part::Bodies, &what, find)?.is_some() {
            for (sequence, head, offset) in &pack.rows {
                let body = &buffer[(offset - at) as usize..][..head.length as usize];
                let record = self.body(body, (head.identity, head.tag));
                let record = or_flaw(record, Part::Rows, &format!("row {sequence} at {offset}"), find)?;
                let ids = record.map(|record| self.hasher.record(&record));
                self.keys.add(identity_key(&head.identity, self.set_no), *sequence);
                let ids = ids.map(|ids| [ids.business_partner, ids.external_id]).unwrap_or_default();
                ids.into_iter().flatten().for_each(|head| self.keys.add(id_key(head, self.set_no), *sequence));
            }
        }
        self.buffer = buffer;
        if self.keys.are_many() {
            self.flush(find)?;
        }
        Ok(at.saturating_add(length))
    }

    /// A revision that stands here; answers its size.
    fn revision(&mut self, at: u64, find: Find<'_>) -> Result<u64, StoreError> {
        let Place { connection, segment, .. } = self.place;
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = revisions::standing_at(segment, at, &mut buffer);
        let checked = read.and_then(|(sequence, revision, body)| {
            let Some(row) = PackFinder::new(connection, self.set_no)?.find(sequence)? else {
                return self.removed(at, &revision, body);
            };
            let before = if revision.before == revisions::PACKED {
                Ok(())
            } else {
                match revisions::follow(segment, sequence, revision.before)? {
                    Some((place, _)) if place < revisions::place_of(at) => Ok(()),
                    _ => Err(damaged("a revision follows a later one")),
                }
            };
            let record = before.and_then(|()| self.body(body, (row.head.identity, revision.tag)));
            or_flaw(record, Part::Rows, &format!("row {sequence} at {at}"), find)?;
            self.revised.push((sequence, revisions::place_of(at)));
            Ok(revisions::size(&revision))
        });
        self.buffer = buffer;
        checked
    }

    /// A revision of a row that is not there: the row was removed, and the text with it, or the text is about to be.
    fn removed(&self, at: u64, revision: &Revision, body: &[u8]) -> Result<u64, StoreError> {
        let start = at + revisions::HEADER_BYTES as u64;
        let mut statement = self.place.connection.prepare_cached(sql::IS_WIPED)?;
        let is_removed = body.iter().all(|byte| *byte == 0)
            || statement.query_row([start as i64, (start + body.len() as u64) as i64], |row| row.get(0))?;
        if !is_removed {
            return Err(damaged("a revision of a row that is not there"));
        }
        Ok(revisions::size(revision))
    }

    /// The record that a body holds, which must have this identity and tag.
    fn body(&self, body: &[u8], (identity, tag): ([u8; 16], Tag)) -> Result<Record, StoreError> {
        let text = std::str::from_utf8(body).map_err(|_| damaged("its body is no text"))?;
        let ResultItem::Record(record, _) = ResultItem::parse(text) else {
            return Err(damaged("its body holds no record"));
        };
        if self.hasher.clone().record(&record).identity != identity {
            return Err(damaged("its body is another record's"));
        }
        let source = match record.identity.data_source_id() {
            Some(name) => *self.place.sources.get(name).ok_or_else(|| damaged("its data source has no number"))?,
            None => 0,
        };
        if Tag::new(source, record.country, record.status) != tag {
            return Err(damaged("its body says another data source, country or verdict"));
        }
        Ok(record)
    }

    /// Asks the index for what was gathered.
    fn flush(&mut self, find: Find<'_>) -> Result<(), StoreError> {
        let (mut keys, mut revised) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.revised));
        let Place { connection, index: Some(index), .. } = self.place else { return Ok(()) };
        if let Some(missing) = or_flaw(keys.missing(connection, index), Part::Index, "", find)? {
            for sequence in missing {
                find(Part::Index, format!("row {sequence} is not found by its ids"));
            }
        }
        revised.sort_unstable();
        let mut sequences: Vec<u64> = revised.iter().map(|(sequence, _)| *sequence).collect();
        sequences.dedup();
        let newest = index.revisions_of(connection, &sequences);
        let newest = or_flaw(newest, Part::Index, "", find)?.unwrap_or_default();
        for (sequence, place) in revised {
            let found = newest.binary_search_by_key(&sequence, |(row, _)| *row).ok().map(|found| newest[found].1);
            if found.is_none_or(|newest| newest < place) {
                find(Part::Index, format!("the revision of row {sequence} at {} is not found", place * UNIT));
            }
        }
        Ok(())
    }

    fn count(&mut self, find: Find<'_>) -> Result<(), StoreError> {
        let mut statement = self.place.connection.prepare_cached(sql::COUNTERS)?;
        let mut rows = statement.query([self.set_no as i64])?;
        while let Some(row) = rows.next()? {
            let (tag, count) = (Tag(row.get::<_, i64>(0)? as u64), row.get::<_, i64>(1)?);
            let there = self.counts.remove(&tag).unwrap_or(0);
            if i64::try_from(there) != Ok(count) {
                find(Part::Counters, format!("{} are counted as {count} and are {there}", tell(tag)));
            }
        }
        let mut uncounted: Vec<_> = self.counts.drain().collect();
        uncounted.sort_unstable();
        for (tag, there) in uncounted {
            find(Part::Counters, format!("{} are not counted and are {there}", tell(tag)));
        }
        Ok(())
    }
}

fn tell(tag: Tag) -> String {
    let country = tag.country().map_or_else(|| "none".to_owned(), |code| String::from_utf8_lossy(&code).into_owned());
    format!("rows of data source {}, country {country}, verdict {:?}", tag.source(), tag.status())
}
