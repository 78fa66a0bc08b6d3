//! Single jobs.

use super::{Fixture, at, ended, go, new_id, new_job, of};
use crate::store::{CancelRequest, Changed, JobChange, Scope, StoreError, StoredJob};
use docket_contract::Status;
use docket_contract::job::ExecutorKind;
use docket_contract::job::{JobSpec, NameValue};

fn full_spec() -> JobSpec {
    let json = serde_json::json!({
        "name": "n", "description": "größer 𝄞", "type": "DATA_VALIDATION_JOB", "dockerImageUrl": "image",
        "commands": ["/bin/sh", "-c", "echo \"x\"\n"], "environmentVariables": [{"name": "A", "value": "secret"}],
        "resultStorageId": "../s", "domain": "d", "organizationId": "a", "workspaceId": "w", "clientId": "c",
        "labels": [{"name": "l", "value": ""}], "tags": ["t", "u", "t"], "memoryLimit": 1024, "cpuLimit": 0.5,
        "priority": 7, "gracePeriodSeconds": 0, "featuresOn": ["SKIP_RESULTS_INITIALIZATION"],
    });
    serde_json::from_value(json).expect("a spec")
}

fn done(changed: Changed) -> StoredJob {
    match changed {
        Changed::Done(job) => *job,
        other => panic!("not done: {other:?}"),
    }
}

pub async fn a_new_job_is_persisted_and_read_back(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut new = new_job("a");
    new.spec = full_spec();
    let job = store.insert_job(new.clone()).await.unwrap();
    assert_eq!((job.organization.as_str(), job.claimed, &job.cancel), ("a", false, &None));
    assert_eq!((job.job.id, &job.job.spec, job.job.user.as_str()), (new.id, &new.spec, "ann"));
    assert_eq!((job.job.status, job.job.progress, job.job.attempt), (Status::Persisted, 0, 0));
    assert_eq!((job.job.created_at, job.job.modified_at), (at(0), at(0)));
    assert_eq!((job.job.started_at, job.job.finished_at, job.job.exit_code), (None, None, None));
    assert_eq!(store.read_job(&of("a"), new.id).await.unwrap(), Some(job.clone()));
    assert_eq!(store.read_job(&Scope::Everything, new.id).await.unwrap(), Some(job));
    assert_eq!(store.read_job(&of("a"), new_id()).await.unwrap(), None);
}

pub async fn inserting_again_changes_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = new_job("a");
    let mut again = new_job("a");
    again.id = first.id;
    again.spec.name = Some("another".to_owned());
    again.spec.tags = vec!["t".to_owned()];
    let job = store.insert_job(first).await.unwrap();
    let running = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    assert_eq!(running.job.id, job.job.id);
    assert_eq!(store.insert_job(again).await.unwrap(), running);
    let query = super::model::query(of("a"));
    assert_eq!(store.list_jobs(query).await.unwrap().total, Some(1));
}

pub async fn changes_set_what_they_name(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut new = new_job("a");
    new.spec = full_spec();
    let before = store.insert_job(new.clone()).await.unwrap();

    let untouched = store.change_job(&of("a"), new.id, JobChange::default(), at(1)).await.unwrap();
    let mut expected = before.clone();
    expected.job.modified_at = at(1);
    assert_eq!(done(untouched), expected);

    let change = JobChange {
        name: Some("new".to_owned()),
        description: Some(String::new()),
        labels: Some(vec![NameValue { name: "x".to_owned(), value: "y".to_owned() }]),
        tags: Some(vec!["v".to_owned(), "v".to_owned()]),
        priority: Some(99),
        progress: Some(40),
        status_message: Some("on it".to_owned()),
        result_data: Some("{}".to_owned()),
        ..JobChange::default()
    };
    let after = done(store.change_job(&of("a"), new.id, change.clone(), at(2)).await.unwrap());
    let spec = &mut expected.job.spec;
    (spec.name, spec.description, spec.priority) = (change.name, change.description, change.priority);
    (spec.labels, spec.tags) = (change.labels.unwrap(), change.tags.unwrap());
    (expected.job.progress, expected.job.modified_at) = (40, at(2));
    (expected.job.status_message, expected.job.result_data) = (change.status_message, change.result_data);
    assert_eq!(after, expected);
    assert_eq!(store.read_job(&of("a"), new.id).await.unwrap(), Some(expected));
    for (tag, found) in [("t", 0), ("u", 0), ("v", 1)] {
        let query = crate::store::JobQuery { tags: vec![tag.to_owned()], ..super::model::query(of("a")) };
        assert_eq!(store.list_jobs(query).await.unwrap().total, Some(found), "{tag}");
    }
}

