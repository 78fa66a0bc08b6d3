//! Deliveries in memory.

use crate::store::deliveries::{payload, receiver};
use crate::store::{
    CheckEnd, Delivery, DeliveryEnd, DeliveryKey, DueChecks, DueReceivers, RegressionCheck, StoredEvent, StoredJob,
};
use docket_contract::{JobId, Timestamp};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Most deliveries, and most checks, that are kept; at the bound the oldest one goes.
const MOST: usize = 10_000;

/// All deliveries.
#[derive(Default)]
pub(super) struct Deliveries {
    kept: BTreeMap<DeliveryKey, Delivery>,
    checks: BTreeMap<DeliveryKey, RegressionCheck>,
    added: watch::Sender<u64>,
}

impl Deliveries {
    /// Leaves a delivery, or a check, for each webhook of the job that wants to be told of an event.
    pub(super) fn add(&mut self, stored: &StoredJob, told: &StoredEvent) {
        let wanted = |hook: &usize| stored.job.spec.webhooks[*hook].wants(told.event.to);
        for hook in (0..stored.job.spec.webhooks.len()).filter(wanted) {
            let key = DeliveryKey { event: told.id, hook: u8::try_from(hook).unwrap_or(u8::MAX) };
            let payload = match payload(stored, told.event.clone()) {
                Ok(payload) => payload,
                Err(error) => {
                    tracing::error!(%error, "a delivery is lost");
                    continue;
                }
            };
            let webhook = &stored.job.spec.webhooks[hook];
            if webhook.tells_regressions_only() {
                let check = RegressionCheck {
                    key,
                    job: stored.job.id,
                    organization: stored.organization.clone(),
                    url: webhook.url.clone(),
                    payload,
                    attempts: 0,
                    next_at: told.event.at,
                };
                if self.checks.len() >= MOST {
                    self.checks.pop_first();
                }
                self.checks.insert(key, check);
                self.added.send_modify(|added| *added += 1);
                continue;
            }
            self.keep(Delivery {
                key,
                job: stored.job.id,
                organization: stored.organization.clone(),
                url: webhook.url.clone(),
                payload,
                attempts: 0,
                next_at: Some(told.event.at),
                last_error: None,
            });
        }
    }

    fn keep(&mut self, delivery: Delivery) {
        if self.kept.len() >= MOST {
            self.kept.pop_first();
        }
        self.kept.insert(delivery.key, delivery);
        self.added.send_modify(|added| *added += 1);
    }

    /// The checks that are due, the longest waiting first.
    pub(super) fn due_checks(&self, now: Timestamp, limit: usize) -> DueChecks {
        let mut firsts: Vec<_> = self.checks.values().cloned().collect();
        firsts.sort_by_key(|check| (check.next_at, check.key));
        firsts.truncate(limit);
        DueChecks::of(firsts, now)
    }

    /// Notes what a check has come to.
    pub(super) fn end_check(&mut self, key: DeliveryKey, end: CheckEnd) {
        match end {
            CheckEnd::Regressed { payload, now } => {
                let Some(RegressionCheck { job, organization, url, .. }) = self.checks.remove(&key) else { return };
                let next_at = Some(now);
                self.keep(Delivery { key, job, organization, url, payload, attempts: 0, next_at, last_error: None });
            }
            CheckEnd::Nothing => {
                self.checks.remove(&key);
            }
            CheckEnd::Postponed { next_at } => {
                if let Some(check) = self.checks.get_mut(&key) {
                    check.attempts += 1;
                    check.next_at = next_at;
                }
            }
        }
    }

    /// The receivers with due deliveries.
    pub(super) fn due_receivers(&self, now: Timestamp, limit: usize) -> DueReceivers {
        let mut firsts: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (delivery, at) in self.pending() {
            let first = firsts.entry(receiver(&delivery.url)).or_insert(at);
            *first = at.min(*first);
        }
        DueReceivers::sort(firsts.into_iter().map(|(receiver, at)| (at, receiver)).collect(), now, limit)
    }

    /// The due deliveries of a receiver, the longest waiting first.
    pub(super) fn due(&self, wanted: &str, now: Timestamp, limit: usize) -> Vec<Delivery> {
        let due = self.pending().filter(|(delivery, at)| *at <= now && receiver(&delivery.url) == wanted);
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(delivery, at)| (*at, delivery.key));
        due.into_iter().take(limit).map(|(delivery, _)| delivery.clone()).collect()
    }

    fn pending(&self) -> impl Iterator<Item = (&Delivery, Timestamp)> {
        self.kept.values().filter_map(|delivery| Some((delivery, delivery.next_at?)))
    }

    /// The deliveries of a job, oldest first.
    pub(super) fn of_job(&self, id: JobId, limit: usize) -> Vec<Delivery> {
        self.kept.values().filter(|delivery| delivery.job == id).take(limit).cloned().collect()
    }

    /// Notes what an attempt has come to; `has_job` tells whether a job is still there.
    pub(super) fn end(&mut self, key: DeliveryKey, end: DeliveryEnd, has_job: impl FnOnce(JobId) -> bool) {
        let Some(delivery) = self.kept.get_mut(&key) else { return };
        let (next_at, error) = match end {
            DeliveryEnd::Delivered => (None, None),
            DeliveryEnd::Postponed { next_at, error } => (Some(next_at), Some(error)),
            DeliveryEnd::GivenUp { error } => (None, Some(error)),
        };
        delivery.attempts += 1;
        delivery.next_at = next_at;
        if error.is_none() || (next_at.is_none() && !has_job(delivery.job)) {
            self.kept.remove(&key);
        } else {
            delivery.last_error = error;
        }
    }

    /// Removes the deliveries of a deleted job that were given up.
    pub(super) fn remove_given_up(&mut self, id: JobId) {
        self.kept.retain(|_, delivery| delivery.job != id || delivery.next_at.is_some());
    }

    /// Tells when deliveries were added.
    pub(super) fn added(&self) -> watch::Receiver<u64> {
        self.added.subscribe()
    }
}
