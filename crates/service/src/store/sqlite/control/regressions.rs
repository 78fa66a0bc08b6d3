//! Checks whether records have newly failed, until they become deliveries or nothing.

use super::events::NewEvent;
use super::rows;
use super::writer::Tx;
use crate::store::deliveries::receiver;
use crate::store::{CheckEnd, DeliveryKey, DueChecks, RegressionCheck, Scope, StoreError};
use docket_contract::{JobId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

const INSERT: &str = "
    INSERT INTO regression_check (event, hook, seq, job, organization, url, payload, next_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// By `regression_check_due`.
const FIRSTS: &str = "
    SELECT c.event, c.hook, c.job, o.text, c.url, c.payload, c.attempts, c.next_at
    FROM regression_check AS c INDEXED BY regression_check_due
        JOIN name AS o ON o.id = c.organization
    ORDER BY c.next_at
    LIMIT ?1";
/// By the primary key, as the following.
const URL: &str = "
    SELECT url
    FROM regression_check
    WHERE event = ?1 AND hook = ?2";
const DELIVER: &str = "
    INSERT INTO delivery (event, hook, seq, job, organization, receiver, url, payload, next_at)
    SELECT event, hook, seq, job, organization, ?3, url, ?4, ?5
    FROM regression_check
    WHERE event = ?1 AND hook = ?2";
const DELETE: &str = "
    DELETE FROM regression_check
    WHERE event = ?1 AND hook = ?2";
const POSTPONE: &str = "
    UPDATE regression_check
    SET attempts = attempts + 1, next_at = ?3
    WHERE event = ?1 AND hook = ?2";

/// By the UNIQUE indexes of `job.id` and `schedule.id`; of `schedule_run` the rows of one scheduled job, by the primary key.
const PREVIOUS_OF_SCHEDULE: &str = "
    SELECT earlier.job
    FROM job AS j
        CROSS JOIN schedule AS s ON s.id = j.schedule
        CROSS JOIN schedule_run AS own ON own.schedule = s.seq AND own.job = j.id
        CROSS JOIN schedule_run AS earlier ON earlier.schedule = s.seq AND earlier.number < own.number
        CROSS JOIN job AS ended ON ended.id = earlier.job AND ended.status = ?2
    WHERE j.id = ?1
    ORDER BY earlier.number DESC
    LIMIT 1";

/// Leaves a check for a webhook.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    event: i64,
    new: &NewEvent<'_>,
    (hook, url): (u8, &str),
    (job, payload): (JobId, &str),
) -> Result<(), StoreError> {
    tx.connection.prepare_cached(INSERT)?.execute(params![
        event,
        hook,
        new.seq,
        job.0.as_bytes(),
        new.organization,
        url,
        payload,
        new.at.as_millis(),
    ])?;
    *tx.deliveries += 1;
    Ok(())
}

/// The checks that are due, the longest waiting first.
pub(super) fn due(connection: &Connection, now: Timestamp, limit: usize) -> Result<DueChecks, StoreError> {
    let mut statement = connection.prepare_cached(FIRSTS)?;
    let firsts = statement.query_map(params![i64::try_from(limit).unwrap_or(i64::MAX)], check)?;
    Ok(DueChecks::of(firsts.collect::<Result<_, _>>()?, now))
}

/// Notes what a check has come to.
pub(super) fn end(tx: &mut Tx<'_>, key: DeliveryKey, end: &CheckEnd) -> Result<(), StoreError> {
    let event = i64::try_from(key.event).unwrap_or(i64::MAX);
    match end {
        CheckEnd::Regressed { payload, now } => {
            let mut statement = tx.connection.prepare_cached(URL)?;
            let url: Option<String> = statement.query_row(params![event, key.hook], |row| row.get(0)).optional()?;
            let Some(url) = url else { return Ok(()) };
            let row = params![event, key.hook, receiver(&url), payload, now.as_millis()];
            tx.connection.prepare_cached(DELIVER)?.execute(row)?;
            tx.connection.prepare_cached(DELETE)?.execute(params![event, key.hook])?;
            *tx.deliveries += 1;
        }
        CheckEnd::Nothing => {
            tx.connection.prepare_cached(DELETE)?.execute(params![event, key.hook])?;
        }
        CheckEnd::Postponed { next_at } => {
            tx.connection.prepare_cached(POSTPONE)?.execute(params![event, key.hook, next_at.as_millis()])?;
        }
    }
    Ok(())
}

/// The run that a job is to be compared with.
pub(super) fn previous_run(connection: &Connection, id: JobId) -> Result<Option<JobId>, StoreError> {
    let Some(place) = rows::find(connection, &Scope::Everything, id)? else { return Ok(None) };
    if let Some(original) = rows::read(connection, place.seq)?.job.rerun_of {
        return Ok(Some(original));
    }
    let mut statement = connection.prepare_cached(PREVIOUS_OF_SCHEDULE)?;
    let wanted = params![id.0.as_bytes(), Status::Finished.number()];
    let previous: Option<[u8; 16]> = statement.query_row(wanted, |row| row.get(0)).optional()?;
    Ok(previous.map(|id| JobId(Uuid::from_bytes(id))))
}

fn check(row: &Row<'_>) -> rusqlite::Result<RegressionCheck> {
    Ok(RegressionCheck {
        key: DeliveryKey { event: row.get::<_, i64>(0)?.unsigned_abs(), hook: row.get(1)? },
        job: JobId(Uuid::from_bytes(row.get(2)?)),
        organization: row.get(3)?,
        url: row.get(4)?,
        payload: row.get(5)?,
        attempts: row.get(6)?,
        next_at: Timestamp::from_millis(row.get(7)?),
    })
}
