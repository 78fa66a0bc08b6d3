//! What workers tell of their jobs. A report counts as long as its attempt is the job's present one and its lease has
//! not run out.

use super::expiry::time_limit;
use super::leases::{Held, Known, Progress, Told, Wish};
use super::{Workers, is_for_workers, key, key_of};
use crate::engine::watch::retried;
use crate::executors::AttemptKey;
use crate::operations::{cancel_message, job_ended, stale_attempt};
use crate::store::{AttemptEnd, Changed, JobChange, Scope, StoredJob, Transition};
use docket_contract::history::{Actor, ActorKind, Cause, JobEvent};
use docket_contract::operations::{Heartbeat, MAX_EVENTS_PAGE};
use docket_contract::state::Event;
use docket_contract::{Code, Error, JobId, Status, Timestamp};

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sign {
    /// Percent done.
    pub progress: Option<i32>,
    /// What the job is doing.
    pub message: Option<String>,
}

/// The end of an attempt, as its worker tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// How it ended: [`Event::Exited`].
    pub event: Event,
    /// The exit code, where there was one.
    pub exit_code: Option<i32>,
    /// What to tell people.
    pub message: Option<String>,
    /// What the job leaves as its result.
    pub result_data: Option<String>,
}

impl Workers {
    /// Renews a lease.
    ///
    /// # Errors
    /// `not_found`, `stale_attempt`, `job_ended`; `not_supported` if no worker runs the job.
    pub async fn heartbeat(&self, scope: &Scope, id: JobId, attempt: i32, sign: Sign) -> Result<Heartbeat, Error> {
        let (key, organization) = named(scope, id, attempt)?;
        let mut known = self.shared.leases.renew(organization, key);
        if known == Known::No {
            self.look_up(scope, id, attempt).await?;
            known = self.shared.leases.renew(organization, key);
        }
        let Known::Yes(Told { wish, left }) = known else { return Err(run_out()) };
        self.shared.leases.report(key, Progress { percent: sign.progress, message: sign.message });
        let left = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let mut answer = Heartbeat {
            cancel_requested: false,
            cancel_reason: None,
            grace_period_seconds: None,
            lease_expires_at: self.shared.clock.now().plus_millis(left),
        };
        if let Some((wish, grace)) = wish {
            answer.cancel_requested = true;
            answer.grace_period_seconds = Some(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX));
            answer.cancel_reason = match wish {
                Wish::Cancel(request) => request.reason,
                Wish::TimeLimit(seconds) => Some(time_limit(seconds)),
            };
        }
        Ok(answer)
    }

    /// Ends an attempt; answers the job as it is then. The same report again changes nothing.
    ///
    /// # Errors
    /// As for [`Workers::heartbeat`].
    pub async fn complete(
        &self,
        scope: &Scope,
        id: JobId,
        attempt: i32,
        completion: Completion,
    ) -> Result<StoredJob, Error> {
        let (key, organization) = named(scope, id, attempt)?;
        let mut known = self.shared.leases.hold(organization, key);
        if known == Known::No {
            match self.look_up(scope, id, attempt).await {
                Ok(()) => {}
                Err(error) => return self.told_before(scope, id, attempt, &completion).await?.ok_or(error),
            }
            known = self.shared.leases.hold(organization, key);
        }
        let Known::Yes(held) = known else { return Err(run_out()) };
        if !self.write_result(scope, id, attempt, &held, &completion).await? {
            return self.too_late(scope, id, attempt, &completion).await;
        }
        let transition = reported(key, &held, &completion, self.shared.clock.now());
        match self.shared.control.transition(vec![transition]).await?.pop().flatten() {
            Some(job) => {
                self.shared.leases.remove(key);
                Ok(self.shared.ended(job).await)
            }
            None => self.too_late(scope, id, attempt, &completion).await,
        }
    }

    /// Keeps what the job leaves, before its end; false if the attempt is not the present one any more.
    async fn write_result(
        &self,
        scope: &Scope,
        id: JobId,
        attempt: i32,
        held: &Held,
        completion: &Completion,
    ) -> Result<bool, Error> {
        // A job that has FINISHED is at 100, and its message is that of the end.
        let progress = held.unwritten.percent.filter(|_| completion.event != Event::Exited(0));
        if completion.result_data.is_none() && progress.is_none() {
            return Ok(true);
        }
        let change = JobChange {
            progress,
            result_data: completion.result_data.clone(),
            only_attempt: Some(attempt),
            only_active: true,
            ..JobChange::default()
        };
        let changed = self.shared.control.change_job(scope, id, change, self.shared.clock.now()).await?;
        Ok(matches!(changed, Changed::Done(_)))
    }

    /// The attempt ended before this report: by the same one, or otherwise.
    async fn too_late(
        &self,
        scope: &Scope,
        id: JobId,
        attempt: i32,
        completion: &Completion,
    ) -> Result<StoredJob, Error> {
        if let Some(job) = self.told_before(scope, id, attempt, completion).await? {
            return Ok(job);
        }
        self.look_up(scope, id, attempt).await?;
        Err(run_out())
    }

    /// An attempt that is not among the leases: begins one if it is claimed (by an earlier run of the server, or a moment
    /// ago), or tells why reports of it do not count.
    async fn look_up(&self, scope: &Scope, id: JobId, attempt: i32) -> Result<(), Error> {
        let job = self.shared.control.read_job(scope, id).await?.ok_or_else(Error::not_found)?;
        if !is_for_workers(&job) {
            let detail = format!("The job's executor is {}, not worker.", job.executor().name());
            return Err(Error::new(Code::NotSupported, detail));
        }
        if job.job.attempt != attempt {
            return Err(stale_attempt());
        }
        if job.job.status.is_terminal() {
            return Err(job_ended(&job));
        }
        if !job.claimed {
            return Err(run_out());
        }
        self.shared.leases.add(&job, key(&job));
        Ok(())
    }

    /// The job as it is, if its worker has told of the end of this attempt in the same words before: then an answer was
    /// lost.
    async fn told_before(
        &self,
        scope: &Scope,
        id: JobId,
        attempt: i32,
        completion: &Completion,
    ) -> Result<Option<StoredJob>, Error> {
        let control = &self.shared.control;
        let mut after = 0;
        let limit = usize::try_from(MAX_EVENTS_PAGE).unwrap_or(1);
        while let Some(page) = control.job_events(scope, id, after, limit).await? {
            if page.events.iter().any(|event| event.attempt == attempt && tells(event, completion)) {
                return Ok(control.read_job(scope, id).await?);
            }
            let Some(last) = page.events.last().filter(|_| page.more) else { break };
            after = last.id.parse().unwrap_or(u64::MAX);
        }
        Ok(None)
    }
}

