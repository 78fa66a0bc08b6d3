//! What a check of a file found wrong. A check goes on behind a flaw where it can; only what keeps it from reading is an
//! error.

use crate::store::StoreError;

/// Which part of a file contradicts itself or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The pages of the SQLite file, or what marks it as the right one.
    Database,
    /// Rows that name others which are not there.
    References,
    /// Counters against a recount.
    Counters,
    /// Where bodies stand.
    Bodies,
    /// What bodies say, against what is known of them.
    Rows,
    /// What finds rows.
    Index,
}

impl Part {
    /// As programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::References => "references",
            Self::Counters => "counters",
            Self::Bodies => "bodies",
            Self::Rows => "rows",
            Self::Index => "index",
        }
    }
}

/// Is told what is wrong.
pub type Find<'a> = &'a mut dyn FnMut(Part, String);

/// Makes damage a flaw; other errors end the check.
pub fn or_flaw<T>(
    result: Result<T, StoreError>,
    part: Part,
    what: &str,
    find: Find<'_>,
) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Damaged(reason)) => {
            find(part, if what.is_empty() { reason } else { format!("{what}: {reason}") });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
