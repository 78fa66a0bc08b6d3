//! The one writer of a file. Requests that arrive together share a transaction and its fsync; each gets its own answer.
//!
//! What memory says about the file (next sequence, known data sources, the index) changes only after the commit: a group
//! works on a [`Draft`], which is thrown away when the transaction fails. Then every request is tried alone, so that one
//! too large for the disk does not fail the others.
//!
//! The bodies of a group are made durable in the segment before the transaction that names them is committed. Those of a
//! group that failed are taken back.

use super::draft::{self, Draft, Newest};
use super::index_runs::{Index, last_pending};
use super::keys::{Hashes, MAX_SEQUENCE, MAX_SETS, MAX_SOURCES, Tag, identity_key, logs};
use super::options::ResultsOptions;
use super::pack::{Head, PackFinder};
use super::queue::{Chore, ChoreRequest, Outcome, Queue, Request, Target, Work};
use super::revisions;
use super::segment::Segment;
use super::sql;
use super::tidier::Wake;
use crate::store::sqlite::connection::in_transaction;
use crate::store::{SetOwner, StoreError, Upserted};
use docket_contract::Timestamp;
use docket_contract::result::Record;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Data sources and sets whose numbers are kept in memory.
const NAMES: usize = 4096;

/// What memory knows about the file.
#[derive(Default)]
struct Known {
    next_sequence: u64,
    last_pending: i64,
    /// Where the bodies that were acknowledged end.
    end: u64,
    sets: HashMap<SetOwner, u64>,
    sources: HashMap<String, u64>,
    /// The last region of a set: where it begins and ends.
    regions: HashMap<u64, (u64, u64)>,
}

/// The writer of one file.
pub struct Writer {
    connection: Connection,
    index: Arc<Index>,
    segment: Arc<Segment>,
    known: Known,
    /// Pages in the log after the last commit.
    log_pages: Arc<AtomicUsize>,
    log_limit: usize,
    removal_time: Duration,
    wake: Wake,
}

impl Writer {
    /// Takes over the connection of an open file. When the log reaches `log_pages` the tidier moves it into the file; at
    /// `log_pages_limit` the writer stops to do that.
    pub fn new(
        mut connection: Connection,
        index: Arc<Index>,
        segment: Arc<Segment>,
        wake: Wake,
        options: &ResultsOptions,
    ) -> Result<Self, StoreError> {
        let known = Known {
            next_sequence: connection.query_row(sql::NEXT_SEQUENCE, [], |row| row.get::<_, i64>(0))? as u64,
            last_pending: last_pending(&connection)?,
            end: segment.end(),
            ..Known::default()
        };
        let log_pages = Arc::new(AtomicUsize::new(0));
        let (pages_seen, waker, log_target) = (log_pages.clone(), wake.clone(), options.log_pages);
        connection.wal_hook(Some(move |_: &mut _, pages| {
            let pages = usize::try_from(pages).unwrap_or(0);
            pages_seen.store(pages, Ordering::Relaxed);
            if pages >= log_target {
                waker.checkpoint();
            }
            Ok(())
        }))?;
        let (log_limit, removal_time) = (options.log_pages_limit, options.removal_time);
        Ok(Self { connection, index, segment, known, log_pages, log_limit, removal_time, wake })
    }

    /// Works until the queue is closed and empty; gives the connection back.
    pub fn run(mut self, queue: &Queue) -> Connection {
        self.freeze_ripe();
        while let Some((requests, chores)) = queue.take(self.index.is_behind()) {
            if self.log_pages.load(Ordering::Relaxed) >= self.log_limit {
                self.checkpoint();
            }
            self.serve(requests, chores);
            self.freeze_ripe();
        }
        self.connection
    }

    fn freeze_ripe(&self) {
        if self.index.is_ripe() {
            self.index.freeze(self.known.next_sequence - 1, self.known.last_pending);
            self.wake.tidy();
        }
    }

    /// Moves the log into the file as far as readers allow; the next transaction begins it anew if that was all.
    fn checkpoint(&self) {
        let result = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = result {
            tracing::warn!(%error, "the log of a storage stays: its file can't grow");
        }
    }

