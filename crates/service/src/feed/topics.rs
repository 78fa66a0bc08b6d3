//! What was told lately, by topic. Owns the bound on it and the finding; waits for nothing.

use super::frame;
use super::progress::Report;
use crate::store::StoredEvent;
use bytes::Bytes;
use docket_contract::{JobId, Status};
use std::collections::{HashMap, VecDeque};
use tokio::sync::watch;

/// Most entries that one read gives.
const READ: usize = 64;

/// What somebody listens to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// One job.
    Job(JobId),
    /// The jobs of an organization.
    Organization(String),
    /// All jobs.
    Everything,
}

/// One thing that was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Grows from entry to entry, over all topics.
    pub(super) number: u64,
    /// The event's id; a report of progress has none.
    pub(super) id: Option<u64>,
    /// The status that the job got, or has.
    pub(super) status: Status,
    /// It, as a server-sent event.
    pub(super) frame: Bytes,
}

/// What a listener finds.
#[derive(Debug)]
pub(super) enum Read {
    /// Entries behind its last one, possibly none.
    Told(Vec<Told>),
    /// Some of them are not kept any more.
    Behind,
    /// None any more: the job was deleted.
    Gone,
}

struct Topic {
    listeners: usize,
    kept: VecDeque<Told>,
    /// The number of the newest entry that is not kept any more.
    dropped: u64,
    gone: bool,
    wake: watch::Sender<u64>,
}

/// All topics that somebody listens to.
pub(super) struct Topics {
    topics: HashMap<Key, Topic>,
    listeners: usize,
    /// Whose entry is the oldest, and so on: one for each entry, some of topics that nobody listens to any more.
    order: VecDeque<Key>,
    most_kept: usize,
    number: u64,
    /// The id of the newest event that was told to whom it concerns.
    position: u64,
}

impl Topics {
    pub(super) fn new(most_kept: usize) -> Self {
        let (topics, order) = (HashMap::new(), VecDeque::new());
        Self { topics, listeners: 0, order, most_kept, number: 0, position: 0 }
    }

    pub(super) fn listeners(&self) -> usize {
        self.listeners
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The number of the newest entry.
    pub(super) fn newest(&self) -> u64 {
        self.number
    }

    /// Everything up to this event is the store's to tell.
    pub(super) fn begin_at(&mut self, position: u64) {
        self.position = position;
    }

    pub(super) fn join(&mut self, key: Key) -> watch::Receiver<u64> {
        let number = self.number;
        let topic = self.topics.entry(key).or_insert_with(|| Topic {
            listeners: 0,
            kept: VecDeque::new(),
            dropped: number,
            gone: false,
            wake: watch::Sender::new(number),
        });
        topic.listeners += 1;
        self.listeners += 1;
        topic.wake.subscribe()
    }

    pub(super) fn leave(&mut self, key: &Key) {
        let Some(topic) = self.topics.get_mut(key) else { return };
        topic.listeners -= 1;
        self.listeners -= 1;
        if topic.listeners == 0 {
            self.topics.remove(key);
        }
        if self.topics.is_empty() {
            self.topics.shrink_to(64);
            self.order = VecDeque::new();
        }
    }

    /// Whether anybody listens to a job.
    pub(super) fn concerns(&self, job: JobId, organization: &str) -> bool {
        keys(job, organization).iter().any(|key| self.topics.contains_key(key))
    }

    /// Tells events, in their order; all up to the event `position` are told then.
    pub(super) fn tell(&mut self, events: &[StoredEvent], position: u64) {
        for stored in events {
            let (job, status) = (stored.event.job_id, stored.event.to);
            self.put(job, &stored.organization, Some(stored.id), status, || frame::transition(&stored.event));
        }
        self.position = self.position.max(position);
    }

    /// Tells of progress.
    pub(super) fn tell_progress(&mut self, report: &Report) {
        let Report { organization, status, event } = report;
        self.put(event.job_id, organization, None, *status, || frame::progress(event));
    }

    fn put(&mut self, job: JobId, organization: &str, id: Option<u64>, status: Status, encode: impl FnOnce() -> Bytes) {
        let mut encode = Some(encode);
        let mut encoded = Bytes::new();
        for key in keys(job, organization) {
            let Some(topic) = self.topics.get_mut(&key) else { continue };
            if let Some(encode) = encode.take() {
                encoded = encode();
            }
            self.number += 1;
            topic.kept.push_back(Told { number: self.number, id, status, frame: encoded.clone() });
            topic.wake.send_replace(self.number);
            self.order.push_back(key);
            self.forget();
        }
    }

    /// Keeps the bound.
    fn forget(&mut self) {
        while self.order.len() > self.most_kept
            && let Some(key) = self.order.pop_front()
        {
            if let Some(topic) = self.topics.get_mut(&key)
                && let Some(told) = topic.kept.pop_front()
            {
                topic.dropped = told.number;
            }
        }
    }

    /// Entries of a topic behind the one with the number `seen`.
    pub(super) fn read(&self, key: &Key, seen: u64) -> Read {
        let Some(topic) = self.topics.get(key) else { return Read::Gone };
        if seen < topic.dropped {
            return Read::Behind;
        }
        let first = topic.kept.partition_point(|told| told.number <= seen);
        let told: Vec<_> = topic.kept.range(first..).take(READ).cloned().collect();
        if told.is_empty() && topic.gone { Read::Gone } else { Read::Told(told) }
    }

    pub(super) fn gone(&mut self, id: JobId) {
        if let Some(topic) = self.topics.get_mut(&Key::Job(id)) {
            topic.gone = true;
            topic.wake.send_replace(self.number);
        }
    }

    pub(super) fn wake_all(&self) {
        for topic in self.topics.values() {
            topic.wake.send_replace(self.number);
        }
    }
}

/// The topics that something about a job concerns.
fn keys(job: JobId, organization: &str) -> [Key; 3] {
    [Key::Job(job), Key::Organization(organization.to_owned()), Key::Everything]
}
