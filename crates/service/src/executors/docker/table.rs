//! The attempts that this executor knows. Owns the queue, its order and its bound, and which containers are to be
//! removed; calls nobody.

use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;
use tokio::time::Instant;

use super::end::now_ms;
use super::names::Plan;
use crate::executors::{AttemptKey, CANCELED_BEFORE_START, Launch, Observed, State};

/// Most attempts at a time, in every state.
const LIMIT: usize = 100_000;

/// Where an attempt comes from.
pub enum Source {
    /// A launch that has no container yet, as far as is known.
    New(Box<Launch>),
    /// An earlier server has created the container.
    Left(Plan),
    /// An earlier server has started it.
    Started(Plan),
}

impl Source {
    fn key(&self) -> AttemptKey {
        match self {
            Source::New(launch) => launch.key,
            Source::Left(plan) | Source::Started(plan) => plan.key,
        }
    }
}

/// By when an attempt is to be gone, if somebody wants that.
pub type Deadline = watch::Receiver<Option<Instant>>;

/// An attempt whose turn it is.
pub struct Turn {
    /// Which.
    pub key: AttemptKey,
    /// What is to be done.
    pub source: Source,
    /// Told when it is to end.
    pub deadline: Deadline,
}

struct Attempt {
    state: State,
    /// While it waits for its turn.
    waiting: Option<Source>,
    deadline: watch::Sender<Option<Instant>>,
}

/// All of them.
#[derive(Default)]
pub struct Table {
    attempts: HashMap<AttemptKey, Attempt>,
    queue: VecDeque<AttemptKey>,
    /// How many have had their turn and not ended.
    busy: usize,
    /// Their containers are to be removed.
    removals: VecDeque<AttemptKey>,
}

impl Table {
    /// Whether this many more can be taken.
    pub fn has_room(&self, more: usize) -> bool {
        self.attempts.len() + more <= LIMIT
    }

    /// Takes an attempt into the queue; one that is known is left alone.
    pub fn add(&mut self, source: Source) {
        let key = source.key();
        if !self.attempts.contains_key(&key) {
            self.queue.push_back(key);
            self.insert(key, State::Queued, Some(source));
        }
    }

    /// Takes a container that an earlier server has started, whatever the bound of running ones.
    pub fn adopt(&mut self, plan: Plan, state: State) -> Option<Turn> {
        if self.knows(plan.key) {
            return None;
        }
        self.busy += 1;
        let deadline = self.insert(plan.key, state, None);
        Some(Turn { key: plan.key, source: Source::Started(plan), deadline })
    }

    fn insert(&mut self, key: AttemptKey, state: State, waiting: Option<Source>) -> Deadline {
        let (deadline, receiver) = watch::channel(None);
        self.attempts.insert(key, Attempt { state, waiting, deadline });
        receiver
    }

    /// Whether the attempt is known, or was until its container goes.
    pub fn knows(&self, key: AttemptKey) -> bool {
        self.attempts.contains_key(&key) || self.is_leaving(key)
    }

    /// The next one whose turn it is, while fewer than `most` are busy.
    pub fn next(&mut self, most: usize) -> Option<Turn> {
        while self.busy < most {
            let key = self.queue.pop_front()?;
            if let Some(attempt) = self.attempts.get_mut(&key)
                && let Some(source) = attempt.waiting.take()
            {
                self.busy += 1;
                return Some(Turn { key, source, deadline: attempt.deadline.subscribe() });
            }
        }
        None
    }

    /// An attempt that had its turn has another state.
    pub fn set(&mut self, key: AttemptKey, state: State) {
        if let Some(attempt) = self.attempts.get_mut(&key)
            && !attempt.state.is_final()
        {
            if state.is_final() {
                self.busy -= 1;
            }
            attempt.state = state;
        }
    }

