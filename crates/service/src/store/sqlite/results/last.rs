//! The newest result of each record, over all jobs of a storage.
//!
//! The entries of an id in all sets stand together in the index and tell set and record (`keys.rs`), so that what is asked
//! for is found with one look into every run for each id, however many jobs have written. Rows are given in the order in
//! which they are written: of a record's rows the one with the greatest sequence is the newest, unless another one was
//! written again later. Every set knows when that was done in it last (`result_sets.last_revised`), so only the rows of sets
//! that were written to since are asked for their revisions. Of each record one row is read.
//!
//! Whatever was found may go away before it is read: then the search begins anew.

use super::file::StorageFile;
use super::keys::{Kind, Tag, set_of};
use super::readers::{Reader, in_snapshot};
use super::sql;
use super::walk::{self, Row};
use crate::store::encode::IdFilter;
use crate::store::{LastQuery, MOST_ENTRIES, MOST_RECORDS, ResultFilter, SetOwner, StoreError};
use docket_contract::JobId;
use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;
use std::collections::{HashMap, HashSet};

/// Rows of other sets that may have been written again after the newest one of their record.
const MOST_SUSPECTS: usize = 1 << 20;
/// How often a search begins anew.
const ROUNDS: usize = 16;

/// A row that is the newest of its record.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    pub row: Row,
    pub set_no: u64,
    pub owner: SetOwner,
}

/// What a query finds.
pub struct Found {
    /// How many records it matches.
    pub total: u64,
    /// Those of them that are told, in the order of their ids.
    pub rows: Vec<Newest>,
    /// Holes in the segment before anything was read.
    pub punches: u64,
}

/// The newest row of a record as far as sequences tell.
#[derive(Clone, Copy, Default)]
struct Best {
    sequence: u64,
    set_no: u64,
}

/// A row that would be newer than its record's best one if it was written again.
struct Suspect {
    record: usize,
    row: Best,
    last_revised: u64,
}

/// An id that was asked for, and a record that has it: both as the index tells them.
type Asked = (u64, u64);

/// What an id's entries have told.
struct Search<'a> {
    connection: &'a Connection,
    jobs: Option<&'a HashSet<JobId>>,
    /// Rows that were found before and are gone.
    gone: &'a HashSet<u64>,
    /// Of these every row is looked after: one that seemed the newest is gone, and many others may be.
    doubted: &'a HashSet<Asked>,
    gathered: Vec<Best>,
    /// Owner of each set that counts, and when a row of it was last written again.
    sets: FxHashMap<u64, Option<(SetOwner, u64)>>,
    /// The place in `bests` of each record.
    records: FxHashMap<Asked, usize>,
    /// The record that was asked about last: the entries of an id stand together.
    last: Option<(Asked, usize)>,
    bests: Vec<Best>,
    suspects: Vec<Suspect>,
    entries: usize,
}

impl Search<'_> {
    fn set(&mut self, set_no: u64) -> Result<Option<(SetOwner, u64)>, StoreError> {
        if let Some(known) = self.sets.get(&set_no) {
            return Ok(*known);
        }
        let counts = |owner: &(SetOwner, u64)| match owner.0 {
            SetOwner::Job(job) => self.jobs.is_none_or(|jobs| jobs.contains(&job)),
            SetOwner::Log(_) => false,
        };
        let found = set_owner(self.connection, set_no)?.filter(counts);
        self.sets.insert(set_no, found);
        Ok(found)
    }

    /// Takes an entry of an id.
    fn take(&mut self, asked: Asked, set_no: u64, sequence: u64) -> Result<(), StoreError> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(StoreError::TooMany);
        }
        let Some((_, last_revised)) = self.set(set_no)? else { return Ok(()) };
        if self.gone.contains(&sequence) {
            return Ok(());
        }
        let row = Best { sequence, set_no };
        if self.doubted.contains(&asked) {
            self.gathered.push(row);
        }
        let place = match self.last {
            Some((last, place)) if last == asked => place,
            _ => *self.records.entry(asked).or_insert(self.bests.len()),
        };
        self.last = Some((asked, place));
        let Some(best) = self.bests.get_mut(place) else {
            if self.bests.len() >= MOST_RECORDS {
                return Err(StoreError::TooMany);
            }
            self.bests.push(row);
            return Ok(());
        };
        if sequence == best.sequence {
            return Ok(());
        }
        let (older, last_revised) = if sequence > best.sequence {
            let older = std::mem::replace(best, row);
            let last_revised = self.sets.get(&older.set_no).copied().flatten().map_or(0, |(_, last)| last);
            (older, last_revised)
        } else {
            (row, last_revised)
        };
        if last_revised > self.bests[place].sequence {
            if self.suspects.len() >= MOST_SUSPECTS {
                return Err(StoreError::TooMany);
            }
            self.suspects.push(Suspect { record: place, row: older, last_revised });
        }
        Ok(())
    }
}

