//! How a job's turn comes: dependencies, gates, times, and what becomes of them.

use super::{Fixture, at, ended, go, new_id, new_job, new_job_of_priority, of, transition};
use crate::store::queue::{Limits, Room};
use crate::store::{Changed, ControlStore, JobChange, NewJob, Scope, StoreError, StoredJob};
use docket_contract::job::{DependencyCondition, ExecutorKind, Figures, JobDependency};
use docket_contract::{JobId, Status};
use std::collections::BTreeMap;

const MANY: usize = usize::MAX;

fn depending(on: &[(JobId, DependencyCondition)]) -> NewJob {
    let mut job = new_job("a");
    job.spec.job_dependencies = on
        .iter()
        .map(|(job_id, condition)| JobDependency { job_id: *job_id, condition: *condition, max_failed_share: None })
        .collect();
    job
}

fn locking(locks: &[&str]) -> NewJob {
    let mut job = new_job("a");
    job.spec.locks = locks.iter().map(|lock| (*lock).to_owned()).collect();
    job
}

async fn insert(store: &dyn ControlStore, job: NewJob) -> JobId {
    store.insert_job(job).await.unwrap().job.id
}

async fn read(store: &dyn ControlStore, id: JobId) -> StoredJob {
    store.read_job(&Scope::Everything, id).await.unwrap().unwrap()
}

/// The status and message of a job.
async fn stands(store: &dyn ControlStore, id: JobId) -> (Status, String) {
    let job = read(store, id).await.job;
    (job.status, job.status_message.unwrap_or_default())
}

async fn claim(store: &dyn ControlStore, free: usize) -> Vec<JobId> {
    store.claim_due(ExecutorKind::Process, at(1), free).await.unwrap().iter().map(|job| job.job.id).collect()
}

/// Ends a job that stands as it likes.
async fn end(store: &dyn ControlStore, id: JobId, to: Status) {
    let job = read(store, id).await;
    go(store, &job, to, at(2)).await;
}

/// Resolves dependencies until nothing is left.
async fn resolve(store: &dyn ControlStore) {
    while store.resolve_dependents(at(3), 2).await.unwrap().more {}
}

pub async fn dependencies_hold_a_job_until_all_are_fulfilled(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    let store = &*fixture.open().await;
    let (first, second) = (insert(store, new_job("a")).await, insert(store, new_job("a")).await);
    let job = insert(store, depending(&[(first, C::Finished), (second, C::FailedOrDied)])).await;
    let both = format!("Waits for job {first} to be FINISHED and for job {second} to be FAILED or DIED.");
    assert_eq!(stands(store, job).await, (Status::Waiting, both));
    assert_eq!(claim(store, MANY).await, [first, second]);
    end(store, first, Status::Finished).await;
    assert!(read(store, first).await.followed);
    resolve(store).await;
    assert!(!read(store, first).await.followed);
    let one = format!("Waits for job {second} to be FAILED or DIED.");
    assert_eq!(stands(store, job).await, (Status::Waiting, one));
    assert_eq!(claim(store, MANY).await, []);
    end(store, second, Status::Died).await;
    let step = store.resolve_dependents(at(3), 10).await.unwrap();
    assert_eq!((step.queued, step.more), (true, false));
    assert_eq!(stands(store, job).await, (Status::Scheduled, String::new()));
    assert_eq!(claim(store, MANY).await, [job]);
}

pub async fn what_has_ended_is_decided_at_once(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    let store = &*fixture.open().await;
    let canceled = ended(store, new_job("a")).await.job.id;
    for (condition, status) in
        [(C::Finished, Status::Canceled), (C::Terminated, Status::Scheduled), (C::FailedOrDied, Status::Canceled)]
    {
        let new = depending(&[(canceled, condition)]);
        let inserted = store.insert_job(new.clone()).await.unwrap();
        assert_eq!(inserted.job.status, status, "{condition:?}");
        assert_eq!(inserted, read(store, inserted.job.id).await);
        assert_eq!(store.insert_job(new).await.unwrap(), inserted, "a repetition changes nothing");
        if status == Status::Canceled {
            let name = condition.name();
            let why = format!("Canceled: job {canceled}, which it depends on with condition {name}, is CANCELED.");
            assert_eq!(inserted.job.status_message, Some(why));
            assert_eq!(inserted.job.finished_at, Some(at(0)));
        }
    }
    // Nobody waits for it, so it can be deleted.
    assert!(matches!(store.delete_job(&of("a"), canceled).await.unwrap(), Changed::Done(_)));
}

