//! The conformance suite of [`ScheduleStore`]: a driver runs it with `schedules_suite!` and a [`Fixture`] of its own.

use super::control::{at, go, new_id, new_job, of};
use crate::store::{
    ACTIVE_JOBS, ControlStore, KEPT_RUNS, NewJob, NewRun, NewSchedule, ScheduleChange, ScheduleStep, ScheduleStore,
    Scheduled, Scope, Stepped, StoredSchedule,
};
use async_trait::async_trait;
use docket_contract::job::{DependencyCondition, ExecutorKind, JobDependency, JobSpec, NameValue};
use docket_contract::schedule::{RunKind, ScheduledJobRun, ScheduledJobSpec, SkipReason, SkippedSlots, Slot};
use docket_contract::{JobId, ScheduledJobId, Status, Timestamp};
use std::sync::Arc;

/// Both traits of one store.
pub struct Stores {
    pub control: Arc<dyn ControlStore>,
    pub schedules: Arc<dyn ScheduleStore>,
}

/// Gives stores to the checks.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the store of this fixture: empty at first; again, after it was closed, with what was kept.
    async fn open(&self) -> Stores;
}

/// Makes a test of each check.
macro_rules! schedules_suite {
    ($fixture:expr) => {
        schedules_suite! { $fixture;
            a_schedule_is_kept_listed_and_removed, what_is_due_comes_in_order, a_step_stores_slots_and_jobs,
            a_step_needs_its_revision_and_scope, a_slot_has_one_row_and_one_job, an_unknown_dependency_changes_nothing,
            a_change_is_kept, the_newest_runs_are_kept, one_of_racing_steps_is_made,
            a_run_is_compared_with_the_last_finished_one
        }
    };
    ($fixture:expr; $($check:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                $crate::store::conformance::schedules::$check(&$fixture).await;
            }
        )+
    };
}
pub(crate) use schedules_suite;

fn slot(seconds: i64) -> Slot {
    Slot { at: at(seconds), due: at(seconds).plus_millis(5) }
}

fn new(organization: &str, next: Option<i64>) -> NewSchedule {
    let spec = ScheduledJobSpec {
        name: Some("nightly".to_owned()),
        cron_expression: " */5  * * * * ".to_owned(),
        job: JobSpec { docker_image_url: "image".to_owned(), ..JobSpec::default() },
        ..ScheduledJobSpec::default()
    };
    NewSchedule {
        id: ScheduledJobId(new_id().0),
        organization: organization.to_owned(),
        user: "ann".to_owned(),
        spec: spec.with_defaults(),
        decided: at(0),
        next: next.map(slot),
        created_at: at(0),
    }
}

/// A step that decides up to a slot, and goes on ten seconds later.
fn step(schedule: &StoredSchedule, decided: i64, runs: Vec<NewRun>) -> ScheduleStep {
    ScheduleStep {
        scope: of(&schedule.organization),
        id: schedule.id,
        revision: schedule.revision,
        change: None,
        decided: at(decided),
        next: Some(slot(decided + 10)),
        runs,
    }
}

fn job(schedule: &StoredSchedule, seconds: i64) -> NewJob {
    let scheduled = Some(Scheduled { by: schedule.id, slot: at(seconds) });
    NewJob { scheduled, status: Status::Scheduled, ..new_job(&schedule.organization) }
}

fn fired(schedule: &StoredSchedule, seconds: i64) -> NewRun {
    NewRun::fired(slot(seconds), at(seconds + 1), job(schedule, seconds))
}

fn skipped(first: i64, last: i64, count: Option<usize>) -> NewRun {
    let slots = SkippedSlots { first: at(first), last: at(last), count, reason: SkipReason::Missed };
    NewRun::skipped(slots, at(last + 1))
}

async fn made(store: &dyn ScheduleStore, step: ScheduleStep) -> Stepped {
    let mut made = store.step_schedules(vec![step]).await.unwrap();
    assert_eq!(made.len(), 1);
    made.remove(0)
}