/// Whether an event is what became of this report.
fn tells(event: &JobEvent, completion: &Completion) -> bool {
    let ended = event.actor.kind == ActorKind::Worker && event.cause != Cause::Started;
    let finished = completion.event == Event::Exited(0);
    // A job whose end was asked for, or that is tried again, ended otherwise than the report says.
    let fits = match event.to {
        Status::Finished => finished,
        Status::Failed => !finished || event.cause == Cause::TimedOut,
        _ => true,
    };
    ended && fits && event.exit_code == completion.exit_code
}

/// The end of an attempt that its worker reports. Of a job that ended on request it does not matter how it did.
fn reported(key: AttemptKey, held: &Held, completion: &Completion, at: Timestamp) -> Transition {
    let (event, message) = match &held.wish {
        Some(Wish::Cancel(request)) => (Event::Canceled, Some(cancel_message("Canceled", request.reason.as_deref()))),
        Some(Wish::TimeLimit(seconds)) => (Event::TimedOut, Some(time_limit(*seconds))),
        None => (completion.event, completion.message.clone().or_else(|| failure(completion))),
    };
    end(key, held, event, message, completion.exit_code, Actor::worker(&held.worker), at)
}

/// What to tell of a failure that its worker says nothing of.
fn failure(completion: &Completion) -> Option<String> {
    match (completion.event, completion.exit_code) {
        (Event::Exited(0), _) => None,
        (_, Some(code)) => Some(format!("The job ended with exit code {code}.")),
        (_, None) => Some("The job failed; its worker does not say why.".to_owned()),
    }
}

/// The end of a running attempt, or the delay before the next one.
pub(super) fn end(
    key: AttemptKey,
    held: &Held,
    event: Event,
    status_message: Option<String>,
    exit_code: Option<i32>,
    actor: Actor,
    at: Timestamp,
) -> Transition {
    let from = Status::Running;
    let end = Transition {
        id: JobId(key.job_id),
        attempt: i32::try_from(key.attempt).unwrap_or(i32::MAX),
        from,
        claimed: true,
        // Each of the events that workers' jobs end by is possible while they run.
        to: from.after(event).unwrap_or(Status::Died),
        at,
        started_at: None,
        status_message,
        exit_code,
        cause: event.into(),
        actor,
        end: AttemptEnd::default(),
        due_at: None,
    };
    // A running attempt may be followed by another one.
    retried(end.clone(), from, held.retry.as_deref()).unwrap_or(end)
}

fn named(scope: &Scope, id: JobId, attempt: i32) -> Result<(AttemptKey, &str), Error> {
    // Reports come from callers, and each of them has an organization.
    let Scope::Organization(organization) = scope else { return Err(Error::not_found()) };
    Ok((key_of(id, attempt).ok_or_else(stale_attempt)?, organization))
}

fn run_out() -> Error {
    Error::new(Code::StaleAttempt, "The lease of this attempt has run out.")
}
