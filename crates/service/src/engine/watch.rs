//! Records what the executor reports. A report is applied by the state machine; the executor forgets an end only when
//! it is durable here.

use super::active::Attempt;
use super::lane::Lane;
use super::{adopt, retry};
use crate::executors::{AttemptKey, CANCELED_BEFORE_START, ExecutorError, Exit, Observed, State};
use crate::failpoint;
use crate::store::{AttemptEnd, StoreError, StoredJob, Transition};
use docket_contract::history::{Actor, Cause};
use docket_contract::job::Retry;
use docket_contract::state::{Event, IllegalTransition};
use docket_contract::{JobId, Status, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;
use tokio::time::Instant;

/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// While attempts end in quick succession, their reports are gathered for so long: fewer, larger transactions.
const GATHER: Duration = Duration::from_millis(2);
/// After so long without an answer of the executor the jobs' state counts as unknown.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(5);

/// Watches until `stop`.
pub(super) async fn run(lane: Arc<Lane>, mut stop: signal::Receiver<bool>) {
    let mut silent_since: Option<Instant> = None;
    let mut adopted = false;
    while !*stop.borrow() {
        let step = async {
            if !adopted {
                adopt::run_once(&lane, lane.clock.now()).await?;
                adopted = true;
                silent_since = None;
            }
            tokio::select! {
                events = lane.executor.events() => {
                    record(&lane, &events?).await?;
                    if lane.active.is_busy(lane.clock.now()) {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                () = lane.launch_again.notified() => adopted = false,
            }
            Ok::<(), Failure>(())
        };
        let failure = tokio::select! {
            done = step => done.err(),
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        let Some(failure) = failure else { continue };
        tracing::warn!(error = %failure, "watching the executor failed");
        adopted = false;
        let since = *silent_since.get_or_insert_with(Instant::now);
        if matches!(failure, Failure::Executor(_))
            && since.elapsed() >= UNREACHABLE_AFTER
            && let Err(error) = adopt::mark_unknown(&lane, lane.clock.now()).await
        {
            tracing::error!(%error, "marking jobs as UNKNOWN failed");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What can fail while watching.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records a batch of reports in one transaction, then lets the executor forget the ends.
pub(super) async fn record(lane: &Lane, events: &[Observed]) -> Result<(), Failure> {
    failpoint::pass("observed");
    let mut transitions = Vec::with_capacity(events.len());
    let mut forget = Vec::new();
    for observed in events {
        match lane.active.get(observed.key) {
            Some(attempt) => match told_by(observed, &attempt) {
                Ok(told) => transitions.extend(told.into_iter().map(|transition| (observed, transition))),
                Err(error) => tracing::error!(%error, attempt = %observed.key, "a report does not fit the job"),
            },
            // It ended already, for the store: the executor had not heard of it yet.
            None if observed.state.is_final() => forget.push(observed.key),
            None => {}
        }
    }
    let now = lane.clock.now();
    let changes = transitions.iter().map(|(_, transition)| transition.clone()).collect();
    let made = lane.control.transition(changes).await?;
    let mut canceled_too_late = Vec::new();
    for ((observed, transition), job) in transitions.iter().zip(made) {
        match job {
            Some(job) if !job.claimed => {
                lane.active.remove(observed.key, now);
                forget.push(observed.key);
                lane.hints.changed(&job);
                canceled_too_late.extend(cancel_retry(&job, now));
            }
            Some(job) => lane.active.moved(&job),
            None => tracing::error!(attempt = %observed.key, from = ?transition.from, "a transition found another job"),
        }
    }
    if !canceled_too_late.is_empty() {
        for job in lane.control.transition(canceled_too_late).await?.into_iter().flatten() {
            lane.hints.changed(&job);
        }
    }
    failpoint::pass("recorded");
    if !forget.is_empty() {
        lane.freed.notify_one();
        lane.executor.forget(&forget).await?;
        failpoint::pass("forgotten");
    }
    Ok(())
}

/// The transitions that a report asks for; none if it tells nothing new. An end tells of the start as well, when that was
/// not reported by itself.
fn told_by(observed: &Observed, attempt: &Attempt) -> Result<Vec<Transition>, IllegalTransition> {
    let from = attempt.status;
    let made = |to, at, cause| Transition {
        id: JobId(observed.key.job_id),
        attempt: number(observed.key),
        from,
        claimed: true,
        to,
        at: Timestamp::from_millis(at),
        started_at: attempt.started_at,
        status_message: None,
        exit_code: None,
        cause,
        actor: Actor::EXECUTOR,
        end: AttemptEnd::default(),
        due_at: None,
    };
    let started = |at: i64| -> Result<Transition, IllegalTransition> {
        let started_at = Some(Timestamp::from_millis(at));
        Ok(Transition { started_at, ..made(from.after(Event::Started)?, at, Cause::Started) })
    };
    Ok(match &observed.state {
        State::Queued => Vec::new(),
        State::Running { .. } if from == Status::Running => Vec::new(),
        State::Running { started_at_ms } => vec![started(*started_at_ms)?],
        State::Refused { reason, at_ms } => {
            let event = if reason == CANCELED_BEFORE_START { Event::Canceled } else { Event::Refused };
            let message = canceled(attempt).unwrap_or_else(|| format!("The job can't be started: {reason}"));
            vec![Transition { status_message: Some(message), ..made(from.after(event)?, *at_ms, event.into()) }]
        }
        State::Ended { exit, started_at_ms, finished_at_ms, usage } => {
            let running = if from == Status::Running { from } else { from.after(Event::Started)? };
            let (event, cause, status_message) = end(exit, attempt);
            // Of a lost one nobody knows whether it had begun.
            let unseen = from == Status::Scheduled && *exit != Exit::Lost;
            let start = unseen.then(|| started(*started_at_ms)).transpose()?;
            let made = Transition {
                from: if unseen { running } else { from },
                started_at: Some(Timestamp::from_millis(*started_at_ms)),
                status_message,
                exit_code: if let Exit::Code(code) = exit { Some(*code) } else { None },
                end: AttemptEnd {
                    signal: if let Exit::Signal(signal) = exit { Some(*signal) } else { None },
                    usage: *usage,
                },
                ..made(running.after(event)?, *finished_at_ms, cause)
            };
            start.into_iter().chain([retried(made, running, attempt.retry.as_deref())?]).collect()
        }
    })
}

/// The end of an attempt, or the delay before the next one, if the job's policy grants one.
pub(super) fn retried(
    end: Transition,
    running: Status,
    retry: Option<&Retry>,
) -> Result<Transition, IllegalTransition> {
    let Some(retry) = retry else { return Ok(end) };
    let spread = fastrand::f64() * 2.0 - 1.0;
    let Some(delay) = retry::delay(retry, end.attempt, end.to, spread) else { return Ok(end) };
    Ok(Transition {
        to: running.after(Event::Retried)?,
        due_at: Some(end.at.plus_millis(delay)),
        status_message: Some(retry::message(retry, end.attempt, delay, end.status_message.as_deref())),
        cause: Cause::Retried,
        ..end
    })
}

/// Someone asked for the end while the attempt ended by itself: there must be no other one.
pub(super) fn cancel_retry(job: &StoredJob, now: Timestamp) -> Option<Transition> {
    let request = job.cancel.as_ref().filter(|_| !job.job.status.is_terminal())?;
    let to = job.job.status.after(Event::Canceled).ok()?;
    Some(Transition {
        id: job.job.id,
        attempt: job.job.attempt,
        from: job.job.status,
        claimed: false,
        to,
        at: now,
        started_at: None,
        status_message: Some(crate::operations::cancel_message("Canceled", request.reason.as_deref())),
        exit_code: None,
        cause: Cause::Canceled,
        actor: Actor::SERVER,
        end: AttemptEnd::default(),
        due_at: None,
    })
}

/// What an exit means, why, and what to tell of it. Of a job that ended on request it does not matter how it did.
fn end(exit: &Exit, attempt: &Attempt) -> (Event, Cause, Option<String>) {
    if let Some(message) = canceled(attempt) {
        return (Event::Canceled, Cause::Canceled, Some(message));
    }
    let (event, message) = match exit {
        Exit::Code(0) => return (Event::Exited(0), Cause::Exited, None),
        Exit::Code(code) => (Event::Exited(*code), format!("The job ended with exit code {code}.")),
        Exit::Signal(signal) => (Event::Signaled, format!("The job was killed by signal {signal}.")),
        Exit::OutOfMemory => (Event::Signaled, "The job was killed: it used more memory than its limit.".to_owned()),
        Exit::TimedOut => (Event::TimedOut, "The job was stopped: its time limit was over.".to_owned()),
        Exit::Lost => (Event::Lost, "The process was lost: its supervisor ended without it.".to_owned()),
    };
    let cause = if *exit == Exit::OutOfMemory { Cause::OutOfMemory } else { event.into() };
    (event, cause, Some(message))
}

fn canceled(attempt: &Attempt) -> Option<String> {
    let request = attempt.cancel.as_ref()?;
    Some(crate::operations::cancel_message("Canceled", request.reason.as_deref()))
}

pub(super) fn number(key: AttemptKey) -> i32 {
    i32::try_from(key.attempt).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::Usage;
    use crate::store::CancelRequest;

    fn ended(exit: Exit, from: Status, cancel: Option<&str>) -> Transition {
        ended_of(1, exit, from, cancel)
    }

    /// The end of the first of so many attempts.
    fn ended_of(attempts: i32, exit: Exit, from: Status, cancel: Option<&str>) -> Transition {
        let key = AttemptKey { job_id: uuid::Uuid::from_u128(1), attempt: 1 };
        let state = State::Ended { exit, started_at_ms: 5, finished_at_ms: 9, usage: Usage::default() };
        let cancel = cancel.map(|reason| CancelRequest { reason: Some(reason.to_owned()), grace_period_seconds: 1 });
        let retry = (attempts > 1).then(|| {
            let (max_attempts, backoff_seconds) = (Some(attempts), Some(10));
            Box::new(Retry { max_attempts, backoff_seconds, max_backoff_seconds: None, on: Vec::new() })
        });
        let attempt = Attempt { status: from, started_at: None, cancel, retry };
        let mut told = told_by(&Observed { key, state }, &attempt).expect("legal");
        let end = told.pop().expect("an end");
        let before: Vec<_> = told.iter().map(|start| (start.from, start.to, start.at)).collect();
        let unseen = from == Status::Scheduled && end.from == Status::Running;
        let start = (Status::Scheduled, Status::Running, Timestamp::from_millis(5));
        assert_eq!(before, if unseen { vec![start] } else { Vec::new() });
        end
    }

    #[test]
    fn exits_mean_what_the_api_says() {
        for from in [Status::Running, Status::Scheduled, Status::Unknown] {
            let done = ended(Exit::Code(0), from, None);
            let seen = if from == Status::Scheduled { Status::Running } else { from };
            assert_eq!((done.from, done.to, done.exit_code), (seen, Status::Finished, Some(0)));
            assert_eq!(done.started_at, Some(Timestamp::from_millis(5)), "also when the start was never reported");
            assert_eq!(ended(Exit::Code(3), from, None).to, Status::Failed);
            assert_eq!(ended(Exit::Signal(9), from, None).to, Status::Died);
            let lost = ended(Exit::Lost, from, None);
            assert_eq!((lost.from, lost.to), (from, Status::Died));
            assert_eq!(ended(Exit::OutOfMemory, from, None).to, Status::Died);
            assert_eq!(ended(Exit::TimedOut, from, None).to, Status::Failed);
            let canceled = ended(Exit::Code(0), from, Some("enough"));
            assert_eq!((canceled.to, canceled.status_message.as_deref()), (Status::Canceled, Some("Canceled: enough")));
        }
    }

    #[test]
    fn a_retry_keeps_what_the_attempt_left() {
        for from in [Status::Running, Status::Scheduled, Status::Unknown] {
            let retry = ended_of(3, Exit::Code(3), from, None);
            assert_eq!((retry.to, retry.cause, retry.exit_code), (Status::Waiting, Cause::Retried, Some(3)));
            let due = retry.due_at.map(Timestamp::as_millis).expect("a time");
            assert!((8_009..=12_009).contains(&due), "{due}");
            let message = retry.status_message.expect("a message");
            assert!(message.starts_with("Attempt 2 of 3 starts after "), "{message}");
            assert!(message.ends_with(" s. The job ended with exit code 3."), "{message}");
            assert_eq!(ended_of(3, Exit::Code(0), from, None).to, Status::Finished);
            assert_eq!(ended_of(3, Exit::Code(3), from, Some("enough")).to, Status::Canceled);
        }
    }
}
