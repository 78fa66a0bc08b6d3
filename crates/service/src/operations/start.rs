//! Start Job: checks what the contract can't know, and stores the job.

use super::{Service, view};
use crate::failpoint;
use crate::store::queue;
use crate::store::{NewJob, Rerun, StoredJob};
use crate::webhooks;
use docket_contract::caller::Call;
use docket_contract::job::JobSpec;
use docket_contract::state::Event;
use docket_contract::{Caller, Code, Error, Job, JobId, Role, Status, Timestamp};
use std::sync::{Mutex, PoisonError};

/// The images whose jobs may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedImages {
    /// Any.
    Any,
    /// Those that equal an entry, or begin with one that ends in `*`.
    Only(Vec<String>),
}

impl AllowedImages {
    fn allow(&self, image: &str) -> bool {
        let AllowedImages::Only(entries) = self else { return true };
        entries.iter().any(|entry| match entry.strip_suffix('*') {
            Some(prefix) => image.starts_with(prefix),
            None => image == entry,
        })
    }
}

/// Makes job ids: UUIDs of version 7 that never descend within this server, whatever the clock does.
pub struct JobIds {
    context: Mutex<uuid::ContextV7>,
}

impl Default for JobIds {
    fn default() -> Self {
        Self { context: Mutex::new(uuid::ContextV7::new()) }
    }
}

impl JobIds {
    /// The next id.
    pub fn next(&self, now: Timestamp) -> JobId {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        let nanos = u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
        JobId(uuid::Uuid::new_v7(uuid::Timestamp::from_unix(&*context, millis / 1000, nanos)))
    }
}

pub(super) async fn start(service: &Service, call: Call, spec: JobSpec) -> Result<Job, Error> {
    start_as(service, call, spec, None).await
}

/// Starts a job, which may be the rerun of another one.
pub(super) async fn start_as(service: &Service, call: Call, spec: JobSpec, rerun: Option<Rerun>) -> Result<Job, Error> {
    let mut job = prepare(service, &call.caller, call.seed, spec, service.clock.now())?;
    job.rerun = rerun;
    let stored = service.control.insert_job(job).await?;
    failpoint::pass("inserted");
    service.engine.started(&stored);
    Ok(answer(stored, &call.caller))
}

/// The job that a caller starts, if he may and this server can run it.
pub(super) fn prepare(
    service: &Service,
    caller: &Caller,
    id: Option<JobId>,
    mut spec: JobSpec,
    now: Timestamp,
) -> Result<NewJob, Error> {
    let executor = service.executors.choose(spec.executor)?;
    spec.executor = Some(executor);
    if !service.images.allow(&spec.docker_image_url) {
        let detail = "dockerImageUrl is not among the images that this server's configuration allows";
        return Err(Error::field("/dockerImageUrl", "not_allowed", detail));
    }
    webhooks::check(&service.webhooks, &spec.webhooks)?;
    let organization = organization(caller, spec.organization_id.take())?;
    spec.organization_id = Some(organization.clone());
    let mut job = NewJob {
        status: after(Status::Created, Event::Persisted)?,
        id: id.unwrap_or_else(|| service.ids.next(now)),
        organization,
        user: caller.user.clone(),
        spec,
        created_at: now,
        rerun: None,
        scheduled: None,
    };
    // What nothing holds back is made durable and put into the queue with one write.
    if !queue::is_held(&job) {
        job.status = after(job.status, Event::Queued)?;
    }
    Ok(job)
}

/// The organization that a caller means: his own, unless an administrator names another one.
pub(super) fn organization(caller: &Caller, given: Option<String>) -> Result<String, Error> {
    match given {
        Some(other) if other != caller.organization && caller.role < Role::Admin => {
            Err(Error::new(Code::Forbidden, "Only administrators start jobs for another organization."))
        }
        given => Ok(given.unwrap_or_else(|| caller.organization.clone())),
    }
}

/// What a start answers.
pub(super) fn answer(stored: StoredJob, caller: &Caller) -> Job {
    let mut job = view(stored, caller);
    // The answer is PERSISTED all the same, because that is what it promises; only an end is told at once.
    if !job.status.is_terminal() && job.attempt == 0 {
        (job.status, job.status_message) = (Status::Persisted, None);
    }
    job
}

fn after(status: Status, event: Event) -> Result<Status, Error> {
    status.after(event).map_err(|error| Error::new(Code::Internal, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_match_whole_or_by_prefix() {
        let allowed = AllowedImages::Only(vec!["a/b:1".into(), "c/*".into()]);
        for (image, expected) in [("a/b:1", true), ("a/b:12", false), ("c/d", true), ("cd", false)] {
            assert_eq!(allowed.allow(image), expected, "{image}");
        }
        assert!(AllowedImages::Any.allow("x"));
    }

    #[test]
    fn ids_ascend_also_when_the_clock_goes_back() {
        let ids = JobIds::default();
        let times = [5_000, 5_000, 4_000, 6_000, 1_000];
        let made: Vec<_> = times.iter().map(|&millis| ids.next(Timestamp::from_millis(millis))).collect();
        assert!(made.is_sorted());
        assert_eq!(made[0].0.get_version_num(), 7);
    }
}
