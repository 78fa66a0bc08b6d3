//! Making, removing and listing the policies of retention.

use super::super::{Input, Method, NoInput, Operation, Resource, run};
use super::{example_policy, example_round, example_rule, example_storage};
use crate::caller::Role;
use crate::error::Code;
use crate::retention::{PolicySource, RetentionPolicy, RetentionRound, RetentionRule, validate_key};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Put Retention Policy (D).
pub struct PutRetentionPolicy;

impl Input for RetentionRule {}

impl Operation for PutRetentionPolicy {
    const NAME: &'static str = "putRetentionPolicy";
    const TITLE: &'static str = "Put Retention Policy";
    const DESCRIPTION: &'static str = "Say what is kept of the ended jobs of a storage and type, in place of what was said before. Of several policies \
        the most specific one counts for a job: that for its storage and type, else for its storage, else for its type, \
        else for all. What is not kept goes with the next round. An organization has at most 1000 policies.";
    const RESOURCE: Resource = Resource::Retention;
    const METHOD: Method = Method::Put;
    const PATH: &'static str = "/retention";
    const ROLE: Role = Role::Admin;
    const ERRORS: &'static [Code] = &[Code::StorageFull];
    type Input = RetentionRule;
    type Output = RetentionPolicy;

    fn example() -> (Self::Input, Self::Output) {
        (example_rule(), example_policy())
    }

    run!(put_retention_policy);
}

/// Delete Retention Policy (D).
pub struct DeleteRetentionPolicy;

/// Which policy to remove: the one for just this storage and type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteRetentionPolicyInput {
    /// The policy's `storageId`; absent for the policy without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: Option<String>,
    /// The policy's `type`; absent for the policy without one.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,62}_JOB$", example = "DATA_VALIDATION_JOB")]
    pub job_type: Option<String>,
}

impl Validate for DeleteRetentionPolicyInput {
    fn validate(&mut self, problems: &mut Problems) {
        validate_key(problems, self.storage_id.as_deref(), self.job_type.as_deref());
    }
}

impl Input for DeleteRetentionPolicyInput {}

impl Operation for DeleteRetentionPolicy {
    const NAME: &'static str = "deleteRetentionPolicy";
    const TITLE: &'static str = "Delete Retention Policy";
    const DESCRIPTION: &'static str = "Remove the policy for a storage and type. Answers it as it was. One of the configuration goes only with the \
        configuration; where there is one for the same storage and type, it counts from then on.";
    const RESOURCE: Resource = Resource::Retention;
    const METHOD: Method = Method::Delete;
    const PATH: &'static str = "/retention";
    const ROLE: Role = Role::Admin;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::StorageFull];
    type Input = DeleteRetentionPolicyInput;
    type Output = RetentionPolicy;

    fn example() -> (Self::Input, Self::Output) {
        let RetentionRule { storage_id, job_type, .. } = example_rule();
        (DeleteRetentionPolicyInput { storage_id, job_type }, example_policy())
    }

    run!(delete_retention_policy);
}

/// List Retention Policies (D).
pub struct ListRetentionPolicies;

/// The policies that count, and how the removals stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicies {
    /// The policies, by storage and type; at most one for each pair.
    pub values: Vec<RetentionPolicy>,
    /// Whether a round goes on, or waits for its turn.
    pub going_on: bool,
    /// The last round; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_round: Option<RetentionRound>,
}

impl Operation for ListRetentionPolicies {
    const NAME: &'static str = "listRetentionPolicies";
    const TITLE: &'static str = "List Retention Policies";
    const DESCRIPTION: &'static str = "List the policies that count for the caller's organization, those of the configuration included, with the last \
        round: when it was and how much it has removed.";
    const RESOURCE: Resource = Resource::Retention;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/retention";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[];
    type Input = NoInput;
    type Output = RetentionPolicies;

    fn example() -> (Self::Input, Self::Output) {
        let rule =
            RetentionRule { storage_id: Some(example_storage()), keep_log_days: Some(365), ..RetentionRule::default() };
        let configured = RetentionPolicy { rule, source: PolicySource::Configuration, user: None, modified_at: None };
        let values = vec![configured, example_policy()];
        (NoInput {}, RetentionPolicies { values, going_on: false, last_round: Some(example_round()) })
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let (_, policies) = Self::example();
        let none = RetentionPolicies { values: Vec::new(), going_on: false, last_round: None };
        let cut_off = RetentionRound { ended_at: None, ..example_round() };
        let going_on = RetentionPolicies { going_on: true, last_round: Some(cut_off), ..policies.clone() };
        vec![("default", policies), ("going-on", going_on), ("none", none)]
    }

    run!(list_retention_policies);
}