async fn runs(store: &dyn ScheduleStore, schedule: &StoredSchedule) -> Vec<ScheduledJobRun> {
    store.schedule_runs(&Scope::Everything, schedule.id, None, 10_000).await.unwrap().unwrap().values
}

pub async fn a_schedule_is_kept_listed_and_removed(fixture: &dyn Fixture) {
    let Stores { control, schedules: store } = fixture.open().await;
    let mut known = Vec::new();
    for organization in ["a", "b", "a", "a"] {
        let new = new(organization, Some(300));
        let stored = store.insert_schedule(new.clone()).await.unwrap();
        assert_eq!(stored, new.clone().stored());
        // Once more changes nothing.
        let again = NewSchedule { user: "bob".to_owned(), decided: at(9), ..new };
        assert_eq!(store.insert_schedule(again).await.unwrap(), stored);
        known.push(stored);
    }
    let foreign = NewSchedule { id: known[0].id, ..new("b", None) };
    assert!(store.insert_schedule(foreign).await.is_err(), "the id is another organization's");
    control.close().await;
    let Stores { schedules: store, .. } = fixture.open().await;
    for schedule in &known {
        for (scope, seen) in [(of(&schedule.organization), true), (Scope::Everything, true), (of("c"), false)] {
            let read = store.read_schedule(&scope, schedule.id).await.unwrap();
            assert_eq!(read.as_ref(), seen.then_some(schedule), "{scope:?}");
        }
        assert_eq!(store.schedule_runs(&of("c"), schedule.id, None, 5).await.unwrap(), None);
        assert_eq!(store.delete_schedule(&of("c"), schedule.id).await.unwrap(), None);
    }
    let newest_first = [&known[3], &known[2], &known[0]];
    let first = store.list_schedules(&of("a"), None, 2).await.unwrap();
    assert_eq!(first.values.iter().collect::<Vec<_>>(), newest_first[..2]);
    let second = store.list_schedules(&of("a"), first.next, 2).await.unwrap();
    assert_eq!((second.values.iter().collect::<Vec<_>>(), second.next), (newest_first[2..].to_vec(), None));
    assert_eq!(store.list_schedules(&of("a"), None, 3).await.unwrap().next, None);
    assert_eq!(store.list_schedules(&of("c"), None, 3).await.unwrap().values, []);
    assert_eq!(store.list_schedules(&Scope::Everything, None, 9).await.unwrap().values.len(), 4);

    assert_eq!(store.delete_schedule(&of("a"), known[0].id).await.unwrap().as_ref(), Some(&known[0]));
    assert_eq!(store.delete_schedule(&of("a"), known[0].id).await.unwrap(), None);
    assert_eq!(store.read_schedule(&of("a"), known[0].id).await.unwrap(), None);
    assert_eq!(store.due_schedules(at(999), 9).await.unwrap().due.len(), 3);
}

pub async fn what_is_due_comes_in_order(fixture: &dyn Fixture) {
    let Stores { schedules: store, .. } = fixture.open().await;
    let nothing = store.due_schedules(at(0), 9).await.unwrap();
    assert_eq!((nothing.due, nothing.next), (vec![], None));
    let mut ids = Vec::new();
    for (organization, next) in [("a", Some(30)), ("b", Some(10)), ("a", None), ("a", Some(20)), ("a", Some(40))] {
        ids.push(store.insert_schedule(new(organization, next)).await.unwrap().id);
    }
    let due = async |now: Timestamp, limit| {
        let found = store.due_schedules(now, limit).await.unwrap();
        let found_ids: Vec<_> = found.due.iter().map(|(schedule, _)| schedule.id).collect();
        (found_ids, found.next)
    };
    assert_eq!(due(slot(9).due, 9).await, (vec![], Some(slot(10).due)));
    assert_eq!(due(slot(10).due, 9).await, (vec![ids[1]], Some(slot(20).due)));
    assert_eq!(due(at(35), 9).await, (vec![ids[1], ids[3], ids[0]], Some(slot(40).due)));
    assert_eq!(due(at(35), 2).await.0, [ids[1], ids[3]]);
    assert_eq!(due(at(99), 9).await.1, None);
}

