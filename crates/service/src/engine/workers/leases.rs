//! The leases of claimed jobs: deadlines of a clock that never jumps, in memory. Durable is only the claim, so a server
//! that starts gives each claimed job a fresh lease. Nothing here reads or writes the store.

use crate::executors::AttemptKey;
use crate::store::{CancelRequest, StoredJob, WorkerLease};
use docket_contract::job::{DEFAULT_GRACE_PERIOD_SECONDS, Retry};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Most jobs that are out with workers at a time, all organizations together: some 100 MB.
pub(super) const MOST: usize = 200_000;
/// How often progress is written, at most.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// When a write or a transition that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a job must end before it does so by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Somebody asked for it.
    Cancel(CancelRequest),
    /// Its time limit, of so many seconds, is over.
    TimeLimit(i32),
}

/// What the worker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Whether and why the job must end, and how long it may take.
    pub wish: Option<(Wish, Duration)>,
    /// For how long the job is the worker's.
    pub left: Duration,
}

/// What is known of an attempt that reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known<T> {
    /// Nothing.
    No,
    /// Its lease has run out: its end is being recorded.
    Over,
    /// It is its worker's.
    Yes(T),
}

/// What is needed to end an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Its worker.
    pub worker: String,
    /// Why it had to end, if it had.
    pub wish: Option<Wish>,
    /// Progress that is not written yet.
    pub unwritten: Progress,
    /// The length of the lease.
    pub length: Duration,
    /// Whether another attempt may follow.
    pub retry: Option<Box<Retry>>,
}

/// What a job tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Percent done.
    pub percent: Option<i32>,
    /// What it is doing.
    pub message: Option<String>,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The attempt is over: record it, then [`Leases::remove`] it, or [`Leases::try_again`].
    Over(AttemptKey, Held),
    /// Progress is to be written; what failed may be reported again by [`Leases::report`].
    Write(AttemptKey, Progress),
}

struct Lease {
    organization: String,
    worker: String,
    length: Duration,
    until: Instant,
    grace: Duration,
    /// When the time limit is over, and its seconds.
    limit: Option<(Instant, i32)>,
    wish: Option<Wish>,
    wish_grace: Duration,
    /// When a job that was asked to end is over, whatever its worker does.
    end_by: Option<Instant>,
    over: bool,
    /// Boxed: few jobs have one.
    retry: Option<Box<Retry>>,
    last: Progress,
    unwritten: Progress,
    write_at: Option<Instant>,
    written_at: Option<Instant>,
    /// Its entry in the order of deadlines.
    deadline: Instant,
}

impl Lease {
    /// When something is to be done next.
    fn next(&self) -> Instant {
        let limit = self.limit.filter(|_| self.wish.is_none()).map(|(at, _)| at);
        [limit, self.end_by, self.write_at].into_iter().flatten().fold(self.until, Instant::min)
    }

    fn ends(&self) -> Instant {
        self.end_by.map_or(self.until, |by| by.min(self.until))
    }

    /// The job must end: its worker learns it within a lease, and has the grace period then.
    fn wish(&mut self, wish: Wish, grace: Duration, now: Instant) {
        let by = now + self.length + grace;
        // Asking again never gives more time.
        self.end_by = Some(self.end_by.map_or(by, |before| before.min(by)));
        self.wish = Some(wish);
        self.wish_grace = grace;
    }

    fn held(&mut self) -> Held {
        Held {
            worker: self.worker.clone(),
            wish: self.wish.clone(),
            unwritten: std::mem::take(&mut self.unwritten),
            length: self.length,
            retry: self.retry.clone(),
        }
    }
}

#[derive(Default)]
struct Kept {
    leases: HashMap<AttemptKey, Lease>,
    deadlines: BTreeSet<(Instant, AttemptKey)>,
}

impl Kept {
    /// Puts a lease at its place in the order of deadlines; true if it is the first one.
    fn place(&mut self, key: AttemptKey, at: Instant) -> bool {
        if let Some(lease) = self.leases.get_mut(&key) {
            self.deadlines.remove(&(lease.deadline, key));
            lease.deadline = at;
            self.deadlines.insert((at, key));
        }
        self.deadlines.first().is_some_and(|first| first.1 == key)
    }

    fn place_next(&mut self, key: AttemptKey) -> bool {
        let at = self.leases.get(&key).map(Lease::next);
        at.is_some_and(|at| self.place(key, at))
    }
}

/// All leases.
#[derive(Default)]
pub(super) struct Leases {
    kept: Mutex<Kept>,
    /// Something is due earlier than before.
    earlier: Notify,
}

impl Leases {
    /// Whether no more jobs may be handed out.
    pub fn is_full(&self) -> bool {
        self.lock().leases.len() >= MOST
    }

    /// Begins the lease of a claimed job. One that is there already goes on; a wish that the job tells of is taken over.
    pub fn add(&self, job: &StoredJob, key: AttemptKey) {
        let Some(WorkerLease { worker, seconds: length }) = &job.lease else { return };
        let now = Instant::now();
        let length = seconds(*length);
        let mut kept = self.lock();
        let spec = &job.job.spec;
        let lease = kept.leases.entry(key).or_insert_with(|| Lease {
            organization: job.organization.clone(),
            worker: worker.clone(),
            length,
            until: now + length,
            grace: seconds(spec.grace_period_seconds.unwrap_or(DEFAULT_GRACE_PERIOD_SECONDS)),
            limit: spec.timeout_seconds.map(|limit| (now + seconds(limit), limit)),
            wish: None,
            wish_grace: Duration::ZERO,
            end_by: None,
            over: false,
            retry: spec.retry.clone().map(Box::new),
            last: Progress { percent: Some(job.job.progress), message: job.job.status_message.clone() },
            unwritten: Progress::default(),
            write_at: None,
            written_at: None,
            deadline: now + length,
        });
        if let Some(request) = job.cancel.as_ref().filter(|_| !matches!(lease.wish, Some(Wish::Cancel(_)))) {
            lease.wish(Wish::Cancel(request.clone()), seconds(request.grace_period_seconds), now);
        }
        if kept.place_next(key) {
            self.earlier.notify_one();
        }
    }

