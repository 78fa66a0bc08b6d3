//! Transitions and claims.

use super::{Fixture, at, go, new_job, new_job_of_priority, of, transition};
use crate::store::{JobChange, Scope, StoredJob};
use docket_contract::job::ExecutorKind;
use docket_contract::{JobId, Status};
use std::collections::HashSet;

fn ids(jobs: &[StoredJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.job.id).collect()
}

pub async fn a_life_in_full(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut expected = store.insert_job(new_job("a")).await.unwrap();

    let claimed = store.claim_due(ExecutorKind::Process, at(1), 5).await.unwrap();
    (expected.claimed, expected.job.attempt) = (true, 1);
    (expected.job.status, expected.job.modified_at) = (Status::Scheduled, at(1));
    assert_eq!(claimed, [expected.clone()]);
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap(), [expected.clone()]);

    let mut start = transition(&expected, Status::Running, at(2));
    start.status_message = Some("up".to_owned());
    (expected.job.status, expected.job.modified_at, expected.job.started_at) = (Status::Running, at(2), Some(at(2)));
    expected.job.status_message = Some("up".to_owned());
    assert_eq!(store.transition(vec![start]).await.unwrap(), [Some(expected.clone())]);
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap(), [expected.clone()]);

    let lost = go(&*store, &expected, Status::Unknown, at(3)).await;
    assert_eq!((lost.claimed, lost.job.started_at), (true, Some(at(2))));
    expected = go(&*store, &lost, Status::Running, at(4)).await;
    assert_eq!((expected.claimed, expected.job.started_at), (true, Some(at(2))));

    let mut end = transition(&expected, Status::Finished, at(5));
    end.exit_code = Some(0);
    (expected.job.status, expected.job.modified_at, expected.job.finished_at) = (Status::Finished, at(5), Some(at(5)));
    (expected.job.status_message, expected.job.exit_code) = (None, Some(0));
    (expected.job.progress, expected.claimed) = (100, false);
    assert_eq!(store.transition(vec![end]).await.unwrap(), [Some(expected.clone())]);
    assert_eq!(store.read_job(&of("a"), expected.job.id).await.unwrap(), Some(expected));
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap(), []);
    assert_eq!(store.claim_due(ExecutorKind::Process, at(6), 5).await.unwrap(), []);
}

pub async fn a_transition_needs_all_it_expects(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    store.insert_job(new_job("a")).await.unwrap();
    let job = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let right = transition(&job, Status::Running, at(2));
    let mut wrong = vec![right.clone(); 4];
    wrong[0].id = super::new_id();
    wrong[1].attempt = 2;
    wrong[2].from = Status::Running;
    wrong[3].claimed = false;
    assert_eq!(store.transition(wrong).await.unwrap(), [None, None, None, None]);
    assert_eq!(store.read_job(&of("a"), job.job.id).await.unwrap(), Some(job));
    assert!(store.transition(vec![right]).await.unwrap()[0].is_some());
    assert_eq!(store.transition(Vec::new()).await.unwrap(), []);
}

pub async fn one_of_racing_transitions_wins(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for round in 0..20 {
        let job = store.insert_job(new_job("a")).await.unwrap();
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..8_i32 {
            let store = store.clone();
            let mut transition = transition(&job, Status::Failed, at(round));
            transition.exit_code = Some(racer);
            racers.spawn(async move { store.transition(vec![transition]).await.unwrap().remove(0) });
        }
        let winners: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(store.read_job(&of("a"), job.job.id).await.unwrap().as_ref(), winners.first());
    }
    let query = super::model::query(of("a"));
    assert_eq!(store.list_jobs(query).await.unwrap().total, Some(20));
}

pub async fn transitions_of_one_call_answer_in_order(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = store.insert_job(new_job("a")).await.unwrap();
    let second = store.insert_job(new_job("b")).await.unwrap();
    let made = store
        .transition(vec![
            transition(&second, Status::Canceled, at(1)),
            transition(&first, Status::Waiting, at(1)),
            transition(&second, Status::Failed, at(1)),
            transition(&StoredJob { claimed: true, ..first.clone() }, Status::Died, at(1)),
        ])
        .await
        .unwrap();
    let statuses: Vec<_> = made.iter().map(|made| made.as_ref().map(|job| (job.job.id, job.job.status))).collect();
    let (first, second) = (first.job.id, second.job.id);
    assert_eq!(statuses, [Some((second, Status::Canceled)), Some((first, Status::Waiting)), None, None]);
}

pub async fn an_unseen_start_is_told_by_the_end(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    store.insert_job(new_job("a")).await.unwrap();
    let job = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let mut end = transition(&job, Status::Failed, at(5));
    (end.started_at, end.exit_code) = (Some(at(2)), Some(3));
    let job = store.transition(vec![end]).await.unwrap().remove(0).unwrap().job;
    assert_eq!((job.started_at, job.finished_at, job.exit_code), (Some(at(2)), Some(at(5)), Some(3)));
    assert_eq!(job.progress, 0);
}