pub async fn a_step_stores_slots_and_jobs(fixture: &dyn Fixture) {
    let Stores { control, schedules: store } = fixture.open().await;
    let schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let new_runs = vec![skipped(1, 8, Some(5)), skipped(9, 9, Some(1)), fired(&schedule, 10), fired(&schedule, 20)];
    let told: Vec<_> = new_runs.iter().map(NewRun::told).collect();
    assert_eq!((told[0].last_slot_at, told[0].slots, told[2].lateness_ms), (Some(at(8)), Some(5), Some(995)));
    let step = step(&schedule, 20, new_runs.clone());
    let Stepped::Done(jobs) = made(&*store, step.clone()).await else { panic!("not made") };
    let expected: Vec<_> = new_runs.iter().filter_map(|run| run.job.clone()).map(|job| job.stored()).collect();
    assert_eq!(jobs, expected);
    assert_eq!(jobs[0].job.scheduled_for, Some(at(10)));
    assert_eq!(control.read_job(&of("a"), jobs[0].job.id).await.unwrap().as_ref(), Some(&jobs[0]));
    let after = schedule.clone().after(&step);
    assert_eq!((after.revision, after.next), (1, Some(slot(30))));
    assert_eq!(store.read_schedule(&of("a"), schedule.id).await.unwrap(), Some(after.clone()));

    let ids: Vec<_> = jobs.iter().map(|job| job.job.id).collect();
    assert_eq!(store.active_jobs(schedule.id, ACTIVE_JOBS).await.unwrap(), ids);
    assert_eq!(store.active_jobs(schedule.id, 1).await.unwrap(), ids[..1]);
    assert_eq!(store.due_schedules(at(40), 9).await.unwrap().due, [(after.clone(), ids.clone())]);
    go(&*control, &jobs[0], Status::Canceled, at(21)).await;
    assert_eq!(store.active_jobs(schedule.id, ACTIVE_JOBS).await.unwrap(), ids[1..]);

    control.close().await;
    let Stores { control, schedules: store } = fixture.open().await;
    let first = store.schedule_runs(&of("a"), schedule.id, None, 3).await.unwrap().unwrap();
    let newest_first: Vec<_> = told.into_iter().rev().collect();
    assert_eq!(first.values, newest_first[..3]);
    let last = store.schedule_runs(&of("a"), schedule.id, first.next, 3).await.unwrap().unwrap();
    assert_eq!((last.values.as_slice(), last.next), (&newest_first[3..], None));
    // Its jobs outlive it.
    store.delete_schedule(&of("a"), schedule.id).await.unwrap();
    assert_eq!(store.schedule_runs(&of("a"), schedule.id, None, 3).await.unwrap(), None);
    assert!(control.read_job(&of("a"), ids[1]).await.unwrap().is_some());
}

pub async fn a_step_needs_its_revision_and_scope(fixture: &dyn Fixture) {
    let Stores { control, schedules: store } = fixture.open().await;
    let schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let right = step(&schedule, 10, vec![fired(&schedule, 10)]);
    let stale = ScheduleStep { revision: 7, ..right.clone() };
    let foreign = ScheduleStep { scope: of("b"), ..right.clone() };
    let gone = ScheduleStep { id: ScheduledJobId(new_id().0), ..right.clone() };
    let steps = vec![stale, foreign, gone, right.clone(), right.clone()];
    let made = store.step_schedules(steps).await.unwrap();
    assert!(matches!(made[3], Stepped::Done(_)), "{made:?}");
    for place in [0, 1, 2, 4] {
        assert_eq!(made[place], Stepped::Moved, "{place}");
    }
    assert_eq!(runs(&*store, &schedule).await.len(), 1);
    assert!(control.read_job(&of("a"), right.runs[0].job.as_ref().unwrap().id).await.unwrap().is_some());
}

