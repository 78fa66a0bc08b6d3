//! Turns memory into runs and runs into larger ones, a step at a time.
//!
//! One thread a file calls [`Maintenance::next_step`], has the writer apply the step in a transaction, and reports back
//! with [`Maintenance::done`] or [`Maintenance::failed`]. Making a run of memory comes first, then deleting what was
//! replaced, then the smallest merge: a long merge waits between any two of its steps.

use super::living::Living;
use super::run::{BLOCK_BITS, Block, Builder, Run, block_id};
use super::{Entry, Frozen, Index, sql};
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use crate::store::sqlite::results::bloom::Bloom;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::VecDeque;
use std::sync::Arc;

/// Blocks of a run that a merge reads ahead.
const READ_AHEAD: i64 = 32;
/// Bytes of a part of a filter.
const FILTER_PART: usize = 256 << 10;
/// Rows of filters that a step deletes.
const FILTER_PARTS: i64 = 8;

/// What the writer applies in one transaction.
#[derive(Clone)]
pub enum Step {
    /// Blocks of a run to come.
    Blocks(Vec<(i64, Vec<u8>)>),
    /// A part of the filter of a run to come.
    Filter(i64, Vec<u8>),
    /// The run is complete.
    Finish {
        /// Its number, level, entries, revisions and fences.
        run: (u64, u32, u64, u64, Vec<u8>),
        /// The runs whose entries it holds.
        replaces: Vec<u64>,
        /// The new watermark, and the last row of `pending_entries` that it holds.
        watermark: Option<(u64, i64)>,
    },
    /// Some blocks of a run that is no more.
    Drop {
        /// Its number.
        run: u64,
        /// At most so many blocks.
        blocks: usize,
    },
}

impl Step {
    /// Whether the step after this one can be made before this one is applied.
    pub fn may_prepare_next(&self) -> bool {
        matches!(self, Self::Blocks(_) | Self::Filter(..))
    }

    /// Applies the step; answers how many rows a `Drop` found.
    pub fn apply(&self, connection: &Connection) -> Result<usize, StoreError> {
        match self {
            Self::Blocks(blocks) => {
                let mut insert = connection.prepare_cached(sql::INSERT_BLOCK)?;
                for (id, bytes) in blocks {
                    insert.execute(params![id, bytes])?;
                }
                Ok(0)
            }
            Self::Filter(id, bytes) => {
                connection.prepare_cached(sql::INSERT_FILTER)?.execute(params![id, bytes])?;
                Ok(0)
            }
            Self::Finish { run: (no, level, entries, revisions, fences), replaces, watermark } => {
                connection.prepare_cached(sql::INSERT_RUN)?.execute(params![
                    *no as i64,
                    level,
                    *entries as i64,
                    *revisions as i64,
                    fences
                ])?;
                for replaced in replaces {
                    connection.prepare_cached(sql::DELETE_RUN)?.execute([*replaced as i64])?;
                }
                if let Some((sequence, pending)) = watermark {
                    connection.prepare_cached(sql::SET_WATERMARK)?.execute([*sequence as i64])?;
                    connection.prepare_cached(sql::DELETE_PENDING)?.execute([pending])?;
                }
                Ok(0)
            }
            Self::Drop { run, blocks } => {
                let (from, to) = (block_id(*run, 0), block_id(*run + 1, 0));
                let dropped =
                    connection.prepare_cached(sql::DELETE_BLOCKS)?.execute(params![from, to, *blocks as i64])?;
                let parts = connection.prepare_cached(sql::DELETE_FILTER)?.execute(params![from, to, FILTER_PARTS])?;
                Ok(dropped + parts)
            }
        }
    }
}

/// A run being read in order.
struct Cursor {
    run: Arc<Run>,
    next_block: usize,
    /// What was read ahead, last first.
    ahead: Vec<Entry>,
}

impl Cursor {
    fn peek(&mut self, connection: &Connection) -> Result<Option<Entry>, StoreError> {
        if self.ahead.is_empty() && self.next_block < self.run.blocks() {
            let mut statement = connection.prepare_cached(sql::BLOCKS)?;
            let range = (block_id(self.run.no, self.next_block), block_id(self.run.no + 1, 0));
            let mut rows = statement.query(params![range.0, range.1, READ_AHEAD])?;
            while let Some(row) = rows.next()? {
                let block = Block::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
                self.ahead.extend((0..block.len()).map(|place| block.entry(place)));
                self.next_block += 1;
            }
            if self.ahead.is_empty() || !self.ahead.is_sorted() {
                return Err(damaged("the blocks of an index run are out of order"));
            }
            self.ahead.reverse();
        }
        Ok(self.ahead.last().copied())
    }
}

