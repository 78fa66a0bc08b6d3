//! Changing a scheduled job: a new one in its place, a pause and its end.

use super::{TRIES, busy, check_job, first_slot, own, pattern, view};
use crate::operations::Service;
use crate::store::{NewRun, ScheduleChange, ScheduleStep, Scope, Stepped, StoredSchedule};
use docket_contract::operations::{PauseScheduledJobInput, ScheduledJobInput, UpdateScheduledJobInput};
use docket_contract::schedule::{ScheduledJobSpec, SkipReason, Timetable, gap};
use docket_contract::{Caller, Error, ScheduledJob, ScheduledJobId, Timestamp};

pub(in crate::operations) async fn update(
    service: &Service,
    caller: &Caller,
    input: UpdateScheduledJobInput,
) -> Result<ScheduledJob, Error> {
    let change = |stored: &StoredSchedule, now| {
        let mut spec = input.scheduled_job.clone();
        if spec.organization_id.as_ref().is_some_and(|given| *given != stored.organization) {
            let detail = "scheduledJob/organizationId can't change";
            return Err(Error::field("/scheduledJob/organizationId", "not_allowed", detail));
        }
        spec.organization_id = Some(stored.organization.clone());
        spec.paused = spec.paused.or(stored.spec.paused);
        spec.unmask(&stored.spec);
        let spec = spec.with_defaults();
        let replaced = StoredSchedule { spec: spec.clone(), ..stored.clone() };
        check_job(service, &replaced, now, "/scheduledJob/job")?;
        let reason = stored.paused_reason.clone().filter(|_| spec.is_paused());
        Ok(Some((spec, reason)))
    };
    apply(service, caller, input.scheduled_job_id, change).await
}

pub(in crate::operations) async fn pause(
    service: &Service,
    caller: &Caller,
    input: PauseScheduledJobInput,
) -> Result<ScheduledJob, Error> {
    let change = |stored: &StoredSchedule, _now| {
        let spec = ScheduledJobSpec { paused: Some(true), ..stored.spec.clone() };
        let nothing_new = stored.spec.is_paused() && input.reason.is_none();
        Ok((!nothing_new).then(|| (spec, input.reason.clone())))
    };
    apply(service, caller, input.scheduled_job_id, change).await
}

pub(in crate::operations) async fn resume(
    service: &Service,
    caller: &Caller,
    input: ScheduledJobInput,
) -> Result<ScheduledJob, Error> {
    let change = |stored: &StoredSchedule, now| {
        if !stored.spec.is_paused() {
            return Ok(None);
        }
        // What paused it may be as it was: better said now than at the next slot.
        check_job(service, stored, now, "/job")?;
        Ok(Some((ScheduledJobSpec { paused: Some(false), ..stored.spec.clone() }, None)))
    };
    apply(service, caller, input.scheduled_job_id, change).await
}

/// What a scheduled job is from now on, and why it is paused; nothing if it stays as it is.
type Change = Option<(ScheduledJobSpec, Option<String>)>;

async fn apply(
    service: &Service,
    caller: &Caller,
    id: ScheduledJobId,
    change: impl Fn(&StoredSchedule, Timestamp) -> Result<Change, Error>,
) -> Result<ScheduledJob, Error> {
    for _ in 0..TRIES {
        let stored = own(service, caller, id).await?;
        let now = service.clock.now();
        let Some((spec, paused_reason)) = change(&stored, now)? else { return view(stored, caller) };
        let step = step(&stored, ScheduleChange { spec, paused_reason, at: now })?;
        if let Some(Stepped::Done(_)) = service.schedules.step_schedules(vec![step.clone()]).await?.pop() {
            service.engine.scheduled();
            return view(stored.after(&step), caller);
        }
    }
    Err(busy())
}

/// The step that makes a change. Whatever the change, the time up to which slots are decided about never goes back.
fn step(stored: &StoredSchedule, change: ScheduleChange) -> Result<ScheduleStep, Error> {
    let now = change.at;
    let (rested, rests) = (stored.spec.is_paused(), change.spec.is_paused());
    let other_times = stored.spec.times_differ(&change.spec);
    // What is over: the rest, or the timetable.
    let over = if rested && (!rests || other_times) {
        Some(SkipReason::Paused)
    } else {
        other_times.then_some(SkipReason::Replaced)
    };
    let (mut decided, mut runs) = (stored.decided, Vec::new());
    let mut next = stored.next.filter(|_| !rests);
    if let Some(reason) = over {
        // What was stored is read again here; what can't be has no slots to tell of.
        if let Ok(pattern) = pattern(&stored.spec) {
            let table = Timetable::new(&pattern, stored.id, &stored.spec);
            runs.extend(gap(&table, decided, now, reason).map(|slots| NewRun::skipped(slots, now)));
        }
        decided = decided.max(now);
        let first = first_slot(&pattern(&change.spec)?, stored.id, &change.spec, decided)?;
        next = first.filter(|_| !rests);
    }
    let scope = Scope::Organization(stored.organization.clone());
    Ok(ScheduleStep { scope, id: stored.id, revision: stored.revision, change: Some(change), decided, next, runs })
}

#[cfg(test)]
mod tests;