pub async fn holding_a_job_back_releases_its_claim(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    store.insert_job(new_job("a")).await.unwrap();
    let first = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let running = go(&*store, &first, Status::Running, at(2)).await;
    let mut retry = transition(&running, Status::Waiting, at(3));
    retry.exit_code = Some(1);
    let waiting = store.transition(vec![retry]).await.unwrap().remove(0).unwrap();
    assert!(!waiting.claimed);
    assert_eq!((waiting.job.attempt, waiting.job.finished_at, waiting.job.exit_code), (1, None, Some(1)));
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap(), []);
    assert_eq!(store.claim_due(ExecutorKind::Process, at(4), 1).await.unwrap(), []);

    go(&*store, &waiting, Status::Scheduled, at(5)).await;
    let second = store.claim_due(ExecutorKind::Process, at(6), 1).await.unwrap().remove(0);
    assert_eq!((second.claimed, second.job.attempt), (true, 2));
    assert_eq!((second.job.started_at, second.job.exit_code, second.job.progress), (None, None, 0));
    // The first attempt can't report any more.
    let late = transition(&StoredJob { job: running.job, ..second.clone() }, Status::Finished, at(7));
    assert_eq!(store.transition(vec![late]).await.unwrap(), [None]);
}

pub async fn claims_go_by_priority_then_age(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut jobs = Vec::new();
    for priority in [50, 0, 100, 50, 100] {
        jobs.push(store.insert_job(new_job_of_priority(priority)).await.unwrap().job.id);
    }
    // A job that names no priority has 50.
    jobs.push(store.insert_job(new_job("b")).await.unwrap().job.id);
    let [a50, a0, a100, b50, b100, none] = jobs[..] else { unreachable!("six jobs") };
    assert_eq!(ids(&store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap()), [a100]);
    let raise = JobChange { priority: Some(60), ..JobChange::default() };
    store.change_job(&of("a"), a0, raise, at(2)).await.unwrap();
    let lower = JobChange { priority: Some(49), ..JobChange::default() };
    store.change_job(&of("a"), a50, lower, at(2)).await.unwrap();
    assert_eq!(ids(&store.claim_due(ExecutorKind::Process, at(3), 3).await.unwrap()), [b100, a0, b50]);
    assert_eq!(ids(&store.claim_due(ExecutorKind::Process, at(3), 99).await.unwrap()), [none, a50]);
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap().len(), 6);
}

pub async fn each_executor_has_a_queue_of_its_own(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut for_docker = new_job("a");
    for_docker.spec.executor = Some(ExecutorKind::Docker);
    let (plain, docker) = (store.insert_job(new_job("a")).await.unwrap(), store.insert_job(for_docker).await.unwrap());
    assert_eq!(store.claim_due(ExecutorKind::Worker, at(1), 9).await.unwrap(), []);
    let claimed = store.claim_due(ExecutorKind::Docker, at(1), 9).await.unwrap();
    assert_eq!((ids(&claimed), claimed[0].executor()), (vec![docker.job.id], ExecutorKind::Docker));
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap(), []);
    assert_eq!(store.claimed_jobs(ExecutorKind::Docker).await.unwrap(), claimed);
    let rest = store.claim_due(ExecutorKind::Process, at(2), 9).await.unwrap();
    assert_eq!(ids(&rest), [plain.job.id]);
}

pub async fn no_room_still_queues(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let job = store.insert_job(new_job("a")).await.unwrap().job.id;
    assert_eq!(store.claim_due(ExecutorKind::Process, at(1), 0).await.unwrap(), []);
    let job = store.read_job(&of("a"), job).await.unwrap().unwrap();
    assert_eq!((job.job.status, job.claimed, job.job.attempt), (Status::Scheduled, false, 0));
    assert_eq!(job.job.modified_at, at(1));
}

pub async fn claims_never_hand_a_job_out_twice(fixture: &dyn Fixture) {
    const JOBS: usize = 400;
    let store = fixture.open().await;
    let mut work = tokio::task::JoinSet::new();
    for caller in 0..8_usize {
        let store = store.clone();
        work.spawn(async move {
            let mut claimed = Vec::new();
            for step in 0..JOBS / 8 {
                store.insert_job(new_job_of_priority(i32::try_from(step % 100).unwrap())).await.unwrap();
                claimed.extend(ids(&store.claim_due(ExecutorKind::Process, at(1), caller % 4).await.unwrap()));
            }
            claimed
        });
    }
    let mut claimed = work.join_all().await.concat();
    claimed.extend(ids(&store.claim_due(ExecutorKind::Process, at(2), usize::MAX).await.unwrap()));
    assert_eq!(claimed.len(), JOBS);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), JOBS);
    assert!(store.claimed_jobs(ExecutorKind::Process).await.unwrap().iter().all(|job| job.job.attempt == 1));
}

pub async fn a_clock_that_goes_back_changes_no_list(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut order = Vec::new();
    for seconds in [100, 50, 75, 0, 100] {
        let mut job = new_job("a");
        job.created_at = at(seconds);
        order.push(store.insert_job(job).await.unwrap().job.id);
    }
    let mut query = super::model::query(Scope::Everything);
    query.descending = false;
    assert_eq!(ids(&store.list_jobs(query).await.unwrap().jobs), order);
    // Claims go by the age that the jobs have by their own times.
    let claimed = store.claim_due(ExecutorKind::Process, at(-1000), 9).await.unwrap();
    let by_time = [3, 1, 2, 0, 4].map(|index| order[index]);
    assert_eq!(ids(&claimed), by_time);
    let running = go(&*store, &claimed[0], Status::Running, at(-2000)).await;
    let ended = go(&*store, &running, Status::Died, at(-3000)).await.job;
    assert_eq!((ended.started_at, ended.finished_at), (Some(at(-2000)), Some(at(-3000))));
}
