//! Removes jobs whose time after their end is over (`ttlSecondsAfterFinished`), by the same way as Delete Job.

use super::{Service, jobs};
use crate::store::Scope;
use docket_contract::{Code, Error, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often expired jobs are looked for.
const PERIOD: Duration = Duration::from_secs(1);
/// How long to wait when jobs can't be removed.
const PAUSE: Duration = Duration::from_secs(30);
/// Jobs removed in one step: between two of them others get their turn.
const STEP: usize = 50;

/// Removes expired jobs until `stop`.
pub async fn run(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let rest = match run_once(&service, service.clock.now()).await {
            Ok(STEP) => continue,
            Ok(_) => PERIOD,
            Err(error) => {
                tracing::error!(%error, "removing expired jobs failed");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }
}

/// One step; answers how many jobs are gone.
///
/// # Errors
/// When none of several could be removed; one that can't be must not keep the others.
async fn run_once(service: &Service, now: Timestamp) -> Result<usize, Error> {
    let (mut gone, mut failure) = (0, None);
    for job in service.control.expired_jobs(now, STEP).await? {
        match jobs::remove(service, &Scope::Everything, job.job.id).await {
            Ok(_) => gone += 1,
            // Somebody else has deleted it.
            Err(error) if error.code == Code::NotFound => gone += 1,
            Err(error) => {
                tracing::warn!(%error, job = %job.job.id, "an expired job can't be removed");
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if gone == 0 => Err(error),
        _ => Ok(gone),
    }
}
