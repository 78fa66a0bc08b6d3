//! Requests with an idempotency key.

use super::{Fixture, at, new_id};
use crate::store::{Idempotency, IdempotencyKey, StoredReply};
use docket_contract::JobId;

fn key(organization: &str, key: &str, run: JobId) -> IdempotencyKey {
    IdempotencyKey { organization: organization.to_owned(), key: key.to_owned(), request_hash: [7; 32], run }
}

fn reply(bytes: usize) -> StoredReply {
    StoredReply { status: 201, media_type: "application/json".to_owned(), body: vec![0xff; bytes] }
}

pub async fn a_first_request_proceeds_and_is_answered_again(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let run = new_id();
    let (first, job) = (key("a", "k", run), new_id());
    assert_eq!(store.begin_request(&first, job, at(0)).await.unwrap(), Idempotency::Proceed(job));
    assert_eq!(store.begin_request(&first, new_id(), at(1)).await.unwrap(), Idempotency::InFlight);
    let different = IdempotencyKey { request_hash: [8; 32], ..first.clone() };
    assert_eq!(store.begin_request(&different, new_id(), at(1)).await.unwrap(), Idempotency::Different);
    // Another organization's key of the same name is another key.
    let other = new_id();
    let others = key("b", "k", run);
    assert_eq!(store.begin_request(&others, other, at(1)).await.unwrap(), Idempotency::Proceed(other));

    store.end_request(&first, Some(reply(3))).await.unwrap();
    assert_eq!(store.begin_request(&first, new_id(), at(2)).await.unwrap(), Idempotency::Answered(reply(3)));
    assert_eq!(store.begin_request(&different, new_id(), at(2)).await.unwrap(), Idempotency::Different);
    assert_eq!(store.begin_request(&others, new_id(), at(2)).await.unwrap(), Idempotency::InFlight);
    let later = key("a", "k", new_id());
    assert_eq!(store.begin_request(&later, new_id(), at(3)).await.unwrap(), Idempotency::Answered(reply(3)));
    // An answer stays.
    store.end_request(&first, None).await.unwrap();
    store.end_request(&first, Some(reply(4))).await.unwrap();
    assert_eq!(store.begin_request(&first, new_id(), at(4)).await.unwrap(), Idempotency::Answered(reply(3)));
}

pub async fn another_run_goes_on_with_the_same_job(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let (first, job) = (key("a", "k", new_id()), new_id());
    assert_eq!(store.begin_request(&first, job, at(0)).await.unwrap(), Idempotency::Proceed(job));
    store.close().await;
    drop(store);

    let store = fixture.open().await;
    let second = IdempotencyKey { run: new_id(), ..first.clone() };
    assert_eq!(store.begin_request(&second, new_id(), at(1)).await.unwrap(), Idempotency::Proceed(job));
    assert_eq!(store.begin_request(&second, new_id(), at(1)).await.unwrap(), Idempotency::InFlight);
    // The run before has no say any more.
    store.end_request(&first, None).await.unwrap();
    store.end_request(&first, Some(reply(1))).await.unwrap();
    assert_eq!(store.begin_request(&second, new_id(), at(1)).await.unwrap(), Idempotency::InFlight);
    store.end_request(&second, Some(reply(2))).await.unwrap();
    assert_eq!(store.begin_request(&second, new_id(), at(2)).await.unwrap(), Idempotency::Answered(reply(2)));
}

pub async fn a_forgotten_request_begins_anew(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let key = key("a", "k", new_id());
    store.begin_request(&key, new_id(), at(0)).await.unwrap();
    store.end_request(&key, None).await.unwrap();
    let different = IdempotencyKey { request_hash: [9; 32], ..key };
    let job = new_id();
    assert_eq!(store.begin_request(&different, job, at(1)).await.unwrap(), Idempotency::Proceed(job));
}

