//! The conformance suite of [`RetentionStore`]: a driver runs it with `retention_suite!` and a [`Fixture`] of its own.

use super::control::{at, ended, go, new_job};
use crate::store::{
    Changed, ControlStore, EndPosition, JobGroup, Made, NewJob, RetentionStore, Scope, StoredJob, StoredKey,
};
use async_trait::async_trait;
use docket_contract::retention::{PolicySource, RetentionPolicy, RetentionRound, RetentionRule};
use docket_contract::{JobId, Role, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Both traits of one store.
pub struct Stores {
    pub control: Arc<dyn ControlStore>,
    pub retention: Arc<dyn RetentionStore>,
}

/// Gives stores to the checks.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the store of this fixture: empty at first; again, after it was closed, with what was kept.
    async fn open(&self) -> Stores;
}

/// Makes a test of each check.
macro_rules! retention_suite {
    ($fixture:expr) => {
        retention_suite! { $fixture;
            policies_are_kept_replaced_and_removed, policies_have_a_bound, organizations_are_those_that_have_something,
            groups_are_walked_one_by_one, ended_jobs_are_walked_by_their_ends, ends_of_one_moment_go_by_age,
            a_job_that_has_not_ended_is_in_no_walk, rounds_are_kept
        }
    };
    ($fixture:expr; $($check:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                $crate::store::conformance::retention::$check(&$fixture).await;
            }
        )+
    };
}
pub(crate) use retention_suite;

fn rule(storage_id: Option<&str>, job_type: Option<&str>, days: i32) -> RetentionRule {
    RetentionRule {
        storage_id: storage_id.map(str::to_owned),
        job_type: job_type.map(str::to_owned),
        keep_days: Some(days),
        ..RetentionRule::default()
    }
}

fn made(seconds: i64) -> Made {
    Made { user: "ann".to_owned(), at: at(seconds) }
}

fn stored(rule: RetentionRule, seconds: i64) -> RetentionPolicy {
    RetentionPolicy { rule, source: PolicySource::Api, user: Some("ann".to_owned()), modified_at: Some(at(seconds)) }
}

fn group(storage_id: Option<&str>, job_type: Option<&str>) -> JobGroup {
    JobGroup {
        organization: "a".to_owned(),
        storage_id: storage_id.map(str::to_owned),
        job_type: job_type.map(str::to_owned),
    }
}

fn job_of(group: &JobGroup) -> NewJob {
    let mut job = new_job(&group.organization);
    job.spec.result_storage_id.clone_from(&group.storage_id);
    job.spec.job_type.clone_from(&group.job_type);
    job
}

/// A job that ended so many seconds after the others were made.
async fn ended_at(store: &dyn ControlStore, group: &JobGroup, seconds: i64) -> JobId {
    let job = store.insert_job(job_of(group)).await.unwrap();
    go(store, &job, Status::Canceled, at(seconds)).await.job.id
}

async fn remove(store: &dyn ControlStore, id: JobId) {
    assert!(matches!(store.delete_job(&Scope::Everything, id).await.unwrap(), Changed::Done(_)));
}

async fn ids(store: &dyn RetentionStore, group: &JobGroup, seconds: i64) -> Vec<JobId> {
    let found = store.ended_jobs(group, None, EndPosition::before(at(seconds)), 100).await.unwrap();
    found.into_iter().map(|(_, id)| id).collect()
}

pub async fn policies_are_kept_replaced_and_removed(fixture: &dyn Fixture) {
    let Stores { control, retention: store } = fixture.open().await;
    assert_eq!(store.policies("a").await.unwrap(), []);
    let keys = [(None, None), (None, Some("T_JOB")), (Some("s"), None), (Some("s"), Some("T_JOB"))];
    for (days, (storage, kind)) in (1..).zip(keys) {
        let put = store.put_policy("a", rule(storage, kind, days), made(1), 4).await.unwrap();
        assert_eq!(put, Some(stored(rule(storage, kind, days), 1)));
    }
    let full = RetentionRule { keep_runs: Some(7), keep_log_days: Some(8), ..rule(Some("s"), None, 9) };
    assert_eq!(store.put_policy("b", full.clone(), made(2), 4).await.unwrap(), Some(stored(full.clone(), 2)));
    let again = RetentionRule { keep_days: None, keep_runs: Some(5), ..rule(Some("s"), None, 0) };
    assert_eq!(store.put_policy("a", again.clone(), made(3), 4).await.unwrap(), Some(stored(again.clone(), 3)));
    control.close().await;
    let Stores { retention: store, .. } = fixture.open().await;
    let expected = vec![
        stored(rule(None, None, 1), 1),
        stored(rule(None, Some("T_JOB"), 2), 1),
        stored(again.clone(), 3),
        stored(rule(Some("s"), Some("T_JOB"), 4), 1),
    ];
    assert_eq!(store.policies("a").await.unwrap(), expected);
    assert_eq!(store.policies("b").await.unwrap(), [stored(full.clone(), 2)]);

    let key = again.key();
    assert_eq!(store.delete_policy("c", &key).await.unwrap(), None);
    assert_eq!(store.delete_policy("a", &key).await.unwrap(), Some(stored(again, 3)));
    assert_eq!(store.delete_policy("a", &key).await.unwrap(), None);
    assert_eq!((store.policies("a").await.unwrap().len(), store.policies("b").await.unwrap().len()), (3, 1));
}

