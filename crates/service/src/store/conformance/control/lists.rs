//! Lists, compared with a plain list of jobs.

use super::model::{matches, query};
use super::{Fixture, at, ended, go, new_job, of, transition};
use crate::store::{Changed, ControlStore, JobChange, JobQuery, NewJob, Scope, StoredJob};
use docket_contract::job::ExecutorKind;
use docket_contract::{JobId, Status};
use std::collections::HashMap;

const JOBS: usize = 2500;
const ENDS: [Status; 4] = [Status::Finished, Status::Failed, Status::Died, Status::Canceled];

fn names(kind: &str, numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| format!("{kind}{number}")).collect()
}

fn random_job(random: &mut fastrand::Rng) -> NewJob {
    // Few organizations, users and types are frequent and the others rare.
    let mut skewed = |n: usize| random.usize(0..n).min(random.usize(0..n));
    let mut job = new_job(["a", "b", "c"][skewed(3)]);
    job.user = format!("user{}", skewed(6));
    let (job_type, storage) = (skewed(8), skewed(12));
    job.spec.job_type = (job_type > 0).then(|| format!("T{job_type}_JOB"));
    job.spec.result_storage_id = (storage > 0).then(|| format!("storage{storage}"));
    job.spec.tags = (0..skewed(6)).map(|_| format!("tag{}", skewed(10))).collect();
    job.spec.priority = Some(random.i32(0..=100));
    job
}

/// Fills a store with jobs in every status and gives them in order of creation.
async fn fill(store: &dyn ControlStore, random: &mut fastrand::Rng) -> Vec<StoredJob> {
    let mut order = Vec::new();
    let mut jobs: HashMap<JobId, StoredJob> = HashMap::new();
    for _ in 0..JOBS / 50 {
        for _ in 0..50 {
            let job = store.insert_job(random_job(random)).await.unwrap();
            order.push(job.job.id);
            jobs.insert(job.job.id, job);
        }
        // A claim queues jobs that it does not answer.
        let claimed = store.claim_due(ExecutorKind::Process, at(1), random.usize(0..40)).await.unwrap();
        for job in jobs.values_mut().filter(|job| job.job.status == Status::Persisted) {
            (job.job.status, job.job.modified_at) = (Status::Scheduled, at(1));
        }
        let mut transitions = Vec::new();
        for job in claimed {
            if random.bool() {
                transitions.push(transition(&job, Status::Running, at(2)));
            } else if random.u8(0..10) == 0 {
                transitions.push(transition(&job, Status::Waiting, at(2)));
            }
            jobs.insert(job.job.id, job);
        }
        for job in jobs.values().filter(|job| job.job.status == Status::Running) {
            match random.u8(0..12) {
                0 => transitions.push(transition(job, Status::Unknown, at(3))),
                1..8 => transitions.push(transition(job, ENDS[random.usize(0..4)], at(3))),
                _ => {}
            }
        }
        for job in store.transition(transitions).await.unwrap().into_iter().flatten() {
            jobs.insert(job.job.id, job);
        }
        let id = order[random.usize(0..order.len())];
        match random.u8(0..3) {
            0 => {
                let change = JobChange {
                    tags: Some(names("tag", &[random.usize(0..10)])),
                    priority: Some(random.i32(0..=100)),
                    ..JobChange::default()
                };
                if let Changed::Done(job) = store.change_job(&Scope::Everything, id, change, at(4)).await.unwrap() {
                    jobs.insert(id, *job);
                }
            }
            _ => {
                if let Changed::Done(_) = store.delete_job(&Scope::Everything, id).await.unwrap() {
                    jobs.remove(&id);
                }
            }
        }
    }
    for _ in 0..20 {
        let job = store.insert_job(random_job(random)).await.unwrap();
        order.push(job.job.id);
        jobs.insert(job.job.id, job);
    }
    order.into_iter().filter_map(|id| jobs.remove(&id)).collect()
}

type Axis = fn(&mut JobQuery);

/// Filters, each one or more ways to use one field.
const AXES: [&[Axis]; 5] = [
    &[|query| query.user = Some("user0".to_owned()), |query| query.user = Some("user5".to_owned())],
    &[|query| query.storage_id = Some("storage1".to_owned()), |query| query.storage_id = Some("nowhere".to_owned())],
    &[
        |query| query.types = names("T", &[1]).into_iter().map(|name| name + "_JOB").collect(),
        |query| query.types = ["T7_JOB", "user0", "T2_JOB", "T2_JOB"].map(str::to_owned).to_vec(),
        |query| query.types = vec!["UNKNOWN_JOB".to_owned()],
    ],
    &[
        |query| query.statuses = vec![Status::Finished],
        |query| query.statuses = vec![Status::Running, Status::Waiting, Status::Running, Status::Persisted],
        |query| query.statuses = Status::ALL.to_vec(),
    ],
    &[
        |query| query.tags = names("tag", &[9]),
        |query| query.tags = names("tag", &[0, 8, 0, 99]),
        |query| (query.tags, query.all_tags) = (names("tag", &[0, 1, 0]), true),
        |query| (query.tags, query.all_tags) = (names("tag", &[0, 99]), true),
    ],
];

