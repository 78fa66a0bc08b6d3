//! Claims due jobs and hands them to the executor. The claim is durable before the launch, and the launch can be
//! repeated: the executor knows the attempt by its key.

use super::lane::Lane;
use super::launch::launch;
use super::watch::record;
use super::{grace, key};
use crate::executors::{ExecutorError, Observed, State};
use crate::failpoint;
use crate::store::{StoreError, StoredJob};
use docket_contract::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

/// Looks for due jobs at least this often, also when nobody woke it.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Dispatches until `stop`.
pub(super) async fn run(lane: Arc<Lane>, mut stop: signal::Receiver<bool>) {
    let mut queued = lane.hints.hear_queued();
    loop {
        match run_once(&lane, lane.clock.now()).await {
            Ok(0) => tokio::select! {
                () = wait(&lane, &mut queued) => {}
                _ = stop.wait_for(|stopped| *stopped) => return,
            },
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "claiming jobs failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
        if *stop.borrow() {
            return;
        }
    }
}

/// Until something may be due; without room a new job is not.
async fn wait(lane: &Lane, queued: &mut signal::Receiver<()>) {
    let full = lane.active.free(lane.clock.now()) == 0;
    tokio::select! {
        () = lane.started.notified(), if !full => {}
        () = lane.freed.notified() => {}
        // The sender lives as long as the lane.
        _ = queued.changed(), if !full => {}
        () = tokio::time::sleep(PERIOD) => {}
    }
}

/// Claims as many jobs as there is room for and launches them; answers how many.
pub(super) async fn run_once(lane: &Lane, now: Timestamp) -> Result<usize, StoreError> {
    let claiming = lane.claiming.lock().await;
    let claimed = lane.control.claim_due(lane.kind, now, lane.active.free(now)).await?;
    for job in &claimed {
        lane.active.add(job);
    }
    drop(claiming);
    if !claimed.is_empty() {
        failpoint::pass("claimed");
    }
    hand_over(lane, &claimed).await;
    Ok(claimed.len())
}

/// Launches claimed jobs. When the executor does not take them, they stay claimed, and the watch launches them again
/// once it answers: a launch is repeated for every attempt that the executor does not know.
pub(super) async fn hand_over(lane: &Lane, claimed: &[StoredJob]) {
    if claimed.is_empty() {
        return;
    }
    let launches = claimed.iter().map(|job| launch(job, &lane.launch, &lane.secrets)).collect();
    match lane.executor.launch(launches).await {
        Ok(()) => {
            failpoint::pass("launched");
            // Canceled between claim and launch: the executor had not heard of the attempt then.
            for job in claimed {
                if let Some(request) = lane.active.get(key(job)).and_then(|attempt| attempt.cancel)
                    && let Err(error) = lane.executor.cancel(key(job), grace(&request)).await
                {
                    tracing::warn!(%error, "cancel could not be passed on");
                    lane.launch_again.notify_one();
                }
            }
        }
        Err(ExecutorError::TooLarge { .. }) if claimed.len() > 1 => {
            // One of them is too large for a message: the others go alone.
            for job in claimed {
                Box::pin(hand_over(lane, std::slice::from_ref(job))).await;
            }
        }
        Err(error @ ExecutorError::TooLarge { .. }) => {
            let state = State::Refused { reason: error.to_string(), at_ms: lane.clock.now().as_millis() };
            let refused: Vec<_> = claimed.iter().map(|job| Observed { key: key(job), state: state.clone() }).collect();
            if let Err(error) = record(lane, &refused).await {
                tracing::error!(%error, "a refused launch could not be recorded");
                lane.launch_again.notify_one();
            }
        }
        Err(error) => {
            tracing::warn!(%error, jobs = claimed.len(), "launching jobs failed");
            lane.launch_again.notify_one();
        }
    }
}
