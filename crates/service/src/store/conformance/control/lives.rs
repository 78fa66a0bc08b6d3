//! Random sequences of everything that can happen to jobs, and what must hold after each step, whatever happened:
//! locks have one holder, limits are kept, the best rank goes first, no job starts before what it depends on allows it,
//! and once the duties have nothing left to do no job waits for something that is free or over.

use super::{Fixture, at, new_job, of, transition};
use crate::store::queue::{Limits, Room, rank};
use crate::store::{Changed, ControlStore, JobChange, NewJob, Scope, StoredJob};
use docket_contract::job::{DependencyCondition, ExecutorKind, Figures, JobDependency};
use docket_contract::{JobId, Status, Timestamp};
use fastrand::Rng;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

const SEEDS: u64 = 3;
const STEPS: usize = 250;
/// Jobs at a time; then some are deleted.
const MOST_JOBS: usize = 60;
const ORGANIZATIONS: [&str; 2] = ["a", "b"];
const EXECUTORS: [ExecutorKind; 2] = [ExecutorKind::Process, ExecutorKind::Docker];
const LOCKS: [&str; 3] = ["x", "y", "z"];
const TYPES: [&str; 2] = ["A_JOB", "B_JOB"];
const CONDITIONS: [DependencyCondition; 3] =
    [DependencyCondition::Finished, DependencyCondition::Terminated, DependencyCondition::FailedOrDied];

/// What the test knows beside the store.
struct World<'a> {
    fixture: &'a dyn Fixture,
    store: Arc<dyn ControlStore>,
    random: Rng,
    seconds: i64,
    limits: Limits,
    /// How each job ended, also of those that are deleted.
    ends: HashMap<JobId, Status>,
    /// Jobs that were canceled by hand.
    canceled: HashSet<JobId>,
    /// When the next attempt of a job is due.
    retries: HashMap<JobId, Timestamp>,
}

pub async fn whatever_happens_every_job_gets_its_turn(fixture: &dyn Fixture) {
    let mut world = World {
        fixture,
        store: fixture.open().await,
        random: Rng::new(),
        seconds: 0,
        limits: Limits::default(),
        ends: HashMap::new(),
        canceled: HashSet::new(),
        retries: HashMap::new(),
    };
    for seed in 0..SEEDS {
        world.random = Rng::with_seed(seed);
        for _ in 0..STEPS {
            world.step().await;
            let jobs = world.jobs().await;
            world.check(&jobs);
        }
        world.wind_down().await;
        world.reopen().await;
    }
}

/// What the results of a job come to here: none, half or all of them FAILED.
fn figures(id: JobId) -> Figures {
    Figures { failed: u64::from(id.0.as_bytes()[15] % 3), total: 2 }
}

/// Whether an end fulfils a dependency, its quality gate included.
fn fulfilled_by(on: &JobDependency, end: Status) -> Option<bool> {
    let passes = on.quality_gate().is_none_or(|most| figures(on.job_id).within(most));
    on.condition.fulfilled_by(end).map(|fulfilled| fulfilled && passes)
}

