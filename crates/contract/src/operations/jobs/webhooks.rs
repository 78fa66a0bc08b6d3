//! Listing what the webhooks of a job were not told yet.

use super::super::{Method, Operation, Resource, example_job, example_job_id, run};
use super::JobInput;
use crate::caller::Role;
use crate::error::Code;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most deliveries in one answer (D).
pub const MAX_DELIVERIES: usize = 100;

// (D)
/// List Job Webhooks.
pub struct ListJobWebhooks;

/// What a webhook was not told yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDelivery {
    /// The `webhook-id` under which it is told: the same at each attempt.
    #[schema(example = "evt_35f23c031c2245fe94843ffe769325de_4713_0")]
    pub id: String,
    /// The event in the job's history.
    #[schema(example = "4713", pattern = "^[0-9]{1,19}$")]
    pub event_id: String,
    /// Where to; only the host for those who may not start jobs.
    pub url: String,
    /// Attempts made.
    #[schema(minimum = 0)]
    pub attempts: i32,
    /// When the next attempt is due; absent once the delivery was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What the webhooks of a job were not told yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobWebhooks {
    /// The deliveries that wait or were given up, oldest first.
    #[schema(max_items = 100)]
    pub values: Vec<WebhookDelivery>,
}

impl Operation for ListJobWebhooks {
    const NAME: &'static str = "listJobWebhooks";
    const TITLE: &'static str = "List Job Webhooks";
    const DESCRIPTION: &'static str = "List what the webhooks of a job were not told yet: deliveries that wait for their next attempt, and those that \
        were given up, with the last error. What was delivered is not listed. The oldest 100 are shown.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/webhooks";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[Code::NotFound];
    type Input = JobInput;
    type Output = JobWebhooks;

    fn example() -> (Self::Input, Self::Output) {
        let waiting = WebhookDelivery {
            id: format!("evt_{}_4713_0", example_job_id().0.simple()),
            event_id: "4713".to_owned(),
            url: "https://hooks.example/docket".to_owned(),
            attempts: 2,
            next_attempt_at: Some(example_job().modified_at.plus_millis(300_000)),
            last_error: Some("answered 503".to_owned()),
        };
        (JobInput { job_id: example_job_id() }, JobWebhooks { values: vec![waiting] })
    }

    run!(list_job_webhooks);
}
