//! Rounds over the drivers in memory, under a clock that the tests set.

use super::round::make;
use super::rounds::{for_all, for_those_who_asked};
use super::*;
use crate::clock::Clock;
use crate::compare::{CompareOptions, Comparisons};
use crate::engine::{Engine, LaneSettings, LaunchSettings};
use crate::executors::{AttemptKey, Executor, ExecutorError, Launch, LogRange, LogReader, Observed};
use crate::feed::{Feed, Growth};
use crate::operations::{AllowedImages, Attachments, Counting, Erasures, Executors, Exports, Gates, JobIds};
use crate::secrets::Secrets;
use crate::store::memory::{MemoryControl, MemoryFiles, MemoryResults};
use crate::store::queue::Limits;
use crate::store::{AttemptEnd, NewJob, ResultStore, ScheduleStore, Scope, SetKey, SetOwner, StorageKey, Transition};
use crate::webhooks::Guard;
use async_trait::async_trait;
use docket_contract::history::{Actor, Cause};
use docket_contract::job::{ExecutorKind, JobSpec};
use docket_contract::result::ResultItem;
use docket_contract::{JobId, ProcessingLogId, Role, Status};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const DAY: i64 = 86_400_000;
const NOW: i64 = 1_790_000_000_000;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// An executor that runs nothing, and whose runner answers or does not.
#[derive(Default)]
struct TestExecutor {
    silent: AtomicBool,
}

