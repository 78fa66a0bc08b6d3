//! Retention: policies, and the rounds that remove what they don't keep.

mod pacer;
mod round;
mod rounds;
#[cfg(test)]
mod tests;

pub use pacer::Pacer;
pub use rounds::{ConfiguredPolicy, Retention, RetentionSettings, run};

use super::Service;
use crate::store::{EndPosition, JobGroup, Made, RetentionStore};
use docket_contract::operations::{
    DeleteRetentionPolicyInput, PolicyPreview, RetentionPolicies, RetentionPreview, RetentionStart,
};
use docket_contract::retention::{MAX_POLICIES, PolicyKey, RetentionPolicy, RetentionRule};
use docket_contract::{Caller, Error, Timestamp};
use std::collections::BTreeMap;

/// Pairs of storage and type that are read at once.
const GROUPS: usize = 100;
/// Most pairs that a preview looks at.
const PREVIEWED_GROUPS: usize = 1000;
/// Most ended jobs that a preview looks at.
const PREVIEWED_JOBS: usize = 100_000;

pub(super) async fn put(service: &Service, caller: &Caller, rule: RetentionRule) -> Result<RetentionPolicy, Error> {
    let made = Made { user: caller.user.clone(), at: service.clock.now() };
    let put = service.retention.store.put_policy(&caller.organization, rule, made, MAX_POLICIES).await?;
    put.ok_or_else(|| {
        let detail = format!(
            "storageId: the organization has {MAX_POLICIES} policies, which is the most; delete or replace one"
        );
        Error::field("/storageId", "too_many", detail)
    })
}

pub(super) async fn delete(
    service: &Service,
    caller: &Caller,
    input: DeleteRetentionPolicyInput,
) -> Result<RetentionPolicy, Error> {
    let key = (input.storage_id, input.job_type);
    let deleted = service.retention.store.delete_policy(&caller.organization, &key).await?;
    deleted.ok_or_else(Error::not_found)
}

pub(super) async fn list(service: &Service, caller: &Caller) -> Result<RetentionPolicies, Error> {
    let organization = &caller.organization;
    let policies = service.retention.policies(organization).await?;
    Ok(RetentionPolicies {
        values: policies.iter().cloned().collect(),
        going_on: service.retention.goes_on(organization),
        last_round: service.retention.store.last_round(organization).await?,
    })
}

pub(super) fn start(service: &Service, caller: &Caller) -> RetentionStart {
    let asked_at = service.clock.now();
    RetentionStart { already_going_on: service.retention.ask(&caller.organization), asked_at }
}

pub(super) async fn preview(service: &Service, caller: &Caller) -> Result<RetentionPreview, Error> {
    let (store, at) = (&*service.retention.store, service.clock.now());
    let policies = service.retention.policies(&caller.organization).await?;
    let for_jobs = policies.iter().map(|policy| &policy.rule).filter(|rule| rule.is_for_jobs());
    let mut found: BTreeMap<PolicyKey, usize> = for_jobs.map(|rule| (rule.key(), 0)).collect();
    let (mut groups, mut jobs) = (PREVIEWED_GROUPS, PREVIEWED_JOBS);
    let mut after: Option<JobGroup> = None;
    let mut complete = true;
    'look: while !found.is_empty() {
        let page = store.ended_groups(&caller.organization, after.as_ref(), GROUPS).await?;
        if page.is_empty() {
            break;
        }
        for group in &page {
            if groups == 0 || jobs == 0 {
                complete = false;
                break 'look;
            }
            groups -= 1;
            let Some(policy) = policies.for_jobs(group.storage_id.as_deref(), group.job_type.as_deref()) else {
                continue;
            };
            let (gone, looked_at) = count(store, group, &policy.rule, at, jobs).await?;
            *found.entry(policy.rule.key()).or_default() += gone;
            // Whoever has counted up to the bound does not know what stands behind it.
            complete &= looked_at < jobs;
            jobs -= looked_at;
        }
        after = page.last().cloned();
    }
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let preview = |((storage_id, job_type), jobs)| PolicyPreview { storage_id, job_type, jobs: number(jobs) };
    Ok(RetentionPreview { at, values: found.into_iter().map(preview).collect(), complete })
}

/// How many jobs of a group are not kept, and how many were looked at to tell: `most` if there may be more.
async fn count(
    store: &dyn RetentionStore,
    group: &JobGroup,
    rule: &RetentionRule,
    now: Timestamp,
    most: usize,
) -> Result<(usize, usize), Error> {
    let too_old = match rule.ended_before(now) {
        Some(time) => store.count_ended(group, EndPosition::before(time), most).await?,
        None => 0,
    };
    // Both are counted from the oldest job on, so the larger number holds the other.
    let (all, too_many) = match rule.keep_runs.and_then(|runs| usize::try_from(runs).ok()) {
        Some(runs) => {
            let all = store.count_ended(group, EndPosition::last(), most).await?;
            (all, all.saturating_sub(runs))
        }
        None => (too_old, 0),
    };
    Ok((too_old.max(too_many), all.max(too_old)))
}
