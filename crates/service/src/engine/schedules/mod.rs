//! Starts jobs by their timetables.
//!
//! A step decides about all slots of a scheduled job that are due: which jobs start, and which slots are skipped and why.
//! The slots, the jobs and the time up to which all is decided are one transaction, so a server that is killed has made
//! the step or has not: a slot neither fires twice nor is lost. What to do is plain functions of the contract; here it
//! is asked for, put together (`decide`) and stored.
//!
//! It sleeps until the next slot is due, which an index tells, or until somebody changes a scheduled job.

mod decide;
mod patterns;
#[cfg(test)]
mod tests;

use self::decide::Decision;
use self::patterns::Patterns;
use super::hints::Hints;
use crate::clock::Clock;
use crate::failpoint;
use crate::store::{NewJob, ScheduleStore, Stepped, StoredJob, StoredSchedule};
use async_trait::async_trait;
use docket_contract::{Error, JobId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

/// Scheduled jobs in one transaction: small enough that others get their turn, large enough that a thousand which are due
/// together need few.
const BATCH: usize = 100;
/// Looks at least this often: clocks are set.
const PERIOD: Duration = Duration::from_secs(30);
/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// The way by which all jobs start and end. The operations have it, which know what may be started.
#[async_trait]
pub trait Door: Send + Sync + 'static {
    /// The job of a scheduled job, as Start Job would store it.
    ///
    /// # Errors
    /// Why it can't be started: it is for the scheduled job's maker to read.
    fn job(&self, schedule: &StoredSchedule, start: JobStart<'_>) -> Result<NewJob, Error>;

    /// Asks for the end of a job of a scheduled job; ready when that is durable. One that has ended is no error.
    async fn cancel(&self, schedule: &StoredSchedule, job: JobId, reason: &str) -> Result<(), Error>;

    /// A job was stored.
    fn started(&self, job: &StoredJob);
}

/// How a job of a scheduled job starts.
#[derive(Clone, Copy, Debug)]
pub struct JobStart<'a> {
    /// The id that it must have, if that is decided already.
    pub id: Option<JobId>,
    /// Who starts it; the scheduled job's maker if absent.
    pub user: Option<&'a str>,
    /// The slot.
    pub slot: Timestamp,
    /// Jobs whose end it waits for.
    pub after: &'a [JobId],
    /// The present time.
    pub now: Timestamp,
}

/// The duty.
pub struct Schedules {
    store: Arc<dyn ScheduleStore>,
    clock: Arc<dyn Clock>,
    hints: Arc<Hints>,
    door: Arc<dyn Door>,
    patterns: Patterns,
}

impl Schedules {
    pub(super) fn new(
        store: Arc<dyn ScheduleStore>,
        clock: Arc<dyn Clock>,
        hints: Arc<Hints>,
        door: Arc<dyn Door>,
    ) -> Self {
        Self { store, clock, hints, door, patterns: Patterns::default() }
    }

    /// Starts jobs until `stop`.
    pub async fn run(self, mut stop: signal::Receiver<bool>) {
        while !*stop.borrow() {
            let rest = match self.run_once(self.clock.now()).await {
                Ok(next) => rest(next, self.clock.now()),
                Err(error) => {
                    tracing::error!(%error, "starting scheduled jobs failed");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.hints.scheduled.notified() => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        }
    }

    /// Steps for some scheduled jobs that are due; answers when the next one is, which may be now.
    ///
    /// # Errors
    /// A store failed; some steps may have been made.
    pub async fn run_once(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let found = self.store.due_schedules(now, BATCH).await?;
        if found.due.is_empty() {
            return Ok(found.next);
        }
        let mut decisions = Vec::with_capacity(found.due.len());
        for (schedule, active) in found.due {
            let decision = self.decide(schedule, active, now, None);
            for job in &decision.cancel {
                self.door.cancel(&decision.schedule, *job, &decision.why_cancel).await?;
            }
            decisions.push(decision);
        }
        failpoint::pass("decided");
        let steps = decisions.iter().map(|decision| decision.step.clone()).collect();
        let stepped = self.store.step_schedules(steps).await?;
        failpoint::pass("fired");
        for (decision, stepped) in decisions.into_iter().zip(stepped) {
            match stepped {
                Stepped::Done(jobs) => self.made(&decision, &jobs),
                // Somebody was faster, or the job that was to be waited for is gone: it is due again at once.
                Stepped::Moved => {}
                Stepped::NoDependency(id) if decision.active.contains(&id) => {}
                Stepped::NoDependency(id) => self.refuse(decision, id, now).await?,
            }
        }
        failpoint::pass("told");
        Ok(Some(now))
    }

    fn made(&self, decision: &Decision, jobs: &[StoredJob]) {
        jobs.iter().for_each(|job| self.door.started(job));
        if let Some(change) = &decision.step.change {
            let reason = change.paused_reason.as_deref().unwrap_or_default();
            tracing::warn!(schedule = %decision.schedule.id, reason, "a scheduled job was paused");
        }
    }

    /// The job depends on a job that is none: it can't be started as long as that is so.
    async fn refuse(&self, decision: Decision, unknown: JobId, now: Timestamp) -> Result<(), Error> {
        let why = format!("jobDependencies names {unknown}, which is no job that can be waited for");
        let decision = self.decide(decision.schedule, decision.active, now, Some(why));
        if let Some(Stepped::Done(jobs)) = self.store.step_schedules(vec![decision.step.clone()]).await?.pop() {
            self.made(&decision, &jobs);
        }
        Ok(())
    }
}

/// How long nothing will be due.
fn rest(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let millis = next.map_or(i64::MAX, |next| next.as_millis().saturating_sub(now.as_millis()));
    Duration::from_millis(u64::try_from(millis).unwrap_or_default()).min(PERIOD)
}
