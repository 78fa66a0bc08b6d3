//! Jobs in the order of their insertion.

use super::events::Events;
use super::queue::AtGate;
use crate::store::queue::{self, Gate, Limits, Taker, Wait};
use crate::store::{
    Changed, Delivery, DeliveryEnd, DeliveryKey, EventPage, JobChange, JobList, JobQuery, NewJob, Scope, StoreError,
    StoredJob, Transition, WorkerClaim,
};
use docket_contract::history::{Actor, Cause, JobEvent};
use docket_contract::job::{Attachment, ExecutorKind, Figures, Share};
use docket_contract::{Job, JobId, ScheduledJobId, Status, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

/// Most jobs that are kept: some 200 MB with small specs.
const MOST_JOBS: usize = 100_000;

/// All jobs.
#[derive(Default)]
pub(super) struct Jobs {
    /// By their place in the order, from 1; a place is never given twice.
    pub(super) rows: BTreeMap<u64, Row>,
    places: HashMap<JobId, u64>,
    last: u64,
    pub(super) events: Events,
    /// Those that are held or waited for.
    pub(super) gates: BTreeMap<Gate, AtGate>,
    limits: Limits,
}

/// A job, and its part in the queue.
pub(super) struct Row {
    pub(super) stored: StoredJob,
    storages: BTreeSet<String>,
    pub(super) wait: Wait,
    pub(super) due_at: Option<Timestamp>,
    /// The gates that it holds.
    pub(super) holds: BTreeSet<Gate>,
    /// Where it waits or was called to.
    pub(super) at: Option<Gate>,
    /// What it depends on, and who depends on it: places, and numbers of conditions; with the quality gates.
    pub(super) upstream: BTreeMap<(u64, u8), Option<Share>>,
    pub(super) dependents: BTreeMap<(u64, u8), Option<Share>>,
    /// What its results came to, or whether that is asked for.
    pub(super) figures: Option<Figures>,
    pub(super) unmeasured: bool,
}

impl Row {
    pub(super) fn rank(&self) -> i64 {
        queue::rank(self.stored.job.created_at, self.stored.job.spec.priority)
    }
}

/// Whether a scope holds what is this organization's.
pub(super) fn sees(scope: &Scope, owner: &str) -> bool {
    match scope {
        Scope::Organization(organization) => organization == owner,
        Scope::Everything => true,
    }
}

impl Jobs {
    /// Stores a job; one of this id that exists already stays and is answered.
    pub(super) fn insert(&mut self, new: NewJob) -> Result<StoredJob, StoreError> {
        if self.places.contains_key(&new.id) {
            let taken = || StoreError::Internal("the id is that of another organization's job".to_owned());
            return self.read(&Scope::Organization(new.organization), new.id)?.ok_or_else(taken);
        }
        if self.rows.len() >= MOST_JOBS {
            return Err(StoreError::Full);
        }
        let dependencies = match queue::prepare(self, &new)? {
            Ok(dependencies) => dependencies,
            Err(index) => return Err(StoreError::NoDependency(index)),
        };
        let row = Row {
            stored: new.clone().stored(),
            storages: BTreeSet::new(),
            wait: Wait::Nothing,
            due_at: None,
            holds: BTreeSet::new(),
            at: None,
            upstream: BTreeMap::new(),
            dependents: BTreeMap::new(),
            figures: None,
            unmeasured: false,
        };
        if let Some(cause) = new.first_cause() {
            let job = &row.stored.job;
            let event = event(job, Status::Persisted, new.created_at, cause, Actor::user(&job.user));
            self.events.add(&row.stored, event);
        }
        self.last += 1;
        let place = self.last;
        self.places.insert(new.id, place);
        self.rows.insert(place, row);
        if queue::is_held(&new) {
            queue::admit(self, place, &new, dependencies)?;
        }
        self.shown(place)
    }

    /// The job at a place that is known to be taken; one that waits tells what it waits for now.
    pub(super) fn shown(&self, place: u64) -> Result<StoredJob, StoreError> {
        let row = self.rows.get(&place).ok_or_else(missing)?;
        let mut stored = row.stored.clone();
        if let Some(message) = queue::explain(self, place, row.wait, row.due_at)? {
            stored.job.status_message = Some(message);
        }
        Ok(stored)
    }

    pub(super) fn at(&mut self, place: u64) -> Result<&mut Row, StoreError> {
        self.rows.get_mut(&place).ok_or_else(missing)
    }

    pub(super) fn place(&self, id: JobId) -> Option<u64> {
        self.places.get(&id).copied()
    }

    /// One job of a scope.
    pub(super) fn read(&self, scope: &Scope, id: JobId) -> Result<Option<StoredJob>, StoreError> {
        self.find_in(scope, id).map(|place| self.shown(place)).transpose()
    }

    pub(super) fn find_in(&self, scope: &Scope, id: JobId) -> Option<u64> {
        let place = self.place(id)?;
        self.rows.get(&place).filter(|row| sees(scope, &row.stored.organization)).map(|_| place)
    }

    /// A page of jobs.
    pub(super) fn list(&self, query: &JobQuery) -> Result<JobList, StoreError> {
        let (from, to) = match query.after {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some(after) if query.descending => (Bound::Unbounded, Bound::Excluded(after)),
            Some(after) => (Bound::Excluded(after), Bound::Unbounded),
        };
        let rows = self.rows.range((from, to)).filter(|(_, row)| matches(query, &row.stored));
        let wanted = query.limit.saturating_add(1);
        let mut found: Vec<_> =
            if query.descending { rows.rev().take(wanted).collect() } else { rows.take(wanted).collect() };
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let count = || self.rows.values().filter(|row| matches(query, &row.stored)).count() as u64;
        Ok(JobList {
            next: found.last().filter(|_| more).map(|(place, _)| **place),
            total: query.with_total.then(count),
            jobs: found.into_iter().map(|(place, _)| self.shown(*place)).collect::<Result<_, _>>()?,
        })
    }

    /// The types that jobs of a scope have.
    pub(super) fn types(&self, scope: &Scope) -> Vec<String> {
        let jobs = self.rows.values().map(|row| &row.stored).filter(|stored| sees(scope, &stored.organization));
        let types: BTreeSet<&String> = jobs.filter_map(|stored| stored.job.spec.job_type.as_ref()).collect();
        types.into_iter().cloned().collect()
    }

    /// Those of some jobs that have a type.
    pub(super) fn of_type(&self, scope: &Scope, mut ids: Vec<JobId>, job_type: &str) -> Vec<JobId> {
        ids.retain(|id| {
            let row = self.find_in(scope, *id).and_then(|place| self.rows.get(&place));
            row.is_some_and(|row| row.stored.job.spec.job_type.as_deref() == Some(job_type))
        });
        ids
    }

    /// Changes a job apart from its status.
    pub(super) fn change(
        &mut self,
        scope: &Scope,
        id: JobId,
        change: JobChange,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        let Some(place) = self.find_in(scope, id) else { return Ok(Changed::NotFound) };
        let row = self.at(place)?;
        let before = row.rank();
        let StoredJob { job, cancel, .. } = &mut row.stored;
        if !change.admits(job) {
            return Ok(Changed::Refused(Box::new(self.shown(place)?)));
        }
        change.apply(&mut job.spec);
        job.progress = change.progress.unwrap_or(job.progress);
        job.status_message = change.status_message.or(job.status_message.take());
        job.result_data = change.result_data.or(job.result_data.take());
        job.modified_at = now;
        *cancel = change.cancel.or(cancel.take());
        self.move_rank(place, before)?;
        Ok(Changed::Done(Box::new(self.shown(place)?)))
    }

    /// Makes a transition, if the job is as it expects.
    pub(super) fn transition(&mut self, transition: Transition) -> Result<Option<StoredJob>, StoreError> {
        let Transition {
            id,
            attempt,
            from,
            claimed,
            to,
            at,
            started_at,
            status_message,
            exit_code,
            cause,
            actor,
            end,
            due_at,
        } = transition;
        let Some(place) = self.place(id) else { return Ok(None) };
        let row = self.rows.get_mut(&place).ok_or_else(missing)?;
        let (wait, stored) = (row.wait, &mut row.stored);
        let job = &mut stored.job;
        if (job.attempt, job.status, stored.claimed) != (attempt, from, claimed) {
            return Ok(None);
        }
        job.status = to;
        job.modified_at = at;
        job.started_at = job.started_at.or(started_at).or((to == Status::Running).then_some(at));
        set_end(job, at);
        job.status_message = status_message;
        job.exit_code = exit_code.or(job.exit_code);
        if to == Status::Finished {
            job.progress = 100;
        }
        // A claim lasts as long as an executor has the job.
        stored.claimed &= matches!(to, Status::Unknown | Status::Scheduled | Status::Running);
        let releases = !stored.claimed && !row.holds.is_empty();
        let event = JobEvent {
            message: job.status_message.clone(),
            exit_code,
            signal: end.signal,
            memory_peak_bytes: end.usage.memory_peak_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            cpu_time_ms: end.usage.cpu_time_ms.map(|time| i64::try_from(time).unwrap_or(i64::MAX)),
            ..event(job, from, at, cause, actor)
        };
        self.events.add(stored, event);
        if wait != Wait::Nothing {
            queue::leave(self, place, wait, at)?;
        }
        if releases {
            queue::release(self, place, at)?;
        }
        if let Some(due_at) = due_at.filter(|_| to == Status::Waiting) {
            let row = self.at(place)?;
            (row.wait, row.due_at) = (Wait::Retry, Some(due_at));
        }
        self.shown(place).map(Some)
    }

    /// Hands PERSISTED jobs to the queue and claims up to `free` ready ones.
    pub(super) fn claim_due(
        &mut self,
        executor: ExecutorKind,
        now: Timestamp,
        free: usize,
    ) -> Result<Vec<StoredJob>, StoreError> {
        for row in self.rows.values_mut().filter(|row| row.stored.job.status == Status::Persisted) {
            let job = &mut row.stored.job;
            (job.status, job.modified_at) = (Status::Scheduled, now);
            let event = event(job, Status::Persisted, now, Cause::Queued, Actor::SERVER);
            self.events.add(&row.stored, event);
        }
        let limits = self.limits.clone();
        let mut claimed = Vec::new();
        loop {
            let step = queue::claim(self, &limits, Taker::Executor(executor), now, free - claimed.len())?;
            claimed.extend(step.claimed);
            if !step.more {
                return Ok(claimed);
            }
        }
    }

    /// Sets the limits and calls jobs that they let in; true if there may be more of them.
    pub(super) fn limit(&mut self, limits: &Limits, now: Timestamp, step: usize) -> Result<bool, StoreError> {
        self.limits = limits.clone();
        Ok(queue::recall(self, limits, now, step)? == step)
    }

    /// Ended jobs that are to be removed by now.
    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<StoredJob> {
        let expired = |row: &&Row| row.stored.job.expires_at.is_some_and(|at| at <= now);
        let mut jobs: Vec<_> = self.rows.values().filter(expired).map(|row| row.stored.clone()).collect();
        jobs.sort_by_key(|stored| stored.job.expires_at);
        jobs.truncate(limit);
        jobs
    }

    /// Claims ready jobs for a worker, and starts them.
    pub(super) fn claim_for_worker(&mut self, claim: &WorkerClaim) -> Result<Vec<StoredJob>, StoreError> {
        let limits = self.limits.clone();
        queue::claim_for_worker(self, &limits, claim)
    }

    /// The jobs of a scheduled job that have not ended.
    pub(super) fn active(&self, id: ScheduledJobId, limit: usize) -> Vec<JobId> {
        let jobs = self.rows.values().map(|row| &row.stored.job);
        let active = jobs.filter(|job| job.scheduled_job_id == Some(id) && !job.status.is_terminal());
        active.take(limit).map(|job| job.id).collect()
    }

    /// All claimed jobs of an executor.
    pub(super) fn claimed(&self, executor: ExecutorKind) -> Vec<StoredJob> {
        let jobs = self.rows.values().map(|row| &row.stored);
        jobs.filter(|stored| stored.claimed && stored.executor() == executor).cloned().collect()
    }

    /// Notes what an attempt to deliver has come to.
    pub(super) fn end_delivery(&mut self, key: DeliveryKey, end: DeliveryEnd) {
        let places = &self.places;
        self.events.deliveries.end(key, end, |id| places.contains_key(&id));
    }

    /// The deliveries of a job.
    pub(super) fn deliveries(&self, scope: &Scope, id: JobId, limit: usize) -> Option<Vec<Delivery>> {
        self.find_in(scope, id)?;
        Some(self.events.deliveries.of_job(id, limit))
    }

    /// A page of the events of a job.
    pub(super) fn events(&self, scope: &Scope, id: JobId, after: u64, limit: usize) -> Option<EventPage> {
        self.find_in(scope, id)?;
        Some(self.events.of_job(id, after, limit))
    }

    /// The newest events of a job, oldest first.
    pub(super) fn last_events(&self, scope: &Scope, id: JobId, limit: usize) -> Option<EventPage> {
        self.find_in(scope, id)?;
        Some(self.events.last_of_job(id, limit))
    }

    /// Removes a job that has ended.
    pub(super) fn delete(&mut self, scope: &Scope, id: JobId) -> Result<Changed, StoreError> {
        let Some(stored) = self.read(scope, id)? else { return Ok(Changed::NotFound) };
        if !stored.job.status.is_terminal() || stored.followed {
            return Ok(Changed::Refused(Box::new(stored)));
        }
        let row = self.places.remove(&id).and_then(|place| self.rows.remove(&place));
        self.events.remove(id);
        Ok(row.map_or(Changed::NotFound, |row| Changed::Done(Box::new(row.stored))))
    }

    /// Lists the attachments of a job anew.
    pub(super) fn list_attachments(&mut self, id: JobId, attachments: Vec<Attachment>) {
        if let Some(row) = self.place(id).and_then(|place| self.rows.get_mut(&place)) {
            row.stored.job.attachments = attachments;
        }
    }

    /// Notes that a job writes to a storage; false if there is no such job.
    pub(super) fn note_storage(&mut self, id: JobId, storage_id: &str) -> bool {
        let Some(row) = self.places.get(&id).and_then(|place| self.rows.get_mut(place)) else { return false };
        row.storages.insert(storage_id.to_owned());
        true
    }

    /// The storages that a job has written to.
    pub(super) fn noted_storages(&self, id: JobId) -> Vec<String> {
        let row = self.places.get(&id).and_then(|place| self.rows.get(place));
        row.map_or_else(Vec::new, |row| row.storages.iter().cloned().collect())
    }
}

/// The event of a job's transition from a status to the one that it has now; its id comes later.
pub(super) fn event(job: &Job, from: Status, at: Timestamp, cause: Cause, actor: Actor) -> JobEvent {
    JobEvent {
        id: String::new(),
        job_id: job.id,
        at,
        attempt: job.attempt,
        from,
        to: job.status,
        cause,
        actor,
        message: None,
        exit_code: None,
        signal: None,
        memory_peak_bytes: None,
        cpu_time_ms: None,
    }
}

fn missing() -> StoreError {
    StoreError::Internal("a job's row is missing".to_owned())
}

/// What follows from a status for the times of the end.
pub(super) fn set_end(job: &mut Job, at: Timestamp) {
    job.finished_at = job.status.is_terminal().then_some(at);
    job.expires_at = job.finished_at.and_then(|at| queue::expires_at(&job.spec, at));
}

fn matches(query: &JobQuery, stored: &StoredJob) -> bool {
    let StoredJob { organization, job, .. } = stored;
    let spec = &job.spec;
    let has = |tag: &String| spec.tags.contains(tag);
    sees(&query.scope, organization)
        && query.user.as_ref().is_none_or(|user| *user == job.user)
        && query.storage_id.as_ref().is_none_or(|storage| spec.result_storage_id.as_ref() == Some(storage))
        && (query.types.is_empty() || spec.job_type.as_ref().is_some_and(|own| query.types.contains(own)))
        && (query.statuses.is_empty() || query.statuses.contains(&job.status))
        && (query.tags.is_empty()
            || if query.all_tags { query.tags.iter().all(has) } else { query.tags.iter().any(has) })
}
