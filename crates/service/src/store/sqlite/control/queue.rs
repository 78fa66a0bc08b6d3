//! The rows of the queue: what [`queue`] asks of a driver, statement by statement.

mod sql;

use self::sql::*;
use super::events::{self, NewEvent};
use super::rows;
use super::transitions;
use super::workers;
use super::writer::Tx;
use crate::store::queue::{self, Dependent, Gate, GateKind, Left, Move, Open, Reads, Rows, Upstream, Wait};
use crate::store::{Scope, StoreError, StoredJob, Unmeasured};
use docket_contract::history::Actor;
use docket_contract::job::{DependencyCondition, ExecutorKind, Figures, Share};
use docket_contract::{JobId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u8> {
    row.get(column)
}

fn unknown(column: usize, number: u8) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(column, i64::from(number))
}

/// What holds a job back.
pub(super) fn wait(row: &Row<'_>, column: usize) -> rusqlite::Result<Wait> {
    let number = number(row, column)?;
    Wait::from_number(number).ok_or_else(|| unknown(column, number))
}

fn condition(row: &Row<'_>, column: usize) -> rusqlite::Result<DependencyCondition> {
    let number = number(row, column)?;
    queue::condition_from_number(number).ok_or_else(|| unknown(column, number))
}

fn most_failed(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Share>> {
    let Some(number) = row.get::<_, Option<u32>>(column)? else { return Ok(None) };
    let range = || rusqlite::Error::IntegralValueOutOfRange(column, i64::from(number));
    Share::from_billionths(number).map(Some).ok_or_else(range)
}

fn figures(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Figures>> {
    let failed: Option<i64> = row.get(column)?;
    let total: Option<i64> = row.get(column + 1)?;
    Ok(failed.zip(total).map(|(failed, total)| Figures { failed: failed as u64, total: total as u64 }))
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<GateKind> {
    let number = number(row, column)?;
    GateKind::from_number(number).ok_or_else(|| unknown(column, number))
}

fn executor(row: &Row<'_>, column: usize) -> rusqlite::Result<ExecutorKind> {
    let number = number(row, column)?;
    ExecutorKind::ALL.get(usize::from(number)).copied().ok_or_else(|| unknown(column, number))
}

fn gate(row: &Row<'_>) -> rusqlite::Result<Gate> {
    Ok(Gate { organization: row.get(0)?, kind: kind(row, 1)?, name: row.get(2)? })
}

impl Reads for Connection {
    type Key = i64;

    fn dependencies(&self, key: i64) -> Result<Vec<Open>, StoreError> {
        let mut statement = self.prepare_cached(DEPENDENCIES)?;
        let open = statement.query_map(params![key], |row| {
            let id = JobId(Uuid::from_bytes(row.get(0)?));
            Ok(Open { id, condition: condition(row, 1)?, most_failed: most_failed(row, 2)? })
        })?;
        Ok(open.collect::<Result<_, _>>()?)
    }

    fn gate_of(&self, key: i64) -> Result<Option<Gate>, StoreError> {
        Ok(self.prepare_cached(GATE_OF)?.query_row(params![key], gate).optional()?)
    }

    fn holder(&self, gate: &Gate) -> Result<Option<JobId>, StoreError> {
        let mut statement = self.prepare_cached(HOLDER)?;
        let id = statement.query_row(params![gate.organization, gate.kind.number(), gate.name], |row| row.get(0));
        Ok(id.optional()?.map(|id| JobId(Uuid::from_bytes(id))))
    }
}

impl Reads for Tx<'_> {
    type Key = i64;

    fn dependencies(&self, key: i64) -> Result<Vec<Open>, StoreError> {
        self.connection.dependencies(key)
    }

    fn gate_of(&self, key: i64) -> Result<Option<Gate>, StoreError> {
        self.connection.gate_of(key)
    }

    fn holder(&self, gate: &Gate) -> Result<Option<JobId>, StoreError> {
        self.connection.holder(gate)
    }
}

impl Rows for Tx<'_> {
    fn find(&mut self, organization: &str, id: JobId) -> Result<Option<(i64, Status)>, StoreError> {
        let found = rows::find(self.connection, &Scope::Organization(organization.to_owned()), id)?;
        Ok(found.map(|place| (place.seq, place.status)))
    }

    fn read(&mut self, key: i64) -> Result<StoredJob, StoreError> {
        rows::read(self.connection, key)
    }

    fn ready(&mut self, executor: ExecutorKind, limit: usize) -> Result<Vec<(i64, Wait)>, StoreError> {
        let mut statement = self.connection.prepare_cached(READY)?;
        let ready =
            statement.query_map(params![executor.number(), bound(limit)], |row| Ok((row.get(0)?, wait(row, 1)?)))?;
        Ok(ready.collect::<Result<_, _>>()?)
    }

    fn ready_for_worker(
        &mut self,
        organization: &str,
        types: &[String],
        limit: usize,
    ) -> Result<Vec<(i64, Wait)>, StoreError> {
        workers::ready(self.connection, organization, types, limit)
    }

    fn start(&mut self, key: i64, job: &StoredJob) -> Result<(), StoreError> {
        workers::start(self, key, job)
    }

    fn claim(&mut self, key: i64, job: &StoredJob, holds: bool) -> Result<(), StoreError> {
        let row = params![key, job.job.attempt, job.job.modified_at.as_millis(), holds];
        self.connection.prepare_cached(CLAIM)?.execute(row)?;
        Ok(())
    }

    fn put(&mut self, key: i64, to: &Move) -> Result<(), StoreError> {
        let at = to.at.as_millis();
        let row = params![
            key,
            to.to.number(),
            to.wait.number(),
            to.due_at.map(Timestamp::as_millis),
            at,
            to.to.is_terminal().then_some(at),
            to.message,
        ];
        let moved = self.connection.prepare_cached(PUT)?.query_row(row, transitions::moved)?;
        transitions::follow(self, &moved, to.from, to.to)?;
        let event = moved.event(to.from, to.to, to.at, to.event.into(), &Actor::SERVER);
        events::insert(self, &NewEvent { message: to.message.as_deref(), ..event })
    }

    fn clear_wait(&mut self, key: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached(CLEAR_WAIT)?.execute(params![key])?;
        Ok(())
    }

    fn holders(&mut self, gate: &Gate, most: usize) -> Result<usize, StoreError> {
        let organization = self.organization(gate)?;
        let gate = params![organization, gate.kind.number(), gate.name, bound(most)];
        let counted: i64 = self.connection.prepare_cached(HOLDERS)?.query_row(gate, |row| row.get(0))?;
        Ok(usize::try_from(counted).unwrap_or_default())
    }

    fn claimed(&mut self) -> Result<Vec<i64>, StoreError> {
        let mut statement = self.connection.prepare_cached(CLAIMED)?;
        let claimed = statement.query_map([], |row| row.get(0))?;
        Ok(claimed.collect::<Result<_, _>>()?)
    }

    fn set_holds(&mut self, key: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached(SET_HOLDS)?.execute(params![key])?;
        Ok(())
    }

    fn hold(&mut self, gate: &Gate, key: i64) -> Result<(), StoreError> {
        let organization = self.organization(gate)?;
        let row = params![organization, gate.kind.number(), gate.name, key];
        self.connection.prepare_cached(HOLD)?.execute(row)?;
        Ok(())
    }

    fn release(&mut self, key: i64) -> Result<Vec<Gate>, StoreError> {
        let mut held = self.connection.prepare_cached(HELD)?;
        let gates = held.query_map(params![key], gate)?.collect::<Result<Vec<_>, _>>()?;
        self.connection.prepare_cached(RELEASE)?.execute(params![key])?;
        self.connection.prepare_cached(RELEASED)?.execute(params![key])?;
        Ok(gates)
    }

    fn wait_at(&mut self, gate: &Gate, executor: ExecutorKind, rank: i64, key: i64) -> Result<(), StoreError> {
        let organization = self.organization(gate)?;
        let row = params![key, organization, gate.kind.number(), gate.name, executor.number(), rank];
        self.connection.prepare_cached(WAIT_AT)?.execute(row)?;
        Ok(())
    }

    fn next_at(&mut self, gate: &Gate, executor: ExecutorKind) -> Result<Option<i64>, StoreError> {
        let organization = self.organization(gate)?;
        let gate = params![organization, gate.kind.number(), gate.name, executor.number()];
        Ok(self.connection.prepare_cached(NEXT_AT)?.query_row(gate, |row| row.get(0)).optional()?)
    }

    fn call(&mut self, _gate: &Gate, key: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached(CALL)?.execute(params![key])?;
        Ok(())
    }

    fn called(&mut self, gate: &Gate, executor: ExecutorKind, most: usize) -> Result<usize, StoreError> {
        let organization = self.organization(gate)?;
        let gate = params![organization, gate.kind.number(), gate.name, bound(most), executor.number()];
        let counted: i64 = self.connection.prepare_cached(CALLED_TO)?.query_row(gate, |row| row.get(0))?;
        Ok(usize::try_from(counted).unwrap_or_default())
    }

    fn leave(&mut self, key: i64) -> Result<Option<Left>, StoreError> {
        let left = self.connection.prepare_cached(LEAVE)?.query_row(params![key], |row| {
            Ok((row.get::<_, i64>(0)?, kind(row, 1)?, row.get(2)?, row.get(3)?, executor(row, 4)?))
        });
        let Some((organization, kind, name, called, executor)) = left.optional()? else { return Ok(None) };
        let organization = self.connection.prepare_cached(NAME)?.query_row(params![organization], |row| row.get(0))?;
        Ok(Some(Left { gate: Gate { organization, kind, name }, executor, called }))
    }

    fn gates_with_waiters(&mut self, after: Option<&Gate>, limit: usize) -> Result<Vec<Gate>, StoreError> {
        let (organization, kind, name) = match after {
            Some(gate) => (self.organization(gate)?, gate.kind.number(), gate.name.as_str()),
            None => (0, 0, ""),
        };
        let mut statement = self.connection.prepare_cached(GATES_WITH_WAITERS)?;
        let gates = statement.query_map(params![organization, kind, name, bound(limit)], gate)?;
        Ok(gates.collect::<Result<_, _>>()?)
    }

    fn depend(&mut self, on: i64, dependent: Dependent<i64>) -> Result<(), StoreError> {
        let Dependent { key, condition, most_failed } = dependent;
        let row = params![key, on, queue::condition_number(condition), most_failed.map(Share::billionths)];
        self.connection.prepare_cached(DEPEND)?.execute(row)?;
        self.connection.prepare_cached(FOLLOW)?.execute(params![on])?;
        Ok(())
    }

    fn dependents(&mut self, on: i64, limit: usize) -> Result<Vec<Dependent<i64>>, StoreError> {
        let mut statement = self.connection.prepare_cached(DEPENDENTS)?;
        let edges = statement.query_map(params![on, bound(limit)], |row| {
            Ok(Dependent { key: row.get(0)?, condition: condition(row, 1)?, most_failed: most_failed(row, 2)? })
        })?;
        Ok(edges.collect::<Result<_, _>>()?)
    }

    fn fulfil(&mut self, on: i64, dependent: Dependent<i64>) -> Result<bool, StoreError> {
        let Dependent { key, condition, .. } = dependent;
        let edge = params![key, on, queue::condition_number(condition)];
        self.connection.prepare_cached(FULFIL)?.execute(edge)?;
        Ok(self.connection.prepare_cached(DEPENDS)?.exists(params![key])?)
    }

    fn drop_dependencies(&mut self, key: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached(DROP_DEPENDENCIES)?.execute(params![key])?;
        Ok(())
    }

    fn figures(&mut self, key: i64) -> Result<Option<Figures>, StoreError> {
        Ok(self.connection.prepare_cached(FIGURES)?.query_row(params![key], |row| figures(row, 0))?)
    }

    fn await_figures(&mut self, on: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached(AWAIT_FIGURES)?.execute(params![on])?;
        Ok(())
    }

    fn ended_upstream(&mut self) -> Result<Option<Upstream<i64>>, StoreError> {
        let mut statement = self.connection.prepare_cached(ENDED_UPSTREAM)?;
        let found = statement.query_row([], |row| {
            let id = JobId(Uuid::from_bytes(row.get(1)?));
            Ok(Upstream { key: row.get(0)?, id, status: rows::status(row, 2)?, figures: figures(row, 3)? })
        });
        Ok(found.optional()?)
    }

    fn clear_followed(&mut self, on: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached(CLEAR_FOLLOWED)?.execute(params![on])?;
        Ok(())
    }

    fn due_at(&mut self, key: i64) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.connection.prepare_cached(DUE_AT)?.query_row(params![key], |row| rows::time(row, 0))?)
    }

    fn due(&mut self, now: Timestamp, limit: usize) -> Result<Vec<(i64, Wait)>, StoreError> {
        let mut statement = self.connection.prepare_cached(DUE)?;
        let due =
            statement.query_map(params![now.as_millis(), bound(limit)], |row| Ok((row.get(0)?, wait(row, 1)?)))?;
        Ok(due.collect::<Result<_, _>>()?)
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let next = self.connection.prepare_cached(NEXT_DUE)?.query_row([], |row| rows::time(row, 0));
        Ok(next.optional()?.flatten())
    }

    fn clear_due(&mut self, key: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached(CLEAR_DUE)?.execute(params![key])?;
        Ok(())
    }
}

