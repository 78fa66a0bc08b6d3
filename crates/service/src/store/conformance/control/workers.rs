//! Claims of pull workers.

use super::{Fixture, at, go, new_job, of, transition};
use crate::store::{ControlStore, NewJob, Scope, StoredJob, Wanted, WorkerClaim, WorkerLease};
use docket_contract::history::{Actor, Cause};
use docket_contract::job::ExecutorKind;
use docket_contract::{JobId, Status};
use std::collections::HashSet;

fn job(organization: &str, job_type: Option<&str>, priority: i32) -> NewJob {
    let mut job = new_job(organization);
    job.status = Status::Scheduled;
    job.spec.executor = Some(ExecutorKind::Worker);
    job.spec.job_type = job_type.map(str::to_owned);
    job.spec.priority = Some(priority);
    job
}

fn claim(organization: &str, types: &[&str], limit: usize) -> WorkerClaim {
    WorkerClaim {
        organization: organization.to_owned(),
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        limit,
        lease: WorkerLease { worker: "worker-7".to_owned(), seconds: 20 },
        now: at(1),
    }
}

async fn claimed(store: &dyn ControlStore, claim: WorkerClaim) -> Vec<JobId> {
    store.claim_for_worker(claim).await.unwrap().into_iter().map(|job| job.job.id).collect()
}

async fn insert(store: &dyn ControlStore, job: NewJob) -> JobId {
    store.insert_job(job).await.unwrap().job.id
}

pub async fn a_worker_gets_running_jobs(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut expected = store.insert_job(job("a", Some("X_JOB"), 50)).await.unwrap();
    let found = store.claim_for_worker(claim("a", &[], 5)).await.unwrap();
    (expected.claimed, expected.job.attempt, expected.job.status) = (true, 1, Status::Running);
    (expected.job.started_at, expected.job.modified_at) = (Some(at(1)), at(1));
    expected.lease = Some(WorkerLease { worker: "worker-7".to_owned(), seconds: 20 });
    assert_eq!(found, [expected.clone()]);
    assert_eq!(store.read_job(&of("a"), expected.job.id).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.claimed_jobs(ExecutorKind::Worker).await.unwrap(), [expected.clone()]);
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap(), []);
    assert_eq!(claimed(&*store, claim("a", &[], 5)).await, []);

    let events = store.job_events(&of("a"), expected.job.id, 0, 9).await.unwrap().unwrap().events;
    let last = events.last().unwrap();
    assert_eq!((last.from, last.to, last.cause), (Status::Scheduled, Status::Running, Cause::Started));
    assert_eq!((&last.actor, last.attempt, last.at), (&Actor::worker("worker-7"), 1, at(1)));

    let ended = go(&*store, &expected, Status::Finished, at(2)).await;
    assert!(!ended.claimed);
    assert_eq!(store.claimed_jobs(ExecutorKind::Worker).await.unwrap(), []);
    let mut query = super::model::query(of("a"));
    query.statuses = vec![Status::Finished];
    assert_eq!(store.list_jobs(query).await.unwrap().total, Some(1), "the numbers followed");
}

pub async fn workers_get_the_types_of_their_organization(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let x_low = insert(&*store, job("a", Some("X_JOB"), 10)).await;
    let y = insert(&*store, job("a", Some("Y_JOB"), 50)).await;
    let none = insert(&*store, job("a", None, 40)).await;
    let x_high = insert(&*store, job("a", Some("X_JOB"), 60)).await;
    let foreign = insert(&*store, job("b", Some("X_JOB"), 100)).await;
    let mut process = job("a", Some("X_JOB"), 100);
    process.spec.executor = Some(ExecutorKind::Process);
    insert(&*store, process).await;

    let wanted = |organization: &str, job_type: Option<&str>| Wanted {
        organization: organization.to_owned(),
        job_type: job_type.map(str::to_owned),
    };
    let asked = [(wanted("a", None), 3), (wanted("a", Some("X_JOB")), 9), (wanted("a", Some("Z_JOB")), 9)];
    let ready = store.ready_for_workers(asked.to_vec()).await.unwrap();
    let ready: Vec<Vec<String>> = ready.into_iter().map(|(_, types)| types).collect();
    assert_eq!(ready, [vec!["X_JOB".to_owned(), "Y_JOB".into(), String::new()], vec!["X_JOB".into(); 2], vec![]]);

    assert_eq!(claimed(&*store, claim("a", &["Z_JOB", "Q_JOB"], 9)).await, []);
    assert_eq!(claimed(&*store, claim("a", &["X_JOB", "Y_JOB", "X_JOB"], 2)).await, [x_high, y]);
    assert_eq!(claimed(&*store, claim("a", &[], 9)).await, [none, x_low]);
    assert_eq!(claimed(&*store, claim("c", &[], 9)).await, []);
    assert_eq!(claimed(&*store, claim("b", &["X_JOB"], 9)).await, [foreign]);
    assert_eq!(store.claim_due(ExecutorKind::Process, at(2), 9).await.unwrap().len(), 1);
    let left = store.ready_for_workers(vec![(wanted("a", None), 9)]).await.unwrap();
    assert!(left.iter().all(|(_, types)| types.is_empty()));
}