pub async fn a_slot_has_one_row_and_one_job(fixture: &dyn Fixture) {
    let Stores { control, schedules: store } = fixture.open().await;
    let schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let first = step(&schedule, 10, vec![fired(&schedule, 10)]);
    made(&*store, first.clone()).await;
    let schedule = schedule.after(&first);
    // Whatever has lost its way: the slot fires no second time, and can't be skipped either.
    let asked = NewRun::triggered(at(10), job(&schedule, 10));
    let again = step(&schedule, 12, vec![fired(&schedule, 10), skipped(10, 10, Some(1)), asked.clone()]);
    let Stepped::Done(jobs) = made(&*store, again.clone()).await else { panic!("not made") };
    let asked_for = asked.job.as_ref().unwrap().id;
    assert_eq!(jobs.iter().map(|job| job.job.id).collect::<Vec<_>>(), [asked_for], "asking is no slot");
    let kinds: Vec<_> = runs(&*store, &schedule).await.iter().map(|run| run.kind).collect();
    assert_eq!(kinds, [RunKind::Triggered, RunKind::Fired]);
    let lost = again.runs[0].job.as_ref().unwrap().id;
    assert_eq!(control.read_job(&Scope::Everything, lost).await.unwrap(), None);
}

pub async fn an_unknown_dependency_changes_nothing(fixture: &dyn Fixture) {
    let Stores { control, schedules: store } = fixture.open().await;
    let schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let after = |mut run: NewRun, job_id: JobId| {
        if let Some(job) = &mut run.job {
            let condition = DependencyCondition::Terminated;
            job.status = Status::Persisted;
            job.spec.job_dependencies = vec![JobDependency { job_id, condition, max_failed_share: None }];
        }
        run
    };
    let foreign = control.insert_job(new_job("b")).await.unwrap().job.id;
    for unknown in [new_id(), foreign] {
        let step = step(&schedule, 20, vec![fired(&schedule, 10), after(fired(&schedule, 20), unknown)]);
        assert_eq!(made(&*store, step).await, Stepped::NoDependency(unknown));
    }
    assert_eq!(store.read_schedule(&of("a"), schedule.id).await.unwrap().as_ref(), Some(&schedule));
    assert_eq!((runs(&*store, &schedule).await, store.active_jobs(schedule.id, 9).await.unwrap()), (vec![], vec![]));
    // A job may wait for one of the same step.
    let first = fired(&schedule, 10);
    let first_id = first.job.as_ref().unwrap().id;
    let step = step(&schedule, 20, vec![first, after(fired(&schedule, 20), first_id)]);
    let Stepped::Done(jobs) = made(&*store, step).await else { panic!("not made") };
    assert_eq!((jobs[0].job.status, jobs[1].job.status), (Status::Scheduled, Status::Waiting));
}

pub async fn a_change_is_kept(fixture: &dyn Fixture) {
    let Stores { schedules: store, .. } = fixture.open().await;
    let schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let mut spec = ScheduledJobSpec { paused: Some(true), name: None, ..schedule.spec.clone() };
    spec.job.environment_variables = vec![NameValue { name: "TOKEN".to_owned(), value: "secret".to_owned() }];
    let change = ScheduleChange { spec, paused_reason: Some("enough".to_owned()), at: at(5) };
    let step = ScheduleStep { change: Some(change), next: None, ..step(&schedule, 0, vec![]) };
    assert_eq!(made(&*store, step.clone()).await, Stepped::Done(vec![]));
    let paused = schedule.after(&step);
    assert_eq!((paused.modified_at, paused.paused_reason.as_deref()), (at(5), Some("enough")));
    assert_eq!(store.read_schedule(&of("a"), paused.id).await.unwrap(), Some(paused));
    assert_eq!(store.due_schedules(at(99), 9).await.unwrap().due, []);
}