/// The owner of a set, and the sequence that was next when a row of it was last written again; none if it is gone.
pub fn set_owner(connection: &Connection, set_no: u64) -> Result<Option<(SetOwner, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(sql::SET_OWNER)?;
    let row = |row: &rusqlite::Row<'_>| Ok((SetOwner::from_bytes(row.get(0)?), row.get::<_, i64>(1)? as u64));
    Ok(statement.query_row([set_no as i64], row).optional()?)
}

/// The owners of the newest sets of jobs, newest first.
pub fn newest_jobs(connection: &Connection, limit: usize) -> Result<Vec<JobId>, StoreError> {
    let mut statement = connection.prepare_cached(sql::NEWEST_OWNERS)?;
    let mut rows = statement.query([])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()?
        && jobs.len() < limit
    {
        if let SetOwner::Job(job) = SetOwner::from_bytes(row.get(0)?) {
            jobs.push(job);
        }
    }
    Ok(jobs)
}

/// The numbers of data sources; none if any data source will do.
fn source_numbers(connection: &Connection, names: &[String]) -> Result<Option<HashSet<u64>>, StoreError> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(sql::SOURCE_NO)?;
    let mut numbers = HashSet::new();
    for name in names {
        numbers.extend(statement.query_row([name], |row| row.get::<_, i64>(0)).optional()?.map(|no| no as u64));
    }
    Ok(Some(numbers))
}

/// Whether the set of a row is gone.
pub fn is_gone(connection: &Connection, set_no: u64) -> Result<bool, StoreError> {
    Ok(set_owner(connection, set_no)?.is_none())
}

/// Finds what a query asks for.
pub fn find(reader: &mut Reader, file: &StorageFile, query: &LastQuery) -> Result<Found, StoreError> {
    let filter = ResultFilter {
        business_partner_ids: query.business_partner_ids.clone(),
        external_ids: query.external_ids.clone(),
        ..ResultFilter::default()
    };
    let ids = IdFilter::new(&filter);
    let sources = source_numbers(&reader.connection, &query.data_source_ids)?;
    let (mut gone, mut doubted) = (HashSet::new(), HashSet::new());
    for _ in 0..ROUNDS {
        let newest = match newest(reader, file, query, (&gone, &doubted))? {
            Round::Found(newest) => newest,
            Round::Gone(rows, records) => {
                gone.extend(rows);
                doubted.extend(records);
                continue;
            }
        };
        let (mut matching, buffer) = (Vec::with_capacity(newest.rows.len()), &mut reader.buffer);
        let passes = |tag: Tag| {
            sources.as_ref().is_none_or(|sources| sources.contains(&tag.source()))
                && query.status.is_none_or(|status| status == tag.status())
        };
        let punches = newest.punches;
        let read = walk::each_body(&file.segment, &newest.rows, usize::MAX, passes, buffer, |row, body| {
            if ids.passes(body)? {
                matching.push(*row);
            }
            Ok(true)
        });
        if (matches!(read, Err(StoreError::Damaged(_))) || file.segment.punches() != punches)
            && newest.has_gone(&reader.connection)?
        {
            continue;
        }
        read?;
        return Ok(newest.tell(matching, query.limit));
    }
    Err(StoreError::Overloaded)
}

/// The newest rows of all records that have one of the ids, or whose hash says so.
struct Rows {
    /// In the order of their sequences.
    rows: Vec<Row>,
    /// The set of each.
    sets: HashMap<u64, u64>,
    owners: HashMap<u64, SetOwner>,
    /// Holes in the segment before anything was read.
    punches: u64,
}

enum Round {
    Found(Rows),
    /// These rows were found and are not there any more; nor may others of their records be.
    Gone(HashSet<u64>, Vec<Asked>),
}

impl Rows {
    /// Whether the set of a row is gone.
    fn has_gone(&self, connection: &Connection) -> Result<bool, StoreError> {
        for set_no in self.owners.keys() {
            if is_gone(connection, *set_no)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Of these rows the `limit` that were written last, in the order of their ids.
    fn tell(&self, mut rows: Vec<Row>, limit: usize) -> Found {
        let total = rows.len() as u64;
        if rows.len() > limit {
            rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.stands_at()));
            rows.truncate(limit);
        }
        rows.sort_unstable_by_key(|row| row.sequence);
        let newest = |row: Row| {
            let set_no = *self.sets.get(&row.sequence)?;
            Some(Newest { row, set_no, owner: *self.owners.get(&set_no)? })
        };
        Found { total, rows: rows.into_iter().filter_map(newest).collect(), punches: self.punches }
    }
}

