//! Rows in the order of their ids, and their bodies in large reads.
//!
//! First the heads of some rows are gathered from their packs, then those that were revised are told so, then the bodies
//! are read: what stands together in the segment comes by one read, a revision by a read of its own.

use super::chunks::CHUNK_BYTES;
use super::index_runs::Revisions;
use super::keys::{MAX_SEQUENCE, Tag, row_id};
use super::pack::{Pack, PackFinder, Packed};
use super::revisions;
use super::segment::{Segment, UNIT};
use super::sql;
use crate::store::{Span, StoreError};
use docket_contract::Timestamp;
use rusqlite::Connection;

/// Bytes of bodies that are read at once: what was read is copied while it is still in the processor's cache.
const READ_BYTES: u64 = 256 << 10;
/// Bytes between two bodies that are read along rather than skipped.
const GAP_BYTES: u64 = 16 << 10;
/// Bytes that a row takes in a page beside its body, about.
const ROW_BYTES: u64 = 192;
/// Rows gathered at a time, and packs passed over.
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

    /// Where its newest body stands in the segment: what was written later stands behind it.
    pub fn stands_at(&self) -> u64 {
        match self.body {
            Body::Packed { offset, .. } => offset,
            Body::Revised { place } => place * UNIT,
        }
    }
}

/// Gathers rows of a set behind `after` up to `to`, in order, until those that pass make a chunk or are `limit`. Answers up
/// to which sequence the set has no others.
pub fn gather(
    connection: &Connection,
    set_no: u64,
    range: (u64, u64),
    limit: usize,
    passes: impl Fn(Tag) -> bool,
    rows: &mut Vec<Row>,
) -> Result<u64, StoreError> {
    Ok(gather_created(connection, set_no, range, Span::default(), limit, passes, rows)?.0)
}

/// As [`gather`], of rows that were created in a span. Answers also how many packs of others were passed over.
pub fn gather_created(
    connection: &Connection,
    set_no: u64,
    (after, to): (u64, u64),
    created: Span,
    limit: usize,
    passes: impl Fn(Tag) -> bool,
    rows: &mut Vec<Row>,
) -> Result<(u64, usize), StoreError> {
    rows.clear();
    if after >= to {
        return Ok((to, 0));
    }
    let (mut bytes, mut passing, mut skipped) = (0, 0, 0);
    let mut statement = connection.prepare_cached(sql::PACKS)?;
    let (first, last) = (row_id(set_no, after + 1), row_id(set_no, to.min(MAX_SEQUENCE)));
    let mut packs = statement.query([first, row_id(set_no, 0), last])?;
    while let Some(row) = packs.next()? {
        let pack = Pack::read(row)?;
        if !created.contains(pack.created_at) {
            skipped += 1;
            if skipped >= ROWS {
                return Ok((pack.last().min(to), skipped));
            }
            continue;
        }
        for (sequence, head, offset) in pack.rows() {
            if sequence <= after {
                continue;
            }
            if sequence > to {
                return Ok((to, skipped));
            }
            rows.push(Row::new(sequence, Packed { head, created_at: pack.created_at, offset }));
            if passes(head.tag) {
                bytes += u64::from(head.length) + ROW_BYTES;
                passing += 1;
            }
            if bytes >= CHUNK_BYTES as u64 || passing >= limit || rows.len() >= ROWS {
                return Ok((sequence, skipped));
            }
        }
    }
    Ok((to, skipped))
}

/// Drops rows that were not first and last written in these spans. Of a row that was revised the revision tells when that
/// was.
pub fn keep_written_in(
    segment: &Segment,
    (created, modified): (Span, Span),
    rows: &mut Vec<Row>,
) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    rows.retain(|row| {
        let modified_at = match row.body {
            _ if !created.contains(row.created_at) => return false,
            Body::Revised { place } if !modified.is_all() => match revisions::head(segment, row.sequence, place) {
                Ok(revision) => revision.modified_at,
                Err(error) => {
                    outcome = Err(error);
                    return false;
                }
            },
            _ => row.modified_at,
        };
        modified.contains(modified_at)
    });
    outcome
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

/// Drops the rows of a set that are gone.
pub fn keep_standing(connection: &Connection, set_no: u64, rows: &mut Vec<Row>) -> Result<(), StoreError> {
    let mut packs = PackFinder::new(connection, set_no)?;
    let mut outcome = Ok(());
    rows.retain(|row| match packs.find(row.sequence) {
        Ok(found) => found.is_some(),
        Err(error) => {
            outcome = Err(error);
            false
        }
    });
    outcome
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