impl TestExecutor {
    fn answers(&self) -> Result<(), ExecutorError> {
        let silent = self.silent.load(Ordering::Relaxed);
        if silent { Err(ExecutorError::Unreachable("silent".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Executor for TestExecutor {
    async fn launch(&self, _: Vec<Launch>) -> Result<(), ExecutorError> {
        self.answers()
    }

    async fn cancel(&self, _: AttemptKey, _: Duration) -> Result<(), ExecutorError> {
        self.answers()
    }

    async fn list(&self) -> Result<Vec<Observed>, ExecutorError> {
        self.answers().map(|()| Vec::new())
    }

    async fn forget(&self, _: &[AttemptKey]) -> Result<(), ExecutorError> {
        self.answers()
    }

    async fn events(&self) -> Result<Vec<Observed>, ExecutorError> {
        std::future::pending().await
    }

    async fn read_log(&self, _: AttemptKey, _: LogRange) -> Result<LogReader, ExecutorError> {
        Err(ExecutorError::Unreachable("there are no logs".to_owned()))
    }

    async fn remove(&self, _: Uuid) -> Result<(), ExecutorError> {
        self.answers()
    }
}

struct World {
    service: Service,
    executor: Arc<TestExecutor>,
    clock: Arc<SetClock>,
    stop: watch::Sender<bool>,
}

fn caller(organization: &str) -> Caller {
    Caller { organization: organization.to_owned(), role: Role::Admin, user: "ann".to_owned(), job: None }
}

fn rule(storage_id: Option<&str>, job_type: Option<&str>) -> RetentionRule {
    RetentionRule {
        storage_id: storage_id.map(str::to_owned),
        job_type: job_type.map(str::to_owned),
        ..RetentionRule::default()
    }
}

fn days(rule: RetentionRule, days: i32) -> RetentionRule {
    RetentionRule { keep_days: Some(days), ..rule }
}

fn runs(rule: RetentionRule, runs: i32) -> RetentionRule {
    RetentionRule { keep_runs: Some(runs), ..rule }
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::from_millis(NOW - days * DAY - 1)
}

impl World {
    fn new(policies: Vec<ConfiguredPolicy>) -> Self {
        let control = Arc::new(MemoryControl::default());
        let results: Arc<dyn ResultStore> = Arc::new(MemoryResults::default());
        let clock = Arc::new(SetClock(AtomicI64::new(NOW)));
        let secrets = Arc::new(Secrets::new(&[7; 32]));
        let launch = LaunchSettings { url: String::new(), log_limit_bytes: 4096, max_processes: None };
        let executor = Arc::new(TestExecutor::default());
        let kind = ExecutorKind::Process;
        let lane = LaneSettings { kind, executor: executor.clone(), slots: 1, launch: launch.clone() };
        let (limits, lanes) = (Limits::default(), vec![lane]);
        let (for_engine, told) = (control.clone(), clock.clone());
        let engine = Engine::new(for_engine, results.clone(), told, secrets.clone(), limits, lanes, launch);
        let compared = Comparisons::open(None, results.clone(), clock.clone(), CompareOptions::default());
        let service = Service {
            control: control.clone(),
            schedules: control.clone() as Arc<dyn ScheduleStore>,
            results,
            engine,
            clock: clock.clone(),
            secrets,
            images: AllowedImages::Any,
            executors: Executors::default(),
            webhooks: Guard::default(),
            ids: JobIds::default(),
            attachments: Attachments::new(Arc::new(MemoryFiles::default()), 1000),
            exports: Exports::default(),
            gates: Gates::default(),
            feed: Feed::new(control.clone(), 10),
            growth: Growth::default(),
            comparisons: compared.expect("in memory"),
            counting: Counting::default(),
            erasures: Erasures::default(),
            retention: Retention::new(control, RetentionSettings { every: None, policies }),
        };
        Self { service, executor, clock, stop: watch::Sender::new(false) }
    }

    /// A job that has ended so many days ago.
    async fn ended(&self, whose: &str, storage: Option<&str>, kind: Option<&str>, days: i64) -> JobId {
        let job = self.job(whose, storage, kind).await;
        self.end(job, days).await;
        job
    }

    async fn end(&self, job: JobId, days: i64) {
        let control = &self.service.control;
        let transition = Transition {
            id: job,
            attempt: 0,
            from: Status::Persisted,
            claimed: false,
            to: Status::Canceled,
            at: days_ago(days),
            started_at: None,
            status_message: None,
            exit_code: None,
            cause: Cause::Canceled,
            actor: Actor::SERVER,
            end: AttemptEnd::default(),
            due_at: None,
        };
        assert!(control.transition(vec![transition]).await.expect("works")[0].is_some());
    }

    async fn job(&self, whose: &str, storage: Option<&str>, kind: Option<&str>) -> JobId {
        let (storage, kind) = (storage.map(str::to_owned), kind.map(str::to_owned));
        let spec = JobSpec { result_storage_id: storage, job_type: kind, ..JobSpec::default() };
        self.insert(whose, spec).await
    }

    async fn insert(&self, whose: &str, spec: JobSpec) -> JobId {
        let new = NewJob {
            id: JobId(Uuid::now_v7()),
            organization: whose.to_owned(),
            user: "ann".to_owned(),
            spec,
            status: Status::Persisted,
            created_at: days_ago(1000),
            rerun: None,
            scheduled: None,
        };
        self.service.control.insert_job(new).await.expect("stored").job.id
    }

    /// Writes so many results, so many days ago; the first one is `from`.
    async fn write(&self, set: &SetKey, from: usize, count: usize, days: i64) {
        let record = |number: usize| {
            let json = format!(r#"{{"externalId": "r{number}", "status": "OK", "resultData": "{{}}"}}"#);
            let ResultItem::Record(record, _) = ResultItem::parse(&json) else { panic!("a record") };
            record
        };
        let records = (from..from + count).map(record).collect();
        self.service.results.upsert_results(set, records, days_ago(days)).await.expect("written");
    }

    async fn put(&self, whose: &str, rule: RetentionRule) {
        put(&self.service, &caller(whose), rule).await.expect("stored");
    }

    async fn round(&self, whose: &str) -> docket_contract::retention::RetentionRound {
        make(&self.service, whose, self.stop.subscribe()).await.expect("a round")
    }

    async fn are_left(&self, jobs: &[JobId]) -> Vec<bool> {
        let mut left = Vec::new();
        for id in jobs {
            left.push(self.service.control.read_job(&Scope::Everything, *id).await.expect("works").is_some());
        }
        left
    }
}

fn set(whose: &str, storage: &str, owner: SetOwner) -> SetKey {
    SetKey { storage: StorageKey { organization: whose.to_owned(), storage_id: storage.to_owned() }, owner }
}

#[tokio::test(start_paused = true)]
async fn old_jobs_go_and_others_stay() {
    let world = World::new(Vec::new());
    let jobs = [
        world.ended("a", Some("s"), None, 30).await,
        world.ended("a", Some("s"), None, 10).await,
        world.ended("a", None, Some("T_JOB"), 10).await,
        world.ended("a", Some("s"), None, 9).await,
        world.ended("b", Some("s"), None, 30).await,
        world.job("a", Some("s"), None).await,
    ];
    world.put("a", days(rule(None, None), 10)).await;
    let previewed = preview(&world.service, &caller("a")).await.expect("a preview");
    assert_eq!((previewed.values.len(), previewed.values[0].jobs, previewed.complete), (1, 3, true));
    assert_eq!(world.are_left(&jobs).await, [true; 6], "a preview removes nothing");
    let told = world.round("a").await;
    assert_eq!((told.jobs, told.error), (3, None));
    assert_eq!(world.are_left(&jobs).await, [false, false, false, true, true, true]);
    assert_eq!(preview(&world.service, &caller("a")).await.expect("a preview").values[0].jobs, 0);
    // A day later the next one is old enough.
    world.clock.0.fetch_add(DAY, Ordering::Relaxed);
    assert_eq!(world.round("a").await.jobs, 1);
    assert_eq!(world.are_left(&jobs).await, [false, false, false, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn the_newest_runs_of_each_storage_and_type_stay() {
    let world = World::new(Vec::new());
    let groups =
        [(None, None), (Some("s"), None), (Some("s"), Some("T_JOB")), (None, Some("T_JOB")), (Some("r"), None)];
    let mut kept = BTreeSet::new();
    let mut all = Vec::new();
    for (storage, kind) in groups {
        // They don't count: they have not ended.
        kept.insert(world.job("a", storage, kind).await);
        // Ends are in another order than beginnings.
        for days in [4, 1, 3, 2, 5] {
            let job = world.ended("a", storage, kind, days).await;
            let most = if kind.is_some() { 1 } else { 3 };
            if days <= most {
                kept.insert(job);
            }
            all.push(job);
        }
    }
    world.put("a", runs(rule(None, None), 3)).await;
    world.put("a", runs(rule(None, Some("T_JOB")), 1)).await;
    let jobs = preview(&world.service, &caller("a")).await.expect("a preview").values;
    assert_eq!(jobs.iter().map(|found| found.jobs).collect::<Vec<_>>(), [3 * 2, 2 * 4]);
    assert_eq!(world.round("a").await.jobs, 14);
    let left = world.are_left(&all).await;
    let left: BTreeSet<_> = all.iter().zip(left).filter(|(_, left)| *left).map(|(id, _)| *id).collect();
    assert_eq!(left, kept.intersection(&all.iter().copied().collect()).copied().collect());
    assert_eq!(world.round("a").await.jobs, 0);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_both_keeps_what_both_keep() {
    let world = World::new(Vec::new());
    let mut jobs = Vec::new();
    for days in [40, 30, 20, 10] {
        jobs.push(world.ended("a", None, None, days).await);
    }
    world.put("a", RetentionRule { keep_runs: Some(3), ..days(rule(None, None), 25) }).await;
    assert_eq!(preview(&world.service, &caller("a")).await.expect("a preview").values[0].jobs, 2);
    assert_eq!(world.round("a").await.jobs, 2);
    assert_eq!(world.are_left(&jobs).await, [false, false, true, true]);
    world.put("a", RetentionRule { keep_runs: Some(1), ..days(rule(None, None), 25) }).await;
    assert_eq!(world.round("a").await.jobs, 1);
    assert_eq!(world.are_left(&jobs).await, [false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn more_jobs_than_a_step_go_with_their_results() {
    let world = World::new(Vec::new());
    world.put("a", runs(rule(Some("s"), None), 7)).await;
    for number in 0..127 {
        let job = world.ended("a", Some("s"), Some("T_JOB"), 200 - number).await;
        assert!(world.service.control.note_storage(job, "s").await.expect("works"));
        world.write(&set("a", "s", SetOwner::Job(job)), 0, 3, 200 - number).await;
    }
    let told = world.round("a").await;
    assert_eq!((told.jobs, told.results, told.log_entries), (120, 360, 0));
    let stored = world.service.retention.store.last_round("a").await.expect("works");
    assert_eq!(stored, Some(told));
    let left = world.service.results.newest_jobs(&set("a", "s", SetOwner::Job(JobId::NONE)).storage, 999).await;
    assert_eq!(left.expect("works").len(), 7);
}

#[tokio::test(start_paused = true)]
async fn old_entries_of_logs_go() {
    let world = World::new(Vec::new());
    let logs = [ProcessingLogId::CurationLog, ProcessingLogId::QualificationLog].map(SetOwner::Log);
    for whose in ["a", "b"] {
        for storage in ["r", "s"] {
            for log in logs {
                world.write(&set(whose, storage, log), 0, 5000, 10).await;
                world.write(&set(whose, storage, log), 4900, 300, 3).await;
            }
        }
    }
    let job = world.job("a", Some("s"), None).await;
    world.write(&set("a", "s", SetOwner::Job(job)), 0, 10, 100).await;
    let entries = async |whose, storage| {
        let mut counts = Vec::new();
        for log in logs {
            let tallies = world.service.results.statistics(&set(whose, storage, log)).await.expect("works");
            counts.push(tallies.iter().map(|tally| tally.count).sum::<u64>());
        }
        counts
    };
    world.put("a", RetentionRule { keep_log_days: Some(5), ..rule(Some("s"), None) }).await;
    let told = world.round("a").await;
    assert_eq!((told.jobs, told.log_entries, told.error), (0, 9800, None));
    assert_eq!((entries("a", "s").await, entries("a", "r").await), (vec![300; 2], vec![5200; 2]));
    assert_eq!(entries("b", "s").await, [5200; 2]);
    let results = world.service.results.statistics(&set("a", "s", SetOwner::Job(job))).await.expect("works");
    assert_eq!(results.iter().map(|tally| tally.count).sum::<u64>(), 10, "results of jobs are none of a log's");
    // All other storages as the policy for all says.
    world.put("a", RetentionRule { keep_log_days: Some(1), ..rule(None, None) }).await;
    assert_eq!(world.round("a").await.log_entries, 10_400);
    assert_eq!((entries("a", "s").await, entries("a", "r").await), (vec![300; 2], vec![0; 2]));
}

#[tokio::test(start_paused = true)]
async fn policies_of_the_configuration_count_for_those_they_name() {
    let configured = |whose: Option<&str>, rule| ConfiguredPolicy { organization: whose.map(str::to_owned), rule };
    let world = World::new(vec![
        configured(Some("a"), days(rule(None, None), 5)),
        configured(None, days(rule(None, None), 50)),
        configured(None, days(rule(Some("s"), None), 500)),
    ]);
    let mut jobs = Vec::new();
    for (whose, storage, days) in [
        ("a", None, 10),
        ("b", None, 10),
        ("b", None, 60),
        ("a", Some("s"), 60),
        ("c", None, 10),
        ("default", None, 60),
    ] {
        jobs.push(world.ended(whose, storage, None, days).await);
    }
    world.put("c", days(rule(None, None), 7)).await;
    let listed = list(&world.service, &caller("a")).await.expect("a list");
    let told = listed.values.iter().map(|policy| (policy.source, policy.rule.keep_days));
    let configuration = docket_contract::retention::PolicySource::Configuration;
    assert_eq!(told.collect::<Vec<_>>(), [(configuration, Some(5)), (configuration, Some(500))]);
    for_all(&world.service, &world.stop.subscribe()).await;
    assert_eq!(world.are_left(&jobs).await, [false, true, false, true, false, false]);
    let round = list(&world.service, &caller("b")).await.expect("a list").last_round.expect("a round");
    assert_eq!((round.jobs, round.ended_at.is_some()), (1, true));
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_gets_one_round() {
    let world = World::new(Vec::new());
    let already = |whose: &str| start(&world.service, &caller(whose)).already_going_on;
    assert_eq!((already("a"), already("a"), already("b")), (false, true, false));
    assert!(list(&world.service, &caller("a")).await.expect("a list").going_on);
    let job = world.ended("a", None, None, 10).await;
    world.put("a", days(rule(None, None), 7)).await;
    for_those_who_asked(&world.service, &world.stop.subscribe()).await;
    assert_eq!(world.are_left(&[job]).await, [false]);
    let listed = list(&world.service, &caller("a")).await.expect("a list");
    assert_eq!((listed.going_on, listed.last_round.map(|round| round.jobs)), (false, Some(1)));
    assert!(list(&world.service, &caller("b")).await.expect("a list").last_round.is_some());
    assert!(!already("a"));
}

#[tokio::test(start_paused = true)]
async fn a_round_that_is_stopped_goes_on_later() {
    let world = World::new(Vec::new());
    for number in 0..10 {
        world.ended("a", None, None, 20 + number).await;
    }
    world.put("a", days(rule(None, None), 7)).await;
    world.stop.send_replace(true);
    make(&world.service, "a", world.stop.subscribe()).await.expect_err("it is to stop");
    let round = world.service.retention.store.last_round("a").await.expect("works").expect("a round");
    assert_eq!((round.ended_at, preview(&world.service, &caller("a")).await.expect("works").values[0].jobs), (None, 9));
    world.stop.send_replace(false);
    assert_eq!(world.round("a").await.jobs, 9);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_can_t_be_removed_does_not_keep_the_others() {
    let world = World::new(Vec::new());
    let mut jobs = vec![world.ended("a", None, None, 30).await];
    for executor in [ExecutorKind::Process, ExecutorKind::Worker] {
        let spec = JobSpec { executor: Some(executor), ..JobSpec::default() };
        let job = world.insert("a", spec).await;
        world.end(job, 20).await;
        jobs.push(job);
    }
    world.put("a", days(rule(None, None), 7)).await;
    // Jobs that run as processes have files, and whoever has them does not answer.
    world.executor.silent.store(true, Ordering::Relaxed);
    let told = world.round("a").await;
    assert_eq!(world.are_left(&jobs).await, [true, true, false]);
    let error = told.error.expect("failures");
    assert_eq!(told.jobs, 1);
    assert!(error.starts_with("2 of the jobs and logs could not be removed") && error.contains("files"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_round_of_failures_only_is_given_up() {
    let world = World::new(Vec::new());
    for _ in 0..150 {
        world.ended("a", None, None, 30).await;
    }
    world.put("a", days(rule(None, None), 7)).await;
    world.executor.silent.store(true, Ordering::Relaxed);
    let error = world.round("a").await.error.expect("failures");
    assert!(error.starts_with("101 of"), "{error}");
}

#[tokio::test]
async fn an_organization_has_at_most_a_thousand_policies() {
    let world = World::new(Vec::new());
    for number in 0..MAX_POLICIES {
        world.put("a", days(rule(Some(&format!("s{number}")), None), 1)).await;
    }
    let one_more = put(&world.service, &caller("a"), days(rule(None, None), 1)).await.expect_err("too many");
    assert_eq!((one_more.errors[0].pointer.as_str(), one_more.errors[0].code.as_str()), ("/storageId", "too_many"));
    assert!(one_more.detail.contains("1000"), "{}", one_more.detail);
    world.put("a", days(rule(Some("s7"), None), 2)).await;
    world.put("b", days(rule(None, None), 1)).await;
}
