//! Reading what happened to a job.

use super::{Service, scope};
use docket_contract::history::{Actor, Cause, JobEvent};
use docket_contract::operations::{JobHistory, MAX_EVENTS_PAGE, ReadJobHistoryInput};
use docket_contract::{Caller, Error, Job, Status};

pub(super) async fn read(service: &Service, caller: &Caller, input: ReadJobHistoryInput) -> Result<JobHistory, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let limit = input.limit.unwrap_or(MAX_EVENTS_PAGE);
    let after = input.after()?;
    let mut values = match after {
        None => vec![first(&stored.job)],
        Some(_) => Vec::new(),
    };
    let room = usize::try_from(limit).unwrap_or(1) - values.len();
    let page = service.control.job_events(&scope(caller), input.job_id, after.unwrap_or_default(), room).await?;
    let page = page.ok_or_else(Error::not_found)?;
    values.extend(page.events);
    Ok(JobHistory {
        start_after: input.start_after,
        next_start_after: values.last().filter(|_| page.more).map(|event| event.id.clone()),
        limit,
        values,
    })
}

/// The event that every job begins with. It is told by the job itself, so it has no row.
pub(super) fn first(job: &Job) -> JobEvent {
    JobEvent {
        id: "0".to_owned(),
        job_id: job.id,
        at: job.created_at,
        attempt: 0,
        from: Status::Created,
        to: Status::Persisted,
        cause: Cause::Persisted,
        actor: Actor::user(&job.user),
        message: None,
        exit_code: None,
        signal: None,
        memory_peak_bytes: None,
        cpu_time_ms: None,
    }
}
