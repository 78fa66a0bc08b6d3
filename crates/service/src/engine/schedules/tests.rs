//! Timetables under a clock that the tests set: what fires, what is skipped and why, slot by slot.

use super::*;
use crate::store::memory::MemoryControl;
use crate::store::queue::Limits;
use crate::store::{AttemptEnd, ControlStore, NewSchedule, Scheduled, Scope, Transition};
use docket_contract::history::{Actor, Cause};
use docket_contract::job::{DependencyCondition, JobDependency, JobSpec};
use docket_contract::schedule::{MisfirePolicy, OverlapPolicy, RunKind, ScheduledJobSpec, SkipReason, Timetable};
use docket_contract::{ScheduledJobId, Status};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// A door that lets everything in, or nothing. Jobs that it cancels end at once: nobody runs them.
struct TestDoor {
    control: Arc<MemoryControl>,
    refuses: AtomicBool,
}

#[async_trait]
impl Door for TestDoor {
    fn job(&self, schedule: &StoredSchedule, start: JobStart<'_>) -> Result<NewJob, Error> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(Error::field("/dockerImageUrl", "not_allowed", "dockerImageUrl is not allowed"));
        }
        let mut spec = schedule.spec.job.clone();
        let condition = DependencyCondition::Terminated;
        let end = |id: &JobId| JobDependency { job_id: *id, condition, max_failed_share: None };
        spec.job_dependencies.extend(start.after.iter().map(end));
        let status = if spec.job_dependencies.is_empty() { Status::Scheduled } else { Status::Persisted };
        Ok(NewJob {
            id: JobId(uuid::Uuid::now_v7()),
            organization: schedule.organization.clone(),
            user: schedule.user.clone(),
            spec,
            status,
            created_at: start.now,
            rerun: None,
            scheduled: Some(Scheduled { by: schedule.id, slot: start.slot }),
        })
    }

    async fn cancel(&self, _: &StoredSchedule, job: JobId, reason: &str) -> Result<(), Error> {
        end(&self.control, job, Status::Canceled, Some(reason)).await;
        Ok(())
    }

    fn started(&self, _: &StoredJob) {}
}

async fn end(control: &MemoryControl, id: JobId, to: Status, message: Option<&str>) {
    let job = control.read_job(&Scope::Everything, id).await.expect("works").expect("there").job;
    let transition = Transition {
        id,
        attempt: job.attempt,
        from: job.status,
        claimed: false,
        to,
        at: job.modified_at,
        started_at: None,
        status_message: message.map(str::to_owned),
        exit_code: None,
        cause: Cause::Canceled,
        actor: Actor::SERVER,
        end: AttemptEnd::default(),
        due_at: None,
    };
    assert!(control.transition(vec![transition]).await.expect("works")[0].is_some());
    control.resolve_dependents(job.modified_at, 100).await.expect("works");
}

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

struct World {
    control: Arc<MemoryControl>,
    door: Arc<TestDoor>,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn every(cron: &str, zone: &str) -> ScheduledJobSpec {
    ScheduledJobSpec {
        cron_expression: cron.to_owned(),
        time_zone: Some(zone.to_owned()),
        job: JobSpec { docker_image_url: "image".to_owned(), ..JobSpec::default() },
        ..ScheduledJobSpec::default()
    }
}

impl World {
    fn new() -> Self {
        let control = Arc::new(MemoryControl::default());
        let door = Arc::new(TestDoor { control: control.clone(), refuses: AtomicBool::new(false) });
        Self { control, door }
    }

    /// A server that has just started.
    fn server(&self) -> Schedules {
        let hints = Arc::new(Hints::new(Limits::default()));
        Schedules::new(self.control.clone(), Arc::new(SetClock(AtomicI64::new(0))), hints, self.door.clone())
    }

    async fn schedule(&self, spec: ScheduledJobSpec, now: Timestamp) -> ScheduledJobId {
        let id = ScheduledJobId(uuid::Uuid::now_v7());
        let pattern = Patterns::default().of(&spec).expect("a timetable");
        let next = Timetable::new(&*pattern, id, &spec).next(now);
        let (organization, user) = ("acme".to_owned(), "ann".to_owned());
        let spec = spec.with_defaults();
        let new = NewSchedule { id, organization, user, spec, decided: now, next, created_at: now };
        self.control.insert_schedule(new).await.expect("stored").id
    }

