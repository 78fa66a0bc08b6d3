//! What pull workers ask for: jobs, and to report on them.

use super::jobs::stale_attempt;
use super::{Service, scope, view};
use crate::engine::{Completion, Sign};
use crate::store::{StoredJob, WorkerClaim, WorkerLease};
use docket_contract::operations::{
    ClaimJobsInput, ClaimedJob, ClaimedJobs, CompleteJobInput, DEFAULT_LEASE_SECONDS, Heartbeat, HeartbeatJobInput,
    Lease,
};
use docket_contract::{Caller, Error, Job};
use std::time::Duration;

pub(super) async fn claim(service: &Service, caller: &Caller, input: ClaimJobsInput) -> Result<ClaimedJobs, Error> {
    let wait = Duration::from_secs(input.wait_seconds.and_then(|seconds| seconds.try_into().ok()).unwrap_or_default());
    let lease = WorkerLease {
        worker: input.worker_name.unwrap_or_else(|| caller.user.clone()),
        seconds: input.lease_seconds.unwrap_or(DEFAULT_LEASE_SECONDS),
    };
    let claim = WorkerClaim {
        organization: caller.organization.clone(),
        types: input.types,
        limit: input.max.and_then(|max| max.try_into().ok()).unwrap_or(1),
        lease,
        now: service.clock.now(),
    };
    let claimed = service.engine.workers().claim(claim, wait).await?;
    Ok(ClaimedJobs { values: claimed.into_iter().map(|job| claimed_job(service, caller, job)).collect() })
}

fn claimed_job(service: &Service, caller: &Caller, job: StoredJob) -> ClaimedJob {
    let seconds = job.lease.as_ref().map_or(DEFAULT_LEASE_SECONDS, |lease| lease.seconds);
    let expires_at = service.clock.now().plus_millis(i64::from(seconds) * 1000);
    let lease = Lease { attempt: job.job.attempt, expires_at, seconds };
    let environment = service.engine.workers().environment(&job);
    ClaimedJob { lease, environment, job: view(job, caller) }
}

/// The attempt that a report names; that of the job's own token must be the same.
fn attempt(caller: &Caller, named: Option<i32>) -> Result<i32, Error> {
    let named = named.unwrap_or_default();
    if caller.job.is_some_and(|own| own.attempt != named) { Err(stale_attempt()) } else { Ok(named) }
}

pub(super) async fn heartbeat(
    service: &Service,
    caller: &Caller,
    input: HeartbeatJobInput,
) -> Result<Heartbeat, Error> {
    let attempt = attempt(caller, input.attempt)?;
    let sign = Sign { progress: input.progress, message: input.status_message };
    service.engine.workers().heartbeat(&scope(caller), input.job_id, attempt, sign).await
}

pub(super) async fn complete(service: &Service, caller: &Caller, input: CompleteJobInput) -> Result<Job, Error> {
    let attempt = attempt(caller, input.attempt)?;
    let completion = Completion {
        event: input.event(),
        exit_code: input.exit_code,
        message: input.status_message,
        result_data: input.result_data,
    };
    let job = service.engine.workers().complete(&scope(caller), input.job_id, attempt, completion).await?;
    Ok(view(job, caller))
}
