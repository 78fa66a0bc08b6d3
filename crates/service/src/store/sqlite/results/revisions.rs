//! Revisions: what a row became when its record was written again.
//!
//! The row's pack stays as it is. The new body is appended to the segment behind a header that tells whose it is, and an
//! index entry of its own kind leads from the row to that place. The newest is the one that stands last. Id and
//! `createdAt` stay the pack's; tag, `modifiedAt` and body are the revision's.

use super::keys::Tag;
use super::segment::{Segment, UNIT, pad};
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use docket_contract::Timestamp;

const HEADER_BYTES: usize = 32;
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
}

/// A place in the index, which counts in units.
pub fn place_of(offset: u64) -> u64 {
    offset / UNIT
}

/// Appends a revision of a row to bytes that begin at a multiple of [`UNIT`]; answers where it begins.
pub fn write(bytes: &mut Vec<u8>, sequence: u64, tag: Tag, modified_at: Timestamp, body: &[u8]) -> u64 {
    let start = bytes.len() as u64;
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&tag.0.to_le_bytes());
    bytes.extend_from_slice(&modified_at.as_millis().to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&MARK.to_le_bytes());
    bytes.extend_from_slice(body);
    pad(bytes);
    start
}

fn read_header(sequence: u64, bytes: &[u8]) -> Result<Revision, StoreError> {
    let word = |place: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[place * 8 + byte]));
    let (length, mark) = (word(3) as u32, (word(3) >> 32) as u32);
    if word(0) != sequence || mark != MARK {
        return Err(damaged("a revision is not where the index says"));
    }
    Ok(Revision { tag: Tag(word(1)), modified_at: Timestamp::from_millis(word(2) as i64), length })
}

/// The revision of a row at a place, without its body.
pub fn head(segment: &Segment, sequence: u64, place: u64) -> Result<Revision, StoreError> {
    let mut header = [0; HEADER_BYTES];
    segment.read(place * UNIT, &mut header)?;
    read_header(sequence, &header)
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
        fn comes_back(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..20)) {
            let directory = tempfile::tempdir().expect("a directory");
            Segment::create(directory.path()).expect("a file");
            let segment = Segment::open(directory.path(), 0).expect("a segment");
            let mut bytes = Vec::new();
            let places: Vec<u64> = (0..)
                .zip(&bodies)
                .map(|(row, body)| place_of(write(&mut bytes, row, Tag(row * 3), Timestamp::from_millis(row as i64), body)))
                .collect();
            segment.append(0, &[&bytes]).expect("appended");
            let mut buffer = Vec::new();
            for ((row, body), place) in (0..).zip(&bodies).zip(places) {
                let expected =
                    Revision { tag: Tag(row * 3), modified_at: Timestamp::from_millis(row as i64), length: body.len() as u32 };
                prop_assert_eq!(head(&segment, row, place), Ok(expected));
                prop_assert_eq!(read(&segment, row, place, &mut buffer), Ok((expected, body.as_slice())));
                prop_assert!(matches!(head(&segment, row + 1, place), Err(StoreError::Damaged(_))));
            }
        }
    }
}
