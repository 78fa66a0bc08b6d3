//! Runs jobs: claim → launch → observe → record, each step safe to repeat.
//!
//! Each executor has a lane of its own (`lane`): its attempts, its room, its duties. One duty a file. `dispatch` claims
//! and launches, `watch` records what the executor reports (`retry` says what follows), `adopt` finds the attempts of an
//! earlier server again. `workers` hands jobs out to pull workers, which need no lane. Beside
//! the lanes, `release` tells dependents of an end, `due` looks after times, `schedules` starts jobs by their timetables,
//! and `clean` removes what is no longer needed. No file here knows which transitions exist (the contract does), whose turn it is
//! (the store's queue does) or how a process is started (the executor does).

mod active;
mod adopt;
mod clean;
mod dispatch;
mod due;
mod hints;
mod lane;
mod launch;
mod pace;
mod release;
mod retry;
mod schedules;
mod watch;
mod workers;

pub use lane::LaneSettings;
pub use launch::LaunchSettings;
pub use schedules::{Door, JobStart, Schedules};
pub use workers::{Completion, Sign, Workers};

use crate::clock::Clock;
use crate::executors::{AttemptKey, ExecutorError, LogRange, LogReader};
use crate::secrets::Secrets;
use crate::store::queue::Limits;
use crate::store::{CancelRequest, ControlStore, ResultStore, ScheduleStore, StoreError, StoredJob};
use docket_contract::job::ExecutorKind;
use docket_contract::{Code, Error, Status};
use hints::Hints;
use lane::Lane;
use release::Release;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

/// How the operations speak to the engine.
#[derive(Clone)]
pub struct Engine {
    lanes: Arc<[Arc<Lane>]>,
    workers: Workers,
    control: Arc<dyn ControlStore>,
    clock: Arc<dyn Clock>,
    hints: Arc<Hints>,
    release: Release,
}

/// Jobs that one step of setting the limits lets in.
const LIMIT_STEP: usize = 500;
/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

impl Engine {
    /// An engine that does nothing until [`Engine::run`]. Each kind of executor has at most one lane; workers need none,
    /// but what their jobs are told (`for_workers`).
    pub fn new(
        control: Arc<dyn ControlStore>,
        results: Arc<dyn ResultStore>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
        limits: Limits,
        lanes: Vec<LaneSettings>,
        for_workers: LaunchSettings,
    ) -> Self {
        let hints = Arc::new(Hints::new(limits));
        let lane =
            |settings| Arc::new(Lane::new(control.clone(), clock.clone(), secrets.clone(), hints.clone(), settings));
        let workers = Workers::new(control.clone(), clock.clone(), secrets.clone(), hints.clone(), for_workers);
        let lanes = lanes.into_iter().map(lane).collect();
        let release = Release { control: control.clone(), results, clock: clock.clone(), hints: hints.clone() };
        Self { lanes, workers, control, clock, hints, release }
    }