    fn serve(&mut self, requests: Vec<Request>, chores: Vec<ChoreRequest>) {
        let (ends, chores): (Vec<_>, Vec<_>) =
            chores.into_iter().partition(|chore| matches!(chore.chore, Chore::EndCheckpoint));
        for end in ends {
            self.checkpoint();
            end.answer(Ok(0));
        }
        // What is removed must not be written again by the same transaction.
        let (removals, requests): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| matches!(request.work, Work::Remove(_)));
        self.serve_together(requests, chores);
        for request in removals {
            let outcome = self.commit(&[&request.work], &[]).and_then(|(outcomes, _)| only(outcomes));
            self.wake.tidy();
            request.answer(outcome);
        }
    }

    fn serve_together(&mut self, requests: Vec<Request>, chores: Vec<ChoreRequest>) {
        let works: Vec<&Work> = requests.iter().map(|request| &request.work).collect();
        let duties: Vec<&Chore> = chores.iter().map(|chore| &chore.chore).collect();
        if works.is_empty() && duties.is_empty() {
            return;
        }
        match self.commit(&works, &duties) {
            Ok((outcomes, rows)) => {
                requests.into_iter().zip(outcomes).for_each(|(request, outcome)| request.answer(Ok(outcome)));
                chores.into_iter().zip(rows).for_each(|(chore, rows)| chore.answer(Ok(rows)));
            }
            Err(error) if works.len() + duties.len() == 1 || matches!(error, StoreError::Damaged(_)) => {
                requests.into_iter().for_each(|request| request.answer(Err(error.clone())));
                chores.into_iter().for_each(|chore| chore.answer(Err(error.clone())));
            }
            Err(_) => {
                for request in requests {
                    let outcome = self.commit(&[&request.work], &[]);
                    request.answer(outcome.and_then(|(outcomes, _)| only(outcomes)));
                }
                for chore in chores {
                    let outcome = self.commit(&[], &[&chore.chore]);
                    chore.answer(outcome.and_then(|(_, rows)| only(rows)));
                }
            }
        }
    }

    /// Does all of it in one transaction, or nothing.
    fn commit(&mut self, works: &[&Work], chores: &[&Chore]) -> Result<(Vec<Outcome>, Vec<usize>), StoreError> {
        let known = &self.known;
        let mut draft = Draft::new(known.next_sequence, known.last_pending, known.end);
        let done = in_transaction(&self.connection, || {
            let outcomes = works.iter().map(|work| self.work(&mut draft, work)).collect::<Result<_, _>>()?;
            let rows = chores.iter().map(|chore| self.chore(chore)).collect::<Result<_, _>>()?;
            draft.save(&self.connection, &self.segment, &self.known.regions)?;
            Ok::<_, StoreError>((outcomes, rows))
        });
        let outcomes = match done {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.known.end = self.segment.take_back(self.known.end, &error);
                return Err(error);
            }
        };
        self.index.publish(&draft.entries, draft.end);
        self.known.next_sequence = draft.next_sequence;
        self.known.last_pending = draft.last_pending;
        self.known.end = draft.end;
        if draft.has_deleted() {
            self.known.sets.retain(|owner, _| !draft.is_deleted(*owner));
            self.wake.tidy();
        }
        remember(&mut self.known.sets, draft.sets);
        remember(&mut self.known.sources, draft.sources);
        remember(&mut self.known.regions, draft.last_regions);
        Ok(outcomes)
    }

    fn chore(&self, chore: &Chore) -> Result<usize, StoreError> {
        match chore {
            Chore::Index(step) => step.apply(&self.connection),
            Chore::Purge(purge) => purge.apply(&self.connection),
            Chore::Wiped(wiped) => wiped.apply(&self.connection),
            Chore::EndCheckpoint => Ok(0),
        }
    }

    fn work(&self, draft: &mut Draft, work: &Work) -> Result<Outcome, StoreError> {
        match work {
            Work::Upsert { targets, records, hashes, now } => {
                let mut told = None;
                for target in targets {
                    let upserted = self.upsert(draft, target, (records, hashes), *now)?;
                    told.get_or_insert(upserted);
                }
                Ok(Outcome::Upserted(told.unwrap_or_default()))
            }
            Work::DeleteSet { owner } => self.delete_set(draft, *owner).map(Outcome::Deleted),
            Work::DeleteJobSets => self.delete_job_sets(draft).map(Outcome::Deleted),
            Work::Remove(removal) => {
                let files = (&self.connection, &*self.index, &*self.segment);
                removal.apply(files, draft, self.removal_time).map(Outcome::Removed)
            }
        }
    }

    fn delete_set(&self, draft: &mut Draft, owner: SetOwner) -> Result<u64, StoreError> {
        let Some(set_no) = self.find_set(draft, owner)? else { return Ok(0) };
        draft.save_counts(&self.connection)?;
        let no = [set_no as i64];
        let total: i64 = self.connection.prepare_cached(sql::TOTAL_OF_SET)?.query_row(no, |row| row.get(0))?;
        for statement in [sql::DELETE_COUNTERS, sql::DELETE_SET, sql::INSERT_PURGE] {
            self.connection.prepare_cached(statement)?.execute(no)?;
        }
        draft.forget(owner, set_no);
        Ok(total as u64)
    }

    /// Removes the sets of all jobs, however many, with a handful of statements.
    fn delete_job_sets(&self, draft: &mut Draft) -> Result<u64, StoreError> {
        draft.save_counts(&self.connection)?;
        let logs = params_from_iter(logs());
        self.connection.prepare_cached(sql::PURGE_JOB_SETS)?.execute(logs.clone())?;
        self.connection.prepare_cached(sql::DELETE_JOB_SETS)?.execute(logs)?;
        let total: i64 = self.connection.prepare_cached(sql::TOTAL_OF_PURGES)?.query_row([], |row| row.get(0))?;
        self.connection.prepare_cached(sql::DELETE_COUNTERS_OF_PURGES)?.execute([])?;
        draft.forget_jobs();
        Ok(total as u64)
    }

    fn find_set(&self, draft: &Draft, owner: SetOwner) -> Result<Option<u64>, StoreError> {
        if let Some(set_no) = draft.sets.get(&owner) {
            return Ok(Some(*set_no));
        }
        if let Some(set_no) = self.known.sets.get(&owner)
            && !draft.is_deleted(owner)
        {
            return Ok(Some(*set_no));
        }
        let mut statement = self.connection.prepare_cached(sql::SET_NO)?;
        Ok(statement.query_row([owner.to_bytes()], |row| row.get::<_, i64>(0)).optional()?.map(|no| no as u64))
    }

    fn set(&self, draft: &mut Draft, owner: SetOwner) -> Result<u64, StoreError> {
        let set_no = match self.find_set(draft, owner)? {
            Some(set_no) => set_no,
            None => {
                let mut statement = self.connection.prepare_cached(sql::INSERT_SET)?;
                statement.query_row([owner.to_bytes()], |row| row.get::<_, i64>(0))? as u64
            }
        };
        if set_no >= MAX_SETS {
            return Err(StoreError::Internal(format!("a storage can have {MAX_SETS} result sets over its life")));
        }
        draft.sets.insert(owner, set_no);
        Ok(set_no)
    }

    fn source(&self, draft: &mut Draft, name: &str) -> Result<u64, StoreError> {
        if let Some(no) = draft.sources.get(name).or_else(|| self.known.sources.get(name)) {
            return Ok(*no);
        }
        let find = self.connection.prepare_cached(sql::SOURCE_NO)?.query_row([name], |row| row.get::<_, i64>(0));
        let no = match find.optional()? {
            Some(no) => no,
            None => self.connection.prepare_cached(sql::INSERT_SOURCE)?.query_row([name], |row| row.get(0))?,
        } as u64;
        if no >= MAX_SOURCES {
            return Err(StoreError::Internal(format!("a storage can have {MAX_SOURCES} data sources over its life")));
        }
        draft.sources.insert(name.to_owned(), no);
        Ok(no)
    }

    fn upsert(
        &self,
        draft: &mut Draft,
        target: &Target,
        (records, hashes): (&[Record], &[Hashes]),
        now: Timestamp,
    ) -> Result<Upserted, StoreError> {
        let Target { owner, naming } = target;
        let set_no = self.set(draft, *owner)?;
        let known = self.known_rows(set_no, hashes)?;
        draft.begin(set_no, now);
        let mut upserted = Upserted::default();
        let mut last_source: Option<(&str, u64)> = None;
        for ((record, hashes), known) in records.iter().zip(hashes).zip(known) {
            let source = match (record.identity.data_source_id(), last_source) {
                (None, _) => 0,
                (Some(name), Some((last, no))) if name == last => no,
                (Some(name), _) => {
                    let no = self.source(draft, name)?;
                    last_source = Some((name, no));
                    no
                }
            };
            let tag = Tag::new(source, record.country, record.status);
            let body = naming.body(record);
            let row = (set_no, hashes.identity);
            if let Some(known) = draft.rows.get(&row).copied().or(known) {
                let revised = draft.revise(known, tag, body);
                draft.rows.insert(row, revised);
                upserted.updated += 1;
                continue;
            }
            if draft.next_sequence > MAX_SEQUENCE {
                return Err(StoreError::Internal("the storage has given all its ids".to_owned()));
            }
            let length = u32::try_from(body.length()).map_err(|error| StoreError::Internal(error.to_string()))?;
            let head = Head { identity: hashes.identity, tag, length };
            let sequence = draft.append(&self.connection, hashes, head, body)?;
            draft.rows.insert(row, draft::Known { sequence, tag, newest: Newest::Packed });
            upserted.created += 1;
        }
        draft.end(&self.connection)?;
        Ok(upserted)
    }

    /// The rows of the set that have these identities already, as they were before this transaction.
    fn known_rows(&self, set_no: u64, hashes: &[Hashes]) -> Result<Vec<Option<draft::Known>>, StoreError> {
        let mut order: Vec<(u64, usize)> =
            hashes.iter().enumerate().map(|(place, hash)| (identity_key(&hash.identity, set_no), place)).collect();
        order.sort_unstable();
        let keys: Vec<u64> = order.iter().map(|(key, _)| *key).collect();
        let mut candidates = Vec::new();
        self.index.find(&self.connection, &keys, |key, sequence| candidates.push((sequence, order[key].1)))?;
        candidates.sort_unstable();
        candidates.dedup();
        let mut known = vec![None; hashes.len()];
        let mut packs = PackFinder::new(&self.connection, set_no)?;
        let mut found: Vec<(u64, usize)> = Vec::with_capacity(candidates.len());
        for (sequence, place) in candidates {
            if let Some(row) = packs.find(sequence)?
                && row.head.identity == hashes[place].identity
            {
                known[place] = Some(draft::Known { sequence, tag: row.head.tag, newest: Newest::Packed });
                found.push((sequence, place));
            }
        }
        // An identity that comes twice has the same row twice.
        let mut sequences: Vec<u64> = found.iter().map(|(sequence, _)| *sequence).collect();
        sequences.dedup();
        let mut revisions = self.index.revisions_of(&self.connection, &sequences)?.into_iter().peekable();
        for same in found.chunk_by(|one, other| one.0 == other.0) {
            let Some((sequence, at)) = revisions.next_if(|(revised, _)| *revised == same[0].0) else { continue };
            let tag = revisions::head(&self.segment, sequence, at)?.tag;
            let revised = draft::Known { sequence, tag, newest: Newest::Revised(at) };
            same.iter().for_each(|(_, place)| known[*place] = Some(revised));
        }
        Ok(known)
    }
}

/// Adds names to those kept in memory; begins anew when they become too many.
fn remember<K: std::hash::Hash + Eq, V>(known: &mut HashMap<K, V>, new: HashMap<K, V>) {
    if known.len() + new.len() > NAMES {
        known.clear();
    }
    known.extend(new);
}

fn only<T>(outcomes: Vec<T>) -> Result<T, StoreError> {
    outcomes.into_iter().next().ok_or_else(|| StoreError::Internal("a commit without an outcome".to_owned()))
}
