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
mod tests;