    /// Somebody asked for the end of an attempt; nothing happens if it is not known.
    pub fn cancel(&self, key: AttemptKey, request: &CancelRequest) {
        let mut kept = self.lock();
        let Some(lease) = kept.leases.get_mut(&key).filter(|lease| !lease.over) else { return };
        let grace = seconds(request.grace_period_seconds);
        lease.wish(Wish::Cancel(request.clone()), grace, Instant::now());
        if kept.place_next(key) {
            self.earlier.notify_one();
        }
    }

    /// A sign of life: the lease begins anew.
    pub fn renew(&self, organization: &str, key: AttemptKey) -> Known<Told> {
        let now = Instant::now();
        let mut kept = self.lock();
        let Some(lease) = kept.leases.get_mut(&key).filter(|lease| lease.organization == organization) else {
            return Known::No;
        };
        // Whoever comes late is late, also when nobody has noticed yet.
        if lease.over || lease.ends() <= now {
            return Known::Over;
        }
        lease.until = now + lease.length;
        let wish = lease.wish.clone().map(|wish| (wish, lease.wish_grace));
        let told = Told { wish, left: lease.ends() - now };
        kept.place_next(key);
        Known::Yes(told)
    }

    /// The job tells of itself: to be written within a second of the last time.
    pub fn report(&self, key: AttemptKey, progress: Progress) {
        let now = Instant::now();
        let mut kept = self.lock();
        let Some(lease) = kept.leases.get_mut(&key).filter(|lease| !lease.over) else { return };
        let Lease { last, unwritten, .. } = lease;
        if progress.percent.is_some() && progress.percent != last.percent {
            (last.percent, unwritten.percent) = (progress.percent, progress.percent);
        }
        if progress.message.is_some() && progress.message != last.message {
            last.message.clone_from(&progress.message);
            unwritten.message = progress.message;
        }
        if *unwritten == Progress::default() || lease.write_at.is_some() {
            return;
        }
        lease.write_at = Some(lease.written_at.map_or(now, |last| now.max(last + WRITE_EVERY)));
        if kept.place_next(key) {
            self.earlier.notify_one();
        }
    }

    /// Progress could not be written: it is once more to be, unless there is newer.
    pub fn not_written(&self, key: AttemptKey, progress: Progress) {
        let mut kept = self.lock();
        let Some(lease) = kept.leases.get_mut(&key).filter(|lease| !lease.over) else { return };
        lease.unwritten.percent = lease.unwritten.percent.or(progress.percent);
        lease.unwritten.message = lease.unwritten.message.take().or(progress.message);
        lease.write_at = Some(Instant::now() + AGAIN);
        kept.place_next(key);
    }

    /// What is needed to end an attempt that its worker reports as ended. It stays until [`Leases::remove`].
    pub fn hold(&self, organization: &str, key: AttemptKey) -> Known<Held> {
        let mut kept = self.lock();
        let Some(lease) = kept.leases.get_mut(&key).filter(|lease| lease.organization == organization) else {
            return Known::No;
        };
        if lease.over || lease.ends() <= Instant::now() {
            return Known::Over;
        }
        Known::Yes(lease.held())
    }

    /// The attempt has ended, and that is durable.
    pub fn remove(&self, key: AttemptKey) {
        let mut kept = self.lock();
        if let Some(lease) = kept.leases.remove(&key) {
            kept.deadlines.remove(&(lease.deadline, key));
        }
    }

    /// The end of an attempt that is over could not be recorded.
    pub fn try_again(&self, key: AttemptKey) {
        self.lock().place(key, Instant::now() + AGAIN);
    }

    /// Takes what is due now, up to `limit`.
    pub fn due(&self, limit: usize) -> Vec<Due> {
        let now = Instant::now();
        let mut kept = self.lock();
        let mut due = Vec::new();
        while due.len() < limit {
            let Some(&(at, key)) = kept.deadlines.first() else { break };
            if at > now {
                break;
            }
            kept.deadlines.pop_first();
            let Some(lease) = kept.leases.get_mut(&key) else { continue };
            if lease.over || lease.ends() <= now {
                // Without a place in the order: whoever takes it here removes it or tries again.
                lease.over = true;
                due.push(Due::Over(key, lease.held()));
                continue;
            }
            if lease.write_at.is_some_and(|at| at <= now) {
                (lease.write_at, lease.written_at) = (None, Some(now));
                due.push(Due::Write(key, std::mem::take(&mut lease.unwritten)));
            }
            if let Some((_, limit)) = lease.limit.filter(|(at, _)| *at <= now && lease.wish.is_none()) {
                lease.wish(Wish::TimeLimit(limit), lease.grace, now);
            }
            kept.place_next(key);
        }
        due
    }

    /// Takes all progress that is not written yet.
    pub fn unwritten(&self) -> Vec<(AttemptKey, Progress)> {
        let mut kept = self.lock();
        let take = |(key, lease): (&AttemptKey, &mut Lease)| {
            lease.write_at.take().map(|_| (*key, std::mem::take(&mut lease.unwritten)))
        };
        kept.leases.iter_mut().filter_map(take).collect()
    }

    /// Until something is due.
    pub async fn wait(&self) {
        loop {
            let first = self.lock().deadlines.first().map(|(at, _)| *at);
            match first {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
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
}
