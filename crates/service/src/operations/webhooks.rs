//! Listing what the webhooks of a job were not told yet.

use super::{Service, scope};
use crate::store::Delivery;
use docket_contract::job::mask_webhook_url;
use docket_contract::operations::{JobWebhooks, MAX_DELIVERIES, WebhookDelivery};
use docket_contract::{Caller, Error, JobId};

pub(super) async fn list(service: &Service, caller: &Caller, id: JobId) -> Result<JobWebhooks, Error> {
    let found = service.control.job_deliveries(&scope(caller), id, MAX_DELIVERIES).await?;
    let found = found.ok_or_else(Error::not_found)?;
    Ok(JobWebhooks { values: found.into_iter().map(|delivery| view(delivery, caller)).collect() })
}

fn view(delivery: Delivery, caller: &Caller) -> WebhookDelivery {
    WebhookDelivery {
        id: delivery.message_id(),
        event_id: delivery.key.event.to_string(),
        url: if caller.sees_environment() { delivery.url } else { mask_webhook_url(&delivery.url) },
        attempts: i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
        next_attempt_at: delivery.next_at,
        last_error: delivery.last_error,
    }
}