/// All queries with no filter, one, and two of different fields.
fn queries() -> Vec<JobQuery> {
    let mut queries = Vec::new();
    for scope in [of("a"), of("c"), Scope::Everything] {
        let none = query(scope);
        queries.push(none.clone());
        for (index, axis) in AXES.iter().enumerate() {
            for first in *axis {
                let mut one = none.clone();
                first(&mut one);
                queries.push(one.clone());
                for second in AXES[index + 1..].iter().copied().flatten() {
                    let mut two = one.clone();
                    second(&mut two);
                    queries.push(two);
                }
            }
        }
    }
    queries
}

pub async fn every_filter_alone_and_in_pairs(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut random = fastrand::Rng::with_seed(20_261_123);
    let jobs = fill(&*store, &mut random).await;
    let mut met = [0; 10];
    jobs.iter().for_each(|job| met[usize::from(job.job.status.number())] += 1);
    // All statuses but CREATED, which is never stored, occur.
    assert!(met.iter().enumerate().all(|(number, met)| (*met > 0) == (number != 1)), "{met:?}");
    let mut found_some = 0;
    for mut query in queries() {
        for descending in [true, false] {
            let mut expected: Vec<&StoredJob> = jobs.iter().filter(|job| matches(&query, job)).collect();
            if descending {
                expected.reverse();
            }
            found_some += usize::from(!expected.is_empty());
            (query.descending, query.after) = (descending, None);
            query.limit = [1, 7, 100][random.usize(0..3)].max(expected.len() / 20);
            walk(&*store, query.clone(), &expected).await;
        }
    }
    assert!(found_some > 200, "the filters find too little: {found_some}");
}

/// Pages through a list and compares every page.
async fn walk(store: &dyn ControlStore, mut query: JobQuery, expected: &[&StoredJob]) {
    let total = u64::try_from(expected.len()).ok();
    let mut rest = expected;
    loop {
        let page = store.list_jobs(query.clone()).await.unwrap();
        assert_eq!(page.total, total.filter(|_| query.with_total), "{query:?}");
        let (head, tail) = rest.split_at(rest.len().min(query.limit));
        assert_eq!(page.jobs.iter().collect::<Vec<_>>(), head, "{query:?}");
        assert_eq!(page.next.is_some(), !tail.is_empty(), "{query:?}");
        rest = tail;
        query.after = page.next;
        if query.after.is_none() {
            return;
        }
        query.with_total = !query.with_total;
    }
}

pub async fn positions_survive_deletion(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for _ in 0..4 {
        ended(&*store, new_job("a")).await;
    }
    let ascending = JobQuery { descending: false, limit: 3, ..query(of("a")) };
    let first = store.list_jobs(ascending.clone()).await.unwrap();
    // The page's last job and all behind it go, and new ones come: none of them is passed over.
    let rest = store.list_jobs(JobQuery { after: first.next, ..ascending.clone() }).await.unwrap();
    for job in [&first.jobs[2], &rest.jobs[0]] {
        assert!(matches!(store.delete_job(&of("a"), job.job.id).await.unwrap(), Changed::Done(_)));
    }
    let new = store.insert_job(new_job("a")).await.unwrap();
    let rest = store.list_jobs(JobQuery { after: first.next, ..ascending.clone() }).await.unwrap();
    assert_eq!((rest.jobs, rest.next, rest.total), (vec![new], None, Some(3)));
    let end = store.list_jobs(JobQuery { after: Some(u64::MAX), ..ascending }).await.unwrap();
    assert_eq!((end.jobs, end.next), (Vec::new(), None));
}

pub async fn types_are_those_of_the_scope(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for (organization, job_type) in [("a", Some("Z_JOB")), ("a", Some("A_JOB")), ("a", None), ("b", Some("B_JOB"))] {
        let mut job = new_job(organization);
        job.spec.job_type = job_type.map(str::to_owned);
        store.insert_job(job).await.unwrap();
    }
    assert_eq!(store.job_types(&of("a")).await.unwrap(), ["A_JOB", "Z_JOB"]);
    assert_eq!(store.job_types(&of("c")).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.job_types(&Scope::Everything).await.unwrap(), ["A_JOB", "B_JOB", "Z_JOB"]);
    let job = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let job = go(&*store, &job, Status::Canceled, at(2)).await;
    store.delete_job(&of("a"), job.job.id).await.unwrap();
    assert_eq!(store.job_types(&of("a")).await.unwrap(), ["A_JOB"]);
}
