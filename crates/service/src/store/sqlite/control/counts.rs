//! Numbers of jobs by organization, user, type and status, kept in the transaction that changes them.
//!
//! The writer sums the changes of all requests of a transaction up and writes them once, before the commit.

use crate::store::StoreError;
use docket_contract::Status;
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// By the primary keys.
const RAISE: &str = "
    INSERT INTO job_count (organization, type, status, count)
    VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO UPDATE SET count = count + excluded.count";
const LOWER: &str = "
    UPDATE job_count
    SET count = count + ?4
    WHERE organization = ?1 AND type = ?2 AND status = ?3";
const DROP: &str = "
    DELETE FROM job_count
    WHERE organization = ?1 AND type = ?2 AND status = ?3 AND count = 0";
const RAISE_USER: &str = "
    INSERT INTO job_user_count (organization, user, type, status, count)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET count = count + excluded.count";
const LOWER_USER: &str = "
    UPDATE job_user_count
    SET count = count + ?5
    WHERE organization = ?1 AND user = ?2 AND type = ?3 AND status = ?4";
const DROP_USER: &str = "
    DELETE FROM job_user_count
    WHERE organization = ?1 AND user = ?2 AND type = ?3 AND status = ?4 AND count = 0";

/// What a job is counted under, apart from its status: numbers of names, 0 for no type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) organization: i64,
    pub(super) user: i64,
    pub(super) job_type: i64,
}

/// Changes of numbers that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Counts(HashMap<(Owner, u8), i64>);

impl Counts {
    /// One more job with this status.
    pub(super) fn add(&mut self, owner: Owner, status: Status) {
        *self.0.entry((owner, status.number())).or_default() += 1;
    }

    /// One job less with this status.
    pub(super) fn remove(&mut self, owner: Owner, status: Status) {
        *self.0.entry((owner, status.number())).or_default() -= 1;
    }

    /// The transaction was undone.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Writes the changes; before the commit.
    pub(super) fn write(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut sums: HashMap<(i64, i64, u8), i64> = HashMap::new();
        for ((owner, status), by) in self.0.drain().filter(|(_, by)| *by != 0) {
            let Owner { organization, user, job_type } = owner;
            *sums.entry((organization, job_type, status)).or_default() += by;
            if by > 0 {
                connection.prepare_cached(RAISE_USER)?.execute(params![organization, user, job_type, status, by])?;
            } else {
                connection.prepare_cached(LOWER_USER)?.execute(params![organization, user, job_type, status, by])?;
                connection.prepare_cached(DROP_USER)?.execute(params![organization, user, job_type, status])?;
            }
        }
        for ((organization, job_type, status), by) in sums.into_iter().filter(|(_, by)| *by != 0) {
            if by > 0 {
                connection.prepare_cached(RAISE)?.execute(params![organization, job_type, status, by])?;
            } else {
                connection.prepare_cached(LOWER)?.execute(params![organization, job_type, status, by])?;
                connection.prepare_cached(DROP)?.execute(params![organization, job_type, status])?;
            }
        }
        Ok(())
    }
}
