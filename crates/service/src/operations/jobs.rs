//! Reading, listing, changing, canceling and deleting jobs.

use super::{Service, scope, view};
use crate::failpoint;
use crate::store::{
    AttemptEnd, CancelRequest, Changed, JobChange, JobQuery, Scope, SetKey, SetOwner, StorageKey, StoredJob, Transition,
};
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::history::{Actor, Cause};
use docket_contract::job::{DEFAULT_GRACE_PERIOD_SECONDS, KNOWN_TYPES};
use docket_contract::operations::{
    CancelJobInput, JobTypes, JobsPage, ListJobs, ListJobsFeature, ListJobsInput, MAX_JOBS_PAGE, UpdateJobInput,
    UpdateResultDataInput,
};
use docket_contract::state::Event;
use docket_contract::{Caller, Code, Error, Job, JobId, Operation, Role};
use std::collections::BTreeSet;

/// How often a cancel begins anew when the job moves on under it.
const CANCEL_TRIES: usize = 5;
/// How many steps a deletion gives to the dependents of ended jobs.
const DELETE_TRIES: usize = 100;

pub(super) async fn read(service: &Service, caller: &Caller, id: JobId) -> Result<Job, Error> {
    Ok(view(service.own_job(caller, id).await?, caller))
}

pub(super) async fn list(service: &Service, caller: &Caller, input: ListJobsInput) -> Result<JobsPage, Error> {
    let everything = input.has(ListJobsFeature::IgnoreOrganizationRestrictions);
    if everything && caller.role < Role::Admin {
        return Err(Error::new(Code::Forbidden, "Only administrators look into every organization."));
    }
    let limit = input.limit.unwrap_or(MAX_JOBS_PAGE);
    let token_scope = list_token_scope(caller, &input);
    let after = match &input.start_after {
        Some(token) => Some(service.secrets.open(token, &token_scope)?.0),
        None => None,
    };
    let with_total = input.has(ListJobsFeature::NumberOfTotal);
    let scope = match (&input.organization_id, everything) {
        (Some(organization), true) => Scope::Organization(organization.clone()),
        (Some(organization), false) if *organization != caller.organization => {
            // Another organization's list is as empty as an unknown one's.
            let total = with_total.then_some(0);
            let start_after = input.start_after;
            return Ok(JobsPage { start_after, next_start_after: None, limit, total, values: Vec::new() });
        }
        (None, true) => Scope::Everything,
        _ => scope(caller),
    };
    let query = JobQuery {
        scope,
        user: input.user.clone(),
        storage_id: input.storage_id.clone(),
        types: input.job_type.clone(),
        statuses: input.job_status.clone(),
        tags: input.tags.clone(),
        all_tags: input.has(ListJobsFeature::TagsConjunction),
        descending: input.descending(),
        after,
        limit: usize::try_from(limit).unwrap_or(1),
        with_total,
    };
    let found = service.control.list_jobs(query).await?;
    let next = found.next.map(|next| service.secrets.seal(Position(next), &token_scope)).transpose()?;
    Ok(JobsPage {
        start_after: input.start_after,
        next_start_after: next,
        limit,
        total: found.total.map(|total| i64::try_from(total).unwrap_or(i64::MAX)),
        values: found.jobs.into_iter().map(|job| view(job, caller)).collect(),
    })
}

fn list_token_scope(caller: &Caller, input: &ListJobsInput) -> TokenScope {
    let mut scope = TokenScope::new(ListJobs::NAME, &caller.organization);
    scope.add("user", input.user.as_deref());
    scope.add("organizationId", input.organization_id.as_deref());
    scope.add("storageId", input.storage_id.as_deref());
    scope.add("jobType", input.job_type.iter().map(String::as_str));
    scope.add("jobStatus", input.job_status.iter().map(|status| status.name()));
    scope.add("tags", input.tags.iter().map(String::as_str));
    scope.add("order", [if input.descending() { "descending" } else { "ascending" }]);
    scope.add("tagsConjunction", input.has(ListJobsFeature::TagsConjunction).then_some("on"));
    scope.add("everything", input.has(ListJobsFeature::IgnoreOrganizationRestrictions).then_some("on"));
    scope
}

