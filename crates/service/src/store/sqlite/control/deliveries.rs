//! Webhooks of jobs, and the deliveries that events leave for them.

use super::events::NewEvent;
use super::writer::Tx;
use super::{events, regressions, rows};
use crate::store::deliveries::{payload, receiver};
use crate::store::{Delivery, DeliveryEnd, DeliveryKey, DueReceivers, Scope, StoreError};
use docket_contract::job::Webhook;
use docket_contract::{JobId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

const INSERT_WEBHOOK: &str = "
    INSERT INTO webhook (seq, hook, statuses, url, only_regressions)
    VALUES (?1, ?2, ?3, ?4, ?5)";
/// By the primary key.
const WEBHOOKS: &str = "
    SELECT hook, url, only_regressions
    FROM webhook
    WHERE seq = ?1 AND statuses & ?2 != 0";
/// By the primary key.
const DELETE_WEBHOOKS: &str = "
    DELETE FROM webhook
    WHERE seq = ?1";
const INSERT: &str = "
    INSERT INTO delivery (event, hook, seq, job, organization, receiver, url, payload, next_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
/// By `delivery_by_job`.
const DELETE_GIVEN_UP: &str = "
    DELETE FROM delivery
    WHERE seq = ?1 AND next_at IS NULL";
/// By `delivery_due`: a step of a walk from receiver to receiver.
const NEXT_RECEIVER: &str = "
    SELECT receiver, next_at
    FROM delivery INDEXED BY delivery_due
    WHERE next_at IS NOT NULL AND receiver > ?1
    ORDER BY receiver, next_at
    LIMIT 1";

macro_rules! deliveries {
    ($which:literal) => {
        concat!(
            "
    SELECT d.event, d.hook, d.job, o.text, d.url, d.payload, d.attempts, d.next_at, d.last_error
    FROM delivery AS d
        JOIN name AS o ON o.id = d.organization
    ",
            $which
        )
    };
}
/// By `delivery_due`.
const DUE: &str = deliveries!("WHERE d.receiver = ?1 AND d.next_at <= ?2 ORDER BY d.next_at, d.event LIMIT ?3");
/// By `delivery_by_job`.
const OF_JOB: &str = deliveries!("WHERE d.seq = ?1 ORDER BY d.id LIMIT ?2");
/// By `delivery_by_event`, as the following.
const DELIVERED: &str = "
    DELETE FROM delivery
    WHERE event = ?1 AND hook = ?2";
const FAILED: &str = "
    UPDATE delivery
    SET attempts = attempts + 1, next_at = ?3, last_error = ?4
    WHERE event = ?1 AND hook = ?2";
const DELETE_OF_NO_JOB: &str = "
    DELETE FROM delivery
    WHERE event = ?1 AND hook = ?2 AND NOT EXISTS (
        SELECT 1
        FROM job
        WHERE job.seq = delivery.seq
    )";

/// Keeps the webhooks of a new job.
pub(super) fn insert_webhooks(tx: &Tx<'_>, seq: i64, webhooks: &[Webhook]) -> Result<(), StoreError> {
    for (hook, webhook) in (0_u8..).zip(webhooks) {
        let wanted = Status::ALL.into_iter().filter(|status| webhook.wants(*status));
        let statuses = wanted.fold(0_i64, |bits, status| bits | bit(status));
        let only_regressions = webhook.tells_regressions_only();
        let row = params![seq, hook, statuses, webhook.url, only_regressions];
        tx.connection.prepare_cached(INSERT_WEBHOOK)?.execute(row)?;
    }
    Ok(())
}

fn bit(status: Status) -> i64 {
    1 << status.number()
}

/// Leaves a delivery, or a check, for each webhook that wants to be told of an event. A job without webhooks costs one look at an
/// index.
pub(super) fn insert(tx: &mut Tx<'_>, id: i64, new: &NewEvent<'_>) -> Result<(), StoreError> {
    let mut webhooks = tx.connection.prepare_cached(WEBHOOKS)?;
    let mut told = None;
    let mut webhooks = webhooks.query(params![new.seq, bit(new.to)])?;
    while let Some(webhook) = webhooks.next()? {
        let (hook, url): (u8, String) = (webhook.get(0)?, webhook.get(1)?);
        let only_regressions: bool = webhook.get(2)?;
        let (job, body) = match &told {
            Some(told) => told,
            None => {
                let job = rows::read(tx.connection, new.seq)?;
                let body = payload(&job, events::read(tx.connection, id)?.event)?;
                told.insert((job.job.id, body))
            }
        };
        if only_regressions {
            regressions::insert(tx, id, new, (hook, &url), (*job, body))?;
            continue;
        }
        tx.connection.prepare_cached(INSERT)?.execute(params![
            id,
            hook,
            new.seq,
            job.0.as_bytes(),
            new.organization,
            receiver(&url),
            url,
            body,
            new.at.as_millis(),
        ])?;
        *tx.deliveries += 1;
    }
    Ok(())
}

/// Removes what goes with a job: its webhooks, and the deliveries that were given up.
pub(super) fn delete(tx: &Tx<'_>, seq: i64) -> Result<(), StoreError> {
    for statement in [DELETE_WEBHOOKS, DELETE_GIVEN_UP] {
        tx.connection.prepare_cached(statement)?.execute(params![seq])?;
    }
    Ok(())
}

/// The receivers with due deliveries.
pub(super) fn due_receivers(connection: &Connection, now: Timestamp, limit: usize) -> Result<DueReceivers, StoreError> {
    let mut statement = connection.prepare_cached(NEXT_RECEIVER)?;
    let mut firsts: Vec<(Timestamp, String)> = Vec::new();
    loop {
        let last = firsts.last().map_or("", |(_, receiver)| receiver);
        let next = statement
            .query_row(params![last], |row| Ok((Timestamp::from_millis(row.get(1)?), row.get(0)?)))
            .optional()?;
        let Some(next) = next else { return Ok(DueReceivers::sort(firsts, now, limit)) };
        firsts.push(next);
    }
}

/// The due deliveries of a receiver, the longest waiting first.
pub(super) fn due(
    connection: &Connection,
    receiver: &str,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Delivery>, StoreError> {
    let mut statement = connection.prepare_cached(DUE)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let due = statement.query_map(params![receiver, now.as_millis(), limit], delivery)?;
    Ok(due.collect::<Result<_, _>>()?)
}

/// The deliveries of a job, oldest first.
pub(super) fn of_job(
    connection: &Connection,
    scope: &Scope,
    id: JobId,
    limit: usize,
) -> Result<Option<Vec<Delivery>>, StoreError> {
    let Some(place) = rows::find(connection, scope, id)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(OF_JOB)?;
    let found = statement.query_map(params![place.seq, i64::try_from(limit).unwrap_or(i64::MAX)], delivery)?;
    Ok(Some(found.collect::<Result<_, _>>()?))
}

/// Notes what an attempt has come to.
pub(super) fn end(tx: &mut Tx<'_>, key: DeliveryKey, end: &DeliveryEnd) -> Result<(), StoreError> {
    let event = i64::try_from(key.event).unwrap_or(i64::MAX);
    let failed = |next_at: Option<Timestamp>, error: &str| {
        let row = params![event, key.hook, next_at.map(Timestamp::as_millis), error];
        tx.connection.prepare_cached(FAILED)?.execute(row)
    };
    match end {
        DeliveryEnd::Delivered => tx.connection.prepare_cached(DELIVERED)?.execute(params![event, key.hook])?,
        DeliveryEnd::Postponed { next_at, error } => failed(Some(*next_at), error)?,
        DeliveryEnd::GivenUp { error } => {
            failed(None, error)?;
            tx.connection.prepare_cached(DELETE_OF_NO_JOB)?.execute(params![event, key.hook])?
        }
    };
    Ok(())
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        key: DeliveryKey { event: row.get::<_, i64>(0)?.unsigned_abs(), hook: row.get(1)? },
        job: JobId(Uuid::from_bytes(row.get(2)?)),
        organization: row.get(3)?,
        url: row.get(4)?,
        payload: row.get(5)?,
        attempts: row.get(6)?,
        next_at: rows::time(row, 7)?,
        last_error: row.get(8)?,
    })
}
