//! Puts jobs into the queue whose start time or retry delay is over. It sleeps until the next one is due.

use super::hints::Hints;
use crate::clock::Clock;
use crate::store::{ControlStore, StoreError};
use docket_contract::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

/// Jobs put into the queue in one step.
const STEP: usize = 500;
/// Looks at least this often: clocks are set.
const PERIOD: Duration = Duration::from_secs(30);
/// How long a failed step waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks for due jobs until `stop`.
pub(super) async fn run(
    control: Arc<dyn ControlStore>,
    clock: Arc<dyn Clock>,
    hints: Arc<Hints>,
    mut stop: signal::Receiver<bool>,
) {
    while !*stop.borrow() {
        let rest = match run_once(&*control, &hints, clock.now()).await {
            Ok(next) => rest(next, clock.now()),
            Err(error) => {
                tracing::error!(%error, "releasing due jobs failed");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = hints.timed.notified() => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }
}

/// How long nothing will be due.
fn rest(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let millis = next.map_or(i64::MAX, |next| next.as_millis().saturating_sub(now.as_millis()));
    Duration::from_millis(u64::try_from(millis).unwrap_or_default()).min(PERIOD)
}

/// One step; answers when the next job is due.
pub(super) async fn run_once(
    control: &dyn ControlStore,
    hints: &Hints,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let step = control.release_due(now, STEP).await?;
    if step.queued {
        hints.queued();
    }
    Ok(step.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sleeps_until_the_next_is_due_and_never_long() {
        let at = Timestamp::from_millis;
        for (next, seconds) in [(Some(1_000), 0), (Some(6_000), 1), (Some(4_999), 0), (Some(99_000), 30), (None, 30)] {
            let slept = rest(next.map(at), at(5_000));
            assert_eq!(slept.as_secs(), seconds, "{next:?}");
        }
    }
}
