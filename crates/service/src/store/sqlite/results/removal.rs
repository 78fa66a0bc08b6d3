//! Removal of single rows: of a data subject, or of what is old.
//!
//! Readers find the rows; the writer takes them out of their packs and counters, in steps of a bounded size with a
//! transaction each, and notes where their texts stand (table `wipes`). From then on nobody finds them, whatever the index
//! still says. The texts are overwritten behind: see `wipe.rs`.
//!
//! What stays of a row is its length in its pack, and keys in the index, which are hashes with a secret of the file.

use super::draft::Draft;
use super::file::StorageFile;
use super::index_runs::Index;
use super::keys::{Kind, MAX_SEQUENCE, row_id, set_of};
use super::last;
use super::pack::{Pack, PackFinder};
use super::page::set_no;
use super::readers::{Reader, in_snapshot};
use super::revisions;
use super::segment::{Segment, UNIT};
use super::sql;
use super::walk;
use crate::store::encode::IdFilter;
use crate::store::{DataSubject, ResultFilter, SetOwner, Span, StoreError};
use docket_contract::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Rows that one transaction removes, at most.
const STEP_ROWS: usize = 4096;
/// Texts, those of revisions included, behind which a transaction begins no further row.
const STEP_TEXTS: usize = 8192;

/// Rows of a set that are to go.
#[derive(Clone, Debug)]
pub struct Removal {
    pub owner: SetOwner,
    pub set_no: u64,
    /// In ascending order.
    pub sequences: Vec<u64>,
    /// Only those that were last written before this.
    pub written_before: Option<Timestamp>,
    /// Once they are gone no row before this is left.
    pub first: Option<u64>,
}

/// What a transaction has come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removed {
    /// Rows that are gone now.
    pub rows: u64,
    /// Sequences that were looked at; the others are for the next transaction.
    pub done: usize,
    /// The first of them that stays.
    pub stays: Option<u64>,
}

/// A place among the index entries of a subject: set and sequence.
pub type SubjectPlace = (u64, u64);

/// The rows of a subject in all sets that are there, of the first `looks` entries behind a place, and behind which place the
/// next ones stand; `None` at the end.
pub fn of_subject(
    reader: &mut Reader,
    file: &StorageFile,
    subject: &DataSubject,
    after: SubjectPlace,
    looks: usize,
) -> Result<(Vec<Removal>, Option<SubjectPlace>), StoreError> {
    let mut filter = ResultFilter::default();
    let (kind, id) = match subject {
        DataSubject::BusinessPartner(id) => {
            filter.business_partner_ids.push(id.clone());
            (Kind::BusinessPartner, id)
        }
        DataSubject::External(id) => {
            filter.external_ids.push(id.clone());
            (Kind::ExternalId, id)
        }
    };
    let ids = IdFilter::new(&filter);
    let Reader { connection, buffer, rows } = reader;
    // However many entries there are, no more are held than are looked at.
    let mut found: BinaryHeap<SubjectPlace> = BinaryHeap::new();
    file.index.find_everywhere(connection, &[file.hasher.clone().head(kind, id)], |_, entry| {
        let place = (set_of(entry.key), entry.sequence);
        if place > after && (found.len() < looks || found.peek().is_some_and(|last| place < *last)) {
            found.push(place);
            if found.len() > looks {
                found.pop();
            }
        }
        Ok(())
    })?;
    let next = found.peek().copied().filter(|_| found.len() == looks);
    let mut found = found.into_sorted_vec();
    found.dedup();
    let mut removals = Vec::new();
    for set in found.chunk_by(|one, other| one.0 == other.0) {
        let set_no = set[0].0;
        let Some((owner, _)) = last::set_owner(connection, set_no)? else { continue };
        let mut sequences = Vec::with_capacity(set.len());
        let punches = file.segment.punches();
        let read = in_snapshot(connection, || {
            walk::pick(connection, set_no, set.iter().map(|(_, sequence)| *sequence), rows)?;
            walk::each_body(
                &file.segment,
                rows,
                usize::MAX,
                |_| true,
                buffer,
                |row, body| {
                    if ids.passes(body)? {
                        sequences.push(row.sequence);
                    }
                    Ok(true)
                },
            )
        });
        if (matches!(read, Err(StoreError::Damaged(_))) || file.segment.punches() != punches)
            && last::is_gone(connection, set_no)?
        {
            continue;
        }
        read?;
        if !sequences.is_empty() {
            removals.push(Removal { owner, set_no, sequences, written_before: None, first: None });
        }
    }
    Ok((removals, next))
}