enum Source {
    Memory(std::vec::IntoIter<Entry>),
    /// Runs to merge, without what leads nowhere.
    Runs(Merge),
}

struct Merge {
    cursors: Vec<Cursor>,
    living: Living,
    /// The entry that was left out last; given after all when there was no other, as no run is empty.
    left_out: Option<Entry>,
    is_empty: bool,
}

impl Merge {
    fn new(cursors: Vec<Cursor>, living: Living) -> Self {
        Self { cursors, living, left_out: None, is_empty: true }
    }

    fn next(&mut self, connection: &Connection) -> Result<Option<Entry>, StoreError> {
        loop {
            let Some(entry) = self.lowest(connection)? else {
                let last = self.left_out.take().filter(|_| self.is_empty);
                self.is_empty = false;
                return Ok(last);
            };
            if self.living.has(entry) {
                self.is_empty = false;
                return Ok(Some(entry));
            }
            self.left_out = Some(entry);
        }
    }

    fn lowest(&mut self, connection: &Connection) -> Result<Option<Entry>, StoreError> {
        let mut lowest: Option<(Entry, usize)> = None;
        for (place, cursor) in self.cursors.iter_mut().enumerate() {
            if let Some(entry) = cursor.peek(connection)?
                && lowest.is_none_or(|(other, _)| entry < other)
            {
                lowest = Some((entry, place));
            }
        }
        let Some((entry, place)) = lowest else { return Ok(None) };
        self.cursors[place].ahead.pop();
        Ok(Some(entry))
    }
}

impl Source {
    fn next(&mut self, connection: &Connection) -> Result<Option<Entry>, StoreError> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::Runs(merge) => merge.next(connection),
        }
    }
}

/// A run being made.
struct Job {
    source: Source,
    builder: Builder,
    /// Parts of the filter that were written, once all blocks are.
    filter_parts: Option<usize>,
    /// Where the entries come from.
    frozen: Option<Arc<Frozen>>,
    replaces: Vec<Arc<Run>>,
}

/// What there is to do for the index of a file.
pub struct Maintenance {
    index: Arc<Index>,
    /// Smallest level first.
    jobs: Vec<Job>,
    /// Runs that are no more, with what readers may still hold.
    dropped: VecDeque<(u64, Option<Arc<Run>>)>,
    next_run: u64,
}

impl Maintenance {
    /// Finds what an earlier life of the file left behind.
    pub fn new(index: Arc<Index>, connection: &Connection) -> Result<Self, StoreError> {
        let runs: Vec<u64> = index.read(|shared| shared.runs.iter().map(|run| run.no).collect());
        let mut next_run = runs.last().map_or(1, |last| last + 1);
        let mut dropped = VecDeque::new();
        for statement in [sql::NEXT_BLOCK, sql::NEXT_FILTER] {
            let mut run = 0;
            while let Some(id) =
                connection.query_row(statement, [block_id(run, 0)], |row| row.get::<_, i64>(0)).optional()?
            {
                run = id as u64 >> BLOCK_BITS;
                if !runs.contains(&run) && dropped.iter().all(|(no, _)| *no != run) {
                    dropped.push_back((run, None));
                }
                run += 1;
                next_run = next_run.max(run);
            }
        }
        Ok(Self { index, jobs: Vec::new(), dropped, next_run })
    }

    /// What to apply next; `None` when there is nothing to do for now.
    pub fn next_step(&mut self, connection: &Connection) -> Result<Option<Step>, StoreError> {
        self.start_flush();
        if self.jobs.first().is_none_or(|job| job.frozen.is_none()) {
            if let Some(step) = self.drop_step() {
                return Ok(Some(step));
            }
            self.start_merges(connection)?;
        }
        match self.jobs.first_mut() {
            Some(job) => job.step(connection, self.index.options.slice_blocks).map(Some),
            None => Ok(None),
        }
    }

    /// Whether memory is to become a run: writers wait for that when it takes long.
    pub fn is_urgent(&self) -> bool {
        self.index.read(|shared| shared.frozen.is_some())
    }

