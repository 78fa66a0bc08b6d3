//! Which entries a merge still needs: those of sets that are gone, and of rows before which no row of their set is left,
//! lead nowhere. An entry of an identity or a revision does not tell its set; it goes when it is older than every row.
//!
//! What is found dead stays dead: numbers of sets and sequences are never given twice.

use super::{Entry, sql};
use crate::store::StoreError;
use crate::store::sqlite::results::keys::{Kind, is_of, is_of_id, sequence_of, set_of, set_of_tag};
use rusqlite::Connection;

/// What was there when a merge began.
pub struct Living {
    /// By the number of a set: the sequence before which none of its rows is left; `u64::MAX` for one that is gone.
    first: Vec<u64>,
    /// The least of them.
    oldest: u64,
}

impl Living {
    pub fn read(connection: &Connection) -> Result<Self, StoreError> {
        let (mut first, mut oldest) = (Vec::new(), u64::MAX);
        let mut statement = connection.prepare_cached(sql::LIVING)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (set_no, begins): (i64, i64) = (row.get(0)?, row.get(1)?);
            let pack = row.get::<_, Option<i64>>(2)?.map_or(0, sequence_of);
            let begins = pack.max(begins as u64);
            first.resize((set_no as usize).max(first.len()), u64::MAX);
            first.push(begins);
            oldest = oldest.min(begins);
        }
        Ok(Self { first, oldest })
    }

    /// Whether the entry may lead to a row.
    pub fn has(&self, entry: Entry) -> bool {
        let of_set = |set: u64| self.first.get(set as usize).is_some_and(|first| entry.sequence >= *first);
        match entry.key {
            key if is_of_id(key) => of_set(set_of(key)),
            key if is_of(Kind::Tag, key) => of_set(set_of_tag(key)),
            key if is_of(Kind::Revision, key) => sequence_of(key as i64) >= self.oldest,
            _ => entry.sequence >= self.oldest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::results::keys::{Tag, first_key, id_key, identity_key, revision_key};
    use docket_contract::result::ResultStatus;

    #[test]
    fn what_leads_nowhere_is_known() {
        // Sets 2 and 4 are there; rows of 2 begin at 50, of 4 at 30.
        let living = Living { first: vec![u64::MAX, u64::MAX, 50, u64::MAX, 30], oldest: 30 };
        let (head, tag) = (first_key(Kind::ExternalId), Tag::new(7, Some(*b"CH"), ResultStatus::Failed));
        for (set, sequence, is_there) in
            [(2, 49, false), (2, 50, true), (3, 99, false), (4, 29, false), (4, 30, true), (5, 99, false)]
        {
            for key in [id_key(head, set), tag.key(set)] {
                assert_eq!(living.has(Entry::new(key, sequence)), is_there, "{set} {sequence}");
            }
        }
        for (sequence, is_there) in [(29, false), (30, true)] {
            assert_eq!(living.has(Entry::new(identity_key(&[9; 16], 3), sequence)), is_there);
            assert_eq!(living.has(Entry::new(revision_key(sequence), 1)), is_there);
        }
    }
}
