//! Claims: ready jobs in order of rank, each with all of its gates or none.

use super::gates::{self, Gate, GateKind};
use super::limits::Limits;
use super::{Move, Rows, Wait, rank};
use crate::store::{StoreError, StoredJob, WorkerClaim};
use docket_contract::job::ExecutorKind;
use docket_contract::state::Event;
use docket_contract::{Status, Timestamp};

/// Jobs looked at in one step: what one transaction may cost when most of them find their gates shut.
const LOOKS: usize = 256;

/// What one step of claiming gave.
#[derive(Debug)]
pub struct Claims {
    /// The claimed jobs, as they are now.
    pub claimed: Vec<StoredJob>,
    /// Ready jobs may be left though there was room: go on with another step.
    pub more: bool,
}

/// Who claims.
#[derive(Clone, Copy, Debug)]
pub enum Taker<'a> {
    /// The engine, for this executor: a claimed job waits to be launched.
    Executor(ExecutorKind),
    /// A pull worker: a job that it has got is RUNNING.
    Worker(&'a WorkerClaim),
}

/// Claims up to `free` ready jobs.
pub fn claim<R: Rows>(
    rows: &mut R,
    limits: &Limits,
    taker: Taker<'_>,
    now: Timestamp,
    free: usize,
) -> Result<Claims, StoreError> {
    let mut claimed = Vec::new();
    let mut looks = LOOKS;
    while claimed.len() < free {
        let wanted = (free - claimed.len()).min(looks);
        if wanted == 0 {
            return Ok(Claims { claimed, more: true });
        }
        let ready = match taker {
            Taker::Executor(executor) => rows.ready(executor, wanted)?,
            Taker::Worker(claim) => rows.ready_for_worker(&claim.organization, &claim.types, wanted)?,
        };
        let all = ready.len() < wanted;
        let mut called = false;
        for (key, wait) in ready {
            looks -= 1;
            let look = look(rows, limits, taker, key, wait, now)?;
            claimed.extend(look.claimed);
            called = look.called;
            // Whoever was called may go before the next one of these.
            if called {
                break;
            }
        }
        if all && !called {
            break;
        }
    }
    Ok(Claims { claimed, more: false })
}

/// Claims ready jobs for a worker in one step: when most of those looked at find their gates shut, it gets fewer than
/// there may be, and asks again.
pub fn claim_for_worker<R: Rows>(
    rows: &mut R,
    limits: &Limits,
    worker: &WorkerClaim,
) -> Result<Vec<StoredJob>, StoreError> {
    Ok(claim(rows, limits, Taker::Worker(worker), worker.now, worker.limit)?.claimed)
}

struct Look {
    claimed: Option<StoredJob>,
    /// The job passed its call on.
    called: bool,
}

/// Claims one ready job, or has it wait at the first of its gates that is shut.
fn look<R: Rows>(
    rows: &mut R,
    limits: &Limits,
    taker: Taker<'_>,
    key: R::Key,
    wait: Wait,
    now: Timestamp,
) -> Result<Look, StoreError> {
    let job = rows.read(key)?;
    let (executor, gates) = (job.executor(), gates::of(&job, limits));
    let call = if wait == Wait::Called { rows.leave(key)?.map(|left| left.gate) } else { None };
    let shut = first_shut(rows, &gates)?;
    let claimed = match &shut {
        None => {
            for (gate, _) in &gates {
                rows.hold(gate, key)?;
            }
            let mut job = claimed(job, now);
            rows.claim(key, &job, !gates.is_empty())?;
            if let Taker::Worker(claim) = taker {
                job = started(job, claim)?;
                rows.start(key, &job)?;
            }
            Some(job)
        }
        Some((gate, message)) => {
            rows.wait_at(gate, executor, rank(job.job.created_at, job.job.spec.priority), key)?;
            let held = Move::of(Event::Held, Status::Scheduled, now)?;
            rows.put(key, &Move { wait: Wait::Gate, message: Some(message.clone()), ..held })?;
            None
        }
    };
    let called = match call {
        // It took the gate, or it waits there again.
        Some(gate) if shut.as_ref().is_some_and(|(shut, _)| *shut == gate) => false,
        Some(gate) if shut.is_none() && gates.iter().any(|(own, _)| *own == gate) => false,
        Some(gate) => gates::call_next(rows, &gate, executor, now)?,
        None => false,
    };
    Ok(Look { claimed, called })
}

/// The first gate without room, and what to tell of it.
fn first_shut<R: Rows>(rows: &mut R, gates: &[(Gate, usize)]) -> Result<Option<(Gate, String)>, StoreError> {
    for (gate, capacity) in gates {
        if rows.holders(gate, *capacity)? >= *capacity {
            let holder = if gate.kind == GateKind::Lock { rows.holder(gate)? } else { None };
            return Ok(Some((gate.clone(), super::explain::shut(gate, *capacity, holder))));
        }
    }
    Ok(None)
}

/// A ready job once it is claimed. What belongs to the attempt before begins anew.
pub fn claimed(mut job: StoredJob, now: Timestamp) -> StoredJob {
    job.claimed = true;
    job.job.attempt += 1;
    job.job.modified_at = now;
    (job.job.started_at, job.job.exit_code, job.job.progress) = (None, None, 0);
    job
}

/// A claimed job once its worker has got it.
fn started(mut job: StoredJob, claim: &WorkerClaim) -> Result<StoredJob, StoreError> {
    let started = job.job.status.after(Event::Started).map_err(|error| StoreError::Internal(error.to_string()))?;
    (job.job.status, job.job.started_at, job.job.status_message) = (started, Some(claim.now), None);
    job.lease = Some(claim.lease.clone());
    Ok(job)
}
