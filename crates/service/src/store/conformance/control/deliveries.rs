//! Deliveries: what events leave for webhooks.

use super::{Fixture, at, go, new_id, new_job, of, transition};
use crate::store::{CheckEnd, ControlStore, Delivery, DeliveryEnd, DueChecks, DueReceivers, NewJob, Rerun, Scope};
use docket_contract::Status;
use docket_contract::job::{ExecutorKind, Webhook, WebhookEvent};
use docket_contract::notice::{MAX_MESSAGE_CHARS, Notice};
use std::sync::Arc;

const A: &str = "a.example:443";
const B: &str = "b.example:8080";

/// A job with one webhook at each receiver: the ends at A, WAITING and RUNNING at B.
fn hooked() -> NewJob {
    let mut job = new_job("a");
    job.spec.job_type = Some("X_JOB".to_owned());
    job.spec.name = Some("nightly".to_owned());
    let hook = |url: &str, events: &[WebhookEvent]| Webhook {
        url: url.to_owned(),
        events: events.to_vec(),
        only_regressions: None,
    };
    job.spec.webhooks = vec![
        hook("https://a.example/x", &[]),
        hook("http://b.example:8080/y", &[WebhookEvent::Waiting, WebhookEvent::Running]),
    ];
    job
}

async fn due(store: &Arc<dyn ControlStore>, receiver: &str, seconds: i64) -> Vec<Delivery> {
    store.due_deliveries(receiver, at(seconds), 100).await.unwrap()
}

async fn receivers(store: &Arc<dyn ControlStore>, seconds: i64) -> DueReceivers {
    store.due_receivers(at(seconds), 100).await.unwrap()
}

pub async fn events_leave_deliveries_for_the_webhooks_that_want_them(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut signal = store.new_deliveries();
    signal.borrow_and_update();
    let other = store.insert_job(new_job("a")).await.unwrap();
    go(&*store, &other, Status::Canceled, at(0)).await;
    assert!(!signal.has_changed().unwrap(), "other jobs leave none");
    let job = store.insert_job(hooked()).await.unwrap();
    let waiting = go(&*store, &job, Status::Waiting, at(1)).await;
    signal.changed().await.unwrap();
    let queued = go(&*store, &waiting, Status::Scheduled, at(2)).await;
    let mut end = transition(&queued, Status::Canceled, at(3));
    end.status_message = Some("é".repeat(MAX_MESSAGE_CHARS + 1));
    let ended = store.transition(vec![end]).await.unwrap().remove(0).expect("it stands so");

    assert_eq!(receivers(&store, 0).await, DueReceivers { due: vec![], next: Some(at(1)) });
    assert_eq!(receivers(&store, 2).await, DueReceivers { due: vec![B.to_owned()], next: Some(at(3)) });
    let both = DueReceivers { due: vec![B.to_owned(), A.to_owned()], next: None };
    assert_eq!(receivers(&store, 3).await, both, "the longest waiting first");
    assert_eq!(store.due_receivers(at(3), 1).await.unwrap().due, [B]);
    let (first, last) = (due(&store, B, 3).await.remove(0), due(&store, A, 3).await.remove(0));
    assert_eq!((due(&store, A, 2).await, due(&store, "c.example:1", 3).await), (vec![], vec![]));
    assert_eq!((first.key.hook, first.attempts, first.next_at), (1, 0, Some(at(1))));
    assert_eq!((last.key.hook, last.job, last.organization.as_str()), (0, job.job.id, "a"));
    assert_eq!((last.url.as_str(), last.last_error), ("https://a.example/x", None));
    let notice: Notice = serde_json::from_str(&last.payload).unwrap();
    assert_eq!((notice.kind.as_str(), notice.timestamp), ("job.canceled", at(3)));
    assert_eq!((notice.data.job.id, notice.data.job.status), (job.job.id, Status::Canceled));
    assert_eq!(notice.data.job.organization_id, "a");
    assert_eq!(
        (notice.data.job.name.as_deref(), notice.data.job.job_type.as_deref()),
        (Some("nightly"), Some("X_JOB"))
    );
    assert_eq!(notice.data.event.id, last.key.event.to_string());
    assert_eq!((notice.data.event.from, notice.data.event.to), (Status::Scheduled, Status::Canceled));
    assert_eq!(notice.data.event.message.map(|text| text.chars().count()), Some(MAX_MESSAGE_CHARS));
    let scoped = store.job_deliveries(&of("a"), ended.job.id, 100).await.unwrap().expect("the job is there");
    let keys: Vec<_> = scoped.iter().map(|delivery| delivery.key).collect();
    assert_eq!(keys, [first.key, last.key]);
    assert_eq!(store.job_deliveries(&of("a"), ended.job.id, 1).await.unwrap().map(|found| found.len()), Some(1));
    assert_eq!(store.job_deliveries(&of("b"), ended.job.id, 100).await.unwrap(), None);
}

pub async fn a_job_that_is_queued_at_once_tells_it(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut job = NewJob { status: Status::Scheduled, ..hooked() };
    job.spec.webhooks[1].events.push(WebhookEvent::Scheduled);
    store.insert_job(job.clone()).await.unwrap();
    store.insert_job(job).await.unwrap();
    let found = due(&store, B, 0).await;
    assert_eq!(found.len(), 1, "inserting again adds none");
    let notice: Notice = serde_json::from_str(&found[0].payload).unwrap();
    assert_eq!(notice.kind, "job.scheduled");
    let mut later = NewJob { status: Status::Persisted, ..hooked() };
    later.spec.webhooks[1].events.push(WebhookEvent::Scheduled);
    store.insert_job(later).await.unwrap();
    store.claim_due(ExecutorKind::Process, at(1), 0).await.unwrap();
    assert_eq!(due(&store, B, 1).await.len(), 2, "the queue tells it too");
}