    /// Works until `stop` says so. Jobs go on under their executor, and the next engine finds them.
    pub async fn run(&self, mut stop: signal::Receiver<bool>) {
        if !self.set_limits(&stop).await {
            return;
        }
        let mut duties = JoinSet::new();
        for lane in &*self.lanes {
            duties.spawn(watch::run(lane.clone(), stop.clone()));
            duties.spawn(dispatch::run(lane.clone(), stop.clone()));
        }
        let (control, clock, hints) = (&self.control, &self.clock, &self.hints);
        duties.spawn(release::run(self.release.clone(), stop.clone()));
        duties.spawn(due::run(control.clone(), clock.clone(), hints.clone(), stop.clone()));
        duties.spawn(self.workers.clone().run(stop.clone()));
        duties.spawn(clean::run(self.control.clone(), self.clock.clone(), stop.clone()));
        self.mark_orphans().await;
        // An error says that the sender is gone, which is a stop as well.
        let _ = stop.wait_for(|stopped| *stopped).await;
        while let Some(ended) = duties.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an engine duty failed");
            }
        }
    }

    /// Nothing is claimed before the limits are known; false if the engine was stopped before that.
    async fn set_limits(&self, stop: &signal::Receiver<bool>) -> bool {
        while !*stop.borrow() {
            match self.control.limit(self.hints.limits(), self.clock.now(), LIMIT_STEP).await {
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => {
                    tracing::error!(%error, "the limits can't be set; no job starts before");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        false
    }

    /// A job was started.
    pub fn started(&self, job: &StoredJob) {
        match self.lane(job.executor()) {
            _ if job.job.status != Status::Scheduled => self.hints.changed(job),
            Some(lane) => lane.started.notify_one(),
            None => self.workers.ready(job),
        }
    }

    /// Jobs were put into the queue.
    pub fn queued(&self) {
        self.hints.queued();
    }

    /// A scheduled job was stored, or has other slots.
    pub fn scheduled(&self) {
        self.hints.scheduled.notify_one();
    }

    /// What starts jobs by their timetables. It needs a door to go through, which the engine does not have.
    pub fn schedules(&self, store: Arc<dyn ScheduleStore>, door: Arc<dyn Door>) -> Schedules {
        Schedules::new(store, self.clock.clone(), self.hints.clone(), door)
    }

    /// Tells dependents of the ends of jobs, a step of it; answers whether something may be left.
    pub async fn tell_dependents(&self) -> Result<bool, StoreError> {
        self.release.run_once(self.clock.now()).await
    }

    /// A job that is not claimed has another status.
    pub fn changed(&self, job: &StoredJob) {
        self.hints.changed(job);
    }

    /// The jobs that pull workers have.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Someone asked for the end of a claimed job; the wish is durable already.
    pub async fn cancel(&self, job: &StoredJob, request: CancelRequest) {
        if job.executor() == ExecutorKind::Worker {
            return self.workers.cancel(job, &request);
        }
        // Without its executor nobody can end it; the wish is passed on once the executor is back.
        let Some(lane) = self.lane(job.executor()) else { return };
        let key = key(job);
        let grace = grace(&request);
        drop(lane.claiming.lock().await);
        lane.active.request_cancel(key, request);
        if let Err(error) = lane.executor.cancel(key, grace).await {
            // The watch repeats it when the executor answers again.
            tracing::warn!(%error, attempt = %key, "cancel could not be passed on");
        }
    }

    /// The log of an attempt of a job.
    pub async fn read_log(&self, job: &StoredJob, attempt: u32, range: LogRange) -> Result<LogReader, ExecutorError> {
        let key = AttemptKey { job_id: job.job.id.0, attempt };
        let lane = self.lane(job.executor()).ok_or(ExecutorError::NoLog(key))?;
        lane.executor.read_log(key, range).await
    }

    /// Removes the directories and logs of a job that has ended.
    pub async fn remove(&self, job: &StoredJob) -> Result<(), Error> {
        let Some(lane) = self.lane(job.executor()) else { return Ok(()) };
        let id = job.job.id;
        lane.executor.remove(id.0).await.map_err(|error| {
            tracing::error!(%error, job = %id, "removing a job's files failed");
            Error::new(Code::Internal, "The job's files can't be removed; the server's log has the reason.")
        })
    }

    fn lane(&self, kind: ExecutorKind) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.kind == kind).map(|lane| &**lane)
    }

    /// Marks the jobs of executors that are not there any more.
    async fn mark_orphans(&self) {
        for kind in [ExecutorKind::Process, ExecutorKind::Docker, ExecutorKind::Kubernetes] {
            if self.lane(kind).is_none()
                && let Err(error) = adopt::mark_orphans(&*self.control, kind, self.clock.now()).await
            {
                tracing::error!(%error, executor = kind.name(), "marking jobs as UNKNOWN failed");
            }
        }
    }
}

/// The name of a stored job's present attempt.
fn key(job: &StoredJob) -> AttemptKey {
    AttemptKey { job_id: job.job.id.0, attempt: u32::try_from(job.job.attempt).unwrap_or_default() }
}

fn grace(request: &CancelRequest) -> Duration {
    Duration::from_secs(u64::try_from(request.grace_period_seconds).unwrap_or_default())
}