pub async fn a_second_claim_is_another_attempt(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    store.insert_job(job("a", None, 50)).await.unwrap();
    let first = store.claim_for_worker(claim("a", &[], 1)).await.unwrap().remove(0);
    let mut lost = transition(&first, Status::Waiting, at(2));
    lost.exit_code = Some(3);
    let waiting = store.transition(vec![lost]).await.unwrap().remove(0).unwrap();
    assert!(!waiting.claimed);
    assert_eq!(claimed(&*store, claim("a", &[], 1)).await, []);
    go(&*store, &waiting, Status::Scheduled, at(3)).await;
    let mut again = claim("a", &[], 1);
    again.lease = WorkerLease { worker: "worker-8".to_owned(), seconds: 9 };
    again.now = at(4);
    let second = store.claim_for_worker(again).await.unwrap().remove(0);
    assert_eq!((second.job.attempt, second.job.exit_code, second.job.started_at), (2, None, Some(at(4))));
    assert_eq!(second.lease, Some(WorkerLease { worker: "worker-8".to_owned(), seconds: 9 }));
    // The first worker can't report any more.
    let late = transition(&StoredJob { claimed: true, ..first }, Status::Finished, at(5));
    assert_eq!(store.transition(vec![late]).await.unwrap(), [None]);
}

pub async fn workers_never_get_the_same_job(fixture: &dyn Fixture) {
    const JOBS: usize = 240;
    let store = fixture.open().await;
    let mut work = tokio::task::JoinSet::new();
    for worker in 0..8_usize {
        let store = store.clone();
        work.spawn(async move {
            let mut got = Vec::new();
            for _ in 0..JOBS / 8 {
                insert(&*store, job("a", Some(["X_JOB", "Y_JOB"][worker % 2]), 50)).await;
                let types: &[&str] = if worker < 4 { &[] } else { &["X_JOB"] };
                got.extend(claimed(&*store, claim("a", types, worker % 3)).await);
            }
            got
        });
    }
    let mut got = work.join_all().await.concat();
    got.extend(claimed(&*store, claim("a", &[], JOBS)).await);
    assert_eq!((got.len(), got.iter().collect::<HashSet<_>>().len()), (JOBS, JOBS));
    let mut query = super::model::query(Scope::Everything);
    query.statuses = vec![Status::Running];
    assert_eq!(store.list_jobs(query).await.unwrap().total, Some(JOBS as u64));
}

pub async fn a_lock_holds_for_workers_too(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let locked = |priority| {
        let mut job = job("a", Some("X_JOB"), priority);
        job.spec.locks = vec!["table".to_owned()];
        job
    };
    let first = insert(&*store, locked(60)).await;
    let second = insert(&*store, locked(50)).await;
    let free = insert(&*store, job("a", Some("X_JOB"), 40)).await;
    let got = store.claim_for_worker(claim("a", &["X_JOB"], 3)).await.unwrap();
    let ids: Vec<_> = got.iter().map(|job| job.job.id).collect();
    assert_eq!(ids, [first, free]);
    let waiting = store.read_job(&of("a"), second).await.unwrap().unwrap();
    assert_eq!(waiting.job.status, Status::Waiting);
    assert_eq!(claimed(&*store, claim("a", &[], 1)).await, []);
    go(&*store, &got[0], Status::Died, at(2)).await;
    assert_eq!(claimed(&*store, claim("a", &[], 9)).await, [second]);
}
