//! What moves a job from one status to another: transitions and claims.

use super::counts::Owner;
use super::events::{self, NewEvent};
use super::queue;
use super::rows::{self, stored};
use super::writer::Tx;
use crate::store::queue::{self as turns, Claims, Limits, Taker, Wait};
use crate::store::{AttemptEnd, StoreError, StoredJob, Transition};
use docket_contract::history::{Actor, Cause};
use docket_contract::job::ExecutorKind;
use docket_contract::{Status, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// By the UNIQUE index of `job.id`.
const MOVE: &str = "
    UPDATE job
    SET status = ?5, claimed = claimed AND ?6, modified_at = ?7, started_at = coalesce(started_at, ?8),
        finished_at = ?9, expires_at = ?9 + 1000 * ttl, progress = coalesce(?10, progress), status_message = ?11,
        exit_code = coalesce(?12, exit_code)
    WHERE id = ?1 AND attempt = ?2 AND status = ?3 AND claimed = ?4
    RETURNING seq, organization, user, type, tagged, attempt, wait, holds AND NOT claimed";
/// By `job_persisted`.
const QUEUE: &str = "
    UPDATE job
    SET status = 3, modified_at = ?1
    WHERE seq IN (
        SELECT seq
        FROM job INDEXED BY job_persisted
        WHERE status = 2
        ORDER BY seq
        LIMIT ?2
    )
    RETURNING seq, organization, user, type, tagged, attempt";
/// By the primary keys; only for jobs that have tags.
const MOVE_TAGS: &str = "
    UPDATE job_tag
    SET status = ?3
    WHERE organization = ?1 AND seq = ?2 AND tag IN (
        SELECT t.value
        FROM job_body AS b, json_each(b.spec, '$.tags') AS t
        WHERE b.seq = ?2
    )";
/// By `job_claimed`.
const CLAIMED: &str = stored!("WHERE j.claimed = 1 AND j.executor = ?1 ORDER BY j.seq");

/// Jobs that one call hands from PERSISTED to the queue.
const QUEUE_STEP: i64 = 1000;

/// Whether an executor has a job that is in this status: a claim lasts as long.
fn is_placed(status: Status) -> bool {
    matches!(status, Status::Unknown | Status::Scheduled | Status::Running)
}

/// Makes each transition that finds its job as it expects.
pub(super) fn make(tx: &mut Tx<'_>, transitions: &[Transition]) -> Result<Vec<Option<StoredJob>>, StoreError> {
    transitions.iter().map(|transition| make_one(tx, transition)).collect()
}

fn make_one(tx: &mut Tx<'_>, transition: &Transition) -> Result<Option<StoredJob>, StoreError> {
    let Transition { to, at, .. } = *transition;
    let started_at = transition.started_at.or((to == Status::Running).then_some(at));
    let moved = tx.connection.prepare_cached(MOVE)?.query_row(
        params![
            transition.id.0.as_bytes(),
            transition.attempt,
            transition.from.number(),
            transition.claimed,
            to.number(),
            is_placed(to),
            at.as_millis(),
            started_at.map(Timestamp::as_millis),
            to.is_terminal().then_some(at.as_millis()),
            (to == Status::Finished).then_some(100),
            transition.status_message,
            transition.exit_code,
        ],
        |row| Ok((moved(row)?, queue::wait(row, 6)?, row.get::<_, bool>(7)?)),
    );
    let Some((moved, wait, holds)) = moved.optional()? else { return Ok(None) };
    follow(tx, &moved, transition.from, to)?;
    let event = NewEvent {
        message: transition.status_message.as_deref(),
        exit_code: transition.exit_code,
        end: transition.end,
        ..moved.event(transition.from, to, at, transition.cause, &transition.actor)
    };
    events::insert(tx, &event)?;
    if wait != Wait::Nothing {
        turns::leave(tx, moved.seq, wait, at)?;
    }
    if holds {
        turns::release(tx, moved.seq, at)?;
    }
    if let Some(due_at) = transition.due_at.filter(|_| to == Status::Waiting) {
        queue::wait_for_retry(tx, moved.seq, due_at)?;
    }
    rows::read(tx.connection, moved.seq).map(Some)
}

/// Hands PERSISTED jobs to the queue, a step at a time, and claims up to `free` ready ones of an executor.
pub(super) fn claim_due(
    tx: &mut Tx<'_>,
    limits: &Limits,
    executor: ExecutorKind,
    now: Timestamp,
    free: usize,
) -> Result<Claims, StoreError> {
    let mut queue = tx.connection.prepare_cached(QUEUE)?;
    for row in queue.query_map(params![now.as_millis(), QUEUE_STEP], moved)? {
        let moved = row?;
        let (from, to) = (Status::Persisted, Status::Scheduled);
        follow(tx, &moved, from, to)?;
        events::insert(tx, &moved.event(from, to, now, Cause::Queued, &Actor::SERVER))?;
    }
    turns::claim(tx, limits, Taker::Executor(executor), now, free)
}

/// All claimed jobs of an executor. A job that has ended is not claimed any more.
pub(super) fn claimed(connection: &Connection, executor: ExecutorKind) -> Result<Vec<StoredJob>, StoreError> {
    let mut statement = connection.prepare_cached(CLAIMED)?;
    let jobs = statement.query_map(params![executor.number()], rows::job)?;
    Ok(jobs.collect::<Result<_, _>>()?)
}

/// A job that has got another status.
pub(super) struct Moved {
    pub(super) seq: i64,
    pub(super) owner: Owner,
    pub(super) tagged: bool,
    pub(super) attempt: i32,
}

impl Moved {
    /// The event of its transition.
    pub(super) fn event<'a>(
        &self,
        from: Status,
        to: Status,
        at: Timestamp,
        cause: Cause,
        actor: &'a Actor,
    ) -> NewEvent<'a> {
        NewEvent {
            seq: self.seq,
            organization: self.owner.organization,
            at,
            attempt: self.attempt,
            from,
            to,
            cause,
            actor,
            message: None,
            exit_code: None,
            end: AttemptEnd::default(),
        }
    }
}

pub(super) fn moved(row: &Row<'_>) -> rusqlite::Result<Moved> {
    let owner = Owner { organization: row.get(1)?, user: row.get(2)?, job_type: row.get(3)? };
    Ok(Moved { seq: row.get(0)?, owner, tagged: row.get(4)?, attempt: row.get(5)? })
}

/// Moves what is kept by status beside the job: counters and tags.
pub(super) fn follow(tx: &mut Tx<'_>, moved: &Moved, from: Status, to: Status) -> Result<(), StoreError> {
    tx.counts.remove(moved.owner, from);
    tx.counts.add(moved.owner, to);
    if moved.tagged {
        let row = params![moved.owner.organization, moved.seq, to.number()];
        tx.connection.prepare_cached(MOVE_TAGS)?.execute(row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_statuses_by_their_numbers() {
        assert_eq!((Status::Persisted.number(), Status::Scheduled.number()), (2, 3));
        let numbers = |of: fn(Status) -> bool| {
            Status::ALL.into_iter().filter(|status| of(*status)).map(Status::number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(Status::is_terminal), [6, 7, 8, 9]);
        assert_eq!(numbers(is_placed), [0, 3, 5]);
    }
}
