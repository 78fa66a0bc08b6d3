//! What to do about a scheduled job that is due: from the contract's decisions to a step.

use super::{JobStart, Schedules};
use crate::store::{NewRun, ScheduleChange, ScheduleStep, Scope, StoredSchedule};
use docket_contract::schedule::{ScheduledJobSpec, SkipReason, SkippedSlots, Slot, Timetable, Turn, reckon, turns};
use docket_contract::{JobId, Timestamp};

/// A step, and what must come before it.
pub(super) struct Decision {
    pub(super) schedule: StoredSchedule,
    /// The jobs that have not ended.
    pub(super) active: Vec<JobId>,
    /// Jobs to cancel first: a step that was made must not leave them running.
    pub(super) cancel: Vec<JobId>,
    pub(super) why_cancel: String,
    pub(super) step: ScheduleStep,
}

impl Schedules {
    /// Decides about all slots that are due by now. `invalid` tells why the job can't be started, where that is known.
    pub(super) fn decide(
        &self,
        schedule: StoredSchedule,
        active: Vec<JobId>,
        now: Timestamp,
        invalid: Option<String>,
    ) -> Decision {
        let mut invalid = invalid.map(|why| format!("The job can't be started: {why}"));
        let mut step = ScheduleStep {
            scope: Scope::Organization(schedule.organization.clone()),
            id: schedule.id,
            revision: schedule.revision,
            change: None,
            decided: schedule.decided,
            next: None,
            runs: Vec::new(),
        };
        let spec = &schedule.spec;
        let (mut cancel, mut why_cancel) = (Vec::new(), String::new());
        match self.patterns.of(spec) {
            Err(why) => invalid = Some(format!("The timetable can't be read: {why}")),
            Ok(pattern) => {
                let table = Timetable::new(&*pattern, schedule.id, spec);
                let policy = spec.misfire_policy.unwrap_or_default();
                let found = reckon(&table, policy, spec.catch_up(), schedule.decided, now);
                (step.decided, step.next) = (found.decided, found.next);
                step.runs.extend(found.skipped.iter().map(|slots| NewRun::skipped(*slots, now)));
                let mut running = active.clone();
                let turns = turns(spec.overlap_policy.unwrap_or_default(), active.len(), found.fire.len());
                for (slot, turn) in found.fire.into_iter().zip(turns) {
                    let (after, reason) = match turn {
                        _ if invalid.is_some() => (&[][..], Some(SkipReason::InvalidJob)),
                        Turn::Skip(reason) => (&[][..], Some(reason)),
                        Turn::Start => (&[][..], None),
                        Turn::Wait | Turn::Replace => (&running[..], None),
                    };
                    if let Some(reason) = reason {
                        step.runs.push(one_skipped(slot, now, reason, why(reason, &running, invalid.as_deref())));
                        continue;
                    }
                    let start = JobStart { id: None, user: None, slot: slot.at, after, now };
                    match self.door.job(&schedule, start) {
                        Ok(job) => {
                            if turn == Turn::Replace {
                                cancel.clone_from(&active);
                                why_cancel = format!("The slot {} of its scheduled job has come.", slot.at);
                            }
                            running.push(job.id);
                            step.runs.push(NewRun::fired(slot, now, job));
                        }
                        Err(error) => {
                            let reason = format!("The job can't be started: {}", error.detail);
                            step.runs.push(one_skipped(slot, now, SkipReason::InvalidJob, Some(reason.clone())));
                            invalid = Some(reason);
                        }
                    }
                }
            }
        }
        if let Some(reason) = invalid {
            let spec = ScheduledJobSpec { paused: Some(true), ..spec.clone() };
            step.change = Some(ScheduleChange { spec, paused_reason: Some(reason), at: now });
            step.next = None;
        }
        Decision { schedule, active, cancel, why_cancel, step }
    }
}

fn why(reason: SkipReason, running: &[JobId], invalid: Option<&str>) -> Option<String> {
    match (reason, running.first()) {
        (SkipReason::Overlap, Some(job)) => Some(format!("The job {job} has not ended.")),
        (SkipReason::InvalidJob, _) => invalid.map(str::to_owned),
        _ => None,
    }
}

fn one_skipped(slot: Slot, now: Timestamp, reason: SkipReason, message: Option<String>) -> NewRun {
    let slots = SkippedSlots { first: slot.at, last: slot.at, count: Some(1), reason };
    NewRun { message, ..NewRun::skipped(slots, now) }
}