/// Rows of a set behind `after` that were last written before a moment, as many as one step removes, and behind which
/// sequence the next step begins; `None` at the set's end. No removal if there is no such set.
pub fn of_old(
    reader: &mut Reader,
    file: &StorageFile,
    owner: SetOwner,
    before: Timestamp,
    after: u64,
) -> Result<Option<(Removal, Option<u64>)>, StoreError> {
    let Reader { connection, rows, .. } = reader;
    let view = file.index.view(after);
    in_snapshot(connection, || {
        let Some(set_no) = set_no(connection, owner)? else { return Ok(None) };
        let (first, last) = bounds(connection, owner)?;
        let after = after.max(first.saturating_sub(1));
        let to = last.min(view.horizon);
        let written = Span { from: None, to: Some(before) };
        // No body is read, so their sizes make no difference.
        let (mut reached, _) =
            walk::gather_created(connection, set_no, (after, to), written, usize::MAX, |_| false, rows)?;
        if let Some(behind) = rows.get(STEP_ROWS) {
            reached = behind.sequence - 1;
            rows.truncate(STEP_ROWS);
        }
        let mut revisions = Vec::new();
        for (first, last) in walk::stretches(rows) {
            revisions.extend(view.revisions(connection, first, last)?);
        }
        walk::revise(rows, &revisions);
        walk::keep_written_in(&file.segment, (Span::default(), written), rows)?;
        let sequences: Vec<u64> = rows.iter().map(|row| row.sequence).collect();
        // Where all rows that were looked at are old, and those before them are gone, none is left up to there.
        let from_first = after < first.max(1);
        let first = if from_first { first_left(connection, set_no, after, reached, &sequences)? } else { None };
        let removal = Removal { owner, set_no, sequences, written_before: Some(before), first };
        Ok(Some((removal, (reached < last).then_some(reached))))
    })
}

/// The first row of a set behind `after` that is not among those that go; the one behind `reached` if all are.
fn first_left(
    connection: &Connection,
    set_no: u64,
    after: u64,
    reached: u64,
    goes: &[u64],
) -> Result<Option<u64>, StoreError> {
    let (mut rows, mut goes) = (Vec::new(), goes.iter());
    walk::gather(connection, set_no, (after, reached), usize::MAX, |_| false, &mut rows)?;
    let left = rows.iter().find(|row| goes.next() != Some(&row.sequence));
    Ok(Some(left.map_or(reached + 1, |row| row.sequence)))
}

