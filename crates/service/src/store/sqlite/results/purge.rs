//! Removal of sets that are gone: first their bodies become holes, then the database forgets where they stood.
//!
//! The deletion of a set writes one row, in `purges`. What follows is done in steps, each of which can be repeated after a
//! crash: the tidier makes holes beside the writer, and hands it what the database is to forget.

use super::keys::row_id;
use super::segment::Segment;
use super::sql;
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::{Duration, Instant};

/// Bytes of a hole that is made in one piece: writers of the file wait for it, and the next one to make something durable
/// for what the file system does with the blocks.
const HOLE: u64 = 8 << 20;
/// Bytes of the holes of one step.
const STEP: u64 = 64 << 20;
/// Regions of one step.
const REGIONS: u64 = 256;
/// Packs of one step.
const PACKS: usize = 512;
/// Shortest pause between two holes; otherwise as long as the one before took.
const BREATH: Duration = Duration::from_millis(2);

/// What the database is to forget.
#[derive(Clone)]
pub enum Purge {
    /// The regions of a set up to this offset.
    Regions { set_no: u64, to: u64 },
    /// Some packs of a set; when there are no more, the set.
    Packs { set_no: u64 },
}

impl Purge {
    /// Applies the step.
    pub fn apply(&self, connection: &Connection) -> Result<usize, StoreError> {
        match self {
            Self::Regions { set_no, to } => {
                Ok(connection.prepare_cached(sql::DELETE_REGIONS)?.execute([*set_no as i64, *to as i64])?)
            }
            Self::Packs { set_no } => {
                let mut statement = connection.prepare_cached(sql::DELETE_PACKS)?;
                let range = (row_id(*set_no, 0), row_id(*set_no + 1, 0));
                let packs = statement.execute(params![range.0, range.1, PACKS as i64])?;
                if packs < PACKS {
                    connection.prepare_cached(sql::DELETE_PURGE)?.execute([*set_no as i64])?;
                }
                Ok(packs)
            }
        }
    }
}

/// Whether a set is left to remove.
pub fn is_wanted(connection: &Connection) -> Result<bool, StoreError> {
    let next = connection.prepare_cached(sql::NEXT_PURGE)?.query_row([], |row| row.get::<_, i64>(0)).optional()?;
    Ok(next.is_some())
}

/// Makes some holes; answers what the database is to forget next, or `None` when no set is left to remove.
pub fn next_step(connection: &Connection, segment: &Segment) -> Result<Option<Purge>, StoreError> {
    let set_no = connection.prepare_cached(sql::NEXT_PURGE)?.query_row([], |row| row.get::<_, i64>(0)).optional()?;
    let Some(set_no) = set_no else { return Ok(None) };
    let mut statement = connection.prepare_cached(sql::REGIONS)?;
    let regions: Vec<(i64, i64)> = statement
        .query_map([set_no, REGIONS as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let (mut last, mut bytes) = (None, 0);
    for (offset, length) in regions {
        let (offset, length) = (u64::try_from(offset).ok(), u64::try_from(length).ok());
        let (Some(offset), Some(length)) = (offset, length) else {
            return Err(damaged("a region lies outside its file"));
        };
        let end = offset.saturating_add(length).min(segment.end());
        let mut at = offset;
        while at < end {
            let part = end.min((at / HOLE + 1) * HOLE);
            let begun = Instant::now();
            segment.punch(at, part - at)?;
            if part - at >= HOLE / 2 {
                std::thread::sleep(begun.elapsed().max(BREATH));
            }
            at = part;
        }
        last = Some(offset);
        bytes = length.saturating_add(bytes);
        if bytes >= STEP {
            break;
        }
    }
    let set_no = set_no as u64;
    Ok(Some(match last {
        Some(to) => Purge::Regions { set_no, to },
        None => Purge::Packs { set_no },
    }))
}
