//! Revisions: what a row became when its record was written again.
//!
//! The row's pack stays as it is. The new body is appended to the segment behind a header that tells whose it is, and an
//! index entry of its own kind leads from the row to that place. The newest is the one that stands last. Id and
//! `createdAt` stay the pack's; tag, `modifiedAt` and body are the revision's.
//!
//! Each header names the row's revision before it, so that the revisions of a row are a chain back to its pack: who knows
//! where the segment ended at a moment finds what the row was then, whatever was written since.

use super::keys::Tag;
use super::segment::{Segment, UNIT, pad};
use crate::store::StoreError;
use crate::store::body::Body;
use crate::store::sqlite::connection::damaged;
use docket_contract::Timestamp;

/// Bytes before the body of a revision.
pub const HEADER_BYTES: usize = 40;
/// Where in a header the place of the revision before stands.
const BEFORE: usize = 32;
/// Ends a header: tells it from a hole and from text.
const MARK: u32 = 0x7652_6b44;
/// Bytes that are read of a revision at first: most are not longer.
const GUESS: u64 = 1024;

/// What a revision tells of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    pub tag: Tag,
    pub modified_at: Timestamp,
    /// Bytes of its body.
    pub length: u32,
    /// The place of the row's revision before this one; [`PACKED`] if this is the first.
    pub before: u64,
}

/// In place of a revision's place: the row is as its pack says. No revision stands there, as the row's own body stands
/// before it.
pub const PACKED: u64 = 0;

/// A place in the index, which counts in units.
pub fn place_of(offset: u64) -> u64 {
    offset / UNIT
}

/// Appends a revision of a row to bytes that begin at a multiple of [`UNIT`]; answers where it begins. What it follows is
/// told by [`link`].
pub fn write(bytes: &mut Vec<u8>, sequence: u64, tag: Tag, modified_at: Timestamp, body: Body<'_>) -> u64 {
    let start = bytes.len() as u64;
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&tag.0.to_le_bytes());
    bytes.extend_from_slice(&modified_at.as_millis().to_le_bytes());
    bytes.extend_from_slice(&(body.length() as u32).to_le_bytes());
    bytes.extend_from_slice(&MARK.to_le_bytes());
    bytes.extend_from_slice(&PACKED.to_le_bytes());
    body.write(bytes);
    pad(bytes);
    start
}

/// Tells the revision that begins at `start` which one of its row stands before it.
pub fn link(bytes: &mut [u8], start: u64, before: u64) {
    let at = start as usize + BEFORE;
    bytes[at..at + 8].copy_from_slice(&before.to_le_bytes());
}

/// The sequence of the row whose revision stands at an offset, the revision, and its body.
pub fn standing_at<'b>(
    segment: &Segment,
    offset: u64,
    buffer: &'b mut Vec<u8>,
) -> Result<(u64, Revision, &'b [u8]), StoreError> {
    let mut first = [0; 8];
    segment.read(offset, &mut first)?;
    let sequence = u64::from_le_bytes(first);
    let (revision, body) = read(segment, sequence, place_of(offset), buffer)?;
    Ok((sequence, revision, body))
}

/// Bytes that a revision takes in the file.
pub fn size(revision: &Revision) -> u64 {
    (HEADER_BYTES as u64 + u64::from(revision.length)).next_multiple_of(UNIT)
}

fn read_header(sequence: u64, bytes: &[u8]) -> Result<Revision, StoreError> {
    let word = |place: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[place * 8 + byte]));
    let (length, mark) = (word(3) as u32, (word(3) >> 32) as u32);
    if word(0) != sequence || mark != MARK {
        return Err(damaged("a revision is not where the index says"));
    }
    let modified_at = Timestamp::from_millis(word(2) as i64);
    Ok(Revision { tag: Tag(word(1)), modified_at, length, before: word(BEFORE / 8) })
}

/// The revision of a row at a place, without its body.
pub fn head(segment: &Segment, sequence: u64, place: u64) -> Result<Revision, StoreError> {
    let mut header = [0; HEADER_BYTES];
    segment.read(place * UNIT, &mut header)?;
    read_header(sequence, &header)
}

/// The place and the head of the revision before a place in a row's chain; `None` at the row's pack.
pub fn follow(segment: &Segment, sequence: u64, place: u64) -> Result<Option<(u64, Revision)>, StoreError> {
    if place == PACKED {
        return Ok(None);
    }
    let revision = head(segment, sequence, place)?;
    if revision.before >= place {
        return Err(damaged("a revision follows a later one"));
    }
    Ok(Some((place, revision)))
}

/// The newest revision of a row that stands before `end`, a place in the segment; the row has one at `place`. [`PACKED`]
/// if there is none.
pub fn as_of(segment: &Segment, sequence: u64, mut place: u64, end: u64) -> Result<u64, StoreError> {
    while place >= end {
        let Some((_, revision)) = follow(segment, sequence, place)? else { break };
        place = revision.before;
    }
    Ok(place)
}

/// The revision of a row at a place, and its body.
pub fn read<'b>(
    segment: &Segment,
    sequence: u64,
    place: u64,
    buffer: &'b mut Vec<u8>,
) -> Result<(Revision, &'b [u8]), StoreError> {
    let offset = place * UNIT;
    let guess = segment.end().saturating_sub(offset).min(GUESS).max(HEADER_BYTES as u64);
    segment.read_into(offset, guess, buffer)?;
    let revision = read_header(sequence, buffer)?;
    let length = HEADER_BYTES as u64 + u64::from(revision.length);
    if length > guess {
        segment.read_into(offset, length, buffer)?;
    }
    Ok((revision, &buffer[HEADER_BYTES..length as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_back(bodies in prop::collection::vec((0u64..5, prop::collection::vec(any::<u8>(), 0..3000)), 1..20)) {
            let directory = tempfile::tempdir().expect("a directory");
            Segment::create(directory.path()).expect("a file");
            let segment = Segment::open(directory.path(), 0).expect("a segment");
            // What stands first in a file is the body of a row.
            let mut bytes = vec![b' '; UNIT as usize];
            let mut chains: [Vec<u64>; 5] = Default::default();
            let mut expected = Vec::new();
            for (row, body) in &bodies {
                let (now, body) = (Timestamp::from_millis(*row as i64), Body::plain(body));
                let start = write(&mut bytes, *row, Tag(row * 3), now, body);
                let chain = &mut chains[*row as usize];
                let before = chain.last().copied().unwrap_or(PACKED);
                link(&mut bytes, start, before);
                chain.push(place_of(start));
                let modified_at = Timestamp::from_millis(*row as i64);
                expected.push((start, Revision { tag: Tag(row * 3), modified_at, length: body.length() as u32, before }));
            }
            segment.append(0, &[&bytes]).expect("appended");
            let mut buffer = Vec::new();
            for ((row, body), (start, revision)) in bodies.iter().zip(expected) {
                let place = place_of(start);
                prop_assert_eq!(head(&segment, *row, place), Ok(revision));
                prop_assert_eq!(read(&segment, *row, place, &mut buffer), Ok((revision, body.as_slice())));
                prop_assert!(matches!(head(&segment, row + 1, place), Err(StoreError::Damaged(_))));
            }
            for (row, chain) in (0..).zip(&chains) {
                let Some(newest) = chain.last() else { continue };
                for end in 0..=place_of(bytes.len() as u64) {
                    let standing = chain.iter().copied().filter(|place| *place < end).max().unwrap_or(PACKED);
                    prop_assert_eq!(as_of(&segment, row, *newest, end), Ok(standing));
                }
            }
        }
    }
}
