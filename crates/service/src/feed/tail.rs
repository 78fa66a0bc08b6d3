//! The task that reads new events from the store, as long as anybody listens.

use super::{Shared, State};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Most events in one step.
const STEP: usize = 512;
/// How long to wait after the store failed.
const REST: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut newest = shared.control.newest_event();
    loop {
        let (position, due) = {
            let mut state = shared.state();
            let State { topics, progress, tailing } = &mut *state;
            if topics.listeners() == 0 || shared.closed.load(Ordering::Acquire) {
                progress.clear();
                *tailing = false;
                return;
            }
            (topics.position(), progress.next())
        };
        // Read before the store is: all up to there is visible then.
        let committed = *newest.borrow_and_update();
        if committed > position {
            step(&shared, position, committed).await;
            continue;
        }
        let progress_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = newest.changed() => {
                if changed.is_err() {
                    // The store is closed: there will be no more.
                    shared.state().tailing = false;
                    return;
                }
            }
            () = shared.nudge.notified() => {}
            () = progress_due => {
                let mut state = shared.state();
                let State { topics, progress, .. } = &mut *state;
                progress.due(Instant::now()).iter().for_each(|report| topics.tell_progress(report));
            }
        }
    }
}

/// Tells the next events.
async fn step(shared: &Shared, position: u64, committed: u64) {
    let events = match shared.control.events_after(position, STEP).await {
        Ok(events) => events,
        Err(error) => {
            tracing::error!(%error, "reading events failed");
            sleep(REST).await;
            return;
        }
    };
    // Fewer than asked for: there was nothing else up to the commit that was seen before.
    let last = events.last().map_or(0, |event| event.id);
    let told = if events.len() < STEP { committed.max(last) } else { last };
    let mut state = shared.state();
    let State { topics, progress, .. } = &mut *state;
    for event in &events {
        // What a job said before its transition is told before it.
        if let Some(report) = progress.take(event.event.job_id) {
            topics.tell_progress(&report);
        }
        topics.tell(std::slice::from_ref(event), event.id);
    }
    topics.tell(&[], told);
}