    /// Whether something waits for readers to let go.
    pub fn is_waiting(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// The writer has applied the step that was handed out last.
    pub fn done(&mut self, step: &Step, rows: usize) {
        match step {
            Step::Blocks(_) | Step::Filter(..) => {}
            Step::Drop { run, .. } => {
                if rows == 0 {
                    self.dropped.retain(|(dropped, _)| dropped != run);
                }
            }
            Step::Finish { .. } => {
                let job = self.jobs.remove(0);
                self.publish(job);
            }
        }
    }

    /// The last step was not applied. What was begun is begun anew later.
    pub fn failed(&mut self) {
        self.dropped.extend(self.jobs.drain(..).map(|job| (job.builder.no, None)));
    }

    fn publish(&mut self, job: Job) {
        let mut run = job.builder.into_run();
        for replaced in &job.replaces {
            self.index.filters.release(replaced.filter.as_ref().map_or(0, Bloom::size));
        }
        run.filter = run.filter.filter(|filter| self.index.filters.charge(filter.size()));
        let run = Arc::new(run);
        self.index.write(|shared| {
            shared.runs.retain(|run| !job.replaces.iter().any(|replaced| replaced.no == run.no));
            let place = shared.runs.partition_point(|other| other.level > run.level || other.no < run.no);
            shared.runs.insert(place, run);
            if job.frozen.is_some() {
                shared.frozen = None;
            }
        });
        self.dropped.extend(job.replaces.into_iter().map(|run| (run.no, Some(run))));
    }

    fn drop_step(&mut self) -> Option<Step> {
        // Whoever reads a run holds it; nobody can take hold of one that the index does not name any more.
        let free = |held: &Option<Arc<Run>>| held.as_ref().is_none_or(|run| Arc::strong_count(run) == 1);
        let (run, _) = self.dropped.iter().find(|(_, held)| free(held))?;
        Some(Step::Drop { run: *run, blocks: self.index.options.slice_blocks })
    }

    fn start_flush(&mut self) {
        if self.jobs.iter().any(|job| job.frozen.is_some()) {
            return;
        }
        if let Some(frozen) = self.index.read(|shared| shared.frozen.clone()) {
            let entries = frozen.memory.sorted();
            let builder = self.builder(0, entries.len());
            let source = Source::Memory(entries.into_iter());
            let job = Job { source, builder, filter_parts: None, frozen: Some(frozen), replaces: vec![] };
            self.jobs.insert(0, job);
        }
    }

    fn start_merges(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let runs = self.index.read(|shared| shared.runs.clone());
        let Some(highest) = runs.iter().map(|run| run.level).max() else { return Ok(()) };
        for level in 0..=highest {
            if self.jobs.iter().any(|job| job.builder.level == level + 1) {
                continue;
            }
            let replaces: Vec<Arc<Run>> =
                runs.iter().filter(|run| run.level == level).take(self.index.options.merge).cloned().collect();
            if replaces.len() < self.index.options.merge {
                continue;
            }
            let in_filter = |run: &Arc<Run>| run.filtered(self.index.options.block_entries);
            let builder = self.builder(level + 1, replaces.iter().map(in_filter).sum());
            let cursor = |run: &Arc<Run>| Cursor { run: run.clone(), next_block: 0, ahead: Vec::new() };
            let merge = Merge::new(replaces.iter().map(cursor).collect(), Living::read(connection)?);
            let source = Source::Runs(merge);
            let job = Job { source, builder, filter_parts: None, frozen: None, replaces };
            let place = self.jobs.partition_point(|other| other.builder.level <= level);
            self.jobs.insert(place, job);
        }
        Ok(())
    }

    fn builder(&mut self, level: u32, expected: usize) -> Builder {
        let no = self.next_run;
        self.next_run += 1;
        Builder::new(no, level, expected, &self.index.options)
    }
}

impl Job {
    fn step(&mut self, connection: &Connection, slice: usize) -> Result<Step, StoreError> {
        if self.filter_parts.is_none() {
            let mut blocks = Vec::with_capacity(slice);
            while blocks.len() < slice {
                match self.source.next(connection)? {
                    Some(entry) => blocks.extend(self.builder.push(entry)),
                    None => {
                        blocks.extend(self.builder.close_block());
                        self.filter_parts = Some(0);
                        break;
                    }
                }
            }
            if !blocks.is_empty() {
                return Ok(Step::Blocks(blocks));
            }
        }
        let written = self.filter_parts.get_or_insert(0);
        if let Some(part) = self.builder.filter().part(*written, FILTER_PART) {
            *written += 1;
            return Ok(Step::Filter(block_id(self.builder.no, *written - 1), part));
        }
        Ok(Step::Finish {
            run: self.builder.row(),
            replaces: self.replaces.iter().map(|run| run.no).collect(),
            watermark: self.frozen.as_ref().map(|frozen| (frozen.watermark, frozen.pending)),
        })
    }
}