impl Tx<'_> {
    fn organization(&mut self, gate: &Gate) -> Result<i64, StoreError> {
        self.names.number(self.connection, &gate.organization)
    }
}

/// The job waits until then for another attempt.
pub(super) fn wait_for_retry(tx: &mut Tx<'_>, key: i64, due_at: Timestamp) -> Result<(), StoreError> {
    tx.connection.prepare_cached(RETRY)?.execute(params![key, due_at.as_millis()])?;
    Ok(())
}

/// The job's place in the queue has changed, also where it waits.
pub(super) fn change_rank(tx: &mut Tx<'_>, key: i64, rank: i64) -> Result<(), StoreError> {
    tx.connection.prepare_cached(CHANGE_RANK)?.execute(params![key, rank])?;
    Ok(())
}

/// Jobs that are to be removed by now, the oldest first.
pub(super) fn expired(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
    let mut statement = connection.prepare_cached(EXPIRED)?;
    let keys = statement.query_map(params![now.as_millis(), bound(limit)], |row| row.get(0))?;
    let keys = keys.collect::<Result<Vec<i64>, _>>()?;
    keys.into_iter().map(|key| rows::read(connection, key)).collect()
}

/// Ended jobs whose results are to be counted, behind a position.
pub(super) fn unmeasured(connection: &Connection, after: u64, limit: usize) -> Result<Vec<Unmeasured>, StoreError> {
    let mut statement = connection.prepare_cached(UNMEASURED)?;
    let jobs = statement.query_map(params![after as i64, bound(limit)], |row| {
        let id = JobId(Uuid::from_bytes(row.get(2)?));
        Ok(Unmeasured { position: row.get::<_, i64>(0)? as u64, organization: row.get(1)?, id })
    })?;
    Ok(jobs.collect::<Result<_, _>>()?)
}

/// Writes what the results of ended jobs came to.
pub(super) fn measure(tx: &mut Tx<'_>, measured: &[(JobId, Figures)]) -> Result<(), StoreError> {
    let mut statement = tx.connection.prepare_cached(MEASURE)?;
    for (id, figures) in measured {
        statement.execute(params![id.0.as_bytes(), figures.failed as i64, figures.total as i64])?;
    }
    Ok(())
}
