//! Tells those who depend on a job of its end, in small steps: a job with ten thousand dependents keeps nobody waiting.

use super::hints::Hints;
use crate::clock::Clock;
use crate::failpoint;
use crate::store::{ControlStore, StoreError};
use docket_contract::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

/// Dependencies resolved in one step.
const STEP: usize = 500;
/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Releases until `stop`.
pub(super) async fn run(
    control: Arc<dyn ControlStore>,
    clock: Arc<dyn Clock>,
    hints: Arc<Hints>,
    mut stop: signal::Receiver<bool>,
) {
    while !*stop.borrow() {
        match run_once(&*control, &hints, clock.now()).await {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                () = hints.followed.notified() => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            },
            Err(error) => {
                tracing::error!(%error, "releasing dependents failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One step; answers whether something may be left.
pub(super) async fn run_once(control: &dyn ControlStore, hints: &Hints, now: Timestamp) -> Result<bool, StoreError> {
    let step = control.resolve_dependents(now, STEP).await?;
    if step.queued {
        hints.queued();
    }
    if step.more {
        failpoint::pass("released");
    }
    Ok(step.more)
}
