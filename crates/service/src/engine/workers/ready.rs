//! Finds jobs that became ready, and wakes the claims that wait for them.
//!
//! A job that is started wakes a claim by itself. Jobs that waited for something (another job, a lock, a time) become
//! ready inside the store: this duty looks whenever some were put into the queue, and from time to time in any case.

use super::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;
use tokio::time::Instant;

/// Looks at least this often while claims wait.
const PERIOD: Duration = Duration::from_secs(2);
/// The shortest time between two looks.
const REST: Duration = Duration::from_millis(20);
/// A look rests this many times as long as it took: many different claims cost a bounded part of a core.
const SHARE: u32 = 20;

/// Looks until `stop`.
pub(super) async fn run(shared: Arc<Shared>, mut stop: signal::Receiver<bool>) {
    let mut queued = shared.hints.hear_queued();
    loop {
        let look = async {
            shared.waiters.until_any().await;
            queued.mark_unchanged();
            let begun = Instant::now();
            if let Err(error) = look(&shared).await {
                tracing::error!(%error, "looking for ready jobs failed");
            }
            tokio::time::sleep(REST.max(begun.elapsed() * SHARE)).await;
            // The hints outlive this duty: it ends by a change or by the time.
            let _ = tokio::time::timeout(PERIOD, queued.changed()).await;
        };
        tokio::select! {
            () = look => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Wakes as many claims as there are ready jobs for them, less those that are on their way.
async fn look(shared: &Shared) -> Result<(), crate::store::StoreError> {
    let wanted = shared.waiters.wanted();
    let found = shared.control.ready_for_workers(wanted).await?;
    for (wanted, job_types) in found {
        let on_their_way = shared.waiters.woken(&wanted.organization);
        for job_type in job_types.iter().skip(on_their_way) {
            if !shared.waiters.wake(&wanted.organization, job_type) {
                break;
            }
        }
    }
    Ok(())
}
