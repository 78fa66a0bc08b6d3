//! Rows of scheduled jobs.

use super::super::rows::{organization, time};
use super::super::writer::Tx;
use crate::store::{ACTIVE_JOBS, DueSchedules, NewSchedule, Page, Scope, StoreError, StoredSchedule};
use docket_contract::schedule::{ScheduledJobSpec, Slot};
use docket_contract::{JobId, ScheduledJobId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

/// A statement that reads whole scheduled jobs.
macro_rules! stored {
    ($which:literal) => {
        concat!(
            "
    SELECT s.seq, s.id, o.text, u.text, b.spec, s.paused_reason, s.decided, s.slot_at, s.due_at, s.revision,
        s.created_at, s.modified_at
    FROM schedule AS s
        JOIN schedule_body AS b ON b.seq = s.seq
        JOIN name AS o ON o.id = s.organization
        JOIN name AS u ON u.id = s.user
    ",
            $which
        )
    };
}

/// By the UNIQUE index of `schedule.id`.
const READ: &str = stored!("WHERE s.id = ?1 AND (?2 IS NULL OR o.text = ?2)");
/// By `schedule_by_age`, which ends with `seq`.
const LIST: &str = stored!(
    "WHERE s.organization = (SELECT id FROM name WHERE text = ?1) AND s.seq < ?2
    ORDER BY s.seq DESC
    LIMIT ?3"
);
/// By the primary key, from its end.
const LIST_ALL: &str = stored!(
    "WHERE ?1 IS NULL AND s.seq < ?2
    ORDER BY s.seq DESC
    LIMIT ?3"
);
/// By `schedule_due`.
const DUE: &str = "
    SELECT seq
    FROM schedule INDEXED BY schedule_due
    WHERE due_at <= ?1
    ORDER BY due_at
    LIMIT ?2";
/// By the primary key.
const BY_SEQ: &str = stored!("WHERE s.seq = ?1");
/// By `schedule_due`.
const NEXT_DUE: &str = "
    SELECT min(due_at)
    FROM schedule INDEXED BY schedule_due
    WHERE due_at > ?1";
/// By `job_of_schedule`, which ends with `seq`.
const ACTIVE: &str = "
    SELECT id
    FROM job INDEXED BY job_of_schedule
    WHERE schedule = ?1 AND finished_at IS NULL
    ORDER BY seq
    LIMIT ?2";
const INSERT: &str = "
    INSERT INTO schedule (id, organization, user, decided, slot_at, due_at, created_at, modified_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
    ON CONFLICT (id) DO NOTHING";
const INSERT_BODY: &str = "
    INSERT INTO schedule_body (seq, spec)
    VALUES (?1, ?2)";
/// By the primary keys.
const DELETE: [&str; 3] = [
    "
    DELETE FROM schedule
    WHERE seq = ?1",
    "
    DELETE FROM schedule_body
    WHERE seq = ?1",
    "
    DELETE FROM schedule_run
    WHERE schedule = ?1",
];

/// What a scheduled job is, as it is kept.
pub(super) fn encode(spec: &ScheduledJobSpec) -> Result<String, StoreError> {
    serde_json::to_string(spec).map_err(|error| StoreError::Internal(format!("a spec can't be written: {error}")))
}

/// Stores a scheduled job; `spec` is its encoded spec. One that has the id already stays.
pub(super) fn insert(tx: &mut Tx<'_>, new: &NewSchedule, spec: &str) -> Result<StoredSchedule, StoreError> {
    let row = params![
        new.id.0.as_bytes(),
        tx.names.number(tx.connection, &new.organization)?,
        tx.names.number(tx.connection, &new.user)?,
        new.decided.as_millis(),
        new.next.map(|slot| slot.at.as_millis()),
        new.next.map(|slot| slot.due.as_millis()),
        new.created_at.as_millis(),
    ];
    if tx.connection.prepare_cached(INSERT)?.execute(row)? == 1 {
        let seq = tx.connection.last_insert_rowid();
        tx.connection.prepare_cached(INSERT_BODY)?.execute(params![seq, spec])?;
    }
    let scope = Scope::Organization(new.organization.clone());
    let taken = || StoreError::Internal("the id is that of another organization's scheduled job".to_owned());
    read(tx.connection, &scope, new.id)?.ok_or_else(taken)
}

/// One scheduled job of a scope.
pub(super) fn read(
    connection: &Connection,
    scope: &Scope,
    id: ScheduledJobId,
) -> Result<Option<StoredSchedule>, StoreError> {
    Ok(find(connection, scope, id)?.map(|(_, stored)| stored))
}

/// One scheduled job of a scope, and its place.
fn find(
    connection: &Connection,
    scope: &Scope,
    id: ScheduledJobId,
) -> Result<Option<(i64, StoredSchedule)>, StoreError> {
    let found = params![id.0.as_bytes(), organization(scope)];
    Ok(connection.prepare_cached(READ)?.query_row(found, stored).optional()?)
}

/// A page of scheduled jobs.
pub(super) fn list(
    connection: &Connection,
    scope: &Scope,
    after: Option<u64>,
    limit: usize,
) -> Result<Page<StoredSchedule>, StoreError> {
    let organization = organization(scope);
    let mut statement = connection.prepare_cached(if organization.is_some() { LIST } else { LIST_ALL })?;
    let before = after.map_or(i64::MAX, |after| i64::try_from(after).unwrap_or(i64::MAX));
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let found = statement.query_map(params![organization, before, one_more], stored)?;
    let mut found: Vec<(i64, StoredSchedule)> = found.collect::<Result<_, _>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).and_then(|(seq, _)| u64::try_from(*seq).ok());
    Ok(Page { values: found.into_iter().map(|(_, stored)| stored).collect(), next })
}

/// What is due.
pub(super) fn due(connection: &Connection, now: Timestamp, limit: usize) -> Result<DueSchedules, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(DUE)?;
    let places = statement.query_map(params![now.as_millis(), limit], |row| row.get(0))?;
    let places: Vec<i64> = places.collect::<Result<_, _>>()?;
    let mut due = Vec::with_capacity(places.len());
    for seq in places {
        let (_, schedule) = connection.prepare_cached(BY_SEQ)?.query_row(params![seq], stored)?;
        let active = active(connection, schedule.id, ACTIVE_JOBS)?;
        due.push((schedule, active));
    }
    let mut statement = connection.prepare_cached(NEXT_DUE)?;
    let next = statement.query_row(params![now.as_millis()], |row| time(row, 0))?;
    Ok(DueSchedules { due, next })
}

