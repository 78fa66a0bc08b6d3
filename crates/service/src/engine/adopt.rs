//! Compares the claimed jobs with what the executor knows: at the start of the server, and whenever the executor was
//! out of reach. What is alive is adopted, what ended meanwhile is recorded, what never arrived is launched again.

use super::watch::{Failure, number, record};
use super::{Shared, dispatch, grace, key};
use crate::executors::{AttemptKey, Exit, Observed, State, Usage};
use crate::store::{AttemptEnd, StoreError, StoredJob, Transition};
use docket_contract::history::Actor;
use docket_contract::state::Event;
use docket_contract::{JobId, Status, Timestamp};
use std::collections::HashMap;

/// Brings store and executor together.
pub(super) async fn run_once(shared: &Shared, now: Timestamp) -> Result<(), Failure> {
    let claimed = shared.control.claimed_jobs().await?;
    let known: HashMap<AttemptKey, State> =
        shared.executor.list().await?.into_iter().map(|observed| (observed.key, observed.state)).collect();
    for job in &claimed {
        shared.active.add(job);
    }
    let mut reports: Vec<Observed> = Vec::new();
    let mut missing: Vec<StoredJob> = Vec::new();
    for job in claimed {
        let key = key(&job);
        match known.get(&key) {
            Some(State::Queued) => back_in_queue(shared, &job, now).await?,
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
    let recorded = known.into_iter().filter(|(key, state)| state.is_final() && shared.active.get(*key).is_none());
    reports.extend(recorded.map(|(key, state)| Observed { key, state }));
    record(shared, &reports).await?;
    for job in &missing {
        back_in_queue(shared, job, now).await?;
    }
    dispatch::hand_over(shared, &missing).await;
    for (key, attempt) in shared.active.all() {
        if let Some(request) = &attempt.cancel {
            shared.executor.cancel(key, grace(request)).await?;
        }
    }
    shared.freed.notify_one();
    Ok(())
}

/// A job whose state was unknown and that waits in the executor's queue is SCHEDULED again.
async fn back_in_queue(shared: &Shared, job: &StoredJob, now: Timestamp) -> Result<(), StoreError> {
    if job.job.status != Status::Unknown {
        return Ok(());
    }
    change(shared, key(job), Status::Unknown, Event::Queued, now).await
}

/// The executor does not answer: nobody can tell the state of what it runs.
pub(super) async fn mark_unknown(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    for (key, attempt) in shared.active.all() {
        if attempt.status != Status::Unknown {
            change(shared, key, attempt.status, Event::Unreachable, now).await?;
        }
    }
    Ok(())
}

async fn change(shared: &Shared, key: AttemptKey, from: Status, event: Event, at: Timestamp) -> Result<(), StoreError> {
    let Ok(to) = from.after(event) else { return Ok(()) };
    let unreachable = (event == Event::Unreachable).then(|| "The executor can't be reached.".to_owned());
    let transition = Transition {
        id: JobId(key.job_id),
        attempt: number(key),
        from,
        claimed: true,
        to,
        at,
        started_at: None,
        status_message: unreachable,
        exit_code: None,
        cause: event.into(),
        actor: Actor::SERVER,
        end: AttemptEnd::default(),
    };
    for job in shared.control.transition(vec![transition]).await?.into_iter().flatten() {
        shared.active.moved(&job);
    }
    Ok(())
}