pub async fn large_answers_are_not_kept(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let run = new_id();
    let (largest, too_large, job) = (key("a", "1", run), key("a", "2", run), new_id());
    store.begin_request(&largest, new_id(), at(0)).await.unwrap();
    store.begin_request(&too_large, job, at(0)).await.unwrap();
    store.end_request(&largest, Some(reply(1 << 20))).await.unwrap();
    store.end_request(&too_large, Some(reply((1 << 20) + 1))).await.unwrap();
    let answered = store.begin_request(&largest, new_id(), at(1)).await.unwrap();
    assert_eq!(answered, Idempotency::Answered(reply(1 << 20)));
    let again = store.begin_request(&too_large, new_id(), at(1)).await.unwrap();
    assert_eq!(again, Idempotency::Proceed(job));
}

pub async fn old_requests_are_forgotten_in_steps(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let run = new_id();
    for seconds in 0..10 {
        let key = key("a", &seconds.to_string(), run);
        store.begin_request(&key, new_id(), at(seconds)).await.unwrap();
        store.end_request(&key, Some(reply(0))).await.unwrap();
    }
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.push(store.forget_requests(at(7), 5).await.unwrap());
    }
    assert_eq!(steps, [5, 2, 0]);
    for (name, known) in [("0", false), ("6", false), ("7", true), ("9", true)] {
        let found = store.begin_request(&key("a", name, run), new_id(), at(20)).await.unwrap();
        assert_eq!(found == Idempotency::Answered(reply(0)), known, "{name}");
    }
}

pub async fn one_of_racing_requests_proceeds(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let run = new_id();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        racers.spawn(async move { store.begin_request(&key("a", "k", run), new_id(), at(0)).await.unwrap() });
    }
    let outcomes = racers.join_all().await;
    let proceeding = outcomes.iter().filter(|outcome| matches!(outcome, Idempotency::Proceed(_))).count();
    let in_flight = outcomes.iter().filter(|outcome| **outcome == Idempotency::InFlight).count();
    assert_eq!((proceeding, in_flight), (1, 15));
}

pub async fn answers_are_forgotten_by_what_they_hold(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let (run, ann) = (new_id(), r#"{"businessPartnerId":"ann"}"#);
    let requests = [("a", "1", ann), ("a", "2", r#"{"businessPartnerId":"anna"}"#), ("a", "3", ""), ("b", "1", ann)];
    for (organization, name, body) in requests {
        let (key, reply) = (key(organization, name, run), StoredReply { body: body.into(), ..reply(0) });
        store.begin_request(&key, JobId(uuid::Uuid::from_u128(7)), at(0)).await.unwrap();
        store.end_request(&key, Some(reply)).await.unwrap();
    }
    let waiting = key("a", "4", run);
    store.begin_request(&waiting, new_id(), at(0)).await.unwrap();
    let texts = ["<x>ann</x>", r#""businessPartnerId":"ann""#].map(|text| text.as_bytes().to_vec());
    let (mut after, mut steps) = (String::new(), 1);
    while let Some(next) = store.forget_answers("a", texts.to_vec().into(), &after, 2).await.unwrap() {
        assert!(next > after, "{next}");
        (after, steps) = (next, steps + 1);
    }
    assert_eq!(steps, 3);
    for (organization, name, forgotten) in [("a", "1", true), ("a", "2", false), ("a", "3", false), ("b", "1", false)] {
        let found = store.begin_request(&key(organization, name, run), new_id(), at(1)).await.unwrap();
        match found {
            Idempotency::Proceed(job) => assert_eq!((forgotten, job.0.as_u128()), (true, 7), "{organization} {name}"),
            found => {
                assert!(!forgotten && matches!(found, Idempotency::Answered(_)), "{organization} {name}: {found:?}")
            }
        }
    }
    assert_eq!(store.begin_request(&waiting, new_id(), at(1)).await.unwrap(), Idempotency::InFlight);
}
