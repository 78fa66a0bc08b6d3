//! Whether the index finds rows: by keys of hashes, many at a time, and by tags in the order of the rows.

use crate::store::StoreError;
use crate::store::sqlite::results::index_runs::Index;
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};

/// Keys that are asked for at a time.
const KEYS: usize = 32_768;
/// Rows of a tag that are asked for at a time.
const WINDOW: usize = 128;

/// Keys and the rows that they must find.
#[derive(Default)]
pub struct Keys(Vec<(u64, u64)>);

impl Keys {
    pub fn add(&mut self, key: u64, sequence: u64) {
        self.0.push((key, sequence));
    }

    pub fn are_many(&self) -> bool {
        self.0.len() >= KEYS
    }

    /// The rows that are not found by one of their keys, in order.
    pub fn missing(&mut self, connection: &Connection, index: &Index) -> Result<Vec<u64>, StoreError> {
        self.0.sort_unstable();
        let mut keys: Vec<u64> = self.0.iter().map(|(key, _)| *key).collect();
        keys.dedup();
        let mut wanted: HashSet<(u64, u64)> = self.0.drain(..).collect();
        index.find(connection, &keys, |place, sequence| {
            wanted.remove(&(keys[place], sequence));
        })?;
        let mut missing: Vec<u64> = wanted.into_iter().map(|(_, sequence)| sequence).collect();
        missing.sort_unstable();
        missing.dedup();
        Ok(missing)
    }
}

/// Of each tag key the rows that the index has next. Rows must be asked for in ascending order.
#[derive(Default)]
pub struct TagWindows(HashMap<u64, Vec<u64>>);

impl TagWindows {
    /// Whether the index finds a row by a tag's key.
    pub fn find(
        &mut self,
        connection: &Connection,
        index: &Index,
        key: u64,
        sequence: u64,
    ) -> Result<bool, StoreError> {
        let window = self.0.entry(key).or_default();
        if window.last().is_none_or(|last| *last < sequence) {
            *window = index.tail(connection, &[key], sequence - 1, WINDOW)?;
        }
        Ok(window.binary_search(&sequence).is_ok())
    }
}
