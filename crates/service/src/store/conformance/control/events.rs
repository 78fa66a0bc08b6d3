//! Events: what transitions leave behind.

use super::{Fixture, at, go, new_job, of, transition};
use crate::store::{AttemptEnd, ControlStore, NewJob, Scope, StoredJob};
use docket_contract::Status;
use docket_contract::history::{Actor, Cause, JobEvent, Usage};
use docket_contract::job::ExecutorKind;
use std::sync::Arc;

async fn events(store: &Arc<dyn ControlStore>, job: &StoredJob) -> Vec<JobEvent> {
    let page = store.job_events(&Scope::Everything, job.job.id, 0, 100).await.unwrap().expect("the job is there");
    assert!(!page.more);
    page.events
}

pub async fn every_transition_leaves_an_event(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let queued = store.insert_job(NewJob { status: Status::Scheduled, ..new_job("a") }).await.unwrap();
    let claimed = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let mut start = transition(&claimed, Status::Running, at(2));
    (start.cause, start.actor) = (Cause::Started, Actor::EXECUTOR);
    let running = store.transition(vec![start.clone()]).await.unwrap().remove(0).expect("it stands so");
    assert_eq!(store.transition(vec![start]).await.unwrap(), [None], "refused, so without an event");
    let mut end = transition(&running, Status::Died, at(3));
    (end.cause, end.actor, end.status_message) = (Cause::OutOfMemory, Actor::worker("w"), Some("gone".to_owned()));
    end.exit_code = Some(137);
    let usage = Usage { memory_peak_bytes: Some(u64::MAX), cpu_time_ms: Some(12) };
    end.end = AttemptEnd { signal: Some(9), usage };
    let ended = store.transition(vec![end]).await.unwrap().remove(0).expect("it stands so");

    let found = events(&store, &ended).await;
    let told: Vec<_> = found.iter().map(|e| (e.from, e.to, e.cause, e.actor.clone(), e.attempt, e.at)).collect();
    let expected = [
        (Status::Persisted, Status::Scheduled, Cause::Queued, Actor::user("ann"), 0, at(0)),
        (Status::Scheduled, Status::Running, Cause::Started, Actor::EXECUTOR, 1, at(2)),
        (Status::Running, Status::Died, Cause::OutOfMemory, Actor::worker("w"), 1, at(3)),
    ];
    assert_eq!(told, expected);
    assert!(found.iter().all(|event| event.job_id == queued.job.id));
    let last = &found[2];
    assert_eq!((last.message.as_deref(), last.exit_code, last.signal), (Some("gone"), Some(137), Some(9)));
    assert_eq!((last.memory_peak_bytes, last.cpu_time_ms), (Some(i64::MAX), Some(12)));
    assert_eq!((&found[0].message, found[0].memory_peak_bytes), (&None, None));
}

pub async fn events_are_paged_and_scoped_and_go_with_the_job(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = store.insert_job(new_job("a")).await.unwrap();
    let second = store.insert_job(new_job("b")).await.unwrap();
    let mut newest = store.newest_event();
    assert_eq!(*newest.borrow_and_update(), 0);
    let waiting = go(&*store, &first, Status::Waiting, at(1)).await;
    let other = go(&*store, &second, Status::Waiting, at(1)).await;
    let ended = go(&*store, &waiting, Status::Canceled, at(2)).await;
    newest.changed().await.expect("the store is open");
    let all = store.events_after(0, 100).await.unwrap();
    let told: Vec<_> = all.iter().map(|stored| (stored.organization.as_str(), stored.event.to)).collect();
    assert_eq!(told, [("a", Status::Waiting), ("b", Status::Waiting), ("a", Status::Canceled)]);
    assert!(all.is_sorted_by(|a, b| a.id < b.id));
    assert!(all.iter().all(|stored| stored.event.id == stored.id.to_string()));
    assert_eq!(*newest.borrow_and_update(), all[2].id);
    assert_eq!(store.events_after(all[0].id, 1).await.unwrap(), all[1..2]);

    let page = store.job_events(&of("a"), ended.job.id, 0, 1).await.unwrap().expect("the job is there");
    assert_eq!((page.events, page.more), (vec![all[0].event.clone()], true));
    let page = store.job_events(&of("a"), ended.job.id, all[0].id, 1).await.unwrap().expect("the job is there");
    assert_eq!((page.events, page.more), (vec![all[2].event.clone()], false));
    assert_eq!(store.job_events(&of("b"), ended.job.id, 0, 9).await.unwrap(), None);
    for (limit, expected, more) in
        [(0, vec![], true), (1, vec![2], true), (2, vec![0, 2], false), (9, vec![0, 2], false)]
    {
        let page = store.last_events(&of("a"), ended.job.id, limit).await.unwrap().expect("the job is there");
        let expected: Vec<_> = expected.into_iter().map(|index: usize| all[index].event.clone()).collect();
        assert_eq!((page.events, page.more), (expected, more), "the last {limit}");
    }
    assert_eq!(store.last_events(&of("b"), ended.job.id, 9).await.unwrap(), None);

    store.delete_job(&of("a"), ended.job.id).await.unwrap();
    assert_eq!(store.job_events(&of("a"), ended.job.id, 0, 9).await.unwrap(), None);
    assert_eq!(store.events_after(0, 100).await.unwrap(), all[1..2]);
    store.close().await;
    let store = fixture.open().await;
    assert_eq!(events(&store, &other).await, [all[1].event.clone()]);
    let again = go(&*store, &other, Status::Canceled, at(3)).await;
    let newer = events(&store, &again).await.pop().expect("an event");
    assert!(newer.id.parse::<u64>().unwrap() > all[2].id, "an id is never given twice");
}
