//! Claims that wait for a job. A job that becomes ready wakes one of them: the one that has waited longest for its
//! organization and type. Nothing here reads the store; a woken claim looks there, and may find that another was faster.

use crate::store::Wanted;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Default)]
struct Kept {
    closed: bool,
    last_ticket: u64,
    waiting: BTreeMap<u64, Waiter>,
    /// Those that were not woken.
    queues: HashMap<Wanted, BTreeSet<u64>>,
    /// How many were woken and have not claimed yet, by organization.
    woken: HashMap<String, usize>,
}

struct Waiter {
    wanted: Arc<[Wanted]>,
    /// The type of the job that woke it.
    woken_by: Option<String>,
    wake: Arc<Notify>,
}

impl Kept {
    fn enqueue(&mut self, ticket: u64, wanted: &[Wanted]) {
        for wanted in wanted {
            self.queues.entry(wanted.clone()).or_default().insert(ticket);
        }
    }

    fn dequeue(&mut self, ticket: u64, wanted: &[Wanted]) {
        for wanted in wanted {
            if let Some(queue) = self.queues.get_mut(wanted) {
                queue.remove(&ticket);
                if queue.is_empty() {
                    self.queues.remove(wanted);
                }
            }
        }
    }

    /// A woken one has claimed, or is gone.
    fn settle(&mut self, organization: &str) {
        if let Some(woken) = self.woken.get_mut(organization) {
            *woken -= 1;
            if *woken == 0 {
                self.woken.remove(organization);
            }
        }
    }

    fn wake(&mut self, organization: &str, job_type: &str) -> bool {
        let first = |job_type: Option<&str>| {
            let wanted = Wanted { organization: organization.to_owned(), job_type: job_type.map(str::to_owned) };
            self.queues.get(&wanted).and_then(BTreeSet::first).copied()
        };
        let candidates = [first(None), first(Some(job_type).filter(|name| !name.is_empty()))];
        let Some(ticket) = candidates.into_iter().flatten().min() else { return false };
        let Some(waiter) = self.waiting.get_mut(&ticket) else { return false };
        waiter.woken_by = Some(job_type.to_owned());
        waiter.wake.notify_one();
        let wanted = Arc::clone(&waiter.wanted);
        self.dequeue(ticket, &wanted);
        *self.woken.entry(organization.to_owned()).or_default() += 1;
        true
    }
}

/// All claims that wait, up to a number.
pub(super) struct Waiters {
    most: usize,
    kept: Mutex<Kept>,
    /// The first one came.
    came: Notify,
}

