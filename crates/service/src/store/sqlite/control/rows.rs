//! Rows of jobs and what they mean.

use super::attachments;
use super::counts::Owner;
use super::queue;
use crate::store::queue::explain;
use crate::store::{CancelRequest, Scope, StoreError, StoredJob, WorkerLease};
use docket_contract::{Job, JobId, ScheduledJobId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

/// A statement that reads whole jobs.
macro_rules! stored {
    ($which:literal) => {
        concat!(
            "
    SELECT j.id, o.text, u.text, j.status, j.attempt, j.claimed, j.progress, j.created_at, j.modified_at, j.started_at,
        j.finished_at, j.exit_code, j.status_message, j.cancel_grace, j.cancel_reason, b.spec, b.result_data,
        b.rerun_of, b.rerun_failed, j.expires_at, j.followed, j.wait, j.due_at, j.worker, j.lease, (
            SELECT json_group_array(json_array(f.name, f.content_type, f.size, f.created_at))
            FROM attachment AS f
            WHERE f.seq = j.seq
        ), j.schedule, j.slot
    FROM job AS j
        JOIN job_body AS b ON b.seq = j.seq
        JOIN name AS o ON o.id = j.organization
        JOIN name AS u ON u.id = j.user
    ",
            $which
        )
    };
}
pub(super) use stored;

/// By the primary key.
const BY_SEQ: &str = stored!("WHERE j.seq = ?1");
/// By the UNIQUE index of `job.id`.
const FIND: &str = "
    SELECT j.seq, j.organization, j.user, j.type, j.status
    FROM job AS j
        JOIN name AS o ON o.id = j.organization
    WHERE j.id = ?1 AND (?2 IS NULL OR o.text = ?2)";

/// Where a job is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) seq: i64,
    pub(super) owner: Owner,
    pub(super) status: Status,
}

/// Finds a job in a scope.
pub(super) fn find(connection: &Connection, scope: &Scope, id: JobId) -> Result<Option<Place>, StoreError> {
    let mut statement = connection.prepare_cached(FIND)?;
    let place = statement.query_row(params![id.0.as_bytes(), organization(scope)], |row| {
        let owner = Owner { organization: row.get(1)?, user: row.get(2)?, job_type: row.get(3)? };
        Ok(Place { seq: row.get(0)?, owner, status: status(row, 4)? })
    });
    Ok(place.optional()?)
}

/// Reads a job that is known to be there; one that waits tells what it waits for now.
pub(super) fn read(connection: &Connection, seq: i64) -> Result<StoredJob, StoreError> {
    let mut statement = connection.prepare_cached(BY_SEQ)?;
    let (mut stored, wait, due_at) =
        statement.query_row(params![seq], |row| Ok((job(row)?, queue::wait(row, 21)?, time(row, 22)?)))?;
    if let Some(message) = explain(connection, seq, wait, due_at)? {
        stored.job.status_message = Some(message);
    }
    Ok(stored)
}

/// The organization that a scope is limited to.
pub(super) fn organization(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::Organization(organization) => Some(organization),
        Scope::Everything => None,
    }
}

/// Maps a row of a `stored!` statement.
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<StoredJob> {
    let spec = serde_json::from_str(row.get_ref(15)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(15, rusqlite::types::Type::Text, Box::new(error)))?;
    let cancel = match row.get::<_, Option<i32>>(13)? {
        Some(grace_period_seconds) => Some(CancelRequest { reason: row.get(14)?, grace_period_seconds }),
        None => None,
    };
    let lease = match row.get(23)? {
        Some(worker) => Some(WorkerLease { worker, seconds: row.get(24)? }),
        None => None,
    };
    let job = Job {
        id: JobId(Uuid::from_bytes(row.get(0)?)),
        spec,
        status: status(row, 3)?,
        status_message: row.get(12)?,
        progress: row.get(6)?,
        user: row.get(2)?,
        created_at: Timestamp::from_millis(row.get(7)?),
        modified_at: Timestamp::from_millis(row.get(8)?),
        started_at: time(row, 9)?,
        finished_at: time(row, 10)?,
        expires_at: time(row, 19)?,
        attempt: row.get(4)?,
        exit_code: row.get(11)?,
        result_data: row.get(16)?,
        rerun_of: row.get::<_, Option<[u8; 16]>>(17)?.map(|id| JobId(Uuid::from_bytes(id))),
        only_failed_records: row.get(18)?,
        scheduled_job_id: row.get::<_, Option<[u8; 16]>>(26)?.map(|id| ScheduledJobId(Uuid::from_bytes(id))),
        scheduled_for: time(row, 27)?,
        attachments: attachments::gathered(row, 25)?,
    };
    Ok(StoredJob { organization: row.get(1)?, job, claimed: row.get(5)?, followed: row.get(20)?, cancel, lease })
}

/// The status that a column names.
pub(super) fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    let number: u8 = row.get(column)?;
    Status::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, i64::from(number)))
}

/// A time that may be missing.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}