pub async fn changes_have_conditions(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let job = store.insert_job(new_job("a")).await.unwrap();
    let claimed = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let report = |attempt| JobChange { progress: Some(1), only_attempt: Some(attempt), ..JobChange::default() };
    let outdated = store.change_job(&of("a"), job.job.id, report(2), at(2)).await.unwrap();
    assert_eq!(outdated, Changed::Refused(Box::new(claimed.clone())));
    assert_eq!(done(store.change_job(&of("a"), job.job.id, report(1), at(2)).await.unwrap()).job.progress, 1);

    let running = go(&*store, &claimed, Status::Running, at(3)).await;
    let failed = go(&*store, &running, Status::Failed, at(4)).await;
    let active = JobChange { progress: Some(2), only_active: true, ..JobChange::default() };
    let late = store.change_job(&of("a"), job.job.id, active, at(5)).await.unwrap();
    assert_eq!(late, Changed::Refused(Box::new(failed)));
    assert_eq!(done(store.change_job(&of("a"), job.job.id, report(1), at(5)).await.unwrap()).job.modified_at, at(5));
    assert_eq!(store.change_job(&of("a"), new_id(), report(1), at(5)).await.unwrap(), Changed::NotFound);
}

pub async fn a_cancel_request_is_only_noted(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let request = |reason: Option<&str>, grace_period_seconds| {
        let cancel = CancelRequest { reason: reason.map(str::to_owned), grace_period_seconds };
        (cancel.clone(), JobChange { cancel: Some(cancel), only_active: true, ..JobChange::default() })
    };
    let job = store.insert_job(new_job("a")).await.unwrap();
    let (first, change) = request(Some("why"), 0);
    let noted = done(store.change_job(&of("a"), job.job.id, change, at(1)).await.unwrap());
    assert_eq!((noted.job.status, &noted.cancel), (Status::Persisted, &Some(first)));
    // It can still be claimed: who claims it sees the request.
    let claimed = store.claim_due(ExecutorKind::Process, at(2), 1).await.unwrap().remove(0);
    assert_eq!((claimed.claimed, &claimed.cancel), (true, &noted.cancel));
    let (second, change) = request(None, 5);
    let noted = done(store.change_job(&of("a"), job.job.id, change, at(3)).await.unwrap());
    assert_eq!((noted.claimed, noted.job.status, &noted.cancel), (true, Status::Scheduled, &Some(second)));
    let canceled = go(&*store, &noted, Status::Canceled, at(4)).await;
    assert_eq!((canceled.claimed, &canceled.cancel), (false, &noted.cancel));
}

pub async fn only_ended_jobs_are_deleted(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut new = new_job("a");
    new.spec = full_spec();
    let job = store.insert_job(new.clone()).await.unwrap();
    assert!(store.note_storage(new.id, "s").await.unwrap());
    let refused = store.delete_job(&of("a"), new.id).await.unwrap();
    assert_eq!(refused, Changed::Refused(Box::new(job.clone())));
    let ended = go(&*store, &job, Status::Canceled, at(1)).await;
    assert_eq!(store.delete_job(&of("a"), new.id).await.unwrap(), Changed::Done(Box::new(ended)));

    assert_eq!(store.delete_job(&of("a"), new.id).await.unwrap(), Changed::NotFound);
    assert_eq!(store.read_job(&Scope::Everything, new.id).await.unwrap(), None);
    assert_eq!(store.noted_storages(new.id).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.job_types(&Scope::Everything).await.unwrap(), Vec::<String>::new());
    let mut by_tag = super::model::query(Scope::Everything);
    assert_eq!(store.list_jobs(by_tag.clone()).await.unwrap().total, Some(0));
    by_tag.tags = vec!["t".to_owned()];
    assert_eq!(store.list_jobs(by_tag).await.unwrap().total, Some(0));
    let again = store.insert_job(new).await.unwrap();
    assert_eq!(again, job);
    assert_eq!(store.noted_storages(job.job.id).await.unwrap(), Vec::<String>::new());
}