impl Waiters {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default(), came: Notify::new() }
    }

    /// Takes a place in the queues; `None` if there is none left. `types` empty is any.
    pub fn enter(self: &Arc<Self>, organization: &str, types: &[String]) -> Option<Place> {
        let wanted = |job_type| Wanted { organization: organization.to_owned(), job_type };
        let wanted: Arc<[Wanted]> = if types.is_empty() {
            Arc::new([wanted(None)])
        } else {
            types.iter().map(|job_type| wanted(Some(job_type.clone()))).collect()
        };
        let mut kept = self.lock();
        if kept.waiting.len() >= self.most {
            return None;
        }
        kept.last_ticket += 1;
        let (ticket, wake) = (kept.last_ticket, Arc::new(Notify::new()));
        kept.enqueue(ticket, &wanted);
        kept.waiting.insert(ticket, Waiter { wanted, woken_by: None, wake: Arc::clone(&wake) });
        self.came.notify_one();
        Some(Place { waiters: Arc::clone(self), organization: organization.to_owned(), ticket, wake })
    }

    /// A job of this type (empty for none) is ready: wakes the one that has waited longest for such; false if nobody
    /// waits.
    pub fn wake(&self, organization: &str, job_type: &str) -> bool {
        self.lock().wake(organization, job_type)
    }

    /// What is waited for, and how many wait for it beyond those that were woken already.
    pub fn wanted(&self) -> Vec<(Wanted, usize)> {
        self.lock().queues.iter().map(|(wanted, queue)| (wanted.clone(), queue.len())).collect()
    }

    /// How many of an organization were woken and have not claimed yet.
    pub fn woken(&self, organization: &str) -> usize {
        self.lock().woken.get(organization).copied().unwrap_or_default()
    }

    /// Until somebody waits.
    pub async fn until_any(&self) {
        loop {
            let came = self.came.notified();
            if !self.lock().queues.is_empty() {
                return;
            }
            came.await;
        }
    }

    /// Sends all of them home, and those who come later.
    pub fn close(&self) {
        let mut kept = self.lock();
        kept.closed = true;
        for waiter in kept.waiting.values() {
            waiter.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queues. Who leaves it after a wake without having claimed passes the wake on.
pub(super) struct Place {
    waiters: Arc<Waiters>,
    organization: String,
    ticket: u64,
    wake: Arc<Notify>,
}

impl Place {
    /// Until a job may be there: true. False when nobody is to wait any more.
    pub async fn woken(&self) -> bool {
        loop {
            {
                let kept = self.waiters.lock();
                if kept.closed {
                    return false;
                }
                if kept.waiting.get(&self.ticket).is_some_and(|waiter| waiter.woken_by.is_some()) {
                    return true;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Others were faster: back to the same place.
    pub fn again(&self) {
        let mut kept = self.waiters.lock();
        let Some(waiter) = kept.waiting.get_mut(&self.ticket) else { return };
        if waiter.woken_by.take().is_some() {
            let wanted = Arc::clone(&waiter.wanted);
            kept.settle(&self.organization);
            kept.enqueue(self.ticket, &wanted);
        }
    }

    /// A woken claim got a job: nobody else needs the wake.
    pub fn served(self) {
        let mut kept = self.waiters.lock();
        let Some(waiter) = kept.waiting.get_mut(&self.ticket) else { return };
        if waiter.woken_by.take().is_some() {
            kept.settle(&self.organization);
        }
        // Leaving, which follows, finds a claim that nobody woke, and that is in no queue any more.
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut kept = self.waiters.lock();
        let Some(waiter) = kept.waiting.remove(&self.ticket) else { return };
        match waiter.woken_by {
            Some(job_type) => {
                kept.settle(&self.organization);
                kept.wake(&self.organization, &job_type);
            }
            None => kept.dequeue(self.ticket, &waiter.wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn waiters() -> Arc<Waiters> {
        Arc::new(Waiters::new(5))
    }

    fn is_woken(place: &Place) -> Option<bool> {
        place.woken().now_or_never()
    }

    #[tokio::test]
    async fn one_job_wakes_one_claim_the_oldest_that_fits() {
        let waiters = waiters();
        let enter = |organization, types: &[&str]| {
            let types: Vec<_> = types.iter().map(|name| (*name).to_owned()).collect();
            waiters.enter(organization, &types).expect("room")
        };
        let (stranger, typed, any, typed_later) =
            (enter("b", &[]), enter("a", &["X_JOB", "Y_JOB"]), enter("a", &[]), enter("a", &["X_JOB"]));
        assert!(waiters.wake("a", "Z_JOB"));
        let woken = |places: [&Place; 4]| places.map(|place| is_woken(place).is_some());
        assert_eq!(woken([&stranger, &typed, &any, &typed_later]), [false, false, true, false]);
        assert!(!waiters.wake("a", "Z_JOB"), "nobody else takes this type");
        assert!(!waiters.wake("a", ""), "nor a job without a type");
        assert!(waiters.wake("a", "X_JOB"));
        assert_eq!(woken([&stranger, &typed, &any, &typed_later]), [false, true, true, false]);
        assert_eq!((waiters.woken("a"), waiters.woken("b")), (2, 0));
        any.served();
        assert_eq!(waiters.woken("a"), 1);
        // Another claim was faster: back to the old place, before the later one.
        typed.again();
        assert!(waiters.wake("a", "X_JOB"));
        assert_eq!((is_woken(&typed), is_woken(&typed_later)), (Some(true), None));
    }

    #[tokio::test]
    async fn a_wake_of_someone_who_left_is_passed_on() {
        let waiters = waiters();
        let (first, second) = (waiters.enter("a", &[]).expect("room"), waiters.enter("a", &[]).expect("room"));
        assert!(waiters.wake("a", "X_JOB"));
        assert_eq!((is_woken(&first), is_woken(&second)), (Some(true), None));
        drop(first);
        assert_eq!(is_woken(&second), Some(true));
        drop(second);
        assert_eq!((waiters.woken("a"), waiters.wanted()), (0, Vec::new()));
        assert!(!waiters.wake("a", "X_JOB"));
    }

    #[tokio::test]
    async fn places_are_bounded_and_all_leave_at_the_end() {
        let waiters = waiters();
        let mut places: Vec<_> = (0..5).map(|_| waiters.enter("a", &[]).expect("room")).collect();
        assert!(waiters.enter("a", &[]).is_none());
        assert_eq!(waiters.wanted().iter().map(|(_, count)| count).sum::<usize>(), 5);
        drop(places.pop());
        places.push(waiters.enter("b", &[]).expect("room again"));
        let parked = tokio::spawn({
            let place = places.pop().expect("a place");
            async move { place.woken().await }
        });
        tokio::task::yield_now().await;
        waiters.close();
        assert!(!parked.await.expect("no panic"));
        assert!(places.iter().all(|place| is_woken(place) == Some(false)));
    }
}
