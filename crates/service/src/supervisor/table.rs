//! The attempts that the supervisor knows, as plain data: what is queued, what has started, how it ended, and which
//! of that the server has not been told. Owns order, bounds and idempotence; no process, file or socket.

use std::collections::{HashMap, HashSet, VecDeque};

use super::journal::{Birth, Record};
use crate::executors::process::protocol::Failure;
use crate::executors::{AttemptKey, CANCELED_BEFORE_START, Launch, Observed, State};

/// Most attempts that wait for their start.
const QUEUE_LIMIT: usize = 10_000;
/// Most bytes of launches that wait.
const QUEUE_BYTES: usize = 256 * 1024 * 1024;
/// Most attempts known in all, those included whose end the server has not yet recorded.
const KNOWN_LIMIT: usize = 100_000;

#[derive(Default)]
pub struct Table {
    known: HashMap<AttemptKey, Known>,
    queue: VecDeque<AttemptKey>,
    queue_bytes: usize,
    /// Accepted, but not yet durably: not to be started.
    fresh: Vec<AttemptKey>,
    /// To be told, in order, without repetition.
    untold: VecDeque<AttemptKey>,
    untold_set: HashSet<AttemptKey>,
}

enum Known {
    Queued(Box<Launch>),
    /// Handed to the spawner.
    Starting,
    Running(Birth),
    Final(State),
}

impl Table {
    /// Puts in an end that an earlier supervisor has recorded.
    pub fn restore(&mut self, key: AttemptKey, state: State) {
        self.known.insert(key, Known::Final(state));
    }

    /// Takes a batch whole or not at all, in its order. Answers the keys that are new.
    pub fn accept(&mut self, launches: Vec<Launch>) -> Result<Vec<AttemptKey>, Failure> {
        let bytes: usize = launches.iter().map(size).sum();
        let full = |what: &str, limit: usize| Err(Failure::Full(format!("{what}: the limit is {limit}")));
        if self.queue.len() + self.fresh.len() + launches.len() > QUEUE_LIMIT {
            return full("attempts in the queue", QUEUE_LIMIT);
        }
        if self.queue_bytes + bytes > QUEUE_BYTES {
            return full("bytes in the queue", QUEUE_BYTES);
        }
        if self.known.len() + launches.len() > KNOWN_LIMIT {
            return full("attempts whose ends are not recorded", KNOWN_LIMIT);
        }
        let mut accepted = Vec::with_capacity(launches.len());
        for launch in launches {
            let key = launch.key;
            if self.known.contains_key(&key) {
                continue;
            }
            self.queue_bytes += size(&launch);
            self.known.insert(key, Known::Queued(Box::new(launch)));
            self.fresh.push(key);
            accepted.push(key);
        }
        Ok(accepted)
    }

    /// Undoes an acceptance that could not be made durable.
    pub fn reject_fresh(&mut self) {
        for key in std::mem::take(&mut self.fresh) {
            if let Some(Known::Queued(launch)) = self.known.remove(&key) {
                self.queue_bytes -= size(&launch);
            }
        }
    }

    /// What was accepted is durable now and may start.
    pub fn release_fresh(&mut self) {
        self.queue.extend(self.fresh.drain(..));
    }

    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes the next attempt to start.
    pub fn next(&mut self) -> Option<Box<Launch>> {
        let key = self.queue.pop_front()?;
        let known = self.known.get_mut(&key)?;
        match std::mem::replace(known, Known::Starting) {
            Known::Queued(launch) => {
                self.queue_bytes -= size(&launch);
                Some(launch)
            }
            // Only queued attempts are in the queue.
            other => {
                *known = other;
                None
            }
        }
    }

    /// Gives back an attempt whose start could not be noted; it is the next again.
    pub fn put_back(&mut self, launch: Box<Launch>) {
        let key = launch.key;
        self.queue_bytes += size(&launch);
        self.known.insert(key, Known::Queued(launch));
        self.queue.push_front(key);
    }

    pub fn started(&mut self, key: AttemptKey, birth: Birth) {
        self.set(key, Known::Running(birth));
    }

    pub fn ended(&mut self, key: AttemptKey, state: State) {
        self.set(key, Known::Final(state));
    }

    /// Ends an attempt that has not been started; answers its state, or nothing when it is not queued.
    pub fn cancel_queued(&mut self, key: AttemptKey, at_ms: i64) -> Option<State> {
        let Some(Known::Queued(launch)) = self.known.get(&key) else {
            return None;
        };
        self.queue_bytes -= size(launch);
        self.queue.retain(|queued| *queued != key);
        self.fresh.retain(|queued| *queued != key);
        let state = State::Refused { reason: CANCELED_BEFORE_START.into(), at_ms };
        self.set(key, Known::Final(state.clone()));
        Some(state)
    }

    /// Drops the ends among these keys; answers which.
    pub fn forget(&mut self, keys: Vec<AttemptKey>) -> Vec<AttemptKey> {
        let known = &mut self.known;
        let is_final = |key: &AttemptKey| matches!(known.get(key), Some(Known::Final(_)));
        let forgotten: Vec<AttemptKey> = keys.into_iter().filter(is_final).collect();
        for key in &forgotten {
            known.remove(key);
        }
        forgotten
    }

    fn set(&mut self, key: AttemptKey, known: Known) {
        self.known.insert(key, known);
        if self.untold_set.insert(key) {
            self.untold.push_back(key);
        }
    }