pub async fn another_organization_sees_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut new = new_job("a");
    new.spec = full_spec();
    let job = ended(&*store, new).await;
    let id = job.job.id;
    // Names that are known, but not to this organization.
    let other = store.insert_job(new_job("b")).await.unwrap();
    for stranger in ["b", "unknown", "", "A", "a "] {
        let scope = of(stranger);
        assert_eq!(store.read_job(&scope, id).await.unwrap(), None, "{stranger}");
        assert_eq!(store.change_job(&scope, id, JobChange::default(), at(9)).await.unwrap(), Changed::NotFound);
        assert_eq!(store.delete_job(&scope, id).await.unwrap(), Changed::NotFound);
        assert_eq!(store.job_types(&scope).await.unwrap(), Vec::<String>::new());
        let mut query = super::model::query(scope);
        let visible: Vec<_> = store.list_jobs(query.clone()).await.unwrap().jobs;
        assert_eq!(visible, if stranger == "b" { vec![other.clone()] } else { Vec::new() });
        query.storage_id = Some("../s".to_owned());
        assert_eq!(store.list_jobs(query.clone()).await.unwrap().total, Some(0));
        query.storage_id = None;
        query.tags = vec!["t".to_owned()];
        assert_eq!(store.list_jobs(query).await.unwrap().total, Some(0));
    }
    assert_eq!(store.read_job(&of("a"), id).await.unwrap(), Some(job.clone()));
    // The id of another organization's job is no way to it either.
    let mut taken = new_job("b");
    taken.id = id;
    assert!(matches!(store.insert_job(taken).await, Err(StoreError::Internal(_))));
    assert_eq!(store.read_job(&of("a"), id).await.unwrap(), Some(job));
}

pub async fn storages_are_noted_once(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let job = store.insert_job(new_job("a")).await.unwrap().job.id;
    for storage in ["s", "é", "s", "b/../c"] {
        assert!(store.note_storage(job, storage).await.unwrap());
    }
    assert_eq!(store.noted_storages(job).await.unwrap(), ["b/../c", "s", "é"]);
    assert!(!store.note_storage(new_id(), "s").await.unwrap());
}

pub async fn jobs_are_told_apart_by_type(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut ids = Vec::new();
    for (organization, job_type) in [("a", Some("X_JOB")), ("a", None), ("a", Some("Y_JOB")), ("b", Some("X_JOB"))] {
        let mut new = new_job(organization);
        new.spec.job_type = job_type.map(str::to_owned);
        ids.push(store.insert_job(new).await.unwrap().job.id);
    }
    ids.insert(0, new_id());
    for (scope, job_type, expected) in [
        (of("a"), "X_JOB", vec![ids[1]]),
        (Scope::Everything, "X_JOB", vec![ids[1], ids[4]]),
        (of("a"), "Z_JOB", vec![]),
    ] {
        assert_eq!(store.jobs_of_type(&scope, ids.clone(), job_type).await.unwrap(), expected);
    }
}

pub async fn reopening_keeps_everything(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut new = new_job("a");
    new.spec = full_spec();
    let id = new.id;
    store.insert_job(new).await.unwrap();
    let claimed = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let job = go(&*store, &claimed, Status::Running, at(2)).await;
    store.note_storage(id, "s").await.unwrap();
    store.close().await;
    drop(store);

    let store = fixture.open().await;
    assert_eq!(store.read_job(&of("a"), id).await.unwrap(), Some(job.clone()));
    assert_eq!(store.claimed_jobs(ExecutorKind::Process).await.unwrap(), std::slice::from_ref(&job));
    assert_eq!(store.noted_storages(id).await.unwrap(), ["s"]);
    assert_eq!(store.claim_due(ExecutorKind::Process, at(3), 10).await.unwrap(), []);
    let mut query = super::model::query(of("a"));
    query.tags = vec!["u".to_owned()];
    query.statuses = vec![Status::Running];
    let list = store.list_jobs(query).await.unwrap();
    assert_eq!((list.jobs, list.total), (vec![job], Some(1)));
    store.insert_job(new_job("a")).await.unwrap();
    assert_eq!(store.list_jobs(super::model::query(of("a"))).await.unwrap().total, Some(2));
}

pub async fn a_closed_store_refuses(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        waiting.spawn(async move { store.insert_job(new_job("a")).await.map(|job| job.job.id) });
    }
    tokio::task::yield_now().await;
    store.close().await;
    store.close().await;
    assert_eq!(store.insert_job(new_job("a")).await, Err(StoreError::Closing));
    assert_eq!(store.read_job(&of("a"), new_id()).await, Err(StoreError::Closing));
    drop(store);
    let outcomes = waiting.join_all().await;
    let store = fixture.open().await;
    for outcome in outcomes {
        match outcome {
            Ok(id) => assert!(store.read_job(&of("a"), id).await.unwrap().is_some()),
            Err(error) => assert_eq!(error, StoreError::Closing),
        }
    }
}
