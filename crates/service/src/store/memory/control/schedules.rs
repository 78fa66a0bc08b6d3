//! Scheduled jobs and their runs.

use super::MemoryControl;
use super::jobs::{Jobs, sees};
use crate::store::{
    ACTIVE_JOBS, DueSchedules, KEPT_RUNS, NewSchedule, Page, ScheduleStep, ScheduleStore, Scope, Stepped, StoreError,
    StoredSchedule,
};
use async_trait::async_trait;
use docket_contract::schedule::{RunKind, ScheduledJobRun};
use docket_contract::{Job, JobId, ScheduledJobId, Status, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// Most scheduled jobs that are kept.
const MOST_SCHEDULES: usize = 100_000;

/// All of them.
#[derive(Default)]
pub(super) struct Schedules {
    /// By their place in the order, from 1; a place is never given twice.
    rows: BTreeMap<u64, Row>,
    places: HashMap<ScheduledJobId, u64>,
    last: u64,
}

struct Row {
    stored: StoredSchedule,
    /// By their number, from 1.
    runs: BTreeMap<u64, ScheduledJobRun>,
    /// Numbers that were given.
    numbers: u64,
}

impl Schedules {
    fn place(&self, scope: &Scope, id: ScheduledJobId) -> Option<u64> {
        let place = *self.places.get(&id)?;
        self.rows.get(&place).filter(|row| sees(scope, &row.stored.organization)).map(|_| place)
    }

    fn find(&self, scope: &Scope, id: ScheduledJobId) -> Option<&Row> {
        self.rows.get(&self.place(scope, id)?)
    }

    fn insert(&mut self, new: NewSchedule) -> Result<StoredSchedule, StoreError> {
        if self.places.contains_key(&new.id) {
            let taken = || StoreError::Internal("the id is that of another organization's scheduled job".to_owned());
            let found = self.find(&Scope::Organization(new.organization), new.id);
            return found.map(|row| row.stored.clone()).ok_or_else(taken);
        }
        if self.rows.len() >= MOST_SCHEDULES {
            return Err(StoreError::Full);
        }
        let stored = new.stored();
        self.last += 1;
        self.places.insert(stored.id, self.last);
        self.rows.insert(self.last, Row { stored: stored.clone(), runs: BTreeMap::new(), numbers: 0 });
        Ok(stored)
    }

    fn list(&self, scope: &Scope, after: Option<u64>, limit: usize) -> Page<StoredSchedule> {
        let rows = self.rows.range(..after.unwrap_or(u64::MAX)).rev();
        page(rows.filter(|(_, row)| sees(scope, &row.stored.organization)), limit, |row| row.stored.clone())
    }

    fn due(&self, jobs: &Jobs, now: Timestamp, limit: usize) -> DueSchedules {
        let times = self.rows.values().filter_map(|row| Some((row.stored.next?.due, &row.stored)));
        let (mut due, later): (Vec<_>, Vec<_>) = times.partition(|(at, _)| *at <= now);
        due.sort_by_key(|(at, _)| *at);
        let due = due.into_iter().take(limit);
        DueSchedules {
            due: due.map(|(_, stored)| (stored.clone(), jobs.active(stored.id, ACTIVE_JOBS))).collect(),
            next: later.into_iter().map(|(at, _)| at).min(),
        }
    }

    fn step(&mut self, jobs: &mut Jobs, step: ScheduleStep) -> Result<Stepped, StoreError> {
        let place = self.place(&step.scope, step.id);
        let row = place.and_then(|place| self.rows.get_mut(&place));
        let Some(row) = row.filter(|row| row.stored.revision == step.revision) else { return Ok(Stepped::Moved) };
        let owner = Scope::Organization(row.stored.organization.clone());
        if let Some(unknown) = step.dependencies().into_iter().find(|id| jobs.find_in(&owner, *id).is_none()) {
            return Ok(Stepped::NoDependency(unknown));
        }
        row.stored = row.stored.clone().after(&step);
        let mut started = Vec::new();
        for run in step.runs {
            let told = run.told();
            let is_slot = |run: &ScheduledJobRun| run.kind != RunKind::Triggered;
            if is_slot(&told) && row.runs.values().any(|run| is_slot(run) && run.slot_at == told.slot_at) {
                continue;
            }
            row.numbers += 1;
            row.runs.insert(row.numbers, told);
            if let Some(job) = run.job {
                started.push(jobs.insert(*job)?);
            }
        }
        let kept = row.numbers.saturating_sub(KEPT_RUNS.unsigned_abs());
        row.runs = row.runs.split_off(&(kept + 1));
        Ok(Stepped::Done(started))
    }

    /// The newest finished run before that of a job.
    pub(super) fn previous_run(&self, jobs: &Jobs, job: &Job) -> Option<JobId> {
        let runs = &self.find(&Scope::Everything, job.scheduled_job_id?)?.runs;
        let (own, _) = runs.iter().find(|(_, run)| run.job_id == Some(job.id))?;
        let is_finished = |id: &JobId| {
            let found = jobs.read(&Scope::Everything, *id);
            matches!(found, Ok(Some(stored)) if stored.job.status == Status::Finished)
        };
        runs.range(..own).rev().filter_map(|(_, run)| run.job_id).find(is_finished)
    }

    fn delete(&mut self, scope: &Scope, id: ScheduledJobId) -> Option<StoredSchedule> {
        let place = self.place(scope, id)?;
        self.places.remove(&id);
        self.rows.remove(&place).map(|row| row.stored)
    }
}

/// The first of some rows, and where the next page begins.
fn page<'a, R: 'a, T>(rows: impl Iterator<Item = (&'a u64, &'a R)>, limit: usize, of: impl Fn(&R) -> T) -> Page<T> {
    let mut found: Vec<_> = rows.take(limit.saturating_add(1)).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(place, _)| **place);
    Page { values: found.into_iter().map(|(_, row)| of(row)).collect(), next }
}

#[async_trait]
impl ScheduleStore for MemoryControl {
    async fn insert_schedule(&self, schedule: NewSchedule) -> Result<StoredSchedule, StoreError> {
        self.with(|kept| kept.schedules.insert(schedule))?
    }

    async fn read_schedule(&self, scope: &Scope, id: ScheduledJobId) -> Result<Option<StoredSchedule>, StoreError> {
        self.with(|kept| kept.schedules.find(scope, id).map(|row| row.stored.clone()))
    }

    async fn list_schedules(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<StoredSchedule>, StoreError> {
        self.with(|kept| kept.schedules.list(scope, after, limit))
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<DueSchedules, StoreError> {
        self.with(|kept| kept.schedules.due(&kept.jobs, now, limit))
    }

    async fn active_jobs(&self, id: ScheduledJobId, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.with(|kept| kept.jobs.active(id, limit))
    }

    async fn step_schedules(&self, steps: Vec<ScheduleStep>) -> Result<Vec<Stepped>, StoreError> {
        self.with(|kept| steps.into_iter().map(|step| kept.schedules.step(&mut kept.jobs, step)).collect())?
    }

    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduledJobId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Option<Page<ScheduledJobRun>>, StoreError> {
        self.with(|kept| {
            let row = kept.schedules.find(scope, id)?;
            Some(page(row.runs.range(..after.unwrap_or(u64::MAX)).rev(), limit, ScheduledJobRun::clone))
        })
    }

    async fn delete_schedule(&self, scope: &Scope, id: ScheduledJobId) -> Result<Option<StoredSchedule>, StoreError> {
        self.with(|kept| kept.schedules.delete(scope, id))
    }
}
