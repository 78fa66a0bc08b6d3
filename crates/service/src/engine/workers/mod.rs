//! Pull workers: hands out jobs under leases, and ends those whose lease runs out.
//!
//! The store decides races: each end of an attempt is a compare-and-set, whoever asks for it. `leases` knows deadlines,
//! `waiters` who waits for a job, `report` what workers tell, `expiry` the duty that ends what is over. Nothing here
//! runs a job.

mod expiry;
mod leases;
mod ready;
mod report;
mod waiters;

pub use report::{Completion, Sign};

use super::hints::Hints;
use super::launch::environment;
use super::{LaunchSettings, key};
use crate::clock::Clock;
use crate::executors::AttemptKey;
use crate::secrets::Secrets;
use crate::store::{CancelRequest, ControlStore, StoreError, StoredJob, WorkerClaim};
use docket_contract::job::{ExecutorKind, NameValue};
use docket_contract::{Code, Error, JobId};
use leases::Leases;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;
use waiters::Waiters;

/// Most claims that wait at a time, all organizations together.
pub const MOST_WAITING: usize = 20_000;

/// How the operations speak to what workers have.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    control: Arc<dyn ControlStore>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    launch: LaunchSettings,
    leases: Leases,
    waiters: Arc<Waiters>,
    hints: Arc<Hints>,
    /// The duties have begun: the limits of running jobs are known.
    open: AtomicBool,
    listener: OnceLock<Listener>,
}

/// Is told of progress.
type Listener = Box<dyn Fn(&StoredJob) + Send + Sync>;

impl Workers {
    /// Hands out nothing until [`Workers::run`].
    pub(super) fn new(
        control: Arc<dyn ControlStore>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
        hints: Arc<Hints>,
        launch: LaunchSettings,
    ) -> Self {
        let (leases, waiters) = (Leases::default(), Arc::new(Waiters::new(MOST_WAITING)));
        let (open, listener) = (false.into(), OnceLock::new());
        let shared = Shared { control, clock, secrets, launch, leases, waiters, hints, open, listener };
        Self { shared: Arc::new(shared) }
    }

    /// Tells this one of each job's progress that came by a heartbeat, once it is durable. The first one stays.
    pub fn on_progress(&self, listener: impl Fn(&StoredJob) + Send + Sync + 'static) {
        let _ = self.shared.listener.set(Box::new(listener));
    }

    /// Takes the claimed jobs in, and works until `stop`.
    pub(super) async fn run(self, mut stop: signal::Receiver<bool>) {
        self.shared.open.store(true, Ordering::Release);
        let mut duties = JoinSet::new();
        duties.spawn(expiry::run(Arc::clone(&self.shared), stop.clone()));
        duties.spawn(ready::run(Arc::clone(&self.shared), stop.clone()));
        // An error says that the sender is gone, which is a stop as well.
        let _ = stop.wait_for(|stopped| *stopped).await;
        self.send_home();
        while let Some(ended) = duties.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a duty for workers failed");
            }
        }
    }

    /// Claims jobs; waits for one as long as `wait` while there is none.
    ///
    /// # Errors
    /// `overloaded` if too many claims wait already, or too many jobs are out.
    pub async fn claim(&self, claim: WorkerClaim, wait: Duration) -> Result<Vec<StoredJob>, Error> {
        let claimed = self.claim_now(&claim).await?;
        if !claimed.is_empty() || wait.is_zero() {
            return Ok(claimed);
        }
        let full = || Error::new(Code::Overloaded, format!("{MOST_WAITING} claims wait already; try again."));
        let place = self.shared.waiters.enter(&claim.organization, &claim.types).ok_or_else(full)?;
        let deadline = tokio::time::sleep(wait);
        tokio::pin!(deadline);
        // A job may have become ready before there was a place.
        let claimed = self.claim_now(&claim).await?;
        if !claimed.is_empty() {
            return Ok(claimed);
        }
        loop {
            tokio::select! {
                woken = place.woken() => if !woken { return Ok(Vec::new()) },
                () = &mut deadline => return Ok(Vec::new()),
            }
            let claimed = self.claim_now(&claim).await?;
            if !claimed.is_empty() {
                place.served();
                return Ok(claimed);
            }
            place.again();
        }
    }

    /// Claims what there is. Apart from the caller: when it goes away meanwhile, the leases of what was claimed begin
    /// all the same.
    async fn claim_now(&self, claim: &WorkerClaim) -> Result<Vec<StoredJob>, Error> {
        if !self.shared.open.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        if self.shared.leases.is_full() {
            return Err(Error::new(Code::Overloaded, format!("{} jobs are out with workers already.", leases::MOST)));
        }
        let (shared, mut claim) = (Arc::clone(&self.shared), claim.clone());
        claim.now = shared.clock.now();
        let work = tokio::spawn(async move {
            let claimed = shared.control.claim_for_worker(claim).await?;
            for job in &claimed {
                shared.leases.add(job, key(job));
            }
            Ok::<_, StoreError>(claimed)
        });
        let failed = |error| {
            tracing::error!(%error, "a claim failed");
            Error::new(Code::Internal, "The server failed; its log has the reason.")
        };
        Ok(work.await.map_err(failed)??)
    }

    /// The environment that a claimed job is to run with.
    pub fn environment(&self, job: &StoredJob) -> Vec<NameValue> {
        let mut variables: Vec<NameValue> = Vec::new();
        for (name, value) in environment(job, &self.shared.launch, &self.shared.secrets) {
            // As for a process, the last one of a name counts.
            match variables.iter_mut().find(|variable| variable.name == name) {
                Some(variable) => variable.value = value,
                None => variables.push(NameValue { name, value }),
            }
        }
        variables
    }

    /// Someone asked for the end of a claimed job; the wish is durable already.
    pub(super) fn cancel(&self, job: &StoredJob, request: &CancelRequest) {
        // It may have been claimed a moment ago, or by an earlier server.
        self.shared.leases.add(job, key(job));
        self.shared.leases.cancel(key(job), request);
    }

    /// A job of workers is ready.
    pub fn ready(&self, job: &StoredJob) {
        let job_type = job.job.spec.job_type.as_deref().unwrap_or_default();
        self.shared.waiters.wake(&job.organization, job_type);
    }

    /// Answers all claims that wait, with nothing: the server stops.
    pub fn send_home(&self) {
        self.shared.waiters.close();
    }
}

/// Whether workers run it.
fn is_for_workers(job: &StoredJob) -> bool {
    job.executor() == ExecutorKind::Worker
}

/// The name of an attempt of a job; `None` if there is no such number.
fn key_of(id: JobId, attempt: i32) -> Option<AttemptKey> {
    Some(AttemptKey { job_id: id.0, attempt: u32::try_from(attempt).ok()? })
}
