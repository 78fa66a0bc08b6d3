//! Takes the claimed jobs of an earlier server in, ends attempts whose time is over, and writes what jobs tell of
//! themselves.

use super::leases::{Due, Held, Progress, Wish};
use super::report::end;
use super::{Shared, key};
use crate::engine::watch::cancel_retry;
use crate::executors::AttemptKey;
use crate::operations::cancel_message;
use crate::store::{Changed, JobChange, Scope, StoreError, StoredJob, Transition};
use docket_contract::history::Actor;
use docket_contract::job::ExecutorKind;
use docket_contract::state::Event;
use docket_contract::{JobId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

/// Ends and writes of one step.
const STEP: usize = 256;
/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Works until `stop`; then writes what is left to write.
pub(super) async fn run(shared: Arc<Shared>, mut stop: signal::Receiver<bool>) {
    tokio::select! {
        () = work(&shared) => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
    for (key, progress) in shared.leases.unwritten() {
        write(&shared, key, progress).await;
    }
}

async fn work(shared: &Shared) {
    while let Err(error) = adopt(shared).await {
        tracing::error!(%error, "reading the claimed jobs of workers failed");
        tokio::time::sleep(PAUSE).await;
    }
    loop {
        shared.leases.wait().await;
        step(shared).await;
    }
}

/// Gives each claimed job a fresh lease.
async fn adopt(shared: &Shared) -> Result<(), StoreError> {
    for job in shared.control.claimed_jobs(ExecutorKind::Worker).await? {
        shared.leases.add(&job, key(&job));
    }
    Ok(())
}

impl Shared {
    /// An attempt has ended, and that is durable: tells those who may go on. Answers the job, which is canceled now if
    /// somebody asked for that while the attempt ended by itself.
    pub(super) async fn ended(&self, job: StoredJob) -> StoredJob {
        self.hints.changed(&job);
        let Some(transition) = cancel_retry(&job, self.clock.now()) else { return job };
        match self.control.transition(vec![transition]).await {
            Ok(made) => match made.into_iter().next().flatten() {
                Some(canceled) => {
                    self.hints.changed(&canceled);
                    canceled
                }
                None => job,
            },
            Err(error) => {
                tracing::error!(%error, job = %job.job.id, "a job that was canceled while it ended may be tried again");
                job
            }
        }
    }
}

/// Does what is due.
async fn step(shared: &Shared) {
    let mut over = Vec::new();
    for due in shared.leases.due(STEP) {
        match due {
            Due::Over(key, held) => over.push((key, held)),
            Due::Write(key, progress) => write(shared, key, progress).await,
        }
    }
    if over.is_empty() {
        return;
    }
    let at = shared.clock.now();
    let transitions = over.iter().map(|(key, held)| lost(*key, held, at)).collect();
    match shared.control.transition(transitions).await {
        Ok(made) => {
            for ((key, _), made) in over.iter().zip(made) {
                // Where it was not made, the worker's own report was faster.
                shared.leases.remove(*key);
                tracing::info!(attempt = %key, ended = made.is_some(), "a lease ran out");
                if let Some(job) = made {
                    shared.ended(job).await;
                }
            }
        }
        Err(error) => {
            tracing::error!(%error, "ending attempts whose leases ran out failed");
            over.iter().for_each(|(key, _)| shared.leases.try_again(*key));
        }
    }
}

/// The end of an attempt that its worker did not report.
fn lost(key: AttemptKey, held: &Held, at: Timestamp) -> Transition {
    let (event, message) = match &held.wish {
        Some(Wish::Cancel(request)) => (Event::Canceled, cancel_message("Canceled", request.reason.as_deref())),
        Some(Wish::TimeLimit(seconds)) => (Event::TimedOut, time_limit(*seconds)),
        None => {
            let (worker, seconds) = (&held.worker, held.length.as_secs());
            (Event::Lost, format!("The job was lost: nothing was heard of worker {worker} for {seconds} s."))
        }
    };
    end(key, held, event, Some(message), None, Actor::SERVER, at)
}

/// What is told of a job that took too long.
pub(super) fn time_limit(seconds: i32) -> String {
    format!("The job was stopped: its time limit of {seconds} s was over.")
}

async fn write(shared: &Shared, key: AttemptKey, progress: Progress) {
    let change = JobChange {
        progress: progress.percent,
        status_message: progress.message.clone(),
        only_attempt: i32::try_from(key.attempt).ok(),
        only_active: true,
        ..JobChange::default()
    };
    let id = JobId(key.job_id);
    match shared.control.change_job(&Scope::Everything, id, change, shared.clock.now()).await {
        Ok(Changed::Done(job)) => {
            if let Some(listener) = shared.listener.get() {
                listener(&job);
            }
        }
        Ok(Changed::NotFound | Changed::Refused(_)) => {}
        Err(error) => {
            tracing::warn!(%error, attempt = %key, "progress could not be written");
            shared.leases.not_written(key, progress);
        }
    }
}