    /// Lets a server do all that is due; answers when the next slot is.
    async fn go(&self, now: Timestamp) -> Option<Timestamp> {
        let server = self.server();
        loop {
            let next = server.run_once(now).await.expect("works");
            if next.is_none_or(|next| next > now) {
                return next;
            }
        }
    }

    /// What became of the slots, oldest first: a letter, and the slot.
    async fn told(&self, id: ScheduledJobId) -> Vec<(char, Timestamp)> {
        let runs = self.control.schedule_runs(&Scope::Everything, id, None, 2000).await.expect("works");
        let mut told = Vec::new();
        for run in runs.expect("there").values.into_iter().rev() {
            let letter = match (run.kind, run.reason) {
                (RunKind::Fired | RunKind::Triggered, _) => {
                    let job = run.job_id.expect("a job");
                    let job = self.control.read_job(&Scope::Everything, job).await.expect("works").expect("stored").job;
                    assert_eq!((job.scheduled_for, job.scheduled_job_id), (Some(run.slot_at), Some(id)));
                    if job.status == Status::Waiting { 'W' } else { 'F' }
                }
                (_, Some(SkipReason::Missed)) => 'M',
                (_, Some(SkipReason::Overlap)) => 'O',
                (_, Some(SkipReason::Superseded)) => 'S',
                (_, Some(SkipReason::InvalidJob)) => 'I',
                (_, reason) => panic!("{reason:?}"),
            };
            assert_eq!(run.last_slot_at, None, "told as one: {run:?}");
            told.push((letter, run.slot_at));
        }
        told
    }

    async fn letters(&self, id: ScheduledJobId) -> String {
        self.told(id).await.into_iter().map(|(letter, _)| letter).collect()
    }

