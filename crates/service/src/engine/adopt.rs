//! Compares the claimed jobs with what the executor knows: at the start of the server, and whenever the executor was
//! out of reach. What is alive is adopted, what ended meanwhile is recorded, what never arrived is launched again.

use super::lane::Lane;
use super::watch::{Failure, number, record};
use super::{dispatch, grace, key};
use crate::executors::{AttemptKey, Exit, Observed, State, Usage};
use crate::store::{AttemptEnd, ControlStore, StoreError, StoredJob, Transition};
use docket_contract::history::Actor;
use docket_contract::job::ExecutorKind;
use docket_contract::state::Event;
use docket_contract::{JobId, Status, Timestamp};
use std::collections::HashMap;

/// Brings store and executor together.
pub(super) async fn run_once(lane: &Lane, now: Timestamp) -> Result<(), Failure> {
    let claimed = lane.control.claimed_jobs(lane.kind).await?;
    let known: HashMap<AttemptKey, State> =
        lane.executor.list().await?.into_iter().map(|observed| (observed.key, observed.state)).collect();
    for job in &claimed {
        lane.active.add(job);
    }
    let mut reports: Vec<Observed> = Vec::new();
    let mut missing: Vec<StoredJob> = Vec::new();
    for job in claimed {
        let key = key(&job);
        match known.get(&key) {
            Some(State::Queued) => back_in_queue(lane, &job, now).await?,
            Some(state) => reports.push(Observed { key, state: state.clone() }),
            // The claim is durable, the launch never arrived.
            None if job.job.started_at.is_none() => missing.push(job),
            None => {
                let started_at_ms = job.job.started_at.map_or(0, Timestamp::as_millis);
                let (finished_at_ms, usage) = (now.as_millis(), Usage::default());
                let state = State::Ended { exit: Exit::Lost, started_at_ms, finished_at_ms, usage };
                reports.push(Observed { key, state });
            }
        }
    }
    // Ends of attempts that the store has recorded already are only forgotten.
    let recorded = known.into_iter().filter(|(key, state)| state.is_final() && lane.active.get(*key).is_none());
    reports.extend(recorded.map(|(key, state)| Observed { key, state }));
    record(lane, &reports).await?;
    for job in &missing {
        back_in_queue(lane, job, now).await?;
    }
    dispatch::hand_over(lane, &missing).await;
    for (key, attempt) in lane.active.all() {
        if let Some(request) = &attempt.cancel {
            lane.executor.cancel(key, grace(request)).await?;
        }
    }
    lane.freed.notify_one();
    Ok(())
}

/// A job whose state was unknown and that waits in the executor's queue is SCHEDULED again.
async fn back_in_queue(lane: &Lane, job: &StoredJob, now: Timestamp) -> Result<(), StoreError> {
    if job.job.status != Status::Unknown {
        return Ok(());
    }
    change(lane, key(job), Status::Unknown, Event::Queued, now).await
}

/// The executor does not answer: nobody can tell the state of what it runs.
pub(super) async fn mark_unknown(lane: &Lane, now: Timestamp) -> Result<(), StoreError> {
    for (key, attempt) in lane.active.all() {
        if attempt.status != Status::Unknown {
            change(lane, key, attempt.status, Event::Unreachable, now).await?;
        }
    }
    Ok(())
}

/// There is no such executor any more, and jobs that it ran: nobody can tell their state either.
pub(super) async fn mark_orphans(
    control: &dyn ControlStore,
    kind: ExecutorKind,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transitions = Vec::new();
    for job in control.claimed_jobs(kind).await? {
        if let Some(unreachable) = transition(key(&job), job.job.status, Event::Unreachable, now) {
            let message = format!("The executor {} is not configured any more.", kind.name());
            transitions.push(Transition { status_message: Some(message), ..unreachable });
        }
    }
    if !transitions.is_empty() {
        tracing::warn!(executor = kind.name(), jobs = transitions.len(), "jobs of an executor that is not configured");
        control.transition(transitions).await?;
    }
    Ok(())
}

async fn change(lane: &Lane, key: AttemptKey, from: Status, event: Event, at: Timestamp) -> Result<(), StoreError> {
    let Some(transition) = transition(key, from, event, at) else { return Ok(()) };
    for job in lane.control.transition(vec![transition]).await?.into_iter().flatten() {
        lane.active.moved(&job);
    }
    Ok(())
}

/// A transition that this server makes on its own account; `None` where there is none.
fn transition(key: AttemptKey, from: Status, event: Event, at: Timestamp) -> Option<Transition> {
    let unreachable = (event == Event::Unreachable).then(|| "The executor can't be reached.".to_owned());
    Some(Transition {
        id: JobId(key.job_id),
        attempt: number(key),
        from,
        claimed: true,
        to: from.after(event).ok()?,
        at,
        started_at: None,
        status_message: unreachable,
        exit_code: None,
        cause: event.into(),
        actor: Actor::SERVER,
        end: AttemptEnd::default(),
        due_at: None,
    })
}