pub(super) async fn types(service: &Service, caller: &Caller) -> Result<JobTypes, Error> {
    let mut types: BTreeSet<String> = KNOWN_TYPES.iter().map(|known| (*known).to_owned()).collect();
    types.extend(service.control.job_types(&scope(caller)).await?);
    Ok(JobTypes { values: types.into_iter().collect() })
}

pub(super) async fn update(service: &Service, caller: &Caller, input: UpdateJobInput) -> Result<Job, Error> {
    if input.changes_metadata() && (caller.role < Role::Operator || caller.job.is_some()) {
        let detail = "Only operators change name, description, labels, tags and priority.";
        return Err(Error::new(Code::Forbidden, detail));
    }
    let change = JobChange {
        only_active: input.reports(),
        only_attempt: reporting_attempt(caller, input.attempt)?,
        name: input.name,
        description: input.description,
        labels: input.labels,
        tags: input.tags,
        priority: input.priority,
        progress: input.progress,
        status_message: input.status_message,
        ..JobChange::default()
    };
    change_job(service, caller, input.job_id, change).await
}

pub(super) async fn update_result_data(
    service: &Service,
    caller: &Caller,
    input: UpdateResultDataInput,
) -> Result<Job, Error> {
    let change = JobChange {
        only_attempt: reporting_attempt(caller, None)?,
        result_data: Some(input.result_data),
        ..JobChange::default()
    };
    change_job(service, caller, input.job_id, change).await
}

/// The attempt that a report must match: the one it names, or that of the job's own token.
fn reporting_attempt(caller: &Caller, named: Option<i32>) -> Result<Option<i32>, Error> {
    match (caller.job.map(|own| own.attempt), named) {
        (Some(own), Some(named)) if own != named => Err(stale_attempt()),
        (own, named) => Ok(own.or(named)),
    }
}

pub(crate) fn stale_attempt() -> Error {
    Error::new(Code::StaleAttempt, "The report is of an attempt that is not the job's present one.")
}

async fn change_job(service: &Service, caller: &Caller, id: JobId, change: JobChange) -> Result<Job, Error> {
    let attempt = change.only_attempt;
    let reports = change.progress.is_some() || change.status_message.is_some();
    match service.control.change_job(&scope(caller), id, change, service.clock.now()).await? {
        Changed::Done(job) => {
            if reports {
                service.feed.progress(&job);
            }
            Ok(view(*job, caller))
        }
        Changed::NotFound => Err(Error::not_found()),
        Changed::Refused(job) if attempt.is_some_and(|attempt| attempt != job.job.attempt) => Err(stale_attempt()),
        Changed::Refused(job) => Err(job_ended(&job)),
    }
}

pub(crate) fn job_ended(job: &StoredJob) -> Error {
    Error::new(Code::JobEnded, format!("The job has ended; it is {}.", job.job.status.name()))
}

pub(super) async fn cancel(service: &Service, caller: &Caller, input: CancelJobInput) -> Result<Job, Error> {
    for _ in 0..CANCEL_TRIES {
        let stored = service.own_job(caller, input.job_id).await?;
        if stored.job.status.is_terminal() {
            return Ok(view(stored, caller));
        }
        let canceled = if stored.claimed {
            cancel_claimed(service, caller, &stored, &input).await?
        } else {
            cancel_unclaimed(service, caller, &stored, &input).await?
        };
        if let Some(stored) = canceled {
            return Ok(view(stored, caller));
        }
    }
    Err(Error::new(Code::Overloaded, "The job keeps moving; try again."))
}

/// Nothing runs yet: the job ends here. `None` if it was claimed meanwhile.
async fn cancel_unclaimed(
    service: &Service,
    caller: &Caller,
    stored: &StoredJob,
    input: &CancelJobInput,
) -> Result<Option<StoredJob>, Error> {
    let from = stored.job.status;
    let to = from.after(Event::Canceled).map_err(|_| job_ended(stored))?;
    let transition = Transition {
        id: stored.job.id,
        attempt: stored.job.attempt,
        from,
        claimed: false,
        to,
        at: service.clock.now(),
        started_at: None,
        status_message: Some(cancel_message("Canceled", input.reason.as_deref())),
        exit_code: None,
        cause: Cause::Canceled,
        actor: Actor::user(&caller.user),
        end: AttemptEnd::default(),
        due_at: None,
    };
    let canceled = service.control.transition(vec![transition]).await?.pop().flatten();
    if let Some(job) = &canceled {
        service.engine.changed(job);
    }
    Ok(canceled)
}