pub async fn an_unknown_dependency_is_refused(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    let store = &*fixture.open().await;
    let known = insert(store, new_job("a")).await;
    let foreign = insert(store, new_job("b")).await;
    let own = new_id();
    for unknown in [new_id(), foreign, own] {
        let new = NewJob { id: own, ..depending(&[(known, C::Finished), (unknown, C::Terminated)]) };
        assert_eq!(store.insert_job(new).await, Err(StoreError::NoDependency(1)));
        assert_eq!(store.read_job(&of("a"), own).await.unwrap(), None);
    }
    assert!(!read(store, known).await.followed);
}

pub async fn what_can_t_come_true_cancels_all_who_wait_for_it(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    const LENGTH: usize = 30;
    let store = &*fixture.open().await;
    let first = insert(store, new_job("a")).await;
    let mut chain = vec![first];
    for _ in 0..LENGTH {
        chain.push(insert(store, depending(&[(chain[chain.len() - 1], C::Finished)])).await);
    }
    let wide = insert(store, depending(&[(chain[3], C::Finished), (chain[3], C::FailedOrDied)])).await;
    let anyway = insert(store, depending(&[(chain[LENGTH], C::Terminated)])).await;
    claim(store, 1).await;
    end(store, first, Status::Failed).await;
    resolve(store).await;
    for pair in chain.windows(2) {
        let status = if pair[0] == first { "FAILED" } else { "CANCELED" };
        let on = pair[0];
        let why = format!("Canceled: job {on}, which it depends on with condition FINISHED, is {status}.");
        assert_eq!(stands(store, pair[1]).await, (Status::Canceled, why));
    }
    assert_eq!(stands(store, wide).await.0, Status::Canceled);
    assert_eq!(claim(store, MANY).await, [anyway]);
}

pub async fn a_quality_gate_waits_for_figures(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    let store = &*fixture.open().await;
    let gated = |on: JobId, shares: &[Option<f64>]| {
        let mut job = depending(&vec![(on, C::Finished); shares.len()]);
        for (dependency, share) in job.spec.job_dependencies.iter_mut().zip(shares) {
            dependency.max_failed_share = *share;
        }
        job
    };
    let job = insert(store, new_job("a")).await;
    let strict = insert(store, gated(job, &[Some(0.5), None, Some(0.05)])).await;
    let generous = insert(store, gated(job, &[Some(0.5)])).await;
    let plain = insert(store, gated(job, &[None])).await;
    let message = format!("Waits for job {job} to be FINISHED with at most 5 % of its results FAILED.");
    assert_eq!(stands(store, strict).await, (Status::Waiting, message.clone()));
    assert_eq!(claim(store, 1).await, [job]);
    assert_eq!(store.unmeasured_jobs(0, 10).await.unwrap(), []);
    end(store, job, Status::Finished).await;
    resolve(store).await;
    // Who has no gate does not wait for those who have one; these wait through a restart.
    store.close().await;
    let store = &*fixture.open().await;
    assert_eq!(stands(store, plain).await.0, Status::Scheduled);
    assert_eq!(stands(store, strict).await, (Status::Waiting, message));
    let asked = store.unmeasured_jobs(0, 10).await.unwrap();
    assert_eq!(asked.iter().map(|asked| (asked.organization.as_str(), asked.id)).collect::<Vec<_>>(), [("a", job)]);
    assert_eq!(store.unmeasured_jobs(asked[0].position, 10).await.unwrap(), []);
    assert!(matches!(store.delete_job(&of("a"), job).await.unwrap(), Changed::Refused(_)));
    store.measure(vec![(new_id(), Figures::default()), (job, Figures { failed: 1234, total: 10_000 })]).await.unwrap();
    store.measure(vec![(job, Figures::default())]).await.unwrap();
    assert_eq!(store.unmeasured_jobs(0, 10).await.unwrap(), []);
    resolve(store).await;
    let why = format!(
        "Canceled: 1,234 of 10,000 results of job {job} are FAILED (12.34 %), more than the 5 % that it accepts."
    );
    assert_eq!(stands(store, strict).await, (Status::Canceled, why.clone()));
    assert_eq!(stands(store, generous).await.0, Status::Scheduled);
    // Known figures decide at once, also for those who come later; other ends need none.
    assert_eq!(stands(store, insert(store, gated(job, &[Some(0.05)])).await).await, (Status::Canceled, why));
    assert_eq!(stands(store, insert(store, gated(job, &[Some(0.1234)])).await).await.0, Status::Scheduled);
    let failed = ended(store, new_job("a")).await.job.id;
    assert_eq!(stands(store, insert(store, gated(failed, &[Some(1.0)])).await).await.0, Status::Canceled);
    assert!(matches!(store.delete_job(&of("a"), job).await.unwrap(), Changed::Done(_)));
}

