//! Finds out whether records have newly failed in jobs that ended, and has those webhooks told that asked for it.
//!
//! A check stands in the store from the end of its job on; it becomes a delivery, or goes, in one transaction. A server
//! that is killed in between compares again.

use super::Comparisons;
use crate::clock::Clock;
use crate::store::{CheckEnd, ControlStore, RegressionCheck, Scope, SetKey, SetOwner, StorageKey, StoreError};
use docket_contract::notice::{Notice, NoticeComparison};
use docket_contract::operations::DiffCounts;
use docket_contract::{Code, Error, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Checks looked at in one round.
const AHEAD: usize = 64;
/// Attempts to compare before a check is given up, which is told in the log.
const MOST_ATTEMPTS: u32 = 20;
/// Longest delay between two of them, in seconds; the first is a second, each further one twice as long.
const LONGEST_DELAY: i64 = 300;
/// Most storages of two jobs that are compared.
const MOST_STORAGES: usize = 64;
/// Longest wait before another look: clocks are set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Wait after a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Makes the checks.
pub struct Regressions {
    control: Arc<dyn ControlStore>,
    comparisons: Comparisons,
    clock: Arc<dyn Clock>,
}

impl Regressions {
    /// Checks nothing until [`Regressions::run`].
    pub fn new(control: Arc<dyn ControlStore>, comparisons: Comparisons, clock: Arc<dyn Clock>) -> Self {
        Self { control, comparisons, clock }
    }

    /// Works until `stop` says so. What was not checked by then is checked by the next run.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut added = self.control.new_deliveries();
        loop {
            added.borrow_and_update();
            let round = tokio::select! {
                round = self.run_once(self.clock.now()) => round,
                _ = stop.wait_for(|stopped| *stopped) => return,
            };
            let wait = match round {
                Ok(Some(next)) => {
                    let millis = next.as_millis().saturating_sub(self.clock.now().as_millis());
                    Duration::from_millis(u64::try_from(millis).unwrap_or_default()).min(LOOK_AGAIN)
                }
                Ok(None) => LOOK_AGAIN,
                Err(error) => {
                    tracing::error!(%error, "checks of regressions: the store failed");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => return,
                // The store that is gone tells nothing more, and the stop comes soon.
                changed = added.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Makes the checks that are due, one after the other; answers when the next one is.
    async fn run_once(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let checks = self.control.due_checks(now, AHEAD).await?;
        let more = checks.due.len() >= AHEAD;
        let mut next = if more { Some(now) } else { checks.next };
        for check in checks.due {
            let end = self.check(&check).await;
            if let CheckEnd::Postponed { next_at } = end {
                next = Some(next.map_or(next_at, |next| next.min(next_at)));
            }
            crate::failpoint::pass("regressions.compared");
            self.control.end_check(check.key, end).await?;
        }
        Ok(next)
    }

    async fn check(&self, check: &RegressionCheck) -> CheckEnd {
        let job = check.job;
        match self.compare(check).await {
            Ok(Some(comparison)) if comparison.counts.newly_failed > 0 => match regressed(&check.payload, comparison) {
                Ok(payload) => CheckEnd::Regressed { payload, now: self.clock.now() },
                Err(error) => {
                    tracing::error!(%error, %job, "a regression can't be told");
                    CheckEnd::Nothing
                }
            },
            Ok(_) => CheckEnd::Nothing,
            // Job or results were deleted meanwhile.
            Err(error) if error.code == Code::NotFound => CheckEnd::Nothing,
            Err(error) if check.attempts + 1 >= MOST_ATTEMPTS => {
                tracing::error!(%error, %job, "a job was not compared with its previous run: given up");
                CheckEnd::Nothing
            }
            Err(error) => {
                let seconds = (1_i64 << check.attempts.min(30)).min(LONGEST_DELAY);
                tracing::warn!(%error, %job, again_in_seconds = seconds, "a job was not compared with its previous run");
                CheckEnd::Postponed { next_at: self.clock.now().plus_millis(seconds * 1000) }
            }
        }
    }

    /// Compares a job with its previous run, in all storages that either has written to; `None` where there is none.
    async fn compare(&self, check: &RegressionCheck) -> Result<Option<NoticeComparison>, Error> {
        let scope = Scope::Organization(check.organization.clone());
        let Some(against) = self.control.previous_run(check.job).await? else { return Ok(None) };
        if self.control.read_job(&scope, against).await?.is_none() {
            return Ok(None);
        }
        let mut storages: BTreeSet<String> = self.control.noted_storages(check.job).await?.into_iter().collect();
        storages.extend(self.control.noted_storages(against).await?);
        let mut sum = DiffCounts::default();
        for storage_id in storages.into_iter().take(MOST_STORAGES) {
            let storage = StorageKey { organization: check.organization.clone(), storage_id };
            let set = |job| SetKey { storage: storage.clone(), owner: SetOwner::Job(job) };
            let subject = self.comparisons.subject(set(against), set(check.job)).await?;
            let counts = self.comparisons.compare(&subject).await?.counts();
            sum.newly_failed += counts.newly_failed;
            sum.fixed += counts.fixed;
            sum.changed += counts.changed;
            sum.unchanged += counts.unchanged;
            sum.missing += counts.missing;
            sum.new += counts.new;
        }
        Ok(Some(NoticeComparison { against, counts: sum }))
    }
}

/// The notice of the end as the notice of a regression.
fn regressed(payload: &str, comparison: NoticeComparison) -> Result<String, serde_json::Error> {
    let notice: Notice = serde_json::from_str(payload)?;
    serde_json::to_string(&notice.regressed(comparison))
}
