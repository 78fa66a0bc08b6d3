//! Retention: what a policy says, and which one counts for the jobs of a storage and type and for a storage's logs.

use crate::job::is_job_type;
use crate::lenient;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Most days that a policy may name: a hundred years (D).
pub const MAX_KEEP_DAYS: i32 = 36_500;
/// Most runs that a policy may keep (D).
pub const MAX_KEEP_RUNS: i32 = 1_000_000;
/// Most policies that an organization makes, and most that a configuration has (D).
pub const MAX_POLICIES: usize = 1000;

const DAY_MILLIS: i64 = 86_400_000;

// (D)
/// What is kept of the jobs of a storage and type, and of a storage's processing logs. A policy without `storageId` is for
/// all storages, and for jobs without one; a policy without `type` is for all types, and for jobs without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetentionRule {
    /// The `resultStorageId` of the jobs, and the storage of the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: Option<String>,
    /// The type of the jobs.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,62}_JOB$", example = "DATA_VALIDATION_JOB")]
    pub job_type: Option<String>,
    /// Jobs that ended longer ago are removed. One of `keepDays`, `keepRuns` and `keepLogDays` is required.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36500, example = 90)]
    pub keep_days: Option<i32>,
    /// So many jobs of each storage and type are kept, those that ended last; older ones are removed.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000, example = 30)]
    pub keep_runs: Option<i32>,
    /// Entries of processing logs that were last written longer ago are removed. For a policy without `type`.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36500, example = 365)]
    pub keep_log_days: Option<i32>,
}

/// What a policy is chosen by: storage and type.
pub type PolicyKey = (Option<String>, Option<String>);

impl RetentionRule {
    /// What it is chosen by.
    pub fn key(&self) -> PolicyKey {
        (self.storage_id.clone(), self.job_type.clone())
    }

    /// Whether it says something of jobs.
    pub fn is_for_jobs(&self) -> bool {
        self.keep_days.is_some() || self.keep_runs.is_some()
    }

    /// Jobs that ended before this time are removed.
    pub fn ended_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.keep_days.map(|days| days_before(now, days))
    }
}

/// The time so many days before another one.
pub fn days_before(now: Timestamp, days: i32) -> Timestamp {
    now.plus_millis(-i64::from(days) * DAY_MILLIS)
}

/// Checks what policies are chosen by.
pub fn validate_key(problems: &mut Problems, storage_id: Option<&str>, job_type: Option<&str>) {
    problems.id("/storageId", storage_id);
    if job_type.is_some_and(|job_type| !is_job_type(job_type)) {
        problems.add("/type", "invalid_format", "must match [A-Z][A-Z0-9_]{0,62}_JOB");
    }
}

impl Validate for RetentionRule {
    fn validate(&mut self, problems: &mut Problems) {
        validate_key(problems, self.storage_id.as_deref(), self.job_type.as_deref());
        problems.range("/keepDays", self.keep_days, 1, MAX_KEEP_DAYS);
        problems.range("/keepRuns", self.keep_runs, 1, MAX_KEEP_RUNS);
        problems.range("/keepLogDays", self.keep_log_days, 1, MAX_KEEP_DAYS);
        if !self.is_for_jobs() && self.keep_log_days.is_none() {
            problems.add("/keepDays", "required", "is required where there is neither keepRuns nor keepLogDays");
        }
        if self.keep_log_days.is_some() && self.job_type.is_some() {
            problems.add("/keepLogDays", "not_supported", "is for policies without type: entries of logs have none");
        }
    }
}

// (D)
/// Where a policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PolicySource {
    /// Put Retention Policy.
    Api,
    /// The server's configuration.
    Configuration,
}

// (D)
/// A policy that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicy {
    /// What it says.
    #[serde(flatten)]
    pub rule: RetentionRule,
    /// Where it comes from. One of the API goes before one of the configuration for the same storage and type.
    pub source: PolicySource,
    /// Who made it; absent where the configuration did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "nightly")]
    pub user: Option<String>,
    /// When it was made; absent where the configuration did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
}

// (D)
/// A round of removals, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionRound {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; absent while it goes on, and where the server's end has cut it off: the next one goes on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Jobs that it has removed.
    #[schema(minimum = 0, example = 12)]
    pub jobs: i64,
    /// Results of these jobs.
    #[schema(minimum = 0, example = 1_200_000)]
    pub results: i64,
    /// Entries of processing logs that it has removed.
    #[schema(minimum = 0, example = 4711)]
    pub log_entries: i64,
    /// What could not be removed, and why. The next round tries it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1 of the jobs and logs could not be removed: the file that holds this storage is damaged")]
    pub error: Option<String>,
}

impl RetentionRound {
    /// One that begins.
    pub fn begun(started_at: Timestamp) -> Self {
        Self { started_at, ended_at: None, jobs: 0, results: 0, log_entries: 0, error: None }
    }
}

/// The policies of an organization that count: at most one for each storage and type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies(BTreeMap<PolicyKey, RetentionPolicy>);

impl Policies {
    /// Puts policies together, the weakest first: a later one replaces an earlier one for the same storage and type.
    pub fn new(policies: impl IntoIterator<Item = RetentionPolicy>) -> Self {
        Self(policies.into_iter().map(|policy| (policy.rule.key(), policy)).collect())
    }

    /// The one for the jobs of a storage and type: for both, else for the storage, else for the type, else for all. One
    /// that says nothing of jobs is passed over.
    pub fn for_jobs(&self, storage_id: Option<&str>, job_type: Option<&str>) -> Option<&RetentionPolicy> {
        let pairs = [(storage_id, job_type), (storage_id, None), (None, job_type), (None, None)];
        let mut found = pairs.into_iter().filter_map(|(storage, kind)| self.get(storage, kind));
        found.find(|policy| policy.rule.is_for_jobs())
    }

    /// Days for which entries of a storage's processing logs are kept: as the policy for the storage says, else the one
    /// for all. One that says nothing of logs is passed over.
    pub fn keep_log_days(&self, storage_id: &str) -> Option<i32> {
        let mut found = [Some(storage_id), None].into_iter().filter_map(|storage| self.get(storage, None));
        found.find_map(|policy| policy.rule.keep_log_days)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a policy says something of logs.
    pub fn keep_logs(&self) -> bool {
        self.iter().any(|policy| policy.rule.keep_log_days.is_some())
    }

    /// All of them, by storage and type; what is for all comes first.
    pub fn iter(&self) -> impl Iterator<Item = &RetentionPolicy> {
        self.0.values()
    }

    fn get(&self, storage_id: Option<&str>, job_type: Option<&str>) -> Option<&RetentionPolicy> {
        self.0.get(&(storage_id.map(str::to_owned), job_type.map(str::to_owned)))
    }
}

#[cfg(test)]
mod tests;