pub async fn a_gate_on_a_job_that_has_ended_asks_for_figures(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let job = insert(store, new_job("a")).await;
    claim(store, 1).await;
    end(store, job, Status::Finished).await;
    let mut late = depending(&[(job, DependencyCondition::Finished)]);
    late.spec.job_dependencies[0].max_failed_share = Some(0.0);
    let late = insert(store, late).await;
    assert_eq!(stands(store, late).await.0, Status::Waiting);
    resolve(store).await;
    assert_eq!(store.unmeasured_jobs(0, 10).await.unwrap().len(), 1);
    store.measure(vec![(job, Figures { failed: 0, total: 3 })]).await.unwrap();
    resolve(store).await;
    assert_eq!(stands(store, late).await.0, Status::Scheduled);
    assert!(!read(store, job).await.followed);
}

pub async fn a_followed_job_stays_until_all_know_of_its_end(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    let store = &*fixture.open().await;
    let upstream = insert(store, new_job("a")).await;
    let waiting = insert(store, depending(&[(upstream, C::Terminated)])).await;
    let canceled = insert(store, depending(&[(upstream, C::Terminated)])).await;
    end(store, canceled, Status::Canceled).await;
    end(store, upstream, Status::Canceled).await;
    assert!(matches!(store.delete_job(&of("a"), upstream).await.unwrap(), Changed::Refused(_)));
    resolve(store).await;
    assert!(matches!(store.delete_job(&of("a"), upstream).await.unwrap(), Changed::Done(_)));
    assert_eq!(stands(store, waiting).await.0, Status::Scheduled);
    assert_eq!(stands(store, canceled).await.0, Status::Canceled);
}

pub async fn a_lock_has_one_holder_and_goes_by_rank(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let mut jobs = Vec::new();
    for priority in [50, 10, 20, 30] {
        let mut job = locking(&["x", "x"]);
        job.spec.priority = Some(priority);
        jobs.push(insert(store, job).await);
    }
    let [holder, low, middle, high] = jobs[..] else { unreachable!("four jobs") };
    let mut other = locking(&["x"]);
    other.organization = "b".to_owned();
    let other = insert(store, other).await;
    assert_eq!(claim(store, MANY).await, [holder, other], "locks are the organization's own");
    let waits = |on: JobId| (Status::Waiting, format!("Waits for lock x, which job {on} holds."));
    for job in [low, middle, high] {
        assert_eq!(stands(store, job).await, waits(holder));
    }
    let raise = JobChange { priority: Some(99), ..JobChange::default() };
    store.change_job(&of("a"), low, raise, at(1)).await.unwrap();
    end(store, holder, Status::Finished).await;
    assert_eq!(stands(store, low).await, (Status::Scheduled, String::new()));
    let next = "Waits for lock x, which is free now for a job before it.".to_owned();
    assert_eq!(stands(store, high).await, (Status::Waiting, next));
    assert_eq!(claim(store, MANY).await, [low]);
    assert_eq!(stands(store, high).await, waits(low));
    // A retry frees it as well.
    end(store, low, Status::Waiting).await;
    assert_eq!(claim(store, MANY).await, [high]);
    assert_eq!(stands(store, middle).await, waits(high));
}

pub async fn a_call_is_passed_on(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let holder = insert(store, locking(&["x"])).await;
    let other = insert(store, locking(&["y"])).await;
    let mut waiting = Vec::new();
    for locks in [&["x"][..], &["x", "y"], &["x"]] {
        waiting.push(insert(store, locking(locks)).await);
    }
    assert_eq!(claim(store, MANY).await, [holder, other]);
    end(store, holder, Status::Died).await;
    // The first one was called and is canceled before it comes; the second one finds the other lock shut.
    assert_eq!(stands(store, waiting[0]).await.0, Status::Scheduled);
    end(store, waiting[0], Status::Canceled).await;
    assert_eq!(stands(store, waiting[1]).await.0, Status::Scheduled);
    assert_eq!(claim(store, 1).await, [waiting[2]]);
    assert_eq!(
        stands(store, waiting[1]).await,
        (Status::Waiting, format!("Waits for lock y, which job {other} holds."))
    );
    // A job that waits for nothing is no worse off for being canceled.
    end(store, waiting[1], Status::Canceled).await;
    end(store, other, Status::Finished).await;
    assert_eq!(claim(store, MANY).await, []);
}

