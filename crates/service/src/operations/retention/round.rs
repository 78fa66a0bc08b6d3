//! One round: an organization's ended jobs and log entries that no policy keeps go, one small step after the other.
//!
//! It holds nothing but its place: what it is cut off from, the next one finds again.

use super::super::{Service, jobs};
use super::{GROUPS, Pacer};
use crate::failpoint;
use crate::store::{EndPosition, JobGroup, RetentionStore, Scope, SetKey, SetOwner, StoreError};
use docket_contract::cursor::Position;
use docket_contract::retention::{Policies, RetentionRound, RetentionRule, days_before};
use docket_contract::{Code, Error, JobId, ProcessingLogId, Timestamp};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Jobs that are looked up at once.
const STEP: usize = 50;
/// Entries of the index of ended jobs that one look walks over.
const WALK: usize = 10_000;
/// So many failures end a round: what hits all of them is not to be tried a million times.
const MOST_FAILURES: u64 = 100;
/// How often it is stored how far the round has come.
const TOLD: Duration = Duration::from_secs(1);

/// Why a round does not come to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The server stops.
    Stopped,
    /// The control plane can't be read or written.
    Failed(Error),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

struct Round<'a> {
    service: &'a Service,
    organization: &'a str,
    policies: Policies,
    now: Timestamp,
    pacer: Pacer,
    told: RetentionRound,
    told_at: Instant,
    failures: u64,
    first_failure: Option<String>,
}

/// Makes a round; answers what has become of it.
pub(super) async fn make(
    service: &Service,
    organization: &str,
    stop: watch::Receiver<bool>,
) -> Result<RetentionRound, Halt> {
    let now = service.clock.now();
    let mut round = Round {
        service,
        organization,
        policies: service.retention.policies(organization).await?,
        now,
        pacer: Pacer::new(stop),
        told: RetentionRound::begun(now),
        told_at: Instant::now(),
        failures: 0,
        first_failure: None,
    };
    round.tell().await?;
    match round.remove().await {
        Ok(()) => {}
        Err(Halt::Failed(error)) => round.failed(error),
        Err(Halt::Stopped) => return Err(Halt::Stopped),
    }
    round.told.ended_at = Some(service.clock.now().max(now));
    round.told.error = round.first_failure.take().map(|first| {
        let failures = round.failures;
        format!("{failures} of the jobs and logs could not be removed; the first: {first}")
    });
    round.tell().await?;
    Ok(round.told)
}

impl Round<'_> {
    async fn remove(&mut self) -> Result<(), Halt> {
        let store = &*self.service.retention.store;
        let mut after: Option<JobGroup> = None;
        loop {
            let groups = store.ended_groups(self.organization, after.as_ref(), GROUPS).await?;
            let Some(last) = groups.last().cloned() else { break };
            for group in &groups {
                let policy = self.policies.for_jobs(group.storage_id.as_deref(), group.job_type.as_deref());
                if let Some(rule) = policy.map(|policy| policy.rule.clone()) {
                    self.group(group, &rule).await?;
                }
            }
            after = Some(last);
        }
        self.logs().await
    }

    /// Removes the jobs of a group that are not kept, the oldest first.
    async fn group(&mut self, group: &JobGroup, rule: &RetentionRule) -> Result<(), Halt> {
        let store = &*self.service.retention.store;
        let too_old = rule.ended_before(self.now).map(EndPosition::before);
        let Some(before) = too_old.max(newest_kept(store, group, rule).await?) else { return Ok(()) };
        let mut after = None;
        loop {
            let jobs = store.ended_jobs(group, after, before, STEP).await?;
            for (_, id) in &jobs {
                let begun = Instant::now();
                self.job(*id).await;
                failpoint::pass("retention.removed");
                self.rest(begun).await?;
            }
            match jobs.last() {
                Some((last, _)) if jobs.len() == STEP => after = Some(*last),
                _ => return Ok(()),
            }
        }
    }

    /// Removes a job as Delete Job does. One that can't be must not keep the others.
    async fn job(&mut self, id: JobId) {
        let scope = Scope::Organization(self.organization.to_owned());
        match jobs::remove(self.service, &scope, id).await {
            Ok(removed) => {
                self.told.jobs += 1;
                self.told.results += i64::try_from(removed.results).unwrap_or(i64::MAX);
            }
            // Somebody else has deleted it.
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, job = %id, "a job that is not kept can't be removed");
                self.failed(error);
            }
        }
    }

    async fn logs(&mut self) -> Result<(), Halt> {
        if !self.policies.keep_logs() {
            return Ok(());
        }
        for storage in self.service.results.storages(self.organization).await?.keys {
            let Some(days) = self.policies.keep_log_days(&storage.storage_id) else { continue };
            for log in ProcessingLogId::ALL {
                let set = SetKey { storage: storage.clone(), owner: SetOwner::Log(log) };
                self.log(&set, days_before(self.now, days)).await?;
            }
        }
        Ok(())
    }

    /// Removes the entries of a log that were last written before a time.
    async fn log(&mut self, set: &SetKey, before: Timestamp) -> Result<(), Halt> {
        let results = &*self.service.results;
        match results.last_result(set).await {
            // It was never written to: most storages have one log or two of the eight.
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
            Err(error) => return self.log_failed(set, error),
        }
        let mut after = Position::default();
        loop {
            let begun = Instant::now();
            let step = match results.remove_older(set, before, after).await {
                Ok(step) => step,
                Err(error) => return self.log_failed(set, error),
            };
            self.told.log_entries += i64::try_from(step.removed).unwrap_or(i64::MAX);
            failpoint::pass("retention.step");
            self.rest(begun).await?;
            match step.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    fn log_failed(&mut self, set: &SetKey, error: StoreError) -> Result<(), Halt> {
        tracing::warn!(%error, storage = set.storage.storage_id, "entries of a log that are not kept can't be removed");
        self.failed(error.into());
        Ok(())
    }

    fn failed(&mut self, error: Error) {
        self.failures += 1;
        self.first_failure.get_or_insert(error.detail);
    }

    /// Rests after a step, and tells from time to time how far the round is.
    async fn rest(&mut self, begun: Instant) -> Result<(), Halt> {
        if !self.pacer.rest(begun.elapsed()).await {
            return Err(Halt::Stopped);
        }
        if self.failures >= MOST_FAILURES {
            let detail = format!("The round was given up after {MOST_FAILURES} failures.");
            return Err(Halt::Failed(Error::new(Code::Internal, detail)));
        }
        if self.told_at.elapsed() >= TOLD {
            self.tell().await?;
        }
        Ok(())
    }

    async fn tell(&mut self) -> Result<(), Halt> {
        self.told_at = Instant::now();
        Ok(self.service.retention.store.save_round(self.organization, self.told.clone()).await?)
    }
}

/// The oldest of the newest jobs that are kept, whatever their age; `None` if there are no older ones.
async fn newest_kept(
    store: &dyn RetentionStore,
    group: &JobGroup,
    rule: &RetentionRule,
) -> Result<Option<EndPosition>, StoreError> {
    let mut left = rule.keep_runs.and_then(|runs| usize::try_from(runs).ok()).unwrap_or_default();
    let mut reached = None;
    while left > 0 {
        let step = left.min(WALK);
        reached = store.newest_ended(group, reached, step).await?;
        if reached.is_none() {
            break;
        }
        left -= step;
    }
    Ok(reached)
}
