use super::*;
use crate::store::NewJob;
use docket_contract::job::{ExecutorKind, JobSpec};
use docket_contract::{JobId, Status, Timestamp};
use uuid::Uuid;

fn claimed(number: u128, lease_seconds: i32, timeout_seconds: Option<i32>) -> (StoredJob, AttemptKey) {
    let new = NewJob {
        id: JobId(Uuid::from_u128(number)),
        organization: "a".to_owned(),
        user: "ann".to_owned(),
        spec: JobSpec { executor: Some(ExecutorKind::Worker), timeout_seconds, ..JobSpec::default() },
        status: Status::Scheduled,
        created_at: Timestamp::default(),
        rerun: None,
        scheduled: None,
    };
    let mut job = new.stored();
    (job.claimed, job.job.attempt, job.job.status) = (true, 1, Status::Running);
    job.lease = Some(WorkerLease { worker: "w".to_owned(), seconds: lease_seconds });
    (job, AttemptKey { job_id: Uuid::from_u128(number), attempt: 1 })
}

fn request(grace_period_seconds: i32) -> CancelRequest {
    CancelRequest { reason: Some("enough".to_owned()), grace_period_seconds }
}

fn left(leases: &Leases, key: AttemptKey) -> Option<u64> {
    match leases.renew("a", key) {
        Known::Yes(told) => Some(told.left.as_secs()),
        _ => None,
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// The keys of attempts that are over, and why they had to end.
fn over(leases: &Leases) -> Vec<(AttemptKey, Option<Wish>)> {
    let over = |due| if let Due::Over(key, held) = due { Some((key, held.wish)) } else { None };
    leases.due(usize::MAX).into_iter().filter_map(over).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_as_long_as_its_heartbeats() {
    let leases = Leases::default();
    let ((job, key), (other, silent)) = (claimed(1, 10, None), claimed(2, 12, None));
    leases.add(&job, key);
    leases.add(&other, silent);
    for _ in 0..3 {
        pass(4).await;
        assert_eq!(left(&leases, key), Some(10));
    }
    assert_eq!(leases.renew("b", key), Known::No, "another organization");
    // Late by nothing is late, also before anybody has looked.
    assert_eq!((leases.renew("a", silent), leases.hold("a", silent)), (Known::Over, Known::Over));
    assert_eq!(over(&leases), [(silent, None)]);
    assert_eq!(leases.renew("a", silent), Known::Over, "its end is being recorded");
    leases.try_again(silent);
    assert_eq!(over(&leases), []);
    pass(1).await;
    assert_eq!(over(&leases), [(silent, None)]);
    leases.remove(silent);
    assert_eq!(leases.renew("a", silent), Known::No);
    // Added once more, the other one goes on as it is.
    leases.add(&job, key);
    pass(8).await;
    assert_eq!(left(&leases, key), Some(10));
    leases.remove(key);
    pass(1000).await;
    assert_eq!(over(&leases), []);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_the_first_lease_does() {
    let leases = Leases::default();
    let ((late, last), (early, first)) = (claimed(1, 100, None), claimed(2, 7, None));
    leases.add(&late, last);
    let begun = Instant::now();
    tokio::join!(leases.wait(), async {
        pass(1).await;
        leases.add(&early, first);
    });
    assert_eq!(begun.elapsed().as_secs(), 8);
    assert_eq!(over(&leases), [(first, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_leaves_a_lease_and_the_grace_period() {
    let leases = Leases::default();
    let (job, key) = claimed(1, 10, None);
    leases.add(&job, key);
    leases.cancel(key, &request(5));
    let Known::Yes(told) = leases.renew("a", key) else { panic!("it is the worker's") };
    assert_eq!(told.wish, Some((Wish::Cancel(request(5)), Duration::from_secs(5))));
    pass(9).await;
    assert_eq!(left(&leases, key), Some(6), "heartbeats win no more time");
    leases.cancel(key, &request(500));
    pass(5).await;
    assert_eq!(left(&leases, key), Some(1), "asking again neither");
    leases.cancel(key, &request(0));
    pass(1).await;
    assert_eq!(over(&leases), [(key, Some(Wish::Cancel(request(0))))]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_of_a_canceled_job_ends_it_with_its_lease() {
    let leases = Leases::default();
    let (mut job, key) = claimed(1, 10, None);
    // As a starting server finds it.
    job.cancel = Some(request(1000));
    leases.add(&job, key);
    pass(10).await;
    assert_eq!(over(&leases), [(key, Some(Wish::Cancel(request(1000))))]);
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_is_a_wish_that_a_cancel_goes_before() {
    let leases = Leases::default();
    let ((job, key), (other, canceled)) = (claimed(1, 10, Some(15)), claimed(2, 10, Some(15)));
    leases.add(&job, key);
    leases.add(&other, canceled);
    pass(9).await;
    assert_eq!((left(&leases, key), left(&leases, canceled)), (Some(10), Some(10)));
    leases.cancel(canceled, &request(3));
    pass(6).await;
    assert_eq!(over(&leases), []);
    let Known::Yes(told) = leases.renew("a", key) else { panic!("it is the worker's") };
    assert_eq!(told.wish, Some((Wish::TimeLimit(15), Duration::from_secs(30))));
    let Known::Yes(held) = leases.hold("a", canceled) else { panic!("it is the worker's") };
    assert_eq!(held.wish, Some(Wish::Cancel(request(3))));
    for _ in 0..8 {
        pass(5).await;
        left(&leases, key);
    }
    assert_eq!(over(&leases), [(canceled, Some(Wish::Cancel(request(3)))), (key, Some(Wish::TimeLimit(15)))]);
}

#[tokio::test(start_paused = true)]
async fn progress_is_written_when_it_changes_and_once_a_second() {
    let leases = Leases::default();
    let (job, key) = claimed(1, 100, None);
    leases.add(&job, key);
    let tell = |percent, message: Option<&str>| {
        leases.report(key, Progress { percent: Some(percent), message: message.map(str::to_owned) });
    };
    let progress = |percent, message: Option<&str>| {
        vec![Due::Write(key, Progress { percent, message: message.map(str::to_owned) })]
    };
    tell(0, None);
    assert_eq!(leases.due(9), [], "as it was at the claim");
    tell(1, Some("begun"));
    assert_eq!(leases.due(9), progress(Some(1), Some("begun")));
    for percent in 2..50 {
        tell(percent, Some("begun"));
    }
    assert_eq!(leases.due(9), []);
    pass(1).await;
    assert_eq!(leases.due(9), progress(Some(49), None));
    tell(50, Some("half"));
    leases.not_written(key, Progress { percent: Some(49), message: Some("old".to_owned()) });
    pass(1).await;
    assert_eq!(leases.due(9), progress(Some(50), Some("half")), "the newer one counts");
    tell(51, None);
    let Known::Yes(held) = leases.hold("a", key) else { panic!("it is the worker's") };
    assert_eq!(held.unwritten, Progress { percent: Some(51), message: None });
    tell(52, None);
    assert_eq!(leases.unwritten(), [(key, Progress { percent: Some(52), message: None })]);
    assert_eq!(leases.unwritten(), []);
}
