//! Jobs in the order of their insertion.

use super::events::Events;
use crate::store::{
    Changed, EventPage, JobChange, JobList, JobQuery, NewJob, Scope, StoreError, StoredJob, Transition,
};
use docket_contract::history::{Actor, Cause, JobEvent};
use docket_contract::job::{DEFAULT_PRIORITY, ExecutorKind};
use docket_contract::{Job, JobId, Status, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

/// Most jobs that are kept: some 200 MB with small specs.
const MOST_JOBS: usize = 100_000;

/// All jobs.
#[derive(Default)]
pub(super) struct Jobs {
    /// By their place in the order, from 1; a place is never given twice.
    rows: BTreeMap<u64, Row>,
    places: HashMap<JobId, u64>,
    last: u64,
    pub(super) events: Events,
}

struct Row {
    stored: StoredJob,
    storages: BTreeSet<String>,
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
            return self.read(&Scope::Organization(new.organization), new.id).cloned().ok_or_else(taken);
        }
        if self.rows.len() >= MOST_JOBS {
            return Err(StoreError::Full);
        }
        let (id, cause) = (new.id, new.first_cause());
        let stored = new.stored();
        if let Some(cause) = cause {
            let actor = Actor::user(&stored.job.user);
            let event = event(&stored.job, Status::Persisted, stored.job.created_at, cause, actor);
            self.events.add(&stored.organization, event);
        }
        self.last += 1;
        self.places.insert(id, self.last);
        self.rows.insert(self.last, Row { stored: stored.clone(), storages: BTreeSet::new() });
        Ok(stored)
    }

    /// One job of a scope.
    pub(super) fn read(&self, scope: &Scope, id: JobId) -> Option<&StoredJob> {
        let row = self.rows.get(self.places.get(&id)?)?;
        Some(&row.stored).filter(|stored| sees(scope, &stored.organization))
    }

    fn row(&mut self, scope: &Scope, id: JobId) -> Option<&mut Row> {
        let row = self.rows.get_mut(self.places.get(&id)?)?;
        Some(row).filter(|row| sees(scope, &row.stored.organization))
    }

    /// A page of jobs.
    pub(super) fn list(&self, query: &JobQuery) -> JobList {
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
        JobList {
            next: found.last().filter(|_| more).map(|(place, _)| **place),
            total: query.with_total.then(count),
            jobs: found.into_iter().map(|(_, row)| row.stored.clone()).collect(),
        }
    }

    /// The types that jobs of a scope have.
    pub(super) fn types(&self, scope: &Scope) -> Vec<String> {
        let jobs = self.rows.values().map(|row| &row.stored).filter(|stored| sees(scope, &stored.organization));
        let types: BTreeSet<&String> = jobs.filter_map(|stored| stored.job.spec.job_type.as_ref()).collect();
        types.into_iter().cloned().collect()
    }

    /// Changes a job apart from its status.
    pub(super) fn change(&mut self, scope: &Scope, id: JobId, change: JobChange, now: Timestamp) -> Changed {
        let Some(row) = self.row(scope, id) else { return Changed::NotFound };
        let StoredJob { job, cancel, .. } = &mut row.stored;
        if !change.admits(job) {
            return Changed::Refused(Box::new(row.stored.clone()));
        }
        change.apply(&mut job.spec);
        job.progress = change.progress.unwrap_or(job.progress);
        job.status_message = change.status_message.or(job.status_message.take());
        job.result_data = change.result_data.or(job.result_data.take());
        job.modified_at = now;
        *cancel = change.cancel.or(cancel.take());
        Changed::Done(Box::new(row.stored.clone()))
    }

    /// Makes a transition, if the job is as it expects.
    pub(super) fn transition(&mut self, transition: Transition) -> Option<StoredJob> {
        let Transition { id, attempt, from, claimed, to, at, started_at, status_message, exit_code, cause, actor, end } =
            transition;
        let stored = &mut self.rows.get_mut(self.places.get(&id)?)?.stored;
        let job = &mut stored.job;
        if (job.attempt, job.status, stored.claimed) != (attempt, from, claimed) {
            return None;
        }
        job.status = to;
        job.modified_at = at;
        job.started_at = job.started_at.or(started_at).or((to == Status::Running).then_some(at));
        job.finished_at = to.is_terminal().then_some(at);
        job.status_message = status_message;
        job.exit_code = exit_code.or(job.exit_code);
        if to == Status::Finished {
            job.progress = 100;
        }
        // A claim lasts as long as an executor has the job.
        stored.claimed &= matches!(to, Status::Unknown | Status::Scheduled | Status::Running);
        let event = JobEvent {
            message: job.status_message.clone(),
            exit_code,
            signal: end.signal,
            memory_peak_bytes: end.usage.memory_peak_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            cpu_time_ms: end.usage.cpu_time_ms.map(|time| i64::try_from(time).unwrap_or(i64::MAX)),
            ..event(job, from, at, cause, actor)
        };
        self.events.add(&stored.organization, event);
        Some(stored.clone())
    }

    /// Hands PERSISTED jobs to the queue and claims up to `free` queued ones.
    pub(super) fn claim_due(&mut self, executor: ExecutorKind, now: Timestamp, free: usize) -> Vec<StoredJob> {
        let mut ready = Vec::new();
        for (place, row) in &mut self.rows {
            let StoredJob { organization, job, claimed, .. } = &mut row.stored;
            if job.status == Status::Persisted {
                job.status = Status::Scheduled;
                job.modified_at = now;
                let event = event(job, Status::Persisted, now, Cause::Queued, Actor::SERVER);
                self.events.add(organization, event);
            }
            if job.status == Status::Scheduled && !*claimed && job.spec.executor.unwrap_or_default() == executor {
                ready.push((Reverse(job.spec.priority.unwrap_or(DEFAULT_PRIORITY)), *place));
            }
        }
        ready.sort_unstable();
        let claim = |(_, place): (_, u64)| {
            let stored = &mut self.rows.get_mut(&place)?.stored;
            stored.claimed = true;
            let job = &mut stored.job;
            // What belongs to the attempt before begins anew.
            (job.attempt, job.modified_at, job.progress) = (job.attempt + 1, now, 0);
            (job.started_at, job.exit_code) = (None, None);
            Some(stored.clone())
        };
        ready.into_iter().take(free).filter_map(claim).collect()
    }

    /// All claimed jobs of an executor.
    pub(super) fn claimed(&self, executor: ExecutorKind) -> Vec<StoredJob> {
        let jobs = self.rows.values().map(|row| &row.stored);
        jobs.filter(|stored| stored.claimed && stored.executor() == executor).cloned().collect()
    }

    /// A page of the events of a job.
    pub(super) fn events(&self, scope: &Scope, id: JobId, after: u64, limit: usize) -> Option<EventPage> {
        self.read(scope, id)?;
        Some(self.events.of_job(id, after, limit))
    }

    /// The newest events of a job, oldest first.
    pub(super) fn last_events(&self, scope: &Scope, id: JobId, limit: usize) -> Option<EventPage> {
        self.read(scope, id)?;
        Some(self.events.last_of_job(id, limit))
    }

    /// Removes a job that has ended.
    pub(super) fn delete(&mut self, scope: &Scope, id: JobId) -> Changed {
        match self.read(scope, id) {
            None => return Changed::NotFound,
            Some(stored) if !stored.job.status.is_terminal() => return Changed::Refused(Box::new(stored.clone())),
            Some(_) => {}
        }
        let row = self.places.remove(&id).and_then(|place| self.rows.remove(&place));
        self.events.remove(id);
        row.map_or(Changed::NotFound, |row| Changed::Done(Box::new(row.stored)))
    }

    /// Notes that a job writes to a storage; false if there is no such job.
    pub(super) fn note_storage(&mut self, id: JobId, storage_id: &str) -> bool {
        let Some(row) = self.row(&Scope::Everything, id) else { return false };
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
fn event(job: &Job, from: Status, at: Timestamp, cause: Cause, actor: Actor) -> JobEvent {
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