impl World<'_> {
    /// Counts the results of a step of jobs, again and again; answers whether there were any.
    async fn measure(&self, step: usize) -> bool {
        let jobs = self.store.unmeasured_jobs(0, step).await.unwrap();
        let counted: Vec<_> = jobs.iter().map(|job| (job.id, figures(job.id))).collect();
        self.store.measure(counted.clone()).await.unwrap();
        // What was written first stays.
        let other = counted.iter().map(|(id, _)| (*id, Figures::default())).collect();
        self.store.measure(other).await.unwrap();
        !jobs.is_empty()
    }

    fn now(&self) -> Timestamp {
        at(self.seconds)
    }

    /// All jobs, in the order of their creation.
    async fn jobs(&self) -> Vec<StoredJob> {
        let mut query = super::model::query(Scope::Everything);
        (query.descending, query.limit) = (false, 10_000);
        self.store.list_jobs(query).await.unwrap().jobs
    }

    fn any<'j>(&mut self, jobs: &'j [StoredJob], of: impl Fn(&StoredJob) -> bool) -> Option<&'j StoredJob> {
        let jobs: Vec<_> = jobs.iter().filter(|job| of(job)).collect();
        self.random.choice(jobs)
    }

    async fn step(&mut self) {
        match self.random.u8(0..100) {
            0..25 => self.insert().await,
            25..40 => {
                let free = self.random.usize(0..4);
                let executor = self.random.choice(EXECUTORS).unwrap();
                self.claim(executor, free).await;
            }
            40..65 => self.report().await,
            65..70 => self.cancel().await,
            70..74 => self.delete().await,
            74..79 => self.reprioritize().await,
            79..84 => self.seconds += self.random.i64(0..20),
            84..89 => {
                let step = self.random.usize(1..4);
                self.store.resolve_dependents(self.now(), step).await.unwrap();
                if self.random.bool() {
                    self.measure(step).await;
                }
            }
            89..93 => {
                let step = self.random.usize(1..4);
                self.store.release_due(self.now(), step).await.unwrap();
            }
            93..96 => self.limit().await,
            96..98 => self.reopen().await,
            _ => self.run_dry().await,
        }
    }

    async fn insert(&mut self) {
        let jobs = self.jobs().await;
        if jobs.len() >= MOST_JOBS {
            return self.delete().await;
        }
        let organization = *self.random.choice(&ORGANIZATIONS).unwrap();
        let mut new = NewJob { created_at: self.now(), ..new_job(organization) };
        new.spec.executor = self.random.choice(EXECUTORS);
        new.spec.priority = self.random.bool().then(|| self.random.i32(0..=100));
        new.spec.job_type = self.random.bool().then(|| (*self.random.choice(&TYPES).unwrap()).to_owned());
        new.spec.ttl_seconds_after_finished = (self.random.u8(0..4) == 0).then_some(5);
        if self.random.u8(0..3) == 0 {
            new.spec.locks = LOCKS.into_iter().filter(|_| self.random.bool()).map(str::to_owned).collect();
        }
        if self.random.u8(0..6) == 0 {
            new.spec.start_at = Some(at(self.seconds + self.random.i64(-5..30)));
        }
        if self.random.bool() {
            for _ in 0..self.random.usize(0..4) {
                let Some(on) = self.any(&jobs, |job| job.organization == organization) else { break };
                let condition = *self.random.choice(&CONDITIONS).unwrap();
                let gate = condition == DependencyCondition::Finished && self.random.bool();
                let max_failed_share = if gate { self.random.choice([0.0, 0.4, 1.0]) } else { None };
                new.spec.job_dependencies.push(JobDependency { job_id: on.job.id, condition, max_failed_share });
            }
        }
        let plain = new.spec.job_dependencies.is_empty() && new.spec.start_at.is_none();
        if plain && self.random.bool() {
            new.status = Status::Scheduled;
        }
        self.store.insert_job(new).await.unwrap();
    }

    /// Claims, and checks that the best jobs were chosen and no limit was broken.
    async fn claim(&mut self, executor: ExecutorKind, free: usize) {
        let claimed = self.store.claim_due(executor, self.now(), free).await.unwrap();
        assert!(claimed.len() <= free);
        let jobs = self.jobs().await;
        self.check(&jobs);
        for job in &claimed {
            assert!(job.claimed && job.job.status == Status::Scheduled && job.job.attempt > 0);
            let same = |other: &&StoredJob| other.claimed && other.organization == job.organization;
            let running = jobs.iter().filter(same).count();
            let most = self.limits.of_organization(&job.organization);
            assert!(most.is_none_or(|most| running <= most), "{running} of {most:?} jobs run");
            if let Some(job_type) = &job.job.spec.job_type {
                let of_type = |other: &&StoredJob| other.job.spec.job_type.as_ref() == Some(job_type);
                let running = jobs.iter().filter(same).filter(of_type).count();
                let most = self.limits.of_type(&job.organization, job_type);
                assert!(most.is_none_or(|most| running <= most), "{running} of {most:?} jobs of a type run");
            }
            for dependency in &job.job.spec.job_dependencies {
                let fulfilled = self.ends.get(&dependency.job_id).map(|end| fulfilled_by(dependency, *end));
                assert_eq!(fulfilled, Some(Some(true)), "a job was claimed in spite of a dependency");
            }
            if job.job.attempt == 1 {
                assert!(job.job.spec.start_at.is_none_or(|start| start <= self.now()), "a job was claimed too early");
            }
        }
        let turn = |job: &StoredJob| {
            let place = jobs.iter().position(|other| other.job.id == job.job.id);
            (rank(job.job.created_at, job.job.spec.priority), place)
        };
        let ready =
            |job: &&StoredJob| job.job.status == Status::Scheduled && !job.claimed && job.executor() == executor;
        match claimed.last() {
            Some(last) if claimed.len() == free => {
                let better = jobs.iter().filter(ready).find(|job| turn(job) < turn(last));
                assert!(better.is_none(), "a job of better rank was passed over");
            }
            _ if free > 0 => assert_eq!(jobs.iter().find(ready), None, "room was left, and a ready job"),
            _ => {}
        }
    }

    /// Something happens to a claimed job.
    async fn report(&mut self) {
        let jobs = self.jobs().await;
        let Some(job) = self.any(&jobs, |job| job.claimed) else { return };
        const TO: [Status; 8] = [
            Status::Running,
            Status::Unknown,
            Status::Finished,
            Status::Finished,
            Status::Failed,
            Status::Died,
            Status::Canceled,
            Status::Waiting,
        ];
        let to = *self.random.choice(&TO).unwrap();
        let mut transition = transition(job, to, self.now());
        if to == Status::Waiting {
            let due = at(self.seconds + self.random.i64(0..30));
            (transition.due_at, transition.status_message) = (Some(due), Some("retry".to_owned()));
            self.retries.insert(job.job.id, due);
        }
        if to == Status::Canceled {
            self.canceled.insert(job.job.id);
        }
        let made = self.store.transition(vec![transition]).await.unwrap();
        assert_eq!(made[0].as_ref().map(|job| job.job.status), Some(to));
    }

    async fn cancel(&mut self) {
        let jobs = self.jobs().await;
        let Some(job) = self.any(&jobs, |job| !job.claimed && !job.job.status.is_terminal()) else { return };
        self.canceled.insert(job.job.id);
        let made = self.store.transition(vec![transition(job, Status::Canceled, self.now())]).await.unwrap();
        assert!(made[0].is_some());
    }

    async fn delete(&mut self) {
        let jobs = self.jobs().await;
        for _ in 0..5 {
            let Some(job) = self.any(&jobs, |_| true) else { return };
            let may = job.job.status.is_terminal() && !job.followed;
            let deleted = self.store.delete_job(&of(&job.organization), job.job.id).await.unwrap();
            assert!(matches!(deleted, Changed::Done(_)) == may || deleted == Changed::NotFound);
        }
    }

    async fn reprioritize(&mut self) {
        let jobs = self.jobs().await;
        let Some(job) = self.any(&jobs, |job| !job.job.status.is_terminal()) else { return };
        let change = JobChange { priority: Some(self.random.i32(0..=100)), ..JobChange::default() };
        self.store.change_job(&Scope::Everything, job.job.id, change, self.now()).await.unwrap();
    }

    async fn limit(&mut self) {
        let jobs = self.random.bool().then(|| self.random.usize(0..4));
        let types = if self.random.bool() { BTreeMap::from([("A_JOB".to_owned(), 1)]) } else { BTreeMap::new() };
        self.limits = Limits { each: Room { jobs, types }, organizations: BTreeMap::new() };
        self.set_limits().await;
    }

    async fn set_limits(&self) {
        while self.store.limit(&self.limits, self.now(), 3).await.unwrap() {}
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.fixture.check();
        self.store = self.fixture.open().await;
        self.set_limits().await;
    }

    /// Has the duties do all they can, then looks whether anybody waits for nothing.
    async fn run_dry(&mut self) {
        while self.store.resolve_dependents(self.now(), 3).await.unwrap().more || self.measure(3).await {}
        while self.store.release_due(self.now(), 3).await.unwrap().next.is_some_and(|next| next <= self.now()) {}
        // An executor that takes no jobs at present keeps nobody of another one waiting.
        let idle = if self.random.bool() { self.random.choice(EXECUTORS) } else { None };
        for executor in EXECUTORS.into_iter().filter(|executor| Some(*executor) != idle) {
            self.claim(executor, usize::MAX).await;
        }
        let jobs = self.jobs().await;
        for job in jobs.iter().filter(|job| Some(job.executor()) != idle) {
            match job.job.status {
                Status::Waiting => self.check_waiting(job, &jobs),
                Status::Persisted | Status::Scheduled => assert!(job.claimed, "a ready job was left"),
                _ => assert!(!job.job.status.is_terminal() || !job.followed, "an end that nobody was told of"),
            }
        }
    }

    /// A WAITING job must wait for something that is not there yet, and say for what.
    fn check_waiting(&self, job: &StoredJob, jobs: &[StoredJob]) {
        let spec = &job.job.spec;
        let message = job.job.status_message.as_deref().unwrap_or_default();
        if message == "retry" {
            assert!(self.retries[&job.job.id] > self.now());
            return;
        }
        let open: HashSet<JobId> =
            spec.job_dependencies.iter().map(|on| on.job_id).filter(|id| !self.ends.contains_key(id)).collect();
        let time = spec.start_at.filter(|start| *start > self.now() && job.job.attempt == 0);
        if !open.is_empty() || time.is_some() {
            for id in &open {
                assert!(message.contains(&id.to_string()), "{message} does not name {id}");
            }
            let named: HashSet<&str> = message.split("job ").skip(1).filter_map(|rest| rest.get(..36)).collect();
            assert_eq!(named.len(), open.len(), "{message}");
            assert_eq!(message.contains("start time"), time.is_some(), "{message}");
            return;
        }
        let mut others = jobs.iter().filter(|other| other.claimed && other.organization == job.organization);
        if let Some(rest) = message.strip_prefix("Waits for lock ") {
            let lock = spec.locks.iter().find(|lock| rest.starts_with(lock.as_str())).expect("a lock of its own");
            let holder = others.find(|other| other.job.spec.locks.contains(lock)).expect("somebody holds the lock");
            assert_eq!(message, format!("Waits for lock {lock}, which job {} holds.", holder.job.id));
            return;
        }
        assert!(message.starts_with("Waits for room: "), "{message}");
        let running = others.clone().count();
        let of_type = others.filter(|other| other.job.spec.job_type == spec.job_type).count();
        let full = self.limits.of_organization(&job.organization).is_some_and(|most| running >= most);
        let type_limit = spec.job_type.as_ref().and_then(|name| self.limits.of_type(&job.organization, name));
        assert!(full || type_limit.is_some_and(|most| of_type >= most), "there is room: {message}");
    }

    /// What holds at any time.
    fn check(&mut self, jobs: &[StoredJob]) {
        let mut held = HashSet::new();
        for job in jobs {
            let (id, status) = (job.job.id, job.job.status);
            if status.is_terminal() {
                assert_eq!(*self.ends.entry(id).or_insert(status), status, "an end has changed");
            } else {
                assert!(!self.ends.contains_key(&id), "a job came back from its end");
            }
        }
        for job in jobs {
            if job.claimed {
                let locks: HashSet<&String> = job.job.spec.locks.iter().collect();
                for lock in locks {
                    assert!(held.insert((&job.organization, lock)), "lock {lock} has two holders");
                }
            }
            if job.job.status == Status::Canceled && !self.canceled.contains(&job.job.id) {
                let impossible = job
                    .job
                    .spec
                    .job_dependencies
                    .iter()
                    .any(|on| self.ends.get(&on.job_id).is_some_and(|end| fulfilled_by(on, *end) == Some(false)));
                assert!(impossible, "canceled without a reason: {:?}", job.job.status_message);
            }
        }
    }

    /// Every job comes to its end when each gets its turn.
    async fn wind_down(&mut self) {
        self.limits = Limits::default();
        self.set_limits().await;
        for _ in 0..10 * MOST_JOBS {
            self.seconds += 60;
            self.run_dry().await;
            let jobs = self.jobs().await;
            if jobs.iter().all(|job| job.job.status.is_terminal()) {
                return;
            }
            for job in jobs.iter().filter(|job| job.claimed) {
                let made = self.store.transition(vec![transition(job, Status::Finished, self.now())]).await.unwrap();
                assert!(made[0].is_some());
            }
        }
        panic!("some jobs never came to their end: {:#?}", self.jobs().await);
    }
}