    /// All attempts that have left the queue are to be told, for somebody new listens.
    pub fn tell_all(&mut self) {
        let told = self.known.iter().filter(|(_, known)| observed_event(known).is_some());
        self.untold = told.map(|(key, _)| *key).collect();
        self.untold_set = self.untold.iter().copied().collect();
    }

    pub fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Takes at most so many of the states to be told.
    pub fn take_untold(&mut self, most: usize) -> Vec<Observed> {
        let n = self.untold.len().min(most);
        let mut observed = Vec::with_capacity(n);
        for key in self.untold.drain(..n) {
            self.untold_set.remove(&key);
            if let Some(state) = self.known.get(&key).and_then(observed_event) {
                observed.push(Observed { key, state });
            }
        }
        observed
    }

    /// All that is known.
    pub fn list(&self) -> Vec<Observed> {
        let observed = self
            .known
            .iter()
            .map(|(key, known)| Observed { key: *key, state: observed_event(known).unwrap_or(State::Queued) });
        observed.collect()
    }

    /// The shortest journal that tells all that is known.
    pub fn records(&self, boot: String) -> Vec<Record> {
        let mut records = vec![Record::Boot(boot)];
        for (key, known) in &self.known {
            match known {
                Known::Queued(_) => records.push(Record::Accepted(*key)),
                Known::Starting => records.extend([Record::Accepted(*key), Record::Starting(*key)]),
                Known::Running(birth) => records.push(Record::Started(*key, *birth)),
                Known::Final(state) => records.push(Record::Final(*key, state.clone())),
            }
        }
        records
    }
}

fn observed_event(known: &Known) -> Option<State> {
    match known {
        Known::Queued(_) | Known::Starting => None,
        Known::Running(birth) => Some(State::Running { started_at_ms: birth.started_at_ms }),
        Known::Final(state) => Some(state.clone()),
    }
}

fn size(launch: &Launch) -> usize {
    let commands: usize = launch.commands.iter().map(String::len).sum();
    let environment: usize = launch.environment.iter().map(|(n, v)| n.len() + v.len()).sum();
    commands + environment + launch.image.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::{Limits, Usage};
    use std::time::Duration;
    use uuid::Uuid;

    fn key(n: u32) -> AttemptKey {
        AttemptKey { job_id: Uuid::from_u128(1), attempt: n }
    }

    fn launch(n: u32) -> Launch {
        Launch {
            key: key(n),
            commands: vec!["true".into()],
            environment: Vec::new(),
            log_limit_bytes: 1,
            grace_period: Duration::ZERO,
            image: String::new(),
            limits: Limits::default(),
            time_limit: None,
        }
    }

    fn end() -> State {
        State::Ended {
            exit: crate::executors::Exit::Code(0),
            started_at_ms: 1,
            finished_at_ms: 2,
            usage: Usage::default(),
        }
    }

    #[test]
    fn nothing_starts_before_it_is_durable_and_all_in_order() {
        let mut table = Table::default();
        assert_eq!(table.accept(vec![launch(2), launch(1), launch(2)]).unwrap(), [key(2), key(1)]);
        assert!(table.next().is_none());
        table.release_fresh();
        assert_eq!(table.accept(vec![launch(1)]).unwrap(), []);
        let order: Vec<u32> = std::iter::from_fn(|| table.next()).map(|l| l.key.attempt).collect();
        assert_eq!(order, [2, 1]);
        assert_eq!(table.queue_bytes, 0);
    }

    #[test]
    fn a_rejected_batch_leaves_nothing() {
        let mut table = Table::default();
        table.accept(vec![launch(1), launch(2)]).unwrap();
        table.reject_fresh();
        assert!(table.is_empty());
        assert_eq!(table.queue_bytes, 0);
    }

    #[test]
    fn bounds_refuse_the_whole_batch() {
        let mut table = Table::default();
        let limit = u32::try_from(QUEUE_LIMIT).unwrap();
        table.accept((0..limit).map(launch).collect()).unwrap();
        assert!(matches!(table.accept(vec![launch(limit)]), Err(Failure::Full(_))));
        assert_eq!(table.len(), QUEUE_LIMIT);
    }

    #[test]
    fn canceled_in_the_queue_it_never_starts() {
        let mut table = Table::default();
        table.accept(vec![launch(1), launch(2)]).unwrap();
        table.release_fresh();
        assert!(table.cancel_queued(key(1), 5).is_some());
        assert!(table.cancel_queued(key(1), 6).is_none());
        assert_eq!(table.next().unwrap().key, key(2));
        assert!(table.cancel_queued(key(2), 5).is_none());
        assert!(matches!(&table.take_untold(9)[..], [o] if o.key == key(1) && o.state.is_final()));
    }

    #[test]
    fn the_newest_state_is_told_once_and_forgotten_only_at_the_end() {
        let mut table = Table::default();
        table.accept(vec![launch(1)]).unwrap();
        table.release_fresh();
        table.next();
        let birth = Birth { pid: 1, not_before_ms: 0, not_after_ms: 0, started_at_ms: 1, sole_uid: None };
        table.started(key(1), birth);
        assert_eq!(table.forget(vec![key(1), key(9)]), []);
        table.ended(key(1), end());
        assert_eq!(table.take_untold(9), [Observed { key: key(1), state: end() }]);
        assert!(!table.has_untold());
        table.tell_all();
        assert_eq!(table.take_untold(9).len(), 1);
        assert_eq!(table.forget(vec![key(1)]), [key(1)]);
        assert!(table.is_empty());
    }
}