    async fn slots(&self, id: ScheduledJobId) -> Vec<String> {
        self.told(id).await.into_iter().map(|(letter, at)| format!("{letter} {}", &at.to_string()[..16])).collect()
    }
}

#[tokio::test]
async fn each_slot_fires_once_in_its_time() {
    let world = World::new();
    let id = world.schedule(every("0 * * * *", "UTC"), at("2026-06-01T00:10Z")).await;
    assert_eq!(world.go(at("2026-06-01T00:59:59Z")).await, Some(at("2026-06-01T01:00Z")));
    assert_eq!(world.letters(id).await, "");
    for _ in 0..3 {
        assert_eq!(world.go(at("2026-06-01T01:00Z")).await, Some(at("2026-06-01T02:00Z")));
    }
    assert_eq!(world.slots(id).await, ["F 2026-06-01T01:00"]);
    // A clock that goes back fires nothing again.
    assert_eq!(world.go(at("2026-06-01T00:30Z")).await, Some(at("2026-06-01T02:00Z")));
    assert_eq!(world.letters(id).await, "F");
}

/// Down for five hours of an hourly timetable; with no job, and with one that has not ended.
#[tokio::test]
async fn every_misfire_policy_with_every_overlap_policy() {
    use {MisfirePolicy as M, OverlapPolicy as O};
    for (misfire, overlap, idle, busy) in [
        (M::Last, O::Skip, "MMMMF", "MMMMO"),
        (M::Last, O::QueueOne, "MMMMF", "MMMMW"),
        (M::Last, O::Allow, "MMMMF", "MMMMF"),
        (M::Last, O::CancelRunning, "MMMMF", "MMMMF"),
        (M::All, O::Skip, "FOOOO", "OOOOO"),
        (M::All, O::QueueOne, "FWOOO", "WOOOO"),
        (M::All, O::Allow, "FFFFF", "FFFFF"),
        (M::All, O::CancelRunning, "SSSSF", "SSSSF"),
        (M::None, O::Skip, "MMMMM", "MMMMM"),
        (M::None, O::QueueOne, "MMMMM", "MMMMM"),
        (M::None, O::Allow, "MMMMM", "MMMMM"),
        (M::None, O::CancelRunning, "MMMMM", "MMMMM"),
    ] {
        for (running, expected) in [(false, idle), (true, busy)] {
            let world = World::new();
            let spec = ScheduledJobSpec {
                misfire_policy: Some(misfire),
                overlap_policy: Some(overlap),
                ..every("0 * * * *", "UTC")
            };
            let id = world.schedule(spec, at("2026-06-01T00:30Z")).await;
            let mut first = None;
            if running {
                world.go(at("2026-06-01T01:00Z")).await;
                first = world.control.active_jobs(id, 9).await.expect("works").pop();
            }
            let up = if running { "2026-06-01T06:30Z" } else { "2026-06-01T05:30Z" };
            world.go(at(up)).await;
            let expected = if running { format!("F{expected}") } else { expected.to_owned() };
            assert_eq!(world.letters(id).await, expected, "{misfire:?} {overlap:?}, running: {running}");
            let Some(first) = first else { continue };
            let canceled = overlap == O::CancelRunning && misfire != M::None;
            let job = world.control.read_job(&Scope::Everything, first).await.expect("works").expect("there").job;
            assert_eq!(job.status == Status::Canceled, canceled, "{misfire:?} {overlap:?}");
            // Whoever waits starts when the other one has ended.
            if !canceled {
                end(&world.control, first, Status::Canceled, None).await;
            }
            assert!(!world.letters(id).await.contains('W'), "{misfire:?} {overlap:?}");
        }
    }
}

#[tokio::test]
async fn down_for_a_day_of_quarters() {
    for (misfire, expected) in [
        (MisfirePolicy::Last, format!("{}F", "M".repeat(95))),
        (MisfirePolicy::All, "F".repeat(96)),
        (MisfirePolicy::None, "M".repeat(96)),
    ] {
        let world = World::new();
        let spec = ScheduledJobSpec {
            misfire_policy: Some(misfire),
            overlap_policy: Some(OverlapPolicy::Allow),
            ..every("*/15 * * * *", "UTC")
        };
        let start = at("2026-06-01T00:05Z");
        let id = world.schedule(spec, start).await;
        assert_eq!(world.go(at("2026-06-02T00:05Z")).await, Some(at("2026-06-02T00:15Z")));
        let told = world.told(id).await;
        assert_eq!(told.iter().map(|(letter, _)| letter).collect::<String>(), expected, "{misfire:?}");
        let slots: Vec<_> = told.iter().map(|(_, at)| *at).collect();
        let quarters = (0..96).map(|n| at("2026-06-01T00:15Z").plus_millis(n * 900_000));
        assert_eq!(slots, quarters.collect::<Vec<_>>());
    }
}

/// Down over both changes of the clocks.
#[tokio::test]
async fn down_while_the_clocks_change() {
    // In spring 02:30 is in the gap: it fires at its end, 03:00, which is 01:00 UTC.
    let spring = ("2026-03-28T12:00Z", "2026-03-30T12:00Z", ["2026-03-29T01:00", "2026-03-30T00:30"]);
    // In autumn 02:30 comes twice, and counts the first time.
    let autumn = ("2026-10-24T12:00Z", "2026-10-26T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]);
    for (down, up, [first, second]) in [spring, autumn] {
        for (misfire, [one, two]) in
            [(MisfirePolicy::Last, ["M", "F"]), (MisfirePolicy::All, ["F", "F"]), (MisfirePolicy::None, ["M", "M"])]
        {
            let world = World::new();
            let spec = ScheduledJobSpec {
                misfire_policy: Some(misfire),
                overlap_policy: Some(OverlapPolicy::Allow),
                ..every("30 2 * * *", "Europe/Zurich")
            };
            let id = world.schedule(spec, at(down)).await;
            world.go(at(up)).await;
            assert_eq!(world.slots(id).await, [format!("{one} {first}"), format!("{two} {second}")], "{misfire:?}");
        }
    }
    // And down for an hour around the changes, hourly: every real hour counts once.
    for (down, up, hours) in [
        ("2026-03-29T00:30Z", "2026-03-29T02:30Z", ["2026-03-29T01:00", "2026-03-29T02:00"]),
        ("2026-10-25T00:30Z", "2026-10-25T02:30Z", ["2026-10-25T01:00", "2026-10-25T02:00"]),
    ] {
        let world = World::new();
        let spec = ScheduledJobSpec {
            misfire_policy: Some(MisfirePolicy::All),
            overlap_policy: Some(OverlapPolicy::Allow),
            ..every("0 * * * *", "Europe/Zurich")
        };
        let id = world.schedule(spec, at(down)).await;
        world.go(at(up)).await;
        assert_eq!(world.slots(id).await, hours.map(|hour| format!("F {hour}")));
    }
}

#[tokio::test]
async fn a_minute_late_is_not_missed() {
    let world = World::new();
    let spec = ScheduledJobSpec { misfire_policy: Some(MisfirePolicy::None), ..every("0 * * * *", "UTC") };
    let id = world.schedule(spec, at("2026-06-01T00:30Z")).await;
    world.go(at("2026-06-01T01:01:00Z")).await;
    world.go(at("2026-06-01T02:01:00.001Z")).await;
    assert_eq!(world.letters(id).await, "FM");
}

#[tokio::test]
async fn a_year_of_minutes_is_few_rows() {
    let world = World::new();
    let spec = ScheduledJobSpec { max_catch_up: Some(5), ..every("* * * * *", "UTC") };
    let id = world.schedule(spec, at("2025-06-01T00:00Z")).await;
    world.go(at("2026-06-01T00:00:30Z")).await;
    let runs = world.control.schedule_runs(&Scope::Everything, id, None, 100).await.expect("works").expect("there");
    assert_eq!(runs.values.len(), 7);
    let oldest = &runs.values[6];
    assert_eq!((oldest.slot_at, oldest.slots), (at("2025-06-01T00:01Z"), None));
    assert_eq!(oldest.last_slot_at, Some(at("2026-05-31T23:54Z")));
    assert_eq!((runs.values[0].kind, runs.values[0].slot_at), (RunKind::Fired, at("2026-06-01T00:00Z")));
}

#[tokio::test]
async fn a_job_that_can_t_be_started_pauses_its_timetable() {
    let world = World::new();
    let id = world.schedule(every("0 * * * *", "UTC"), at("2026-06-01T00:30Z")).await;
    world.door.refuses.store(true, Ordering::Relaxed);
    assert_eq!(world.go(at("2026-06-01T01:00Z")).await, None);
    assert_eq!(world.slots(id).await, ["I 2026-06-01T01:00"]);
    let paused = world.control.read_schedule(&Scope::Everything, id).await.expect("works").expect("there");
    assert!(paused.spec.is_paused() && paused.next.is_none());
    let reason = "The job can't be started: dockerImageUrl is not allowed";
    assert_eq!((paused.paused_reason.as_deref(), paused.modified_at), (Some(reason), at("2026-06-01T01:00Z")));
}

#[tokio::test]
async fn a_dependency_that_is_gone_pauses_its_timetable() {
    let world = World::new();
    let gone = JobId(uuid::Uuid::now_v7());
    let mut spec = every("0 * * * *", "UTC");
    spec.job.job_dependencies =
        vec![JobDependency { job_id: gone, condition: DependencyCondition::Finished, max_failed_share: None }];
    let id = world.schedule(spec, at("2026-06-01T00:30Z")).await;
    assert_eq!(world.go(at("2026-06-01T01:00Z")).await, None);
    assert_eq!(world.letters(id).await, "I");
    let paused = world.control.read_schedule(&Scope::Everything, id).await.expect("works").expect("there");
    assert!(paused.paused_reason.is_some_and(|reason| reason.contains(&gone.to_string())));
}

#[tokio::test]
async fn the_end_and_the_spread_hold() {
    let world = World::new();
    let spec = ScheduledJobSpec {
        end_at: Some(at("2026-06-01T02:00Z")),
        jitter_seconds: Some(600),
        ..every("0 * * * *", "UTC")
    };
    let id = world.schedule(spec, at("2026-06-01T00:30Z")).await;
    let due = world.go(at("2026-06-01T01:00Z")).await.expect("spread");
    assert!(due > at("2026-06-01T01:00Z") && due <= at("2026-06-01T01:10Z"), "{due}");
    world.go(due).await;
    assert_eq!(world.go(at("2026-06-01T02:10Z")).await, None);
    assert_eq!(world.told(id).await.len(), 2);
}

/// Two servers on one store, or one that was slow and its successor: each slot fires once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_servers_fire_each_slot_once() {
    let world = World::new();
    let mut ids = Vec::new();
    for _ in 0..150 {
        ids.push(world.schedule(every("* * * * * *", "UTC"), at("2026-06-01T00:00Z")).await);
    }
    for second in 1..=3 {
        let now = at("2026-06-01T00:00Z").plus_millis(second * 1000);
        let mut servers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let server = world.server();
            servers.spawn(async move { while server.run_once(now).await.expect("works") == Some(now) {} });
        }
        servers.join_all().await;
    }
    for id in ids {
        let slots: Vec<_> = world.told(id).await.into_iter().map(|(_, at)| at.as_millis() / 1000 % 60).collect();
        assert_eq!(slots, [1, 2, 3]);
    }
}

#[test]
fn it_sleeps_until_the_next_slot_and_never_long() {
    let at = Timestamp::from_millis;
    for (next, seconds) in [(Some(1_000), 0), (Some(6_000), 1), (Some(99_000), 30), (None, 30)] {
        assert_eq!(rest(next.map(at), at(5_000)).as_secs(), seconds, "{next:?}");
    }
}
