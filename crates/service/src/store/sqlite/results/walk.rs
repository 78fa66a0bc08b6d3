//! Rows in the order of their ids, and their bodies in large reads.
//!
//! First the heads of some rows are gathered from their packs, then those that were revised are told so, then the bodies
//! are read: what stands together in the segment comes by one read, a revision by a read of its own.

use super::chunks::CHUNK_BYTES;
use super::index_runs::Revisions;
use super::keys::{MAX_SEQUENCE, Tag, row_id};
use super::pack::{Pack, PackFinder, Packed};
use super::revisions;
use super::segment::Segment;
use super::sql;
use crate::store::StoreError;
use docket_contract::Timestamp;
use rusqlite::Connection;

/// Bytes of bodies that are read at once: what was read is copied while it is still in the processor's cache.
const READ_BYTES: u64 = 256 << 10;
/// Bytes between two bodies that are read along rather than skipped.
const GAP_BYTES: u64 = 16 << 10;
/// Bytes that a row takes in a page beside its body, about.
const ROW_BYTES: u64 = 192;
/// Rows gathered at a time.
const ROWS: usize = 16_384;
/// Revisions of rows that stand this close are asked for together.
const GAP_ROWS: u64 = 1024;

/// A row to read.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub sequence: u64,
    pub identity: [u8; 16],
    pub tag: Tag,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Packed {
        offset: u64,
        length: u64,
    },
    /// Tag and time are the revision's, too.
    Revised {
        place: u64,
    },
}

impl Row {
    fn new(sequence: u64, Packed { head, created_at, offset }: Packed) -> Self {
        let body = Body::Packed { offset, length: u64::from(head.length) };
        Self { sequence, identity: head.identity, tag: head.tag, created_at, modified_at: created_at, body }
    }
}

/// Gathers rows of a set behind `after` up to `to`, in order, until those that pass make a chunk or are `limit`. Answers up
/// to which sequence the set has no others.
pub fn gather(
    connection: &Connection,
    set_no: u64,
    (after, to): (u64, u64),
    limit: usize,
    passes: impl Fn(Tag) -> bool,
    rows: &mut Vec<Row>,
) -> Result<u64, StoreError> {
    rows.clear();
    if after >= to {
        return Ok(to);
    }
    let (mut bytes, mut passing) = (0, 0);
    let mut statement = connection.prepare_cached(sql::PACKS)?;
    let (first, last) = (row_id(set_no, after + 1), row_id(set_no, to.min(MAX_SEQUENCE)));
    let mut packs = statement.query([first, row_id(set_no, 0), last])?;
    while let Some(row) = packs.next()? {
        let pack = Pack::read(row)?;
        for (sequence, head, offset) in pack.rows() {
            if sequence <= after {
                continue;
            }
            if sequence > to {
                return Ok(to);
            }
            rows.push(Row::new(sequence, Packed { head, created_at: pack.created_at, offset }));
            if passes(head.tag) {
                bytes += u64::from(head.length) + ROW_BYTES;
                passing += 1;
            }
            if bytes >= CHUNK_BYTES as u64 || passing >= limit || rows.len() >= ROWS {
                return Ok(sequence);
            }
        }
    }
    Ok(to)
}

/// The rows of a set with these sequences, which are in ascending order; those that are gone are left out.
pub fn pick(
    connection: &Connection,
    set_no: u64,
    sequences: impl IntoIterator<Item = u64>,
    rows: &mut Vec<Row>,
) -> Result<(), StoreError> {
    rows.clear();
    let mut packs = PackFinder::new(connection, set_no)?;
    for sequence in sequences {
        rows.extend(packs.find(sequence)?.map(|packed| Row::new(sequence, packed)));
    }
    Ok(())
}

/// Stretches of rows that stand close to each other: their first and last sequence.
pub fn stretches(rows: &[Row]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let close = |one: &Row, other: &Row| other.sequence.saturating_sub(one.sequence) <= GAP_ROWS;
    rows.chunk_by(close).filter_map(|rows| Some((rows.first()?.sequence, rows.last()?.sequence)))
}

/// Tells rows what they became. Both are in the order of their sequences.
pub fn revise(rows: &mut [Row], revisions: &Revisions) {
    let mut revisions = revisions.iter().peekable();
    for row in rows {
        while revisions.next_if(|(revised, _)| *revised < row.sequence).is_some() {}
        if revisions.peek().is_none() {
            return;
        }
        if let Some((_, place)) = revisions.next_if(|(revised, _)| *revised == row.sequence) {
            row.body = Body::Revised { place: *place };
        }
    }
}

/// Calls `visit` with each row that passes and its body, until it answers `false`; answers whether it never did. At most
/// about `limit` bodies are read.
pub fn each_body(
    segment: &Segment,
    rows: &[Row],
    limit: usize,
    passes: impl Fn(Tag) -> bool,
    buffer: &mut Vec<u8>,
    mut visit: impl FnMut(&Row, &[u8]) -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    let mut rest = rows;
    let mut left = limit;
    while let [row, behind @ ..] = rest {
        let (offset, length) = match row.body {
            Body::Revised { place } => {
                let (revision, body) = revisions::read(segment, row.sequence, place, buffer)?;
                rest = behind;
                let row = Row { tag: revision.tag, modified_at: revision.modified_at, ..*row };
                if passes(row.tag) {
                    left = left.saturating_sub(1);
                    if !visit(&row, body)? {
                        return Ok(false);
                    }
                }
                continue;
            }
            Body::Packed { .. } if !passes(row.tag) => {
                rest = behind;
                continue;
            }
            Body::Packed { offset, length } => (offset, length),
        };
        // What follows closely is read along.
        let (mut end, mut wanted, mut together) = (offset.saturating_add(length), 1, 1);
        for row in behind {
            let Body::Packed { offset: next, length } = row.body else { break };
            let near = next >= end && next - end <= GAP_BYTES && next.saturating_add(length) - offset <= READ_BYTES;
            if !near || wanted >= left {
                break;
            }
            if passes(row.tag) {
                end = next + length;
                wanted += 1;
            }
            together += 1;
        }
        segment.read_into(offset, end - offset, buffer)?;
        for row in &rest[..together] {
            let Body::Packed { offset: at, length } = row.body else { continue };
            if passes(row.tag) && !visit(row, &buffer[(at - offset) as usize..][..length as usize])? {
                return Ok(false);
            }
        }
        left = left.saturating_sub(wanted);
        rest = &rest[together..];
    }
    Ok(true)
}
