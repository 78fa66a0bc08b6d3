//! Policies and rounds of retention, and walks of ended jobs: looks at every job.

use super::MemoryControl;
use super::jobs::Jobs;
use crate::store::{EndPosition, JobGroup, Made, RetentionStore, StoreError};
use async_trait::async_trait;
use docket_contract::JobId;
use docket_contract::retention::{PolicyKey, PolicySource, RetentionPolicy, RetentionRound, RetentionRule};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// By organization.
#[derive(Default)]
pub(super) struct Retention {
    policies: BTreeMap<String, BTreeMap<PolicyKey, RetentionPolicy>>,
    rounds: BTreeMap<String, RetentionRound>,
}

impl Retention {
    fn put(&mut self, organization: &str, rule: RetentionRule, made: Made, most: usize) -> Option<RetentionPolicy> {
        let own = self.policies.entry(organization.to_owned()).or_default();
        let key = rule.key();
        if own.len() >= most && !own.contains_key(&key) {
            return None;
        }
        let (user, modified_at) = (Some(made.user), Some(made.at));
        let policy = RetentionPolicy { rule, source: PolicySource::Api, user, modified_at };
        own.insert(key, policy.clone());
        Some(policy)
    }

    fn delete(&mut self, organization: &str, key: &PolicyKey) -> Option<RetentionPolicy> {
        let own = self.policies.get_mut(organization)?;
        let removed = own.remove(key);
        if own.is_empty() {
            self.policies.remove(organization);
        }
        removed
    }
}

impl Jobs {
    /// The ended jobs, each with its group.
    fn ended(&self) -> impl Iterator<Item = (JobGroup, EndPosition, JobId)> {
        self.rows.iter().filter_map(|(place, row)| {
            let (stored, spec) = (&row.stored, &row.stored.job.spec);
            let group = JobGroup {
                organization: stored.organization.clone(),
                storage_id: spec.result_storage_id.clone(),
                job_type: spec.job_type.clone(),
            };
            Some((group, EndPosition { at: stored.job.finished_at?, place: *place }, stored.job.id))
        })
    }

    /// Those of a group, the oldest first.
    fn ended_of(&self, group: &JobGroup) -> BTreeMap<EndPosition, JobId> {
        self.ended().filter(|(own, ..)| own == group).map(|(_, position, id)| (position, id)).collect()
    }
}

#[async_trait]
impl RetentionStore for MemoryControl {
    async fn put_policy(
        &self,
        organization: &str,
        rule: RetentionRule,
        made: Made,
        most: usize,
    ) -> Result<Option<RetentionPolicy>, StoreError> {
        self.with(|kept| kept.retention.put(organization, rule, made, most))
    }

    async fn delete_policy(&self, organization: &str, key: &PolicyKey) -> Result<Option<RetentionPolicy>, StoreError> {
        self.with(|kept| kept.retention.delete(organization, key))
    }

    async fn policies(&self, organization: &str) -> Result<Vec<RetentionPolicy>, StoreError> {
        let all = |own: &BTreeMap<_, RetentionPolicy>| own.values().cloned().collect();
        self.with(|kept| kept.retention.policies.get(organization).map(all).unwrap_or_default())
    }

    async fn organizations(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.with(|kept| {
            let jobs = kept.jobs.rows.values().map(|row| &row.stored.organization);
            let keys = kept.keys.values().map(|key| &key.organization);
            let all: BTreeSet<&String> = jobs.chain(keys).chain(kept.retention.policies.keys()).collect();
            let behind = all.into_iter().filter(|name| after.is_none_or(|after| name.as_str() > after));
            behind.take(limit).cloned().collect()
        })
    }

    async fn ended_groups(
        &self,
        organization: &str,
        after: Option<&JobGroup>,
        limit: usize,
    ) -> Result<Vec<JobGroup>, StoreError> {
        self.with(|kept| {
            let groups = kept.jobs.ended().map(|(group, ..)| group);
            let own: BTreeSet<_> = groups.filter(|group| group.organization == organization).collect();
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            own.range::<JobGroup, _>((from, Bound::Unbounded)).take(limit).cloned().collect()
        })
    }

    async fn newest_ended(
        &self,
        group: &JobGroup,
        before: Option<EndPosition>,
        nth: usize,
    ) -> Result<Option<EndPosition>, StoreError> {
        self.with(|kept| {
            let ended = kept.jobs.ended_of(group);
            let to = before.map_or(Bound::Unbounded, Bound::Excluded);
            ended.range((Bound::Unbounded, to)).rev().map(|(position, _)| *position).nth(nth.saturating_sub(1))
        })
    }

    async fn ended_jobs(
        &self,
        group: &JobGroup,
        after: Option<EndPosition>,
        before: EndPosition,
        limit: usize,
    ) -> Result<Vec<(EndPosition, JobId)>, StoreError> {
        let is_behind = |position: &EndPosition| after.is_none_or(|after| *position > after);
        self.with(|kept| {
            let ended = kept.jobs.ended_of(group).into_iter();
            ended.filter(|(position, _)| is_behind(position) && *position < before).take(limit).collect()
        })
    }

    async fn count_ended(&self, group: &JobGroup, before: EndPosition, limit: usize) -> Result<usize, StoreError> {
        self.with(|kept| kept.jobs.ended_of(group).range(..before).take(limit).count())
    }

    async fn save_round(&self, organization: &str, round: RetentionRound) -> Result<(), StoreError> {
        self.with(|kept| drop(kept.retention.rounds.insert(organization.to_owned(), round)))
    }

    async fn last_round(&self, organization: &str) -> Result<Option<RetentionRound>, StoreError> {
        self.with(|kept| kept.retention.rounds.get(organization).cloned())
    }
}
