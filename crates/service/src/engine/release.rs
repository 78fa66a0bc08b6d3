//! Tells those who depend on a job of its end, in small steps: a job with ten thousand dependents keeps nobody waiting.
//!
//! Where one of them has a quality gate, the ended job's results are counted here, once for all of them: the control plane
//! does not see them. The figures become a part of the job's row, so a repetition after a crash changes nothing.

use super::hints::Hints;
use crate::clock::Clock;
use crate::failpoint;
use crate::store::{ControlStore, ResultStore, SetKey, SetOwner, StorageKey, StoreError};
use docket_contract::job::Figures;
use docket_contract::result::ResultStatus;
use docket_contract::{JobId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

/// Dependencies resolved in one step.
const STEP: usize = 500;
/// Jobs whose results are counted before their figures are written.
const MEASURED: usize = 100;
/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// What telling of ends takes.
#[derive(Clone)]
pub(super) struct Release {
    pub(super) control: Arc<dyn ControlStore>,
    pub(super) results: Arc<dyn ResultStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hints: Arc<Hints>,
}

/// Releases until `stop`.
pub(super) async fn run(release: Release, mut stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        match release.run_once(release.clock.now()).await {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                () = release.hints.followed.notified() => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            },
            Err(error) => {
                tracing::error!(%error, "releasing dependents failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Release {
    /// One step; answers whether something may be left.
    pub(super) async fn run_once(&self, now: Timestamp) -> Result<bool, StoreError> {
        let step = self.control.resolve_dependents(now, STEP).await?;
        if step.queued {
            self.hints.queued();
        }
        if step.more {
            failpoint::pass("released");
            return Ok(true);
        }
        self.measure().await
    }

    /// Counts what quality gates ask for; answers whether anything was counted. A job whose results can't be read keeps
    /// none of the others waiting.
    async fn measure(&self) -> Result<bool, StoreError> {
        let (mut after, mut measured, mut failure) = (0, false, None);
        loop {
            let jobs = self.control.unmeasured_jobs(after, MEASURED).await?;
            let Some(last) = jobs.last() else { break };
            after = last.position;
            let mut counted = Vec::with_capacity(jobs.len());
            for job in jobs {
                match figures(&*self.control, &*self.results, &job.organization, job.id).await {
                    Ok(figures) => counted.push((job.id, figures)),
                    Err(error) => {
                        tracing::warn!(%error, job = %job.id, "a quality gate waits: results can't be counted");
                        failure = Some(error);
                    }
                }
            }
            failpoint::pass("counted");
            measured |= !counted.is_empty();
            self.control.measure(counted).await?;
            failpoint::pass("measured");
        }
        match failure {
            Some(error) if !measured => Err(error),
            _ => Ok(measured),
        }
    }
}

/// What the results of a job come to, over all storages that it has written to: from counters.
pub(super) async fn figures(
    control: &dyn ControlStore,
    results: &dyn ResultStore,
    organization: &str,
    job: JobId,
) -> Result<Figures, StoreError> {
    let mut figures = Figures::default();
    for storage_id in control.noted_storages(job).await? {
        let storage = StorageKey { organization: organization.to_owned(), storage_id };
        for tally in results.statistics(&SetKey { storage, owner: SetOwner::Job(job) }).await? {
            figures.total += tally.count;
            figures.failed += if tally.status == ResultStatus::Failed { tally.count } else { 0 };
        }
    }
    Ok(figures)
}
