//! Settings of retention: how often rounds go on, and in the file `[[retention]]` with a policy each.

use crate::failure::Failure;
use docket_contract::retention::{MAX_POLICIES, RetentionRule};
use docket_contract::text::check_id;
use docket_contract::validate::{Problems, Validate};
use docket_service::operations::{ConfiguredPolicy, RetentionSettings};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// The longest time between two rounds, in seconds: a year.
const LONGEST: u64 = 31_536_000;
const DEFAULT_SECONDS: u64 = 3600;

/// A policy in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Policy {
    organization: Option<String>,
    storage_id: Option<String>,
    #[serde(rename = "type")]
    job_type: Option<String>,
    keep_days: Option<i32>,
    keep_runs: Option<i32>,
    keep_log_days: Option<i32>,
}

/// Checks and joins them.
pub(crate) fn settings(every: Option<u64>, policies: Option<Vec<Policy>>) -> Result<RetentionSettings, Failure> {
    let every = every.unwrap_or(DEFAULT_SECONDS);
    if every > LONGEST {
        return Err(Failure::usage(format!("retention-every must be from 0 to {LONGEST}, is {every}")));
    }
    let policies = policies.unwrap_or_default();
    if policies.len() > MAX_POLICIES {
        let found = policies.len();
        return Err(Failure::usage(format!("retention must have at most {MAX_POLICIES} policies, has {found}")));
    }
    let mut known = BTreeSet::new();
    let policies = (1..).zip(policies).map(|(number, policy)| {
        let policy =
            checked(policy).map_err(|reason| Failure::usage(format!("retention, policy {number}: {reason}")))?;
        if !known.insert((policy.organization.clone(), policy.rule.key())) {
            let reason = "there is one for this organization, storage-id and type already";
            return Err(Failure::usage(format!("retention, policy {number}: {reason}")));
        }
        Ok(policy)
    });
    let policies = policies.collect::<Result<_, _>>()?;
    Ok(RetentionSettings { every: (every > 0).then(|| Duration::from_secs(every)), policies })
}

fn checked(policy: Policy) -> Result<ConfiguredPolicy, String> {
    let Policy { organization, storage_id, job_type, keep_days, keep_runs, keep_log_days } = policy;
    if let Some((_, reason)) = organization.as_deref().and_then(|organization| check_id(organization).err()) {
        return Err(format!("organization {reason}"));
    }
    let mut rule = RetentionRule { storage_id, job_type, keep_days, keep_runs, keep_log_days };
    let mut problems = Problems::default();
    rule.validate(&mut problems);
    problems.into_result().map_err(|error| in_the_file(error.detail))?;
    Ok(ConfiguredPolicy { organization, rule })
}

/// What is said of members, with the names that they have in the file.
fn in_the_file(detail: String) -> String {
    let names = [
        ("storageId", "storage-id"),
        ("keepDays", "keep-days"),
        ("keepRuns", "keep-runs"),
        ("keepLogDays", "keep-log-days"),
    ];
    names.into_iter().fold(detail, |detail, (api, file)| detail.replace(api, file))
}