pub async fn policies_have_a_bound(fixture: &dyn Fixture) {
    let Stores { retention: store, .. } = fixture.open().await;
    for storage in ["r", "s"] {
        assert!(store.put_policy("a", rule(Some(storage), None, 1), made(1), 2).await.unwrap().is_some());
    }
    assert_eq!(store.put_policy("a", rule(None, None, 1), made(1), 2).await.unwrap(), None);
    // One that is there already is replaced, and other organizations have a bound of their own.
    assert!(store.put_policy("a", rule(Some("s"), None, 2), made(1), 2).await.unwrap().is_some());
    assert!(store.put_policy("b", rule(None, None, 1), made(1), 2).await.unwrap().is_some());
    assert_eq!(store.policies("a").await.unwrap().len(), 2);
}

pub async fn organizations_are_those_that_have_something(fixture: &dyn Fixture) {
    let Stores { control, retention: store } = fixture.open().await;
    assert_eq!(store.organizations(None, 9).await.unwrap(), [""; 0]);
    control.insert_job(new_job("jobs")).await.unwrap();
    let key = StoredKey {
        id: "1".to_owned(),
        hash: [0; 32],
        organization: "keys".to_owned(),
        role: Role::Reader,
        user: "ann".to_owned(),
        created_at: at(0),
        revoked_at: None,
    };
    control.insert_key(key).await.unwrap();
    store.put_policy("policies", rule(None, None, 1), made(1), 9).await.unwrap();
    store.put_policy("jobs", rule(None, None, 1), made(1), 9).await.unwrap();
    assert_eq!(store.organizations(None, 9).await.unwrap(), ["jobs", "keys", "policies"]);
    assert_eq!(store.organizations(Some("jobs"), 1).await.unwrap(), ["keys"]);
    assert_eq!(store.organizations(Some("policies"), 1).await.unwrap(), [""; 0]);
}

pub async fn groups_are_walked_one_by_one(fixture: &dyn Fixture) {
    let Stores { control, retention: store } = fixture.open().await;
    assert_eq!(store.ended_groups("a", None, 9).await.unwrap(), []);
    let mut groups = BTreeSet::new();
    for storage in [None, Some("r"), Some("s"), Some("s t")] {
        for kind in [None, Some("A_JOB"), Some("B_JOB")] {
            let group = group(storage, kind);
            for second in 1..4 {
                ended_at(&*control, &group, second).await;
            }
            let foreign = JobGroup { organization: "b".to_owned(), ..group.clone() };
            ended(&*control, job_of(&foreign)).await;
            groups.insert(group);
        }
    }
    control.insert_job(job_of(&group(Some("waits"), None))).await.unwrap();
    for step in [1, 5, 12, 99] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.ended_groups("a", after.as_ref(), step).await.unwrap();
            assert!(page.len() <= step);
            let Some(last) = page.last().cloned() else { break };
            found.extend(page);
            after = Some(last);
        }
        assert_eq!(found.len(), groups.len(), "by {step}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), groups, "by {step}");
    }
    // One whose jobs have all gone is none any more, and its place is still a place.
    let gone = group(Some("s"), Some("A_JOB"));
    for id in ids(&*store, &gone, 99).await {
        remove(&*control, id).await;
    }
    let left = store.ended_groups("a", None, 99).await.unwrap();
    assert_eq!(left.len(), groups.len() - 1);
    let behind = store.ended_groups("a", Some(&gone), 99).await.unwrap();
    assert!(!behind.is_empty() && left.ends_with(&behind), "{behind:?}");
}

