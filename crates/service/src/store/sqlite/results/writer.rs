//! The one writer of a file. Requests that arrive together share a transaction and its fsync; each gets its own answer.
//!
//! What memory says about the file (next sequence, known data sources, the index) changes only after the commit: a group
//! works on a [`Draft`], which is thrown away when the transaction fails. Then every request is tried alone, so that one
//! too large for the disk does not fail the others.

use super::index_runs::{Entry, Index};
use super::keys::{Hashes, Kind, MAX_SEQUENCE, MAX_SETS, MAX_SOURCES, Tag, index_key, row_id};
use super::queue::{Chore, ChoreRequest, Outcome, Queue, Request, Work};
use super::sql;
use super::tidier::Wake;
use crate::store::sqlite::connection::in_transaction;
use crate::store::{StoreError, Upserted};
use docket_contract::result::Record;
use docket_contract::{JobId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Data sources and sets whose numbers are kept in memory.
const NAMES: usize = 4096;
/// Rows of a set that is gone that one transaction removes.
const PURGED_ROWS: usize = 4000;

/// What memory knows about the file.
#[derive(Default)]
struct Known {
    next_sequence: u64,
    last_changed_tag: i64,
    sets: HashMap<JobId, u64>,
    sources: HashMap<String, u64>,
}

/// The writer of one file.
pub struct Writer {
    connection: Connection,
    index: Arc<Index>,
    known: Known,
    /// Pages in the log after the last commit.
    log_pages: Arc<AtomicUsize>,
    log_limit: usize,
    wake: Wake,
}

/// What a transaction will have changed.
#[derive(Default)]
struct Draft {
    next_sequence: u64,
    last_changed_tag: i64,
    sets: HashMap<JobId, u64>,
    sources: HashMap<String, u64>,
    deleted: Vec<JobId>,
    /// Rows written, by set and identity: sequence and tag.
    rows: HashMap<(u64, [u8; 16]), (u64, Tag)>,
    entries: Vec<Entry>,
    counts: HashMap<(u64, Tag), i64>,
    last_sequences: HashMap<u64, u64>,
}

impl Writer {
    /// Takes over the connection of an open file. `log_limit` is the length of the log, in pages, at which the writer
    /// stops to move it into the file.
    pub fn new(
        mut connection: Connection,
        index: Arc<Index>,
        wake: Wake,
        log_target: usize,
        log_limit: usize,
    ) -> Result<Self, StoreError> {
        let known = Known {
            next_sequence: connection.query_row(sql::NEXT_SEQUENCE, [], |row| row.get::<_, i64>(0))? as u64,
            last_changed_tag: connection.query_row(sql::LAST_CHANGED_TAG, [], |row| row.get(0))?,
            ..Known::default()
        };
        let log_pages = Arc::new(AtomicUsize::new(0));
        let (pages_seen, waker) = (log_pages.clone(), wake.clone());
        connection.wal_hook(Some(move |_: &mut _, pages| {
            let pages = usize::try_from(pages).unwrap_or(0);
            pages_seen.store(pages, Ordering::Relaxed);
            if pages >= log_target {
                waker.checkpoint();
            }
            Ok(())
        }))?;
        Ok(Self { connection, index, known, log_pages, log_limit, wake })
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
            self.index.freeze(self.known.next_sequence - 1, self.known.last_changed_tag);
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
        let mut draft = Draft {
            next_sequence: self.known.next_sequence,
            last_changed_tag: self.known.last_changed_tag,
            ..Draft::default()
        };
        let outcomes = in_transaction(&self.connection, || {
            let outcomes = works.iter().map(|work| self.work(&mut draft, work)).collect::<Result<_, _>>()?;
            let rows = chores.iter().map(|chore| self.chore(chore)).collect::<Result<_, _>>()?;
            draft.save_counts(&self.connection)?;
            if draft.next_sequence != self.known.next_sequence {
                let mut statement = self.connection.prepare_cached(sql::SET_NEXT_SEQUENCE)?;
                statement.execute([draft.next_sequence as i64])?;
                let mut statement = self.connection.prepare_cached(sql::SET_LAST_SEQUENCE)?;
                for (set_no, last) in &draft.last_sequences {
                    statement.execute([*set_no as i64, *last as i64])?;
                }
            }
            Ok::<_, StoreError>((outcomes, rows))
        })?;
        self.index.publish(&draft.entries);
        self.known.next_sequence = draft.next_sequence;
        self.known.last_changed_tag = draft.last_changed_tag;
        if !draft.deleted.is_empty() {
            self.known.sets.retain(|job, _| !draft.deleted.contains(job));
            self.wake.tidy();
        }
        remember(&mut self.known.sets, draft.sets);
        remember(&mut self.known.sources, draft.sources);
        Ok(outcomes)
    }

    fn chore(&self, chore: &Chore) -> Result<usize, StoreError> {
        match chore {
            Chore::Index(step) => step.apply(&self.connection),
            Chore::Purge { set_no } => {
                let range = (row_id(*set_no, 0), row_id(*set_no + 1, 0));
                let mut statement = self.connection.prepare_cached(sql::DELETE_ROWS)?;
                let rows = statement.execute(params![range.0, range.1, PURGED_ROWS as i64])?;
                if rows < PURGED_ROWS {
                    self.connection.prepare_cached(sql::DELETE_PURGE)?.execute([*set_no as i64])?;
                }
                Ok(rows)
            }
            Chore::EndCheckpoint => Ok(0),
        }
    }

    fn work(&self, draft: &mut Draft, work: &Work) -> Result<Outcome, StoreError> {
        match work {
            Work::Upsert { job, records, hashes, now } => {
                self.upsert(draft, *job, records, hashes, *now).map(Outcome::Upserted)
            }
            Work::DeleteSet { job } => self.delete_set(draft, *job).map(Outcome::Deleted),
        }
    }

    fn delete_set(&self, draft: &mut Draft, job: JobId) -> Result<u64, StoreError> {
        let Some(set_no) = self.find_set(draft, job)? else { return Ok(0) };
        draft.save_counts(&self.connection)?;
        let no = [set_no as i64];
        let total: i64 = self.connection.prepare_cached(sql::TOTAL_OF_SET)?.query_row(no, |row| row.get(0))?;
        for statement in [sql::DELETE_COUNTERS, sql::DELETE_SET, sql::INSERT_PURGE] {
            self.connection.prepare_cached(statement)?.execute(no)?;
        }
        draft.sets.remove(&job);
        draft.last_sequences.remove(&set_no);
        draft.deleted.push(job);
        Ok(total as u64)
    }

    fn find_set(&self, draft: &Draft, job: JobId) -> Result<Option<u64>, StoreError> {
        if let Some(set_no) = draft.sets.get(&job) {
            return Ok(Some(*set_no));
        }
        if let Some(set_no) = self.known.sets.get(&job)
            && !draft.deleted.contains(&job)
        {
            return Ok(Some(*set_no));
        }
        let mut statement = self.connection.prepare_cached(sql::SET_NO)?;
        Ok(statement.query_row([job.0.as_bytes()], |row| row.get::<_, i64>(0)).optional()?.map(|no| no as u64))
    }

    fn set(&self, draft: &mut Draft, job: JobId) -> Result<u64, StoreError> {
        let set_no = match self.find_set(draft, job)? {
            Some(set_no) => set_no,
            None => {
                let mut statement = self.connection.prepare_cached(sql::INSERT_SET)?;
                statement.query_row([job.0.as_bytes()], |row| row.get::<_, i64>(0))? as u64
            }
        };
        if set_no >= MAX_SETS {
            return Err(StoreError::Internal(format!("a storage can have {MAX_SETS} result sets over its life")));
        }
        draft.sets.insert(job, set_no);
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
        job: JobId,
        records: &[Record],
        hashes: &[Hashes],
        now: Timestamp,
    ) -> Result<Upserted, StoreError> {
        let set_no = self.set(draft, job)?;
        let known = self.known_rows(set_no, hashes)?;
        let mut insert = self.connection.prepare_cached(sql::INSERT_ROW)?;
        let mut update = self.connection.prepare_cached(sql::UPDATE_ROW)?;
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
            let row = (set_no, hashes.identity);
            let Some((sequence, old)) = draft.rows.get(&row).copied().or(known) else {
                let sequence = draft.next_sequence;
                if sequence > MAX_SEQUENCE {
                    return Err(StoreError::Internal("the storage has given all its ids".to_owned()));
                }
                draft.next_sequence += 1;
                let id = row_id(set_no, sequence);
                insert.execute(params![id, hashes.identity, tag.0 as i64, now.as_millis(), record.json])?;
                draft.rows.insert(row, (sequence, tag));
                draft.add_entries(set_no, sequence, hashes, tag);
                *draft.counts.entry((set_no, tag)).or_default() += 1;
                upserted.created += 1;
                continue;
            };
            update.execute(params![row_id(set_no, sequence), tag.0 as i64, now.as_millis(), record.json])?;
            if tag != old {
                *draft.counts.entry((set_no, old)).or_default() -= 1;
                *draft.counts.entry((set_no, tag)).or_default() += 1;
            }
            let key = tag.key(set_no);
            if key != old.key(set_no) {
                draft.last_changed_tag += 1;
                let change = params![draft.last_changed_tag, key as i64, sequence as i64];
                self.connection.prepare_cached(sql::INSERT_CHANGED_TAG)?.execute(change)?;
                draft.entries.push(Entry { key, sequence });
            }
            draft.rows.insert(row, (sequence, tag));
            upserted.updated += 1;
        }
        if upserted.created > 0 {
            draft.last_sequences.insert(set_no, draft.next_sequence - 1);
        }
        Ok(upserted)
    }

    /// The rows of the set that have these identities already, with their tags; as they were before this transaction.
    fn known_rows(&self, set_no: u64, hashes: &[Hashes]) -> Result<Vec<Option<(u64, Tag)>>, StoreError> {
        let mut order: Vec<(u64, usize)> =
            hashes.iter().enumerate().map(|(place, hash)| (index_key(Kind::Identity, &hash.identity), place)).collect();
        order.sort_unstable();
        let keys: Vec<u64> = order.iter().map(|(key, _)| *key).collect();
        let mut candidates = Vec::new();
        self.index.find(&self.connection, &keys, |key, sequence| candidates.push((sequence, order[key].1)))?;
        candidates.sort_unstable();
        candidates.dedup();
        let mut known = vec![None; hashes.len()];
        let mut statement = self.connection.prepare_cached(sql::ROW_HEAD)?;
        for (sequence, place) in candidates {
            let mut rows = statement.query([row_id(set_no, sequence)])?;
            if let Some(row) = rows.next()?
                && row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)? == hashes[place].identity
            {
                known[place] = Some((sequence, Tag(row.get::<_, i64>(1)? as u64)));
            }
        }
        Ok(known)
    }
}

impl Draft {
    fn add_entries(&mut self, set_no: u64, sequence: u64, hashes: &Hashes, tag: Tag) {
        let identity = index_key(Kind::Identity, &hashes.identity);
        let ids = [hashes.business_partner, hashes.external_id].into_iter().flatten();
        let keys = [identity, tag.key(set_no)].into_iter().chain(ids);
        self.entries.extend(keys.map(|key| Entry { key, sequence }));
    }

    fn save_counts(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(sql::COUNT)?;
        for ((set_no, tag), change) in self.counts.drain().filter(|(_, change)| *change != 0) {
            statement.execute([set_no as i64, tag.0 as i64, change])?;
        }
        Ok(())
    }
}

/// Adds names to those kept in memory; begins anew when they become too many.
fn remember<K: std::hash::Hash + Eq>(known: &mut HashMap<K, u64>, new: HashMap<K, u64>) {
    if known.len() + new.len() > NAMES {
        known.clear();
    }
    known.extend(new);
}

fn only<T>(outcomes: Vec<T>) -> Result<T, StoreError> {
    outcomes.into_iter().next().ok_or_else(|| StoreError::Internal("a commit without an outcome".to_owned()))
}
