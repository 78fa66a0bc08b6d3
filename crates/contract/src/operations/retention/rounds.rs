//! What a round of removals would remove, and beginning one.

use super::super::{Method, NoInput, Operation, Resource, run};
use super::{example_rule, example_time};
use crate::caller::Role;
use crate::error::Code;
use crate::retention::RetentionRule;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Preview Retention (D).
pub struct PreviewRetention;

/// What a round would remove.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPreview {
    /// For which time this is.
    pub at: Timestamp,
    /// The policies that say something of jobs, by storage and type.
    pub values: Vec<PolicyPreview>,
    /// Whether all was looked at. Otherwise the numbers are what was found until the look ended: a round may remove more.
    pub complete: bool,
}

/// What a round would remove because of one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPreview {
    /// The policy's storage; absent where it is for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_id: Option<String>,
    /// The policy's type; absent where it is for all.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// Jobs that have ended and are not kept.
    #[schema(minimum = 0, example = 12)]
    pub jobs: i64,
}

impl Operation for PreviewRetention {
    const NAME: &'static str = "previewRetention";
    const TITLE: &'static str = "Preview Retention";
    const DESCRIPTION: &'static str = "Tell how many jobs a round would remove now, policy by policy. At most 100,000 ended jobs and 1000 pairs of \
        storage and type are looked at; `complete` tells whether that was enough. Entries of processing logs are not \
        counted: telling would need a look at each.";
    const RESOURCE: Resource = Resource::Retention;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/retention/preview";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[];
    type Input = NoInput;
    type Output = RetentionPreview;

    fn example() -> (Self::Input, Self::Output) {
        let RetentionRule { storage_id, job_type, .. } = example_rule();
        let values = vec![PolicyPreview { storage_id, job_type, jobs: 12 }];
        (NoInput {}, RetentionPreview { at: example_time(), values, complete: true })
    }

    run!(preview_retention);
}

/// Run Retention (D).
pub struct RunRetention;

/// That a round begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionStart {
    /// Whether a round of the organization was going on already, or was waiting for its turn: then no other one is begun.
    pub already_going_on: bool,
    /// When it was asked for.
    pub asked_at: Timestamp,
}

impl Operation for RunRetention {
    const NAME: &'static str = "runRetention";
    const TITLE: &'static str = "Run Retention";
    const DESCRIPTION: &'static str = "Begin a round of the caller's organization now, instead of waiting for the next one. Answers at once; List \
        Retention Policies tells how the round goes. Rounds of several organizations go on one after the other.";
    const RESOURCE: Resource = Resource::Retention;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/retention/run";
    const ROLE: Role = Role::Admin;
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] = &[];
    type Input = NoInput;
    type Output = RetentionStart;

    fn example() -> (Self::Input, Self::Output) {
        (NoInput {}, RetentionStart { already_going_on: false, asked_at: example_time() })
    }

    run!(run_retention);
}
