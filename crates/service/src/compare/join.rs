//! Brings the two results of each record together and says what became of it.
//!
//! Parts are joined one after the other: both are sorted by record and walked side by side. A part too large for memory
//! is parted once more.

use super::side::{ENTRY_BYTES, Entry, PARTS, Side};
use docket_contract::operations::RecordChange;
use std::cmp::Ordering;
use std::io;
use std::path::Path;

/// What became of a record; `None` for what has not changed.
fn change(before: &Entry, after: &Entry) -> Option<RecordChange> {
    match (before.failed(), after.failed()) {
        (false, true) => Some(RecordChange::NewlyFailed),
        (true, false) => Some(RecordChange::Fixed),
        _ if before.content == after.content => None,
        _ => Some(RecordChange::Changed),
    }
}

/// Who is told of each record.
pub trait Sink {
    /// The record has not changed.
    fn unchanged(&mut self);

    /// What became of it. `id` is that of the result by which it is listed, `other` that of the other one, or 0.
    fn changed(&mut self, change: RecordChange, id: u64, other: u64) -> io::Result<()>;

    /// Asked now and then; an error ends the join.
    fn go_on(&self) -> io::Result<()>;
}

/// What a join may hold.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// Where files go.
    pub directory: &'a Path,
    /// Bytes of both parts that are joined.
    pub parts: usize,
    /// Bytes of a side that is parted once more.
    pub side: usize,
}

/// Joins two sides.
pub fn join(before: &Side, after: &Side, room: Room<'_>, sink: &mut impl Sink) -> io::Result<()> {
    let (mut older, mut newer) = (Vec::new(), Vec::new());
    for part in 0..PARTS {
        sink.go_on()?;
        // The hashes of identities have no more bytes to part by; then they fit, or nearly all are the same.
        let fits = (before.count(part) + after.count(part)) * ENTRY_BYTES <= room.parts;
        if !fits && before.depth() < 7 {
            let again = |side: &Side| {
                let mut parted = Side::new(room.directory, room.side, side.depth() + 1);
                side.each(part, |entry| parted.push(entry)).map(|()| parted)
            };
            let (before, after) = (again(before)?, again(after)?);
            join(&before, &after, room, sink)?;
            continue;
        }
        load(before, part, &mut older)?;
        load(after, part, &mut newer)?;
        merge(&older, &newer, sink)?;
    }
    Ok(())
}

fn load(side: &Side, part: usize, into: &mut Vec<Entry>) -> io::Result<()> {
    into.clear();
    into.reserve(side.count(part));
    side.each(part, |entry| {
        into.push(entry);
        Ok(())
    })?;
    into.sort_unstable_by_key(|entry| entry.identity);
    Ok(())
}

/// Walks two sorted parts side by side.
fn merge(mut older: &[Entry], mut newer: &[Entry], sink: &mut impl Sink) -> io::Result<()> {
    loop {
        let order = match (older.first(), newer.first()) {
            (Some(before), Some(after)) => before.identity.cmp(&after.identity),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        if let (Some((before, rest)), Ordering::Less | Ordering::Equal) = (older.split_first(), order) {
            older = rest;
            let Some((after, rest)) = newer.split_first().filter(|_| order.is_eq()) else {
                sink.changed(RecordChange::Missing, before.id(), 0)?;
                continue;
            };
            newer = rest;
            match change(before, after) {
                None => sink.unchanged(),
                Some(change) => sink.changed(change, after.id(), before.id())?,
            }
        } else if let Some((after, rest)) = newer.split_first() {
            newer = rest;
            sink.changed(RecordChange::New, after.id(), 0)?;
        }
    }
}
