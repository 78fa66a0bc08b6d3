//! Tells webhooks what happened to jobs, by Standard Webhooks, at least once.
//!
//! Events leave deliveries in the store, in their own transactions; this is who sends them. One duty a file: `deliver`
//! takes what is due and notes what has come of it, `send` makes one attempt, `connect` reaches the receiver, `guard`
//! says which addresses may be reached, `sign` signs, `retry` says when to try again. Nothing here knows of statuses
//! and transitions.
//!
//! Every wait, queue and body has a bound: attempts at a time in all and at a receiver, seconds for each part of an
//! attempt, bytes of an answer. What waits, waits in the store.

mod connect;
mod deliver;
mod failure;
mod guard;
mod retry;
mod send;
mod sign;

pub use guard::{Guard, Refused};
pub use retry::Schedule;
pub use sign::Secret;

use crate::clock::Clock;
use crate::secrets::Secrets;
use crate::store::ControlStore;
use connect::Connector;
use docket_contract::Error;
use docket_contract::job::{Webhook, check_webhook_url};
use std::sync::Arc;
use tokio::sync::watch as signal;

/// What operators can say about webhooks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookSettings {
    /// Which addresses may be reached.
    pub guard: Guard,
    /// When a failed delivery is tried again.
    pub schedule: Schedule,
}

/// Sends deliveries.
pub struct Webhooks {
    control: Arc<dyn ControlStore>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    connector: Connector,
    schedule: Schedule,
}

impl Webhooks {
    /// Sends nothing until [`Webhooks::run`].
    pub fn new(
        control: Arc<dyn ControlStore>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
        settings: WebhookSettings,
    ) -> Self {
        Self { control, clock, secrets, connector: Connector::new(settings.guard), schedule: settings.schedule }
    }

    /// Works until `stop` says so. What was not delivered by then is delivered by the next run.
    pub async fn run(self, stop: signal::Receiver<bool>) {
        deliver::run(Arc::new(self), stop).await;
    }
}

/// Refuses webhooks whose urls name addresses that are never reached. Names are looked up when there is something to
/// tell.
///
/// # Errors
/// `invalid_request` that names each such url.
pub fn check(guard: &Guard, webhooks: &[Webhook]) -> Result<(), Error> {
    let refused = webhooks.iter().enumerate().filter_map(|(index, webhook)| {
        let url = check_webhook_url(&webhook.url).ok()?;
        let refused = guard.check_url(&url).err()?;
        let pointer = format!("/webhooks/{index}/url");
        Some(Error::field(&pointer, "not_allowed", format!("webhooks/{index}/url: {refused}")))
    });
    refused
        .reduce(|mut first, next| {
            first.errors.extend(next.errors);
            first
        })
        .map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::FieldError;

    #[test]
    fn each_refused_url_is_named() {
        let hooks = ["http://10.0.0.1/", "https://a.example/", "http://[::1]:8080/"].map(|url| Webhook {
            url: url.to_owned(),
            events: Vec::new(),
            only_regressions: None,
        });
        let error = check(&Guard::default(), &hooks).expect_err("refused");
        let pointers: Vec<_> = error.errors.iter().map(|FieldError { pointer, .. }| pointer.as_str()).collect();
        assert_eq!(pointers, ["/webhooks/0/url", "/webhooks/2/url"]);
        assert!(error.detail.contains("private"), "{}", error.detail);
        assert_eq!(check(&Guard::default(), &hooks[1..2]), Ok(()));
    }
}