    /// Somebody wants an attempt to end; answers the state if that ends it at once.
    pub fn cancel(&mut self, key: AttemptKey, deadline: Instant) -> Option<State> {
        let attempt = self.attempts.get_mut(&key)?;
        if let Some(source) = attempt.waiting.take() {
            let state = State::Refused { reason: CANCELED_BEFORE_START.into(), at_ms: now_ms() };
            attempt.state = state.clone();
            if matches!(source, Source::Left(_)) {
                self.leave(key);
            }
            return Some(state);
        }
        attempt.deadline.send_if_modified(|wanted| {
            let sooner = wanted.is_none_or(|wanted| deadline < wanted);
            if sooner {
                *wanted = Some(deadline);
            }
            sooner
        });
        None
    }

    /// What is known.
    pub fn list(&self) -> Vec<Observed> {
        let attempts = self.attempts.iter();
        attempts.map(|(key, attempt)| Observed { key: *key, state: attempt.state.clone() }).collect()
    }

    /// Drops those of these attempts that have ended, and has their containers removed.
    pub fn forget(&mut self, keys: &[AttemptKey]) {
        for key in keys {
            let state = self.attempts.get(key).map(|attempt| attempt.state.clone());
            let Some(state) = state.filter(State::is_final) else { continue };
            self.attempts.remove(key);
            // One that was refused has no container any more.
            if matches!(state, State::Ended { .. }) {
                self.leave(*key);
            }
        }
    }

    /// The container of an attempt is to be removed.
    pub fn leave(&mut self, key: AttemptKey) {
        if !self.is_leaving(key) {
            self.removals.push_back(key);
        }
    }

    /// Whether the container of an attempt is to be removed.
    pub fn is_leaving(&self, key: AttemptKey) -> bool {
        self.removals.contains(&key)
    }

    /// The next container to remove. It counts as leaving until it is told to have gone.
    pub fn removal(&self) -> Option<AttemptKey> {
        self.removals.front().copied()
    }

    /// The first container to remove has gone, or its turn comes again later.
    pub fn removed(&mut self, has_gone: bool) {
        if let Some(key) = self.removals.pop_front()
            && !has_gone
        {
            self.removals.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::{Exit, Usage, conformance};
    use std::time::Duration;

    fn source() -> (AttemptKey, Source) {
        let launch = conformance::launch(vec!["true".into()]);
        (launch.key, Source::New(Box::new(launch)))
    }

    fn ended() -> State {
        State::Ended { exit: Exit::Code(0), started_at_ms: 1, finished_at_ms: 2, usage: Usage::default() }
    }

    #[tokio::test]
    async fn turns_come_in_order_and_within_the_bound() {
        let mut table = Table::default();
        let keys: Vec<AttemptKey> = (0..4)
            .map(|_| {
                let (key, source) = source();
                table.add(source);
                key
            })
            .collect();
        assert_eq!(table.next(2).map(|turn| turn.key), Some(keys[0]));
        assert_eq!(table.next(2).map(|turn| turn.key), Some(keys[1]));
        assert!(table.next(2).is_none());
        assert!(matches!(table.cancel(keys[2], Instant::now()), Some(State::Refused { .. })));
        table.set(keys[0], ended());
        table.set(keys[0], ended());
        assert_eq!(table.next(2).map(|turn| turn.key), Some(keys[3]));
        assert!(table.next(2).is_none());
        assert_eq!(table.list().len(), 4);
    }

    #[tokio::test]
    async fn a_second_cancel_only_shortens() {
        let mut table = Table::default();
        let (key, source) = source();
        table.add(source);
        let turn = table.next(1).unwrap();
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        for (wish, expected) in [(9, 9), (20, 9), (3, 3)] {
            assert_eq!(table.cancel(key, after(wish)), None);
            assert_eq!(*turn.deadline.borrow(), Some(after(expected)));
        }
    }

    #[tokio::test]
    async fn only_ends_are_forgotten_and_their_containers_leave() {
        let mut table = Table::default();
        let (key, source) = source();
        table.add(source);
        table.next(1).unwrap();
        table.forget(&[key]);
        assert_eq!(table.list().len(), 1);
        table.set(key, ended());
        table.forget(&[key]);
        assert_eq!(table.list(), []);
        assert!(table.knows(key));
        assert_eq!(table.removal(), Some(key));
        table.removed(false);
        table.removed(true);
        assert!(!table.knows(key));
    }
}
