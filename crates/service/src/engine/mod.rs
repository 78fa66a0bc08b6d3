//! Runs jobs: claim → launch → observe → record, each step safe to repeat.
//!
//! One duty a file. `dispatch` claims and launches, `watch` records what the executor reports, `adopt` finds the
//! attempts of an earlier server again, `clean` removes what is no longer needed. No file here knows which transitions
//! exist (the contract does) or how a process is started (the executor does).

mod active;
mod adopt;
mod clean;
mod dispatch;
mod launch;
mod pace;
mod watch;

pub use launch::LaunchSettings;

use crate::clock::Clock;
use crate::executors::{AttemptKey, Executor, ExecutorError, LogRange, LogReader};
use crate::secrets::Secrets;
use crate::store::{CancelRequest, ControlStore, StoredJob};
use active::Active;
use docket_contract::{Code, Error, JobId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, watch as signal};
use tokio::task::JoinSet;

/// What the duties share.
struct Shared {
    control: Arc<dyn ControlStore>,
    executor: Arc<dyn Executor>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    settings: LaunchSettings,
    active: Active,
    /// Held from a claim to its entry in `active`, so that whoever sees a claimed job finds its attempt there.
    claiming: Mutex<()>,
    /// A job was started.
    started: Notify,
    /// An attempt ended, or what is active was found again.
    freed: Notify,
    /// A launch was not taken: the executor must be asked what it knows, and be given the rest again.
    launch_again: Notify,
}

/// How the operations speak to the engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// An engine that does nothing until [`Engine::run`].
    pub fn new(
        control: Arc<dyn ControlStore>,
        executor: Arc<dyn Executor>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
        settings: LaunchSettings,
    ) -> Self {
        let active = Active::new(settings.slots);
        let (started, freed, launch_again) = (Notify::new(), Notify::new(), Notify::new());
        Self {
            shared: Arc::new(Shared {
                control,
                executor,
                clock,
                secrets,
                settings,
                active,
                claiming: Mutex::default(),
                started,
                freed,
                launch_again,
            }),
        }
    }

    /// Works until `stop` says so. Jobs go on under their executor, and the next engine finds them.
    pub async fn run(&self, mut stop: signal::Receiver<bool>) {
        let mut duties = JoinSet::new();
        duties.spawn(watch::run(self.shared.clone(), stop.clone()));
        duties.spawn(dispatch::run(self.shared.clone(), stop.clone()));
        duties.spawn(clean::run(self.shared.clone(), stop.clone()));
        // An error says that the sender is gone, which is a stop as well.
        let _ = stop.wait_for(|stopped| *stopped).await;
        while let Some(ended) = duties.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an engine duty failed");
            }
        }
    }

    /// A job was started.
    pub fn wake(&self) {
        self.shared.started.notify_one();
    }

    /// Someone asked for the end of a claimed job; the wish is durable already.
    pub async fn cancel(&self, job: &StoredJob, request: CancelRequest) {
        let key = key(job);
        let grace = grace(&request);
        drop(self.shared.claiming.lock().await);
        self.shared.active.request_cancel(key, request);
        if let Err(error) = self.shared.executor.cancel(key, grace).await {
            // The watch repeats it when the executor answers again.
            tracing::warn!(%error, attempt = %key, "cancel could not be passed on");
        }
    }

    /// The log of an attempt.
    pub async fn read_log(&self, key: AttemptKey, range: LogRange) -> Result<LogReader, ExecutorError> {
        self.shared.executor.read_log(key, range).await
    }

    /// Removes the directories and logs of a job that has ended.
    pub async fn remove(&self, id: JobId) -> Result<(), Error> {
        self.shared.executor.remove(id.0).await.map_err(|error| {
            tracing::error!(%error, job = %id, "removing a job's files failed");
            Error::new(Code::Internal, "The job's files can't be removed; the server's log has the reason.")
        })
    }
}

/// The name of a stored job's present attempt.
fn key(job: &StoredJob) -> AttemptKey {
    AttemptKey { job_id: job.job.id.0, attempt: u32::try_from(job.job.attempt).unwrap_or_default() }
}

fn grace(request: &CancelRequest) -> Duration {
    Duration::from_secs(u64::try_from(request.grace_period_seconds).unwrap_or_default())
}
