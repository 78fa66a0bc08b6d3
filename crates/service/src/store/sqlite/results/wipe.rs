//! Overwriting the texts of rows that were removed: zeros, and holes where there are whole blocks.
//!
//! Done by the tidier in steps, each of which can be repeated after a crash: first the bytes, durably, then the database
//! forgets that they were to be overwritten. No reader reads meanwhile (`readers.rs`), and none that begins later can
//! know of the rows; nor is the file being copied (`purge_lock.rs`).

use super::readers::WipeLock;
use super::segment::Segment;
use super::sql;
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use rusqlite::{Connection, OptionalExtension};
use std::time::{Duration, Instant};

/// Stretches of one step.
const STRETCHES: usize = 1024;
/// Bytes of one step, but for a single longer stretch: readers of the file wait for it.
const STEP: u64 = 1 << 20;

/// Stretches that were overwritten: the database is to forget them, by where they begin.
#[derive(Clone)]
pub struct Wiped(Vec<i64>);

impl Wiped {
    /// Applies the step.
    pub fn apply(&self, connection: &Connection) -> Result<usize, StoreError> {
        let mut statement = connection.prepare_cached(sql::DELETE_WIPE)?;
        for offset in &self.0 {
            statement.execute([offset])?;
        }
        Ok(self.0.len())
    }
}

/// Whether something is left to overwrite.
pub fn is_wanted(connection: &Connection) -> Result<bool, StoreError> {
    let next = connection.prepare_cached(sql::WIPES)?.query_row([1], |row| row.get::<_, i64>(0)).optional()?;
    Ok(next.is_some())
}

/// Overwrites some stretches; answers what the database is to forget next, or `None` when nothing is left. After `time` no
/// further stretch is begun: what is not in the machine's memory is read first.
pub fn next_step(
    connection: &Connection,
    segment: &Segment,
    lock: &WipeLock,
    time: Duration,
) -> Result<Option<Wiped>, StoreError> {
    let mut statement = connection.prepare_cached(sql::WIPES)?;
    let mut rows = statement.query([STRETCHES as i64])?;
    let (mut stretches, mut bytes) = (Vec::new(), 0u64);
    while bytes < STEP
        && let Some(row) = rows.next()?
    {
        let (offset, length): (i64, i64) = (row.get(0)?, row.get(1)?);
        let numbers = u64::try_from(offset).ok().zip(u64::try_from(length).ok());
        let (start, length) = numbers.ok_or_else(|| damaged("what is to be overwritten lies outside its file"))?;
        stretches.push((offset, start, length));
        bytes = bytes.saturating_add(length);
    }
    drop(rows);
    if stretches.is_empty() {
        return Ok(None);
    }
    let mut wiped = Vec::with_capacity(stretches.len());
    let alone = lock.alone();
    let begun = Instant::now();
    for (offset, start, length) in stretches {
        segment.wipe(start, length)?;
        wiped.push(offset);
        if begun.elapsed() >= time {
            break;
        }
    }
    drop(alone);
    segment.settle()?;
    Ok(Some(Wiped(wiped)))
}
