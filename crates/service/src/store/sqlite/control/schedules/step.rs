//! Steps of scheduled jobs: the rows of slots, the jobs, and what is next, together.

use super::super::jobs::{self, Inserted};
use super::super::rows::{find as find_job, organization};
use super::super::writer::Tx;
use super::{rows, runs};
use crate::store::{NewJob, ScheduleStep, Scope, Stepped, StoreError, StoredJob};
use rusqlite::{OptionalExtension as _, params};

/// By the UNIQUE index of `schedule.id`.
const FIND: &str = "
    SELECT s.seq, s.runs, o.text
    FROM schedule AS s
        JOIN name AS o ON o.id = s.organization
    WHERE s.id = ?1 AND (?2 IS NULL OR o.text = ?2) AND s.revision = ?3";
/// By the primary key, as all of the following.
const MOVE: &str = "
    UPDATE schedule
    SET revision = revision + 1, decided = ?2, slot_at = ?3, due_at = ?4, runs = ?5
    WHERE seq = ?1";
const CHANGE: &str = "
    UPDATE schedule
    SET modified_at = ?2, paused_reason = ?3
    WHERE seq = ?1";
const CHANGE_BODY: &str = "
    UPDATE schedule_body
    SET spec = ?2
    WHERE seq = ?1";

/// Makes a step, wholly or not at all.
pub(super) fn make(tx: &mut Tx<'_>, step: &ScheduleStep) -> Result<Stepped, StoreError> {
    let found = params![step.id.0.as_bytes(), organization(&step.scope), step.revision];
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(i64, i64, String)> = tx.connection.prepare_cached(FIND)?.query_row(found, row).optional()?;
    let Some((seq, before, owner)) = found else { return Ok(Stepped::Moved) };
    let owner = Scope::Organization(owner);
    for id in step.dependencies() {
        if find_job(tx.connection, &owner, id)?.is_none() {
            return Ok(Stepped::NoDependency(id));
        }
    }
    let (mut number, mut started) = (before, Vec::new());
    for run in &step.runs {
        if !runs::insert(tx.connection, seq, number + 1, run)? {
            continue;
        }
        number += 1;
        if let Some(job) = &run.job {
            started.push(start(tx, job)?);
        }
    }
    runs::forget(tx.connection, seq, number)?;
    let slot = step.next.map(|slot| slot.at.as_millis());
    let due = step.next.map(|slot| slot.due.as_millis());
    tx.connection.prepare_cached(MOVE)?.execute(params![seq, step.decided.as_millis(), slot, due, number])?;
    if let Some(change) = &step.change {
        let row = params![seq, change.at.as_millis(), change.paused_reason];
        tx.connection.prepare_cached(CHANGE)?.execute(row)?;
        tx.connection.prepare_cached(CHANGE_BODY)?.execute(params![seq, rows::encode(&change.spec)?])?;
    }
    Ok(Stepped::Done(started))
}

fn start(tx: &mut Tx<'_>, job: &NewJob) -> Result<StoredJob, StoreError> {
    match jobs::insert(tx, job, &jobs::encode(&job.spec)?)? {
        Inserted::New => Ok(job.clone().stored()),
        Inserted::As(stored) => Ok(*stored),
        // They were there a moment ago, in this transaction.
        Inserted::NoDependency(index) => Err(StoreError::Internal(format!("dependency {index} is gone"))),
    }
}
