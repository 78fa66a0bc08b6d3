//! Rows of runs.

use super::super::rows::{organization, time};
use crate::store::{KEPT_RUNS, NewRun, Page, Scope, StoreError};
use docket_contract::schedule::{RunKind, ScheduledJobRun, SkipReason};
use docket_contract::{JobId, ScheduledJobId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

/// By the UNIQUE index of `schedule.id`.
const FIND: &str = "
    SELECT s.seq
    FROM schedule AS s
        JOIN name AS o ON o.id = s.organization
    WHERE s.id = ?1 AND (?2 IS NULL OR o.text = ?2)";
/// By the primary key, from its end.
const PAGE: &str = "
    SELECT number, kind, slot_at, last_slot_at, slots, due_at, decided_at, job, reason, message
    FROM schedule_run
    WHERE schedule = ?1 AND number < ?2
    ORDER BY number DESC
    LIMIT ?3";
/// Refused by `schedule_run_by_slot` for a slot that has a row.
const INSERT: &str = "
    INSERT INTO schedule_run (
        schedule, number, kind, slot_at, last_slot_at, slots, due_at, decided_at, job, reason, message
    )
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (schedule, slot_at) WHERE kind <> 2 DO NOTHING";
/// By the primary key.
const FORGET: &str = "
    DELETE FROM schedule_run
    WHERE schedule = ?1 AND number <= ?2";

/// Records a run; false if its slot has a row already.
pub(super) fn insert(connection: &Connection, schedule: i64, number: i64, run: &NewRun) -> Result<bool, StoreError> {
    let (last_slot_at, slots) = run.several.unzip();
    let row = params![
        schedule,
        number,
        run.kind.number(),
        run.slot_at.as_millis(),
        last_slot_at.map(Timestamp::as_millis),
        slots.flatten(),
        run.due_at.map(Timestamp::as_millis),
        run.decided_at.as_millis(),
        run.job.as_ref().map(|job| job.id.0.as_bytes()),
        run.reason.map(SkipReason::number),
        run.message,
    ];
    Ok(connection.prepare_cached(INSERT)?.execute(row)? == 1)
}

/// Forgets the runs before the newest ones.
pub(super) fn forget(connection: &Connection, schedule: i64, newest: i64) -> Result<(), StoreError> {
    if newest > KEPT_RUNS {
        connection.prepare_cached(FORGET)?.execute(params![schedule, newest - KEPT_RUNS])?;
    }
    Ok(())
}

/// A page of runs.
pub(super) fn page(
    connection: &Connection,
    scope: &Scope,
    id: ScheduledJobId,
    after: Option<u64>,
    limit: usize,
) -> Result<Option<Page<ScheduledJobRun>>, StoreError> {
    let found = params![id.0.as_bytes(), organization(scope)];
    let seq: Option<i64> = connection.prepare_cached(FIND)?.query_row(found, |row| row.get(0)).optional()?;
    let Some(seq) = seq else { return Ok(None) };
    let before = after.map_or(i64::MAX, |after| i64::try_from(after).unwrap_or(i64::MAX));
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = connection.prepare_cached(PAGE)?;
    let found = statement.query_map(params![seq, before, one_more], run)?;
    let mut found: Vec<(i64, ScheduledJobRun)> = found.collect::<Result<_, _>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).and_then(|(number, _)| u64::try_from(*number).ok());
    Ok(Some(Page { values: found.into_iter().map(|(_, run)| run).collect(), next }))
}

fn run(row: &Row<'_>) -> rusqlite::Result<(i64, ScheduledJobRun)> {
    let unknown = |column, number: u8| rusqlite::Error::IntegralValueOutOfRange(column, i64::from(number));
    let kind: u8 = row.get(1)?;
    let reason = row.get::<_, Option<u8>>(8)?;
    let decided_at = Timestamp::from_millis(row.get(6)?);
    let run = ScheduledJobRun {
        kind: RunKind::from_number(kind).ok_or_else(|| unknown(1, kind))?,
        slot_at: Timestamp::from_millis(row.get(2)?),
        last_slot_at: time(row, 3)?,
        slots: row.get(4)?,
        decided_at,
        lateness_ms: time(row, 5)?.map(|due| decided_at.as_millis() - due.as_millis()),
        job_id: row.get::<_, Option<[u8; 16]>>(7)?.map(|id| JobId(Uuid::from_bytes(id))),
        reason: match reason {
            Some(number) => Some(SkipReason::from_number(number).ok_or_else(|| unknown(8, number))?),
            None => None,
        },
        message: row.get(9)?,
    };
    Ok((row.get(0)?, run))
}