pub async fn the_newest_runs_are_kept(fixture: &dyn Fixture) {
    let Stores { schedules: store, .. } = fixture.open().await;
    let mut schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    for part in 0..3 {
        let slots = part * 500..(part + 1) * 500;
        let step = step(&schedule, slots.end, slots.map(|at| skipped(at, at, Some(1))).collect());
        made(&*store, step.clone()).await;
        schedule = schedule.after(&step);
    }
    let kept = runs(&*store, &schedule).await;
    assert_eq!(kept.len(), usize::try_from(KEPT_RUNS).unwrap());
    assert_eq!((kept[0].slot_at, kept[kept.len() - 1].slot_at), (at(1499), at(500)));
}

pub async fn one_of_racing_steps_is_made(fixture: &dyn Fixture) {
    let Stores { control, schedules: store } = fixture.open().await;
    let schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let mut work = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, step) = (store.clone(), step(&schedule, 10, vec![fired(&schedule, 10)]));
        work.spawn(async move { made(&*store, step).await });
    }
    let outcomes = work.join_all().await;
    let done: Vec<_> = outcomes.iter().filter(|outcome| matches!(outcome, Stepped::Done(_))).collect();
    assert_eq!((done.len(), runs(&*store, &schedule).await.len()), (1, 1));
    let mut query = super::control::model::query(Scope::Everything);
    query.with_total = true;
    assert_eq!(control.list_jobs(query).await.unwrap().total, Some(1));
}

pub async fn a_run_is_compared_with_the_last_finished_one(fixture: &dyn Fixture) {
    let Stores { control, schedules: store } = fixture.open().await;
    let mut schedule = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let mut other = store.insert_schedule(new("a", Some(10))).await.unwrap();
    let fire = async |schedule: &mut StoredSchedule, seconds: i64, end: Option<Status>| {
        let step = step(schedule, seconds, vec![fired(schedule, seconds)]);
        let Stepped::Done(mut started) = made(&*store, step.clone()).await else { panic!("made") };
        *schedule = schedule.clone().after(&step);
        let job = started.remove(0);
        let claimed = control.claim_due(ExecutorKind::Process, at(seconds + 1), 10).await.unwrap();
        let claimed = claimed.into_iter().find(|claimed| claimed.job.id == job.job.id).expect("claimed");
        let running = go(&*control, &claimed, Status::Running, at(seconds + 2)).await;
        if let Some(end) = end {
            go(&*control, &running, end, at(seconds + 3)).await;
        }
        job.job.id
    };
    let first = fire(&mut schedule, 10, Some(Status::Finished)).await;
    let elsewhere = fire(&mut other, 10, Some(Status::Finished)).await;
    let second = fire(&mut schedule, 20, Some(Status::Failed)).await;
    let third = fire(&mut schedule, 30, None).await;
    let fourth = fire(&mut schedule, 40, Some(Status::Finished)).await;
    let fifth = fire(&mut schedule, 50, Some(Status::Finished)).await;
    let previous = async |id| control.previous_run(id).await.unwrap();
    assert_eq!((previous(first).await, previous(elsewhere).await), (None, None));
    assert_eq!((previous(second).await, previous(third).await), (Some(first), Some(first)));
    assert_eq!((previous(fourth).await, previous(fifth).await), (Some(first), Some(fourth)));
    // A run that is deleted is passed over, and so is all when the scheduled job is gone.
    control.delete_job(&Scope::Everything, fourth).await.unwrap();
    assert_eq!((previous(fifth).await, previous(fourth).await), (Some(first), None));
    store.delete_schedule(&Scope::Everything, schedule.id).await.unwrap();
    assert_eq!(previous(fifth).await, None);
}
