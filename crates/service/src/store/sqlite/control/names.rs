//! The dictionary of strings that come in many rows.

use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::HashMap;

/// By the UNIQUE index of `name`.
const FIND: &str = "
    SELECT id
    FROM name
    WHERE text = ?1";
const ADD: &str = "
    INSERT INTO name (text)
    VALUES (?1)";

/// Strings remembered by the writer; at the bound it forgets all of them.
const REMEMBERED: usize = 10_000;

/// The number of a string, if it has one.
pub(super) fn find(connection: &Connection, text: &str) -> Result<Option<i64>, StoreError> {
    Ok(connection.prepare_cached(FIND)?.query_row(params![text], |row| row.get(0)).optional()?)
}

/// The writer's memory of numbers. Forget it when a transaction is undone.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, i64>);

impl Names {
    /// The number of a string; gives it one if it has none.
    pub(super) fn number(&mut self, connection: &Connection, text: &str) -> Result<i64, StoreError> {
        if let Some(number) = self.0.get(text) {
            return Ok(*number);
        }
        let number = match find(connection, text)? {
            Some(number) => number,
            None => connection.prepare_cached(ADD)?.insert(params![text])?,
        };
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), number);
        Ok(number)
    }

    /// Forgets all.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}