/// Jobs of a scheduled job that have not ended.
pub(super) fn active(connection: &Connection, id: ScheduledJobId, limit: usize) -> Result<Vec<JobId>, StoreError> {
    let mut statement = connection.prepare_cached(ACTIVE)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let ids = statement.query_map(params![id.0.as_bytes(), limit], |row| Ok(JobId(Uuid::from_bytes(row.get(0)?))))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Removes a scheduled job with its runs.
pub(super) fn delete(tx: &mut Tx<'_>, scope: &Scope, id: ScheduledJobId) -> Result<Option<StoredSchedule>, StoreError> {
    let Some((seq, stored)) = find(tx.connection, scope, id)? else { return Ok(None) };
    for statement in DELETE {
        tx.connection.prepare_cached(statement)?.execute(params![seq])?;
    }
    Ok(Some(stored))
}

fn stored(row: &Row<'_>) -> rusqlite::Result<(i64, StoredSchedule)> {
    let spec = serde_json::from_str(row.get_ref(4)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, Box::new(error)))?;
    let next = match (time(row, 7)?, time(row, 8)?) {
        (Some(at), Some(due)) => Some(Slot { at, due }),
        _ => None,
    };
    let stored = StoredSchedule {
        id: ScheduledJobId(Uuid::from_bytes(row.get(1)?)),
        organization: row.get(2)?,
        user: row.get(3)?,
        spec,
        paused_reason: row.get(5)?,
        decided: Timestamp::from_millis(row.get(6)?),
        next,
        revision: row.get(9)?,
        created_at: Timestamp::from_millis(row.get(10)?),
        modified_at: Timestamp::from_millis(row.get(11)?),
    };
    Ok((row.get(0)?, stored))
}