pub async fn ended_jobs_are_walked_by_their_ends(fixture: &dyn Fixture) {
    let Stores { control, retention: store } = fixture.open().await;
    let (own, other) = (group(Some("s"), Some("T_JOB")), group(Some("s"), None));
    let mut by_end = BTreeMap::new();
    for seconds in [50, 10, 40, 20, 30] {
        by_end.insert(seconds, ended_at(&*control, &own, seconds).await);
        ended_at(&*control, &other, seconds).await;
    }
    let by_end: Vec<JobId> = by_end.into_values().collect();
    assert_eq!(ids(&*store, &own, 99).await, by_end);
    assert_eq!(ids(&*store, &own, 30).await, by_end[..2]);
    let first = store.ended_jobs(&own, None, EndPosition::before(at(99)), 2).await.unwrap();
    let next = store.ended_jobs(&own, Some(first[1].0), EndPosition::before(at(50)), 9).await.unwrap();
    assert_eq!(next.iter().map(|(_, id)| *id).collect::<Vec<_>>(), by_end[2..4]);
    assert_eq!(first[0].0.at, at(10));

    let position = async |before, nth| store.newest_ended(&own, before, nth).await.unwrap();
    let newest = position(None, 1).await.expect("jobs");
    assert_eq!(newest.at, at(50));
    assert_eq!(position(None, 5).await.map(|found| found.at), Some(at(10)));
    assert_eq!((position(None, 6).await, position(Some(newest), 5).await), (None, None));
    assert_eq!(position(Some(newest), 2).await.map(|found| found.at), Some(at(30)));
    // All before it is older, whichever way it was found.
    let third = position(None, 3).await.expect("jobs");
    let older = store.ended_jobs(&own, None, third, 9).await.unwrap();
    assert_eq!(older.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), by_end[..2]);

    let count = async |before, limit| store.count_ended(&own, before, limit).await.unwrap();
    assert_eq!((count(third, 9).await, count(third, 1).await, count(newest, 9).await), (2, 1, 4));
    let unknown = group(Some("s"), Some("U_JOB"));
    assert_eq!(store.count_ended(&unknown, newest, 9).await.unwrap(), 0);
    assert_eq!((ids(&*store, &unknown, 99).await, ids(&*store, &group(None, None), 99).await), (vec![], vec![]));
}

pub async fn ends_of_one_moment_go_by_age(fixture: &dyn Fixture) {
    let Stores { control, retention: store } = fixture.open().await;
    let own = group(None, None);
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(ended_at(&*control, &own, 10).await);
    }
    assert_eq!(ids(&*store, &own, 11).await, made);
    assert_eq!(ids(&*store, &own, 10).await, []);
    let second = store.newest_ended(&own, None, 2).await.unwrap().expect("jobs");
    let older = store.ended_jobs(&own, None, second, 9).await.unwrap();
    assert_eq!(older.iter().map(|(_, id)| *id).collect::<Vec<_>>(), made[..2]);
    let behind = store.ended_jobs(&own, Some(older[0].0), EndPosition::before(at(11)), 9).await.unwrap();
    assert_eq!(behind.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), made[1..]);
}

pub async fn a_job_that_has_not_ended_is_in_no_walk(fixture: &dyn Fixture) {
    let Stores { control, retention: store } = fixture.open().await;
    let own = group(Some("s"), None);
    let waiting: StoredJob = control.insert_job(job_of(&own)).await.unwrap();
    assert_eq!(store.ended_groups("a", None, 9).await.unwrap(), []);
    assert_eq!(store.newest_ended(&own, None, 1).await.unwrap(), None);
    let id = go(&*control, &waiting, Status::Canceled, at(5)).await.job.id;
    assert_eq!(store.ended_groups("a", None, 9).await.unwrap(), std::slice::from_ref(&own));
    assert_eq!(ids(&*store, &own, 9).await, [id]);
    remove(&*control, id).await;
    assert_eq!((ids(&*store, &own, 9).await, store.ended_groups("a", None, 9).await.unwrap()), (vec![], vec![]));
}

pub async fn rounds_are_kept(fixture: &dyn Fixture) {
    let Stores { control, retention: store } = fixture.open().await;
    assert_eq!(store.last_round("a").await.unwrap(), None);
    let begun = RetentionRound::begun(at(1));
    store.save_round("a", begun.clone()).await.unwrap();
    store.save_round("b", begun.clone()).await.unwrap();
    let error = Some("1 of the jobs could not be removed".to_owned());
    let done = RetentionRound { ended_at: Some(at(2)), jobs: 3, results: 4, log_entries: 5, error, ..begun.clone() };
    store.save_round("a", done.clone()).await.unwrap();
    control.close().await;
    let Stores { retention: store, .. } = fixture.open().await;
    assert_eq!(store.last_round("a").await.unwrap(), Some(done));
    assert_eq!(store.last_round("b").await.unwrap(), Some(begun));
}