pub async fn deliveries_end_or_wait_and_outlive_their_job(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut ended = Vec::new();
    for _ in 0..3 {
        let job = store.insert_job(hooked()).await.unwrap();
        ended.push(go(&*store, &job, Status::Canceled, at(1)).await);
    }
    let found = due(&store, A, 1).await;
    assert!(found.is_sorted_by_key(|delivery| delivery.key), "equally old ones in the order of their events");
    assert_eq!(store.due_deliveries(A, at(1), 2).await.unwrap(), found[..2]);
    store.end_delivery(found[0].key, DeliveryEnd::Delivered).await.unwrap();
    let postponed = DeliveryEnd::Postponed { next_at: at(10), error: "late".to_owned() };
    store.end_delivery(found[1].key, postponed.clone()).await.unwrap();
    store.end_delivery(found[2].key, DeliveryEnd::GivenUp { error: "refused".to_owned() }).await.unwrap();
    // Nothing comes back that is gone.
    store.end_delivery(found[0].key, postponed).await.unwrap();
    assert_eq!(receivers(&store, 9).await, DueReceivers { due: vec![], next: Some(at(10)) });

    for job in &ended {
        store.delete_job(&Scope::Everything, job.job.id).await.unwrap();
        assert_eq!(store.job_deliveries(&Scope::Everything, job.job.id, 9).await.unwrap(), None);
    }
    store.close().await;
    let store = fixture.open().await;
    let kept = due(&store, A, 10).await;
    let expected =
        Delivery { attempts: 1, next_at: Some(at(10)), last_error: Some("late".to_owned()), ..found[1].clone() };
    assert_eq!(kept, [expected]);
    store.end_delivery(found[1].key, DeliveryEnd::GivenUp { error: "late".to_owned() }).await.unwrap();
    assert_eq!(receivers(&store, 99).await, DueReceivers::default());
}

pub async fn what_was_given_up_is_seen_as_long_as_its_job(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let job = store.insert_job(hooked()).await.unwrap();
    let ended = go(&*store, &job, Status::Canceled, at(1)).await;
    let key = due(&store, A, 1).await.remove(0).key;
    store.end_delivery(key, DeliveryEnd::GivenUp { error: "refused".to_owned() }).await.unwrap();
    assert_eq!(receivers(&store, 99).await, DueReceivers::default());
    let seen = store.job_deliveries(&of("a"), ended.job.id, 9).await.unwrap().expect("the job is there").remove(0);
    assert_eq!((seen.attempts, seen.next_at, seen.last_error.as_deref()), (1, None, Some("refused")));
}

pub async fn checks_become_deliveries_or_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut signal = store.new_deliveries();
    let original = store.insert_job(new_job("a")).await.unwrap();
    let mut new = hooked();
    new.spec.webhooks[0].only_regressions = Some(true);
    new.spec.webhooks.push(Webhook { only_regressions: None, ..new.spec.webhooks[0].clone() });
    new.rerun = Some(Rerun { of: original.job.id, only_failed: false });
    let job = store.insert_job(new.clone()).await.unwrap();
    assert_eq!(store.previous_run(job.job.id).await.unwrap(), Some(original.job.id));
    assert_eq!(store.previous_run(original.job.id).await.unwrap(), None);
    signal.borrow_and_update();
    go(&*store, &job, Status::Canceled, at(5)).await;
    signal.changed().await.unwrap();
    assert_eq!(due(&store, A, 5).await.len(), 1, "only the webhook that is told of every end");
    assert_eq!(store.due_checks(at(4), 10).await.unwrap(), DueChecks { due: vec![], next: Some(at(5)) });
    let check = store.due_checks(at(5), 10).await.unwrap().due.remove(0);
    assert_eq!((check.key.hook, check.job, check.organization.as_str(), check.attempts), (0, job.job.id, "a", 0));
    let notice: Notice = serde_json::from_str(&check.payload).unwrap();
    assert_eq!(notice.kind, "job.canceled");
    store.end_check(check.key, CheckEnd::Postponed { next_at: at(9) }).await.unwrap();
    let postponed = store.due_checks(at(9), 10).await.unwrap();
    assert_eq!((postponed.due[0].attempts, postponed.due[0].next_at, postponed.next), (1, at(9), None));
    // The check outlives its job and becomes a delivery, once.
    store.delete_job(&Scope::Everything, job.job.id).await.unwrap();
    signal.borrow_and_update();
    let end = CheckEnd::Regressed { payload: "told".to_owned(), now: at(10) };
    for _ in 0..2 {
        store.end_check(check.key, end.clone()).await.unwrap();
    }
    signal.changed().await.unwrap();
    let found: Vec<_> = due(&store, A, 10).await.into_iter().filter(|delivery| delivery.key == check.key).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].payload.as_str(), found[0].next_at, found[0].attempts), ("told", Some(at(10)), 0));
    assert_eq!((found[0].job, found[0].url.as_str()), (job.job.id, "https://a.example/x"));
    assert_eq!(store.due_checks(at(10), 10).await.unwrap(), DueChecks::default());
    // One that finds nothing leaves nothing.
    let again = store.insert_job(NewJob { id: new_id(), ..new }).await.unwrap();
    go(&*store, &again, Status::Canceled, at(11)).await;
    let check = store.due_checks(at(11), 10).await.unwrap().due.remove(0);
    store.end_check(check.key, CheckEnd::Nothing).await.unwrap();
    store.end_check(check.key, end).await.unwrap();
    assert_eq!(store.due_checks(at(11), 10).await.unwrap(), DueChecks::default());
    assert!(due(&store, A, 11).await.iter().all(|delivery| delivery.key != check.key));
}
