//! Gates: what a running job holds and others wait for.

use super::limits::Limits;
use super::{Move, Rows, Wait};
use crate::store::{StoreError, StoredJob};
use docket_contract::job::ExecutorKind;
use docket_contract::state::Event;
use docket_contract::{Status, Timestamp};
use std::collections::BTreeSet;

/// What a gate stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateKind {
    /// A lock: one job at a time.
    Lock,
    /// All jobs of the organization.
    Organization,
    /// The organization's jobs of one type.
    Type,
}

impl GateKind {
    /// The number under which stores keep it; stable.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [GateKind::Lock, GateKind::Organization, GateKind::Type].get(usize::from(number)).copied()
    }
}

/// What only so many jobs hold at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gate {
    /// Whose jobs it is for: organizations have nothing to do with one another.
    pub organization: String,
    /// What it stands for.
    pub kind: GateKind,
    /// The lock's name or the type; empty for the organization.
    pub name: String,
}

/// The gates that a job must hold to run, and how many jobs may hold each. Without locks and limits there is none.
pub(super) fn of(job: &StoredJob, limits: &Limits) -> Vec<(Gate, usize)> {
    let spec = &job.job.spec;
    let organization = &job.organization;
    if spec.locks.is_empty() && limits.is_empty() {
        return Vec::new();
    }
    let gate = |kind, name: &str| Gate { organization: organization.clone(), kind, name: name.to_owned() };
    // A lock that is named twice is one.
    let locks: BTreeSet<&String> = spec.locks.iter().collect();
    let mut gates: Vec<_> = locks.into_iter().map(|lock| (gate(GateKind::Lock, lock), 1)).collect();
    gates.extend(limits.of_organization(organization).map(|most| (gate(GateKind::Organization, ""), most)));
    if let Some(job_type) = &spec.job_type {
        gates.extend(limits.of_type(organization, job_type).map(|most| (gate(GateKind::Type, job_type), most)));
    }
    gates
}

/// A job that was at a gate.
#[derive(Clone, Debug)]
pub struct Left {
    /// The gate.
    pub gate: Gate,
    /// What the job runs on.
    pub executor: ExecutorKind,
    /// It was called; otherwise it waited.
    pub called: bool,
}

/// The claim of a job is over: releases its gates and calls the next ones, one of each executor: nobody can tell here
/// whose has room. Answers whether anybody was called.
pub fn release<R: Rows>(rows: &mut R, key: R::Key, at: Timestamp) -> Result<bool, StoreError> {
    let mut called = false;
    for gate in rows.release(key)? {
        for executor in ExecutorKind::ALL {
            called |= call_next(rows, &gate, executor, at)?;
        }
    }
    Ok(called)
}

/// A job that is not claimed goes on to another status than the one that this held it in: nothing of it stays behind.
/// Answers whether anybody was called in its place.
pub fn leave<R: Rows>(rows: &mut R, key: R::Key, wait: Wait, at: Timestamp) -> Result<bool, StoreError> {
    rows.clear_wait(key)?;
    match wait {
        Wait::Nothing | Wait::Retry => Ok(false),
        Wait::Start => rows.drop_dependencies(key).map(|()| false),
        Wait::Gate | Wait::Called => match rows.leave(key)? {
            Some(Left { gate, executor, called: true }) => call_next(rows, &gate, executor, at),
            _ => Ok(false),
        },
    }
}

/// Calls the next job of an executor that waits at a gate, if any does.
pub(super) fn call_next<R: Rows>(
    rows: &mut R,
    gate: &Gate,
    executor: ExecutorKind,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let Some(key) = rows.next_at(gate, executor)? else { return Ok(false) };
    rows.call(gate, key)?;
    let queued = Move::of(Event::Queued, Status::Waiting, at)?;
    rows.put(key, &Move { wait: Wait::Called, ..queued })?;
    Ok(true)
}

/// Limits may have changed since jobs were claimed or began to wait: what runs counts against the limits that are new,
/// and up to `limit` jobs are called that there is room for now. Answers how many; fewer than `limit` says that all were.
pub fn recall<R: Rows>(rows: &mut R, limits: &Limits, at: Timestamp, limit: usize) -> Result<usize, StoreError> {
    if !limits.is_empty() {
        for key in rows.claimed()? {
            let gates = of(&rows.read(key)?, limits);
            for (gate, _) in &gates {
                rows.hold(gate, key)?;
            }
            if !gates.is_empty() {
                rows.set_holds(key)?;
            }
        }
    }
    call_those_with_room(rows, limits, at, limit)
}

fn call_those_with_room<R: Rows>(
    rows: &mut R,
    limits: &Limits,
    at: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    /// Gates read at a time.
    const GATES: usize = 64;
    let mut done = 0;
    let mut after: Option<Gate> = None;
    loop {
        let gates = rows.gates_with_waiters(after.as_ref(), GATES)?;
        for gate in &gates {
            // Without a limit there is room for everybody who waits.
            let most = limits.capacity(gate).unwrap_or(usize::MAX);
            let counted = most.min(i32::MAX as usize);
            let held = rows.holders(gate, counted)?;
            for executor in ExecutorKind::ALL {
                let mut room = most.saturating_sub(held + rows.called(gate, executor, counted)?);
                while room > 0 && done < limit && call_next(rows, gate, executor, at)? {
                    room -= 1;
                    done += 1;
                }
            }
            if done == limit {
                return Ok(done);
            }
        }
        if gates.len() < GATES {
            return Ok(done);
        }
        after = gates.into_iter().next_back();
    }
}