pub async fn an_executor_without_room_keeps_nobody_from_a_lock(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let holder = insert(store, locking(&["x"])).await;
    assert_eq!(claim(store, MANY).await, [holder]);
    let mut docker = locking(&["x"]);
    docker.spec.executor = Some(ExecutorKind::Docker);
    let docker = insert(store, docker).await;
    assert_eq!(store.claim_due(ExecutorKind::Docker, at(1), MANY).await.unwrap(), []);
    let process = insert(store, locking(&["x"])).await;
    assert_eq!(claim(store, MANY).await, []);
    end(store, holder, Status::Finished).await;
    // Both are called; the better one's executor takes no job at present.
    assert_eq!((stands(store, docker).await.0, stands(store, process).await.0), (Status::Scheduled, Status::Scheduled));
    assert_eq!(claim(store, MANY).await, [process]);
    assert_eq!(store.claim_due(ExecutorKind::Docker, at(1), MANY).await.unwrap(), []);
    let told = format!("Waits for lock x, which job {process} holds.");
    assert_eq!(stands(store, docker).await, (Status::Waiting, told));
    end(store, process, Status::Finished).await;
    assert_eq!(store.claim_due(ExecutorKind::Docker, at(1), MANY).await.unwrap().len(), 1);
}

fn limits(jobs: Option<usize>, types: &[(&str, usize)]) -> Limits {
    let types = types.iter().map(|(name, most)| ((*name).to_owned(), *most)).collect();
    Limits { each: Room { jobs, types }, organizations: BTreeMap::new() }
}

pub async fn limits_hold_for_each_organization_and_type(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    assert!(!store.limit(&limits(Some(2), &[("A_JOB", 1)]), at(0), 10).await.unwrap());
    let mut jobs = Vec::new();
    for (organization, job_type) in [("a", "A_JOB"), ("a", "A_JOB"), ("a", "B_JOB"), ("a", "B_JOB"), ("b", "A_JOB")] {
        let mut job = new_job(organization);
        job.spec.job_type = Some(job_type.to_owned());
        jobs.push(insert(store, job).await);
    }
    assert_eq!(claim(store, MANY).await, [jobs[0], jobs[2], jobs[4]]);
    let message = "Waits for room: organization a runs 1 of 1 jobs of type A_JOB.".to_owned();
    assert_eq!(stands(store, jobs[1]).await, (Status::Waiting, message));
    let message = "Waits for room: organization a runs 2 of 2 jobs.".to_owned();
    assert_eq!(stands(store, jobs[3]).await, (Status::Waiting, message.clone()));
    // Both gates open at once: the one who waits longer comes first and finds the other one shut.
    end(store, jobs[0], Status::Finished).await;
    assert_eq!(claim(store, MANY).await, [jobs[1]]);
    assert_eq!(stands(store, jobs[3]).await, (Status::Waiting, message));
    // More room lets in who waits; no limit lets in everybody.
    store.limit(&limits(Some(3), &[("A_JOB", 1)]), at(0), 10).await.unwrap();
    assert_eq!(claim(store, MANY).await, [jobs[3]]);
    store.limit(&limits(Some(0), &[]), at(0), 10).await.unwrap();
    for _ in 0..5 {
        jobs.push(insert(store, new_job("a")).await);
    }
    assert_eq!(claim(store, MANY).await, []);
    assert!(store.limit(&Limits::default(), at(0), 2).await.unwrap());
    while store.limit(&Limits::default(), at(0), 2).await.unwrap() {}
    assert_eq!(claim(store, MANY).await, jobs[5..]);
}

pub async fn times_are_waited_for(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    let store = &*fixture.open().await;
    let upstream = insert(store, new_job("a")).await;
    let mut late = new_job("a");
    late.spec.start_at = Some(at(100));
    let late = insert(store, late).await;
    let mut both = depending(&[(upstream, C::Terminated)]);
    both.spec.start_at = Some(at(50));
    let both = insert(store, both).await;
    let mut past = new_job("a");
    past.spec.start_at = Some(at(-1));
    let past = insert(store, past).await;
    assert_eq!(claim(store, MANY).await, [upstream, past]);
    let (time, other) = (at(100), at(50));
    assert_eq!(stands(store, late).await, (Status::Waiting, format!("Waits for its start time, {time}.")));
    let message = format!("Waits for job {upstream} to end and for its start time, {other}.");
    assert_eq!(stands(store, both).await, (Status::Waiting, message));

    let due = store.release_due(at(49), 10).await.unwrap();
    assert_eq!((due.next, due.queued), (Some(at(50)), false));
    let due = store.release_due(at(50), 10).await.unwrap();
    assert_eq!((due.next, due.queued), (Some(at(100)), false));
    assert_eq!(stands(store, both).await, (Status::Waiting, format!("Waits for job {upstream} to end.")));
    end(store, upstream, Status::Finished).await;
    resolve(store).await;
    assert_eq!(stands(store, both).await.0, Status::Scheduled);
    let due = store.release_due(at(100), 10).await.unwrap();
    assert_eq!((due.next, due.queued), (None, true));
    assert_eq!(claim(store, MANY).await, [late, both]);
}

