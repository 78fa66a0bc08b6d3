//! Removes what is no longer needed, in small steps: idempotency records older than a day.

use crate::clock::Clock;
use crate::store::{ControlStore, StoreError};
use docket_contract::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

const PERIOD: Duration = Duration::from_secs(60);
/// How long the answer to a request with an idempotency key is kept (api.md section 1).
const REQUEST_LIFE_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// Records removed in one step.
const STEP: usize = 500;

/// Cleans until `stop`.
pub(super) async fn run(control: Arc<dyn ControlStore>, clock: Arc<dyn Clock>, mut stop: signal::Receiver<bool>) {
    loop {
        match run_once(&*control, clock.now()).await {
            Ok(STEP) => {}
            done => {
                if let Err(error) = done {
                    tracing::error!(%error, "cleaning failed");
                }
                tokio::select! {
                    () = tokio::time::sleep(PERIOD) => {}
                    _ = stop.wait_for(|stopped| *stopped) => return,
                }
            }
        }
        if *stop.borrow() {
            return;
        }
    }
}

/// One step; answers how many records are gone.
pub(super) async fn run_once(control: &dyn ControlStore, now: Timestamp) -> Result<usize, StoreError> {
    control.forget_requests(now.plus_millis(-REQUEST_LIFE_MILLIS), STEP).await
}
