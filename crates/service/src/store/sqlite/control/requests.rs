//! Requests with an idempotency key.

use super::writer::Tx;
use crate::store::{Idempotency, IdempotencyKey, StoreError, StoredReply};
use docket_contract::{JobId, Timestamp};
use memchr::memmem;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

/// By `request_by_key`, as all of the following.
const BEGIN: &str = "
    INSERT INTO request (organization, key, hash, run, job, begun_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (organization, key) DO NOTHING";
const READ: &str = "
    SELECT hash, run, job, status, media_type, body
    FROM request
    WHERE organization = ?1 AND key = ?2";
const TAKE_OVER: &str = "
    UPDATE request
    SET run = ?3
    WHERE organization = ?1 AND key = ?2";
const KEEP: &str = "
    UPDATE request
    SET status = ?5, media_type = ?6, body = ?7
    WHERE organization = ?1 AND key = ?2 AND hash = ?3 AND run = ?4 AND status IS NULL";
const LET_GO: &str = "
    UPDATE request
    SET run = NULL
    WHERE organization = ?1 AND key = ?2 AND hash = ?3 AND run = ?4 AND status IS NULL";
const FORGET: &str = "
    DELETE FROM request
    WHERE organization = ?1 AND key = ?2 AND hash = ?3 AND run = ?4 AND status IS NULL";
const ANSWERS: &str = "
    SELECT key, body
    FROM request INDEXED BY request_by_key
    WHERE organization = ?1 AND key > ?2
    ORDER BY key
    LIMIT ?3";
const FORGET_ANSWER: &str = "
    UPDATE request
    SET run = NULL, status = NULL, media_type = NULL, body = NULL
    WHERE organization = ?1 AND key = ?2 AND status IS NOT NULL";
/// By `request_by_age`.
const FORGET_OLD: &str = "
    DELETE FROM request
    WHERE rowid IN (
        SELECT rowid
        FROM request INDEXED BY request_by_age
        WHERE begun_at < ?1
        ORDER BY begun_at
        LIMIT ?2
    )";

/// Largest body that is kept.
const MAX_BODY: usize = 1024 * 1024;

struct Known {
    hash: [u8; 32],
    run: Option<[u8; 16]>,
    job: [u8; 16],
    reply: Option<StoredReply>,
}

/// Begins a request.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    key: &IdempotencyKey,
    id: JobId,
    now: Timestamp,
) -> Result<Idempotency, StoreError> {
    let IdempotencyKey { organization, key: name, request_hash, run } = key;
    let row = params![organization, name, request_hash, run.0.as_bytes(), id.0.as_bytes(), now.as_millis()];
    if tx.connection.prepare_cached(BEGIN)?.execute(row)? == 1 {
        return Ok(Idempotency::Proceed(id));
    }
    let found = tx.connection.prepare_cached(READ)?.query_row(params![organization, name], known)?;
    if found.hash != *request_hash {
        return Ok(Idempotency::Different);
    }
    if let Some(reply) = found.reply {
        return Ok(Idempotency::Answered(reply));
    }
    if found.run.as_ref() == Some(run.0.as_bytes()) {
        return Ok(Idempotency::InFlight);
    }
    tx.connection.prepare_cached(TAKE_OVER)?.execute(params![organization, name, run.0.as_bytes()])?;
    Ok(Idempotency::Proceed(JobId(Uuid::from_bytes(found.job))))
}

/// Keeps the answer of a request that is in flight in the key's run, or forgets the request. Of an answer over 1 MiB
/// only the job's id is kept: the request is made again when it is repeated.
pub(super) fn end(tx: &mut Tx<'_>, key: &IdempotencyKey, reply: Option<&StoredReply>) -> Result<(), StoreError> {
    let IdempotencyKey { organization, key: name, request_hash, run } = key;
    let run = run.0.as_bytes();
    match reply {
        Some(StoredReply { status, media_type, body }) if body.len() <= MAX_BODY => {
            let row = params![organization, name, request_hash, run, status, media_type, body];
            tx.connection.prepare_cached(KEEP)?.execute(row)?;
        }
        Some(_) => {
            tx.connection.prepare_cached(LET_GO)?.execute(params![organization, name, request_hash, run])?;
        }
        None => {
            tx.connection.prepare_cached(FORGET)?.execute(params![organization, name, request_hash, run])?;
        }
    }
    Ok(())
}

/// Forgets old requests.
pub(super) fn forget(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.connection.prepare_cached(FORGET_OLD)?.execute(params![before.as_millis(), limit])?)
}

/// Requests whose kept answers hold what was looked for.
pub(super) struct Found {
    pub(super) keys: Vec<String>,
    /// Behind which key the next step begins; none at the end.
    pub(super) next: Option<String>,
}

/// Looks for texts in the kept answers of an organization.
pub(super) fn find(
    connection: &Connection,
    organization: &str,
    texts: &[Vec<u8>],
    after: &str,
    limit: usize,
) -> Result<Found, StoreError> {
    let texts: Vec<_> = texts.iter().map(memmem::Finder::new).collect();
    let (mut keys, mut last, mut looked) = (Vec::new(), None, 0);
    let mut statement = connection.prepare_cached(ANSWERS)?;
    let mut rows = statement.query(params![organization, after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let (key, body): (String, _) = (row.get(0)?, row.get_ref(1)?.as_blob_or_null().map_err(rusqlite::Error::from)?);
        if body.is_some_and(|body| texts.iter().any(|text| text.find(body).is_some())) {
            keys.push(key.clone());
        }
        (last, looked) = (Some(key), looked + 1);
    }
    Ok(Found { keys, next: last.filter(|_| looked == limit) })
}

/// Forgets answers, so that nothing of them is left in the database's pages; the write-ahead log holds them until it is
/// written over.
pub(super) fn forget_answers(tx: &mut Tx<'_>, organization: &str, keys: &[String]) -> Result<(), StoreError> {
    tx.connection.pragma_update(None, "secure_delete", true)?;
    let forgotten = keys
        .iter()
        .try_for_each(|key| tx.connection.prepare_cached(FORGET_ANSWER)?.execute(params![organization, key]).map(drop));
    tx.connection.pragma_update(None, "secure_delete", false)?;
    Ok(forgotten?)
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let reply = match row.get(3)? {
        Some(status) => Some(StoredReply { status, media_type: row.get(4)?, body: row.get(5)? }),
        None => None,
    };
    Ok(Known { hash: row.get(0)?, run: row.get(1)?, job: row.get(2)?, reply })
}
