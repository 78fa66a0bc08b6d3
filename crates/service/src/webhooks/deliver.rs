//! Takes what is due and notes what has come of it.
//!
//! A delivery leaves the store only once its receiver has taken it, so a server that is killed in between delivers it
//! again, under the same `webhook-id`. Deliveries of one job to one webhook go one after the other, in the order of
//! their events as long as none fails.

use super::Webhooks;
use super::failure::Failure;
use super::send::{Message, send};
use super::sign::Secret;
use crate::store::{Delivery, DeliveryEnd, DeliveryKey, StoreError};
use bytes::Bytes;
use docket_contract::job::check_webhook_url;
use docket_contract::{JobId, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

/// Attempts at a time.
const ATTEMPTS: usize = 256;
/// Attempts at a time at receivers that failed the last time: the others must not wait for them.
const DOUBTFUL: usize = ATTEMPTS / 2;
/// Attempts at a time at one receiver.
const AT_RECEIVER: usize = 8;
/// Receivers looked at in one round: more than can be busy.
const RECEIVERS: usize = 4 * ATTEMPTS;
/// Deliveries of a receiver looked at in one round, besides those in hand.
const AHEAD: usize = 32;
/// Receivers whose failure is remembered.
const REMEMBERED: usize = 10_000;
/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Longest wait before another look: clocks are set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Wait after a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// What attempts in flight get when the server stops.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// What is known of a receiver.
#[derive(Default)]
struct Receiver {
    /// Attempts in flight.
    busy: usize,
    /// The last attempt failed.
    doubtful: bool,
}

impl Receiver {
    fn room(&self) -> usize {
        let most = if self.doubtful { 1 } else { AT_RECEIVER };
        most.saturating_sub(self.busy)
    }
}

/// An attempt in flight.
struct Flight {
    key: DeliveryKey,
    job: JobId,
    receiver: String,
}

/// What is in flight.
#[derive(Default)]
struct Hand {
    attempts: JoinSet<bool>,
    flights: HashMap<Id, Flight>,
    receivers: HashMap<String, Receiver>,
}

/// Delivers until `stop`.
pub(super) async fn run(webhooks: Arc<Webhooks>, mut stop: signal::Receiver<bool>) {
    let mut added = webhooks.control.new_deliveries();
    let mut hand = Hand::default();
    loop {
        added.borrow_and_update();
        let wait = match round(&webhooks, &mut hand, webhooks.clock.now()).await {
            Ok(next) => next.map_or(LOOK_AGAIN, |next| until(webhooks.clock.now(), next)),
            Err(error) => {
                tracing::error!(%error, "webhooks: the store failed");
                STORE_PAUSE
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => break,
            // The store that is gone tells nothing more, and the stop comes soon.
            changed = added.changed() => if changed.is_err() { break },
            Some(ended) = hand.attempts.join_next_with_id() => hand.land(ended),
            () = tokio::time::sleep(wait) => {}
        }
        while let Some(ended) = hand.attempts.try_join_next_with_id() {
            hand.land(ended);
        }
    }
    let landed = async { while hand.attempts.join_next().await.is_some() {} };
    if timeout(LAST_WAIT, landed).await.is_err() {
        tracing::debug!("webhook deliveries in flight are repeated by the next server");
    }
}

fn until(now: Timestamp, next: Timestamp) -> Duration {
    let millis = next.as_millis().saturating_sub(now.as_millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or_default()).min(LOOK_AGAIN)
}

/// Begins as many attempts as there is room for; answers when something else gets due.
async fn round(webhooks: &Arc<Webhooks>, hand: &mut Hand, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let receivers = webhooks.control.due_receivers(now, RECEIVERS).await?;
    for receiver in receivers.due {
        if hand.room(&receiver) == 0 {
            continue;
        }
        let busy = hand.receivers.get(&receiver).map_or(0, |known| known.busy);
        let due = webhooks.control.due_deliveries(&receiver, now, busy + AHEAD).await?;
        hand.begin(webhooks, &receiver, due);
    }
    Ok(receivers.next)
}

impl Hand {
    /// How many more attempts a receiver gets.
    fn room(&self, receiver: &str) -> usize {
        let known = self.receivers.get(receiver);
        let all = ATTEMPTS.saturating_sub(self.flights.len());
        match known {
            Some(known) if known.doubtful => {
                let doubtful = self.receivers.values().filter(|other| other.doubtful).map(|other| other.busy);
                all.min(DOUBTFUL.saturating_sub(doubtful.sum())).min(known.room())
            }
            Some(known) => all.min(known.room()),
            None => all.min(AT_RECEIVER),
        }
    }

    /// Begins as many attempts at a receiver as it has room for.
    fn begin(&mut self, webhooks: &Arc<Webhooks>, receiver: &str, due: Vec<Delivery>) {
        // What an earlier server learnt of a receiver is known by its deliveries.
        let doubtful = due.first().is_some_and(|delivery| delivery.attempts > 0);
        self.receivers.entry(receiver.to_owned()).or_insert(Receiver { busy: 0, doubtful });
        let room = self.room(receiver);
        let mut in_hand: HashSet<(JobId, u8)> =
            self.flights.values().map(|flight| (flight.job, flight.key.hook)).collect();
        let free = due.into_iter().filter(|delivery| in_hand.insert((delivery.job, delivery.key.hook)));
        for delivery in free.take(room) {
            let flight = Flight { key: delivery.key, job: delivery.job, receiver: receiver.to_owned() };
            let attempt = self.attempts.spawn(attempt(Arc::clone(webhooks), delivery));
            self.flights.insert(attempt.id(), flight);
            self.receivers.entry(receiver.to_owned()).or_default().busy += 1;
        }
    }

    /// An attempt has ended.
    fn land(&mut self, ended: Result<(Id, bool), JoinError>) {
        let (id, doubtful) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "an attempt to deliver failed");
                (error.id(), true)
            }
        };
        let Some(flight) = self.flights.remove(&id) else { return };
        if let Some(receiver) = self.receivers.get_mut(&flight.receiver) {
            receiver.busy = receiver.busy.saturating_sub(1);
            receiver.doubtful = doubtful;
            if receiver.busy == 0 && !doubtful {
                self.receivers.remove(&flight.receiver);
            }
        }
        if self.receivers.len() > REMEMBERED {
            self.receivers.retain(|_, receiver| receiver.busy > 0);
        }
    }
}

