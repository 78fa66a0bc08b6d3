//! Attachments: names of files, listed in their job.

use super::{Fixture, at, ended, go, new_job, of, transition};
use crate::store::{Attached, NewAttachment, NewJob, Scope, StoredAttachment};
use docket_contract::Status;
use docket_contract::job::{Attachment, ExecutorKind};

fn new(name: &str, file: &str) -> NewAttachment {
    let content_type = "text/plain".to_owned();
    let attachment = Attachment { name: name.to_owned(), content_type, size: 5, created_at: at(7) };
    NewAttachment { attachment, file: file.to_owned(), only_attempt: None }
}

pub async fn attachments_are_listed_replaced_and_deleted(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let job = store.insert_job(new_job("a")).await.unwrap().job;
    let put = async |name: &str, file: &str| store.put_attachment(&of("a"), job.id, new(name, file), 2).await.unwrap();
    assert_eq!(put("ü/..", "1").await, Attached::Done { replaced: None });
    assert_eq!(put("a", "2").await, Attached::Done { replaced: None });
    assert_eq!(put("b", "3").await, Attached::TooMany);
    assert_eq!(put("a", "4").await, Attached::Done { replaced: Some("2".to_owned()) });
    let wanted = [new("a", "").attachment, new("ü/..", "").attachment];
    assert_eq!(store.read_job(&of("a"), job.id).await.unwrap().expect("the job").job.attachments, wanted);
    let found = store.read_attachment(&of("a"), job.id, "a").await.unwrap();
    assert_eq!(found, Some(StoredAttachment { attachment: wanted[0].clone(), file: "4".to_owned() }));
    let mut files = store.attachment_files(job.id).await.unwrap();
    files.sort();
    assert_eq!(files, ["1", "4"]);

    for scope in [of("b"), Scope::Organization(String::new())] {
        assert_eq!(store.put_attachment(&scope, job.id, new("x", "9"), 9).await.unwrap(), Attached::NotFound);
        assert_eq!(store.read_attachment(&scope, job.id, "a").await.unwrap(), None);
        assert_eq!(store.delete_attachment(&scope, job.id, "a").await.unwrap(), None);
    }
    store.close().await;
    let store = fixture.open().await;
    assert_eq!(store.delete_attachment(&of("a"), job.id, "a").await.unwrap(), found);
    assert_eq!(store.delete_attachment(&of("a"), job.id, "a").await.unwrap(), None);
    assert_eq!(store.read_job(&of("a"), job.id).await.unwrap().expect("the job").job.attachments, wanted[1..]);
}

pub async fn attachments_of_an_outdated_attempt_are_refused(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    store.insert_job(NewJob { status: Status::Scheduled, ..new_job("a") }).await.unwrap();
    let claimed = store.claim_due(ExecutorKind::Process, at(1), 1).await.unwrap().remove(0);
    let mut start = transition(&claimed, Status::Running, at(2));
    start.started_at = Some(at(2));
    let running = store.transition(vec![start]).await.unwrap().remove(0).expect("it stands so");
    let id = running.job.id;
    let put = async |attempt: i32| {
        let new = NewAttachment { only_attempt: Some(attempt), ..new("a", "1") };
        store.put_attachment(&of("a"), id, new, 9).await.unwrap()
    };
    assert_eq!(put(2).await, Attached::Refused(Box::new(running.clone())));
    assert_eq!(put(1).await, Attached::Done { replaced: None });
    let ended = go(&*store, &running, Status::Finished, at(3)).await;
    assert!(matches!(put(1).await, Attached::Refused(job) if job.job.status == ended.job.status));
    let replaced = Some("1".to_owned());
    let later = store.put_attachment(&of("a"), id, new("a", "2"), 9).await.unwrap();
    assert_eq!(later, Attached::Done { replaced }, "people may add to a job that has ended");
}

pub async fn attachments_go_with_their_job(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let gone = ended(&*store, new_job("a")).await.job.id;
    let stays = ended(&*store, new_job("a")).await.job.id;
    for job in [gone, stays] {
        store.put_attachment(&of("a"), job, new("a", "1"), 9).await.unwrap();
    }
    store.delete_job(&of("a"), gone).await.unwrap();
    assert_eq!(store.attachment_files(gone).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.read_attachment(&of("a"), gone, "a").await.unwrap(), None);
    assert_eq!(store.put_attachment(&of("a"), gone, new("a", "2"), 9).await.unwrap(), Attached::NotFound);
    assert_eq!(store.attachment_files(stays).await.unwrap(), ["1"]);
}
