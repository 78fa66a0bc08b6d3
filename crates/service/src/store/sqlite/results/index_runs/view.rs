//! The index as it was at one moment, for readers of revisions.
//!
//! A reader takes a view first and begins its snapshot then: whatever the view names was committed before the snapshot
//! began, and the runs that it holds stay in the file. What is written meanwhile the reader does not see.

use super::run::Run;
use super::{Index, Memory};
use crate::store::StoreError;
use crate::store::sqlite::results::keys::revision_key;
use rusqlite::Connection;
use std::sync::Arc;

/// Most entries that a view takes from memory.
const FROM_MEMORY: usize = 8192;

/// Places of revisions by row: in the order of the rows, of each the newest.
pub type Revisions = Vec<(u64, u64)>;

/// The revisions of the rows behind a sequence.
pub struct View {
    memory: Revisions,
    runs: Vec<Arc<Run>>,
    /// The view tells nothing of the rows behind this.
    pub horizon: u64,
}

impl Index {
    /// Whether there may be a revision of any row.
    pub fn has_revisions(&self) -> bool {
        self.read(|shared| {
            shared.active.has_revisions()
                || shared.frozen.as_ref().is_some_and(|frozen| frozen.memory.has_revisions())
                || shared.runs.iter().any(|run| run.revisions > 0)
        })
    }

    /// The revisions of the rows behind a sequence, as far as a page needs to see at a time.
    pub fn view(&self, after: u64) -> View {
        self.read(|shared| {
            let (mut memory, mut horizon) = (Vec::new(), u64::MAX);
            let mut take = |entries: &Memory| {
                let start = memory.len();
                memory.extend(entries.revisions_behind(after).take(FROM_MEMORY));
                if memory.len() - start == FROM_MEMORY {
                    horizon = horizon.min(memory.last().map_or(u64::MAX, |(row, _)| *row));
                }
            };
            take(&shared.active);
            if let Some(frozen) = &shared.frozen {
                take(&frozen.memory);
            }
            let runs = shared.runs.iter().filter(|run| run.revisions > 0).cloned().collect();
            View { memory: newest(memory), runs, horizon }
        })
    }

    /// The newest revisions of these rows, which are in ascending order.
    pub fn revisions_of(&self, connection: &Connection, sequences: &[u64]) -> Result<Revisions, StoreError> {
        if !self.has_revisions() {
            return Ok(Vec::new());
        }
        let keys: Vec<u64> = sequences.iter().map(|sequence| revision_key(*sequence)).collect();
        let mut places = Vec::new();
        self.find(connection, &keys, |key, place| places.push((sequences[key], place)))?;
        Ok(newest(places))
    }
}

impl View {
    /// The newest revisions of the rows from `first` to `last`. To be asked in a snapshot that began after the view was
    /// taken.
    pub fn revisions(&self, connection: &Connection, first: u64, last: u64) -> Result<Revisions, StoreError> {
        let from = self.memory.partition_point(|(row, _)| *row < first);
        let to = self.memory.partition_point(|(row, _)| *row <= last);
        let mut places = self.memory[from..to].to_vec();
        for run in &self.runs {
            run.revisions(connection, first, last, &mut places)?;
        }
        Ok(newest(places))
    }

    /// Whether there may be any.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.runs.is_empty()
    }
}

/// Brings them in order; keeps the last place of a row.
fn newest(mut places: Revisions) -> Revisions {
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.dedup_by_key(|(row, _)| *row);
    places.reverse();
    places
}