/// One attempt, and its note in the store. Tells whether it speaks against the receiver.
async fn attempt(webhooks: Arc<Webhooks>, delivery: Delivery) -> bool {
    let made = delivery.attempts + 1;
    let seconds = webhooks.clock.now().as_millis().div_euclid(1000);
    let message = message(&Secret::new(webhooks.secrets.webhook_secret(&delivery.organization)), &delivery, seconds);
    let sent = timeout(ATTEMPT, send(&webhooks.connector, &delivery.url, &message)).await;
    let late = |_| Err(Failure::passing(format!("not taken within {} s", ATTEMPT.as_secs())));
    let (job, id) = (delivery.job, &message.id);
    let host = host(&delivery.url);
    let (end, doubtful) = match sent.unwrap_or_else(late) {
        Ok(()) => {
            tracing::debug!(%job, id, host, attempt = made, "webhook delivered");
            (DeliveryEnd::Delivered, false)
        }
        Err(Failure { reason, is_final, retry_after }) => {
            let delay = webhooks.schedule.after(made, retry_after, fastrand::f64()).filter(|_| !is_final);
            let end = match delay {
                Some(delay) => {
                    let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                    let next_at = webhooks.clock.now().plus_millis(millis);
                    tracing::warn!(%job, id, host, attempt = made, error = reason, again = %next_at, "webhook failed");
                    DeliveryEnd::Postponed { next_at, error: reason }
                }
                None => {
                    tracing::error!(%job, id, host, attempt = made, error = reason, "webhook given up");
                    DeliveryEnd::GivenUp { error: reason }
                }
            };
            (end, !is_final)
        }
    };
    note(&webhooks, delivery.key, end).await;
    doubtful
}

/// What is sent for a delivery.
fn message(secret: &Secret, delivery: &Delivery, seconds: i64) -> Message {
    let id = delivery.message_id();
    let signature = secret.sign(&id, seconds, delivery.payload.as_bytes());
    Message { id, seconds, signature, body: Bytes::copy_from_slice(delivery.payload.as_bytes()) }
}

/// The host of a url, for logs: the rest may be a secret.
fn host(url: &str) -> String {
    let url = check_webhook_url(url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Notes an end; while the store can't, the delivery stays in hand rather than be sent again and again.
async fn note(webhooks: &Webhooks, key: DeliveryKey, end: DeliveryEnd) {
    while let Err(error) = webhooks.control.end_delivery(key, end.clone()).await {
        tracing::error!(%error, "webhooks: the store failed");
        tokio::time::sleep(STORE_PAUSE).await;
    }
}