/// The attempt is with the executor: the wish is made durable, then the executor is told. `None` if it ended meanwhile.
async fn cancel_claimed(
    service: &Service,
    caller: &Caller,
    stored: &StoredJob,
    input: &CancelJobInput,
) -> Result<Option<StoredJob>, Error> {
    let own = stored.job.spec.grace_period_seconds.unwrap_or(DEFAULT_GRACE_PERIOD_SECONDS);
    let request =
        CancelRequest { reason: input.reason.clone(), grace_period_seconds: input.grace_period_seconds.unwrap_or(own) };
    let change = JobChange {
        status_message: Some(cancel_message("Cancel requested", input.reason.as_deref())),
        cancel: Some(request.clone()),
        only_attempt: Some(stored.job.attempt),
        only_active: true,
        ..JobChange::default()
    };
    match service.control.change_job(&scope(caller), stored.job.id, change, service.clock.now()).await? {
        Changed::Done(job) => {
            service.engine.cancel(&job, request).await;
            Ok(Some(*job))
        }
        Changed::NotFound => Err(Error::not_found()),
        Changed::Refused(_) => Ok(None),
    }
}

/// `Canceled` or `Canceled: reason`.
pub(crate) fn cancel_message(what: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what.to_owned(),
    }
}

pub(super) async fn delete(service: &Service, caller: &Caller, id: JobId) -> Result<Job, Error> {
    Ok(view(remove(service, &scope(caller), id).await?.job, caller))
}

/// A job that is gone, as it was.
pub(super) struct Removed {
    pub(super) job: StoredJob,
    /// How many results it had.
    pub(super) results: u64,
}

/// Removes a job with all that belongs to it.
pub(super) async fn remove(service: &Service, scope: &Scope, id: JobId) -> Result<Removed, Error> {
    let gate = service.gates.of(id);
    let _turn = gate.delete().await;
    let mut stored = service.control.read_job(scope, id).await?.ok_or_else(Error::not_found)?;
    if !stored.job.status.is_terminal() {
        return Err(job_not_ended(&stored));
    }
    // Others depend on it and are not told of its end yet: that is on its way, and hurried along here. It comes first
    // because their quality gates may ask for the results.
    let mut tries = 0;
    while stored.followed {
        tries += 1;
        if tries > DELETE_TRIES {
            return Err(many_on_their_way());
        }
        service.engine.tell_dependents().await?;
        stored = service.control.read_job(scope, id).await?.ok_or_else(Error::not_found)?;
    }
    // The job goes last: whatever stops this half way, the job is still there to be deleted again.
    let mut results = 0;
    for storage_id in service.control.noted_storages(id).await? {
        let storage = StorageKey { organization: stored.organization.clone(), storage_id };
        results += service.results.delete_set(&SetKey { storage, owner: SetOwner::Job(id) }).await?;
    }
    failpoint::pass("emptied");
    service.engine.remove(&stored).await?;
    for _ in 0..DELETE_TRIES {
        match service.control.delete_job(scope, id).await? {
            Changed::Done(job) => {
                // Nobody finds them any more, and what is left of them is swept.
                service.attachments.drop_all(id).await;
                service.feed.gone(id);
                return Ok(Removed { job: *job, results });
            }
            Changed::NotFound => return Err(Error::not_found()),
            // Somebody has begun to depend on it just now.
            Changed::Refused(job) if job.followed => {
                service.engine.tell_dependents().await?;
            }
            Changed::Refused(job) => return Err(job_not_ended(&job)),
        }
    }
    Err(many_on_their_way())
}

fn many_on_their_way() -> Error {
    Error::new(Code::Overloaded, "Many jobs that depend on ended ones are on their way; try again.")
}

pub(super) fn job_not_ended(job: &StoredJob) -> Error {
    let detail = format!("The job is {}; cancel it or wait for its end.", job.job.status.name());
    Error::new(Code::JobNotEnded, detail)
}
