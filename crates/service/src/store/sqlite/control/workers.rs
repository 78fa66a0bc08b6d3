//! Jobs of pull workers: which are ready, and their claims.

use super::events;
use super::names;
use super::queue;
use super::transitions::{self, follow};
use super::writer::Tx;
use crate::store::queue::{self as turns, Limits, Wait};
use crate::store::{StoreError, StoredJob, Wanted, WorkerClaim};
use docket_contract::history::{Actor, Cause};
use docket_contract::{Status, Timestamp};
use rusqlite::{Connection, Row, params};

/// By `job_ready_for_workers`.
const READY: &str = "
    SELECT seq, rank, wait, type
    FROM job INDEXED BY job_ready_for_workers
    WHERE status = 3 AND claimed = 0 AND executor = 3 AND organization = ?1
    ORDER BY rank, seq
    LIMIT ?2";
/// By `job_ready_by_type`.
const READY_BY_TYPE: &str = "
    SELECT seq, rank, wait, type
    FROM job INDEXED BY job_ready_by_type
    WHERE status = 3 AND claimed = 0 AND executor = 3 AND organization = ?1 AND type = ?2
    ORDER BY rank, seq
    LIMIT ?3";
/// By the primary key.
const START: &str = "
    UPDATE job
    SET status = ?2, started_at = ?3, status_message = ?4, worker = ?5, lease = ?6
    WHERE seq = ?1
    RETURNING seq, organization, user, type, tagged, attempt";
/// By the primary key.
const NAME: &str = "
    SELECT text
    FROM name
    WHERE id = ?1";

/// A ready job and its place in the queue.
struct Ready {
    seq: i64,
    rank: i64,
    wait: Wait,
    job_type: i64,
}

fn place(row: &Row<'_>) -> rusqlite::Result<Ready> {
    Ok(Ready { seq: row.get(0)?, rank: row.get(1)?, wait: queue::wait(row, 2)?, job_type: row.get(3)? })
}

/// Ready jobs of an organization and one of these types (none for any), the best first.
fn ready_jobs(
    connection: &Connection,
    organization: i64,
    types: Option<&[i64]>,
    limit: usize,
) -> Result<Vec<Ready>, StoreError> {
    let bound = i64::try_from(limit).unwrap_or(i64::MAX);
    let Some(types) = types else {
        let mut statement = connection.prepare_cached(READY)?;
        let found = statement.query_map(params![organization, bound], place)?;
        return Ok(found.collect::<Result<_, _>>()?);
    };
    let mut all = Vec::new();
    let mut statement = connection.prepare_cached(READY_BY_TYPE)?;
    for job_type in types {
        for found in statement.query_map(params![organization, job_type, bound], place)? {
            all.push(found?);
        }
    }
    all.sort_unstable_by_key(|ready| (ready.rank, ready.seq));
    all.truncate(limit);
    Ok(all)
}

/// The numbers of types; those that no job has are left out. `None` for any type.
fn type_numbers(connection: &Connection, types: &[String]) -> Result<Option<Vec<i64>>, StoreError> {
    if types.is_empty() {
        return Ok(None);
    }
    let mut numbers = Vec::with_capacity(types.len());
    for job_type in types {
        numbers.extend(names::find(connection, job_type)?);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(Some(numbers))
}

/// Claims ready jobs for a worker, and starts them.
pub(super) fn claim(tx: &mut Tx<'_>, limits: &Limits, claim: &WorkerClaim) -> Result<Vec<StoredJob>, StoreError> {
    turns::claim_for_worker(tx, limits, claim)
}

/// Ready jobs for a worker, and what held them back.
pub(super) fn ready(
    connection: &Connection,
    organization: &str,
    types: &[String],
    limit: usize,
) -> Result<Vec<(i64, Wait)>, StoreError> {
    let Some(organization) = names::find(connection, organization)? else { return Ok(Vec::new()) };
    let types = type_numbers(connection, types)?;
    let ready = ready_jobs(connection, organization, types.as_deref(), limit)?;
    Ok(ready.into_iter().map(|ready| (ready.seq, ready.wait)).collect())
}

/// A claimed job has begun under its lease.
pub(super) fn start(tx: &mut Tx<'_>, seq: i64, job: &StoredJob) -> Result<(), StoreError> {
    let StoredJob { job, lease, .. } = job;
    let (worker, seconds) = lease.as_ref().map(|lease| (lease.worker.as_str(), lease.seconds)).unzip();
    let started_at = job.started_at.map(Timestamp::as_millis);
    let row = params![seq, job.status.number(), started_at, job.status_message, worker, seconds];
    let moved = tx.connection.prepare_cached(START)?.query_row(row, transitions::moved)?;
    let from = Status::Scheduled;
    follow(tx, &moved, from, job.status)?;
    let actor = Actor::worker(worker.unwrap_or_default());
    events::insert(tx, &moved.event(from, job.status, job.modified_at, Cause::Started, &actor))
}

/// The types of ready jobs.
pub(super) fn ready_types(
    connection: &Connection,
    wanted: Vec<(Wanted, usize)>,
) -> Result<Vec<(Wanted, Vec<String>)>, StoreError> {
    let mut found = Vec::with_capacity(wanted.len());
    for (wanted, limit) in wanted {
        let Some(organization) = names::find(connection, &wanted.organization)? else { continue };
        let types = type_numbers(connection, wanted.job_type.as_slice())?;
        let ready = ready_jobs(connection, organization, types.as_deref(), limit)?;
        let mut names = Vec::with_capacity(ready.len());
        for ready in ready {
            names.push(match (&wanted.job_type, ready.job_type) {
                (Some(job_type), _) => job_type.clone(),
                (None, 0) => String::new(),
                (None, number) => connection.prepare_cached(NAME)?.query_row(params![number], |row| row.get(0))?,
            });
        }
        found.push((wanted, names));
    }
    Ok(found)
}