pub async fn a_retry_waits_for_its_time_and_keeps_what_the_attempt_left(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let id = insert(store, new_job("a")).await;
    claim(store, 1).await;
    end(store, id, Status::Running).await;
    let mut retry = transition(&read(store, id).await, Status::Waiting, at(10));
    (retry.due_at, retry.exit_code, retry.status_message) = (Some(at(20)), Some(3), Some("again".to_owned()));
    store.transition(vec![retry]).await.unwrap();
    let waiting = read(store, id).await;
    assert_eq!((waiting.claimed, waiting.job.status, waiting.job.attempt), (false, Status::Waiting, 1));
    assert_eq!((waiting.job.finished_at, waiting.job.exit_code), (None, Some(3)));
    assert_eq!((waiting.job.started_at, waiting.job.status_message.as_deref()), (Some(at(2)), Some("again")));
    assert_eq!(store.release_due(at(19), 10).await.unwrap().next, Some(at(20)));
    assert!(store.release_due(at(20), 10).await.unwrap().queued);
    assert_eq!(claim(store, 1).await, [id]);
    assert_eq!(read(store, id).await.job.attempt, 2);
    // A canceled one waits for nothing.
    let mut retry = transition(&read(store, id).await, Status::Waiting, at(10));
    retry.due_at = Some(at(30));
    store.transition(vec![retry]).await.unwrap();
    end(store, id, Status::Canceled).await;
    assert_eq!(store.release_due(at(40), 10).await.unwrap().next, None);
    assert_eq!(stands(store, id).await.0, Status::Canceled);
}

pub async fn age_outweighs_priority_after_an_hour(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let old = insert(store, new_job_of_priority(0)).await;
    let mut fresh = Vec::new();
    for seconds in [3599, 3601] {
        let job = NewJob { created_at: at(seconds), ..new_job_of_priority(100) };
        fresh.push(insert(store, job).await);
    }
    assert_eq!(claim(store, MANY).await, [fresh[0], old, fresh[1]]);
}

pub async fn ended_jobs_expire(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let mut ids = Vec::new();
    for ttl in [Some(100), Some(0), None] {
        let mut job = new_job("a");
        job.spec.ttl_seconds_after_finished = ttl;
        let job = ended(store, job).await;
        assert_eq!(job.job.expires_at, ttl.map(|ttl| at(1 + i64::from(ttl))));
        ids.push(job.job.id);
    }
    let expired = |seconds| async move {
        let jobs = store.expired_jobs(at(seconds), 10).await.unwrap();
        jobs.iter().map(|job| job.job.id).collect::<Vec<_>>()
    };
    assert_eq!(expired(0).await, []);
    assert_eq!(expired(1).await, [ids[1]]);
    assert_eq!(expired(101).await, [ids[1], ids[0]]);
    assert_eq!(store.expired_jobs(at(101), 1).await.unwrap().len(), 1);
    store.delete_job(&of("a"), ids[1]).await.unwrap();
    assert_eq!(expired(101).await, [ids[0]]);
}

pub async fn two_ways_of_waiting_are_canceled_once(fixture: &dyn Fixture) {
    use DependencyCondition as C;
    let store = &*fixture.open().await;
    let job = insert(store, new_job("a")).await;
    let mut both = depending(&[(job, C::FailedOrDied), (job, C::Finished)]);
    both.spec.job_dependencies[1].max_failed_share = Some(0.5);
    let both = insert(store, both).await;
    let other = insert(store, depending(&[(job, C::Finished)])).await;
    claim(store, 1).await;
    end(store, job, Status::Canceled).await;
    // In one step, in which the edges of the first do not stand together.
    while store.resolve_dependents(at(3), MANY).await.unwrap().more {}
    assert_eq!(stands(store, both).await.0, Status::Canceled);
    assert_eq!(stands(store, other).await.0, Status::Canceled);
}
