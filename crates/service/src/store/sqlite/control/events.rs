//! Events: a row for each transition, written in its transaction.

use super::writer::Tx;
use super::{deliveries, rows};
use crate::store::{AttemptEnd, EventPage, Scope, StoreError, StoredEvent};
use docket_contract::history::{Actor, ActorKind, Cause, JobEvent};
use docket_contract::{JobId, Status, Timestamp};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

const INSERT: &str = "
    INSERT INTO event (
        seq, organization, at, attempt, from_status, to_status, cause, actor_kind, actor, message, exit_code, signal,
        memory_peak, cpu_time)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
/// By `event_by_job`.
const DELETE: &str = "
    DELETE FROM event
    WHERE seq = ?1";
/// By the primary key.
const NEWEST: &str = "
    SELECT coalesce(max(id), 0)
    FROM event";

macro_rules! events {
    ($which:literal) => {
        concat!(
            "
    SELECT e.id, o.text, j.id, e.at, e.attempt, e.from_status, e.to_status, e.cause, e.actor_kind, a.text, e.message,
        e.exit_code, e.signal, e.memory_peak, e.cpu_time
    FROM event AS e
        JOIN job AS j ON j.seq = e.seq
        JOIN name AS o ON o.id = e.organization
        LEFT JOIN name AS a ON a.id = e.actor
    ",
            $which
        )
    };
}
/// By `event_by_job`.
const OF_JOB: &str = events!("WHERE e.seq = ?1 AND e.id > ?2 ORDER BY e.id LIMIT ?3");
/// By `event_by_job`.
const LAST_OF_JOB: &str = events!("WHERE e.seq = ?1 ORDER BY e.id DESC LIMIT ?2");
/// By the primary key, as the following.
const READ: &str = events!("WHERE e.id = ?1");
const AFTER: &str = events!("WHERE e.id > ?1 ORDER BY e.id LIMIT ?2");

/// A transition that is being made.
pub(super) struct NewEvent<'a> {
    pub(super) seq: i64,
    pub(super) organization: i64,
    pub(super) at: Timestamp,
    pub(super) attempt: i32,
    pub(super) from: Status,
    pub(super) to: Status,
    pub(super) cause: Cause,
    pub(super) actor: &'a Actor,
    pub(super) message: Option<&'a str>,
    pub(super) exit_code: Option<i32>,
    pub(super) end: AttemptEnd,
}

/// Notes a transition.
pub(super) fn insert(tx: &mut Tx<'_>, new: &NewEvent<'_>) -> Result<(), StoreError> {
    let actor = match &new.actor.name {
        Some(name) => Some(tx.names.number(tx.connection, name)?),
        None => None,
    };
    let number = |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let id = tx.connection.prepare_cached(INSERT)?.insert(params![
        new.seq,
        new.organization,
        new.at.as_millis(),
        new.attempt,
        new.from.number(),
        new.to.number(),
        new.cause.number(),
        new.actor.kind.number(),
        actor,
        new.message,
        new.exit_code,
        new.end.signal,
        number(new.end.usage.memory_peak_bytes),
        number(new.end.usage.cpu_time_ms),
    ])?;
    *tx.newest_event = id;
    deliveries::insert(tx, id, new)
}

/// An event that is known to be there.
pub(super) fn read(connection: &Connection, id: i64) -> Result<StoredEvent, StoreError> {
    Ok(connection.prepare_cached(READ)?.query_row(params![id], event)?)
}

/// Removes the events of a job.
pub(super) fn delete(tx: &mut Tx<'_>, seq: i64) -> Result<(), StoreError> {
    tx.connection.prepare_cached(DELETE)?.execute(params![seq])?;
    Ok(())
}

/// The id of the newest event; 0 if there is none.
pub(super) fn newest(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?)
}

/// A page of the events of a job.
pub(super) fn of_job(
    connection: &Connection,
    scope: &Scope,
    id: JobId,
    after: u64,
    limit: usize,
) -> Result<Option<EventPage>, StoreError> {
    let Some(place) = rows::find(connection, scope, id)? else { return Ok(None) };
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = connection.prepare_cached(OF_JOB)?;
    let found = statement.query_map(params![place.seq, i64::try_from(after).unwrap_or(i64::MAX), wanted], event)?;
    let mut events = found.map(|found| Ok(found?.event)).collect::<Result<Vec<_>, StoreError>>()?;
    let more = events.len() > limit;
    events.truncate(limit);
    Ok(Some(EventPage { events, more }))
}

/// The newest events of a job, oldest first.
pub(super) fn last_of_job(
    connection: &Connection,
    scope: &Scope,
    id: JobId,
    limit: usize,
) -> Result<Option<EventPage>, StoreError> {
    let Some(place) = rows::find(connection, scope, id)? else { return Ok(None) };
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = connection.prepare_cached(LAST_OF_JOB)?;
    let found = statement.query_map(params![place.seq, wanted], event)?;
    let mut events = found.map(|found| Ok(found?.event)).collect::<Result<Vec<_>, StoreError>>()?;
    let more = events.len() > limit;
    events.truncate(limit);
    events.reverse();
    Ok(Some(EventPage { events, more }))
}

/// Events behind an id, of all jobs.
pub(super) fn after(connection: &Connection, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
    let limits = params![i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX)];
    let mut statement = connection.prepare_cached(AFTER)?;
    let found = statement.query_map(limits, event)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let out_of_range = |column, number: u8| rusqlite::Error::IntegralValueOutOfRange(column, i64::from(number));
    let cause: u8 = row.get(7)?;
    let kind: u8 = row.get(8)?;
    let id = row.get::<_, i64>(0)?.unsigned_abs();
    let event = JobEvent {
        id: id.to_string(),
        job_id: JobId(Uuid::from_bytes(row.get(2)?)),
        at: Timestamp::from_millis(row.get(3)?),
        attempt: row.get(4)?,
        from: rows::status(row, 5)?,
        to: rows::status(row, 6)?,
        cause: Cause::from_number(cause).ok_or_else(|| out_of_range(7, cause))?,
        actor: Actor { kind: ActorKind::from_number(kind).ok_or_else(|| out_of_range(8, kind))?, name: row.get(9)? },
        message: row.get(10)?,
        exit_code: row.get(11)?,
        signal: row.get(12)?,
        memory_peak_bytes: row.get(13)?,
        cpu_time_ms: row.get(14)?,
    };
    Ok(StoredEvent { id, organization: row.get(1)?, event })
}