fn newest(
    reader: &mut Reader,
    file: &StorageFile,
    query: &LastQuery,
    (gone, doubted): (&HashSet<u64>, &HashSet<Asked>),
) -> Result<Round, StoreError> {
    let Reader { connection, rows, .. } = reader;
    let connection = &*connection;
    let punches = file.segment.punches();
    let search = || Search {
        connection,
        jobs: query.jobs.as_deref(),
        gone,
        doubted,
        gathered: Vec::new(),
        sets: FxHashMap::default(),
        records: FxHashMap::default(),
        last: None,
        bests: Vec::new(),
        suspects: Vec::new(),
        entries: 0,
    };
    // A record that has one of the external ids is asked whether it has one of the partners when it is read, or the other
    // way round.
    let kinds = [(Kind::ExternalId, &query.external_ids), (Kind::BusinessPartner, &query.business_partner_ids)];
    let mut kinds = kinds.into_iter().filter(|(_, ids)| !ids.is_empty()).peekable();
    let mut found = search();
    while let Some((kind, ids)) = kinds.next() {
        match look_up(&mut found, file, kind, ids) {
            Err(StoreError::TooMany) if kinds.peek().is_some() => found = search(),
            looked => {
                looked?;
                break;
            }
        }
    }
    let Search { sets, records, bests, mut suspects, gathered, .. } = found;
    let missing = in_snapshot(connection, || missing(connection, gathered, rows))?;
    if !missing.is_empty() {
        return Ok(Round::Gone(missing, Vec::new()));
    }
    suspects.retain(|suspect| suspect.last_revised > bests[suspect.record].sequence);
    let mut sequences: Vec<u64> =
        bests.iter().chain(suspects.iter().map(|suspect| &suspect.row)).map(|row| row.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    let revisions = file.index.revisions_of(connection, &sequences)?;
    suspects.retain(|suspect| revisions.binary_search_by_key(&suspect.row.sequence, |(row, _)| *row).is_ok());

    let mut wanted: Vec<Best> = bests.iter().copied().chain(suspects.iter().map(|suspect| suspect.row)).collect();
    wanted.sort_unstable_by_key(|row| (row.set_no, row.sequence));
    wanted.dedup_by_key(|row| row.sequence);
    let (mut picked, mut missing) = (Vec::with_capacity(wanted.len()), HashSet::new());
    in_snapshot(connection, || {
        for row in wanted.chunk_by(|one, other| one.set_no == other.set_no) {
            missing.extend(pick(connection, row, rows)?);
            picked.append(rows);
        }
        Ok(())
    })?;
    if !missing.is_empty() {
        let suspects = suspects.iter().map(|suspect| (suspect.record, &suspect.row));
        let rows = bests.iter().enumerate().chain(suspects);
        let places: HashSet<usize> =
            rows.filter(|(_, row)| missing.contains(&row.sequence)).map(|(place, _)| place).collect();
        let doubted = records.into_iter().filter(|(_, place)| places.contains(place)).map(|(asked, _)| asked);
        return Ok(Round::Gone(missing, doubted.collect()));
    }
    picked.sort_unstable_by_key(|row| row.sequence);
    walk::revise(&mut picked, &revisions);
    let row = |sequence: u64| picked.binary_search_by_key(&sequence, |row| row.sequence).ok().map(|at| picked[at]);
    let mut newest: Vec<Option<Row>> = bests.iter().map(|best| row(best.sequence)).collect();
    for suspect in &suspects {
        let best = &mut newest[suspect.record];
        *best = [*best, row(suspect.row.sequence)].into_iter().flatten().max_by_key(Row::stands_at);
    }
    let mut rows: Vec<Row> = newest.into_iter().flatten().collect();
    rows.sort_unstable_by_key(|row| row.sequence);
    let owners = sets.into_iter().filter_map(|(set_no, set)| Some((set_no, set?.0))).collect();
    let sets = wanted.into_iter().map(|row| (row.sequence, row.set_no)).collect();
    Ok(Round::Found(Rows { rows, sets, owners, punches }))
}

/// Picks rows of one set, in the order of their sequences; answers those that are not there.
fn pick(connection: &Connection, wanted: &[Best], rows: &mut Vec<Row>) -> Result<Vec<u64>, StoreError> {
    let sequences = wanted.iter().map(|row| row.sequence);
    rows.clear();
    if !is_gone(connection, wanted[0].set_no)? {
        walk::pick(connection, wanted[0].set_no, sequences.clone(), rows)?;
    }
    if rows.len() == wanted.len() {
        return Ok(Vec::new());
    }
    let there: HashSet<u64> = rows.iter().map(|row| row.sequence).collect();
    Ok(sequences.filter(|sequence| !there.contains(sequence)).collect())
}

/// Those of some rows that are not there.
fn missing(connection: &Connection, mut wanted: Vec<Best>, rows: &mut Vec<Row>) -> Result<HashSet<u64>, StoreError> {
    wanted.sort_unstable_by_key(|row| (row.set_no, row.sequence));
    wanted.dedup_by_key(|row| row.sequence);
    let mut missing = HashSet::new();
    for set in wanted.chunk_by(|one, other| one.set_no == other.set_no) {
        missing.extend(pick(connection, set, rows)?);
    }
    rows.clear();
    Ok(missing)
}

/// Gathers the entries of ids.
fn look_up(search: &mut Search<'_>, file: &StorageFile, kind: Kind, ids: &[String]) -> Result<(), StoreError> {
    let mut hasher = file.hasher.clone();
    let mut heads: Vec<u64> = ids.iter().map(|id| hasher.head(kind, id)).collect();
    heads.sort_unstable();
    heads.dedup();
    file.index.find_everywhere(search.connection, &heads, |id, entry| {
        search.take((heads[id], entry.record), set_of(entry.key), entry.sequence)
    })
}
