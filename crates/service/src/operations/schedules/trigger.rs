//! Starting the job of a scheduled job out of turn.

use super::{TRIES, busy, own};
use crate::engine::{Door as _, JobStart};
use crate::failpoint;
use crate::operations::{Service, scope, start};
use crate::store::{ACTIVE_JOBS, NewRun, ScheduleStep, Scope, Stepped};
use docket_contract::caller::Call;
use docket_contract::operations::ScheduledJobInput;
use docket_contract::schedule::{OverlapPolicy, Turn, turns};
use docket_contract::{Code, Error, Job};

pub(in crate::operations) async fn trigger(
    service: &Service,
    call: Call,
    input: ScheduledJobInput,
) -> Result<Job, Error> {
    let caller = &call.caller;
    let id = input.scheduled_job_id;
    for _ in 0..TRIES {
        let stored = own(service, caller, id).await?;
        // The same request once more, after a crash: its job is there.
        if let Some(seed) = call.seed
            && let Some(job) = service.control.read_job(&scope(caller), seed).await?
        {
            return Ok(start::answer(job, caller));
        }
        // Behind the revision: a job that starts from here on changes that.
        let active = service.schedules.active_jobs(id, ACTIVE_JOBS).await?;
        let policy = stored.spec.overlap_policy.unwrap_or_default();
        let turn = turns(policy, active.len(), 1).pop().unwrap_or(Turn::Start);
        let after = match turn {
            Turn::Start => &[][..],
            Turn::Wait | Turn::Replace => &active[..],
            Turn::Skip(_) => return Err(run_not_ended(policy)),
        };
        let now = service.clock.now();
        let asked = JobStart { id: call.seed, user: Some(&caller.user), slot: now, after, now };
        let job = service.job(&stored, asked).map_err(|error| error.within("/job"))?;
        if turn == Turn::Replace {
            for job in &active {
                service.cancel(&stored, *job, "Another job of its scheduled job was asked for.").await?;
            }
        }
        let step = ScheduleStep {
            scope: Scope::Organization(stored.organization.clone()),
            id,
            revision: stored.revision,
            change: None,
            decided: stored.decided,
            next: stored.next,
            runs: vec![NewRun::triggered(now, job)],
        };
        match service.schedules.step_schedules(vec![step]).await?.pop() {
            Some(Stepped::Done(mut jobs)) => {
                failpoint::pass("triggered");
                let started = jobs.pop().ok_or_else(busy)?;
                service.engine.started(&started);
                return Ok(start::answer(started, caller));
            }
            Some(Stepped::NoDependency(unknown)) if !active.contains(&unknown) => {
                let detail = format!("job/jobDependencies names {unknown}, which is no job that can be waited for");
                return Err(Error::field("/job/jobDependencies", "unknown_job", detail));
            }
            _ => {}
        }
    }
    Err(busy())
}

fn run_not_ended(policy: OverlapPolicy) -> Error {
    let detail = match policy {
        OverlapPolicy::QueueOne => {
            "A job of the scheduled job runs and another one waits; QUEUE_ONE lets no more wait."
        }
        _ => "A job of the scheduled job has not ended; SKIP lets no other one start beside it.",
    };
    Error::new(Code::RunNotEnded, detail)
}