fn bounds(connection: &Connection, owner: SetOwner) -> Result<(u64, u64), StoreError> {
    let mut statement = connection.prepare_cached(sql::SET_BOUNDS)?;
    let (first, last): (i64, i64) = statement.query_row([owner.to_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((first as u64, (last as u64).min(MAX_SEQUENCE)))
}

/// The sequence before which no row of a set is left.
pub fn first_sequence(connection: &Connection, set_no: u64) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(sql::FIRST_SEQUENCE)?;
    let first = statement.query_row([set_no as i64], |row| row.get::<_, i64>(0)).optional()?;
    Ok(first.unwrap_or(0) as u64)
}

/// Bytes that are to be overwritten; what follows each other becomes one stretch.
#[derive(Default)]
struct Stretches(Vec<(u64, u64)>);

impl Stretches {
    fn add(&mut self, offset: u64, length: u64) {
        match self.0.last_mut() {
            Some((start, before)) if *start + *before == offset => *before += length,
            _ if length > 0 => self.0.push((offset, length)),
            _ => {}
        }
    }
}

impl Removal {
    /// Takes the first of the rows out, in the open transaction of the writer, which writes nothing else. After `time` no
    /// further row is begun: what was written again has its texts all over the disk, and disks differ.
    pub fn apply(
        &self,
        (connection, index, segment): (&Connection, &Index, &Segment),
        draft: &mut Draft,
        time: Duration,
    ) -> Result<Removed, StoreError> {
        let begun = Instant::now();
        let all = Removed { rows: 0, done: self.sequences.len(), stays: None };
        // The set may have gone, and another may have come in its place.
        if set_no(connection, self.owner)? != Some(self.set_no) {
            return Ok(all);
        }
        let sequences = &self.sequences[..self.sequences.len().min(STEP_ROWS)];
        let newest = index.revisions_of(connection, sequences)?;
        let mut packs = PackFinder::new(connection, self.set_no)?;
        // Revisions stand far from the rows: each list in its own order makes long stretches.
        let (mut bodies, mut revised) = (Stretches::default(), Stretches::default());
        let (mut goes, mut stays, mut texts, mut done) = (Vec::new(), None, 0, 0);
        for sequence in sequences {
            if texts >= STEP_TEXTS || done > 0 && begun.elapsed() >= time {
                break;
            }
            done += 1;
            let Some(row) = packs.find(*sequence)? else { continue };
            let (mut tag, mut written_at, mut place) = (row.head.tag, row.created_at, revisions::PACKED);
            if let Ok(found) = newest.binary_search_by_key(sequence, |(row, _)| *row) {
                place = newest[found].1;
                let revision = revisions::head(segment, *sequence, place)?;
                (tag, written_at) = (revision.tag, revision.modified_at);
            }
            if self.written_before.is_some_and(|before| written_at >= before) {
                stays = stays.or(Some(*sequence));
                continue;
            }
            draft.uncount(self.set_no, tag);
            bodies.add(row.offset, u64::from(row.head.length));
            texts += 1;
            while let Some((at, revision)) = revisions::follow(segment, *sequence, place)? {
                revised.add(at * UNIT + revisions::HEADER_BYTES as u64, u64::from(revision.length));
                texts += 1;
                place = revision.before;
            }
            goes.push(*sequence);
        }
        drop(packs);
        let mut insert = connection.prepare_cached(sql::INSERT_WIPE)?;
        for (offset, length) in bodies.0.into_iter().chain(revised.0) {
            insert.execute([offset as i64, length as i64])?;
        }
        self.empty_packs(connection, &goes)?;
        if let Some(first) = self.first
            && done == self.sequences.len()
        {
            let first = stays.map_or(first, |stays| first.min(stays));
            connection.prepare_cached(sql::RAISE_FIRST_SEQUENCE)?.execute([self.set_no as i64, first as i64])?;
        }
        Ok(Removed { rows: goes.len() as u64, done, stays })
    }

    fn empty_packs(&self, connection: &Connection, mut goes: &[u64]) -> Result<(), StoreError> {
        if goes.is_empty() {
            return Ok(());
        }
        let (_, last_of_set) = bounds(connection, self.owner)?;
        let mut find = connection.prepare_cached(sql::PACK_BEFORE)?;
        let mut update = connection.prepare_cached(sql::UPDATE_PACK)?;
        while let [first, ..] = goes {
            let mut rows = find.query([row_id(self.set_no, *first), row_id(self.set_no, 0)])?;
            let Some(row) = rows.next()? else { break };
            let pack = Pack::read(row)?;
            let (here, behind) = goes.split_at(goes.partition_point(|sequence| *sequence <= pack.last()).max(1));
            // The set's last pack tells where the set ends.
            if let Some(heads) = pack.without(here, pack.last() < last_of_set) {
                update.execute(params![row_id(self.set_no, pack.first), heads])?;
            }
            goes = behind;
        }
        Ok(())
    }

    /// Whether there is anything to do.
    pub fn is_wanted(&self) -> bool {
        !self.sequences.is_empty() || self.first.is_some()
    }

    /// What is left to do behind a transaction.
    pub fn rest(mut self, removed: Removed) -> Option<Self> {
        self.sequences.drain(..removed.done);
        self.first = self.first.map(|first| removed.stays.map_or(first, |stays| first.min(stays)));
        (!self.sequences.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::JobId;

    /// A row that was written again between the look and the removal keeps what is read from it on.
    #[test]
    fn what_stays_in_a_part_counts_for_the_whole() {
        let owner = SetOwner::Job(JobId::NONE);
        let removal = Removal { owner, set_no: 1, sequences: vec![4, 5, 6, 7], written_before: None, first: Some(8) };
        let rest = removal.rest(Removed { rows: 1, done: 2, stays: Some(5) }).expect("two are left");
        assert_eq!((rest.sequences.as_slice(), rest.first), ([6, 7].as_slice(), Some(5)));
        let rest = rest.rest(Removed { rows: 0, done: 1, stays: Some(6) }).expect("one is left");
        assert_eq!(rest.first, Some(5));
        assert!(rest.rest(Removed { rows: 1, done: 1, stays: None }).is_none());
    }
}
