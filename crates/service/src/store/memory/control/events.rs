//! Events in the order in which they came.

use super::deliveries::Deliveries;
use crate::store::{EventPage, StoredEvent, StoredJob};
use docket_contract::JobId;
use docket_contract::history::JobEvent;
use std::collections::{BTreeMap, HashMap};
use tokio::sync::watch;

/// All events.
pub(super) struct Events {
    known: BTreeMap<u64, StoredEvent>,
    of_jobs: HashMap<JobId, Vec<u64>>,
    newest: watch::Sender<u64>,
    pub(super) deliveries: Deliveries,
}

impl Default for Events {
    fn default() -> Self {
        let newest = watch::Sender::new(0);
        Self { known: BTreeMap::new(), of_jobs: HashMap::new(), newest, deliveries: Deliveries::default() }
    }
}

impl Events {
    /// Adds an event of a job, which is as it is since, and gives it its id.
    pub(super) fn add(&mut self, job: &StoredJob, mut event: JobEvent) {
        let id = *self.newest.borrow() + 1;
        event.id = id.to_string();
        self.of_jobs.entry(event.job_id).or_default().push(id);
        let stored = StoredEvent { id, organization: job.organization.clone(), event };
        self.deliveries.add(job, &stored);
        self.known.insert(id, stored);
        self.newest.send_replace(id);
    }

    /// A page of the events of a job.
    pub(super) fn of_job(&self, id: JobId, after: u64, limit: usize) -> EventPage {
        let ids = self.of_jobs.get(&id).map_or(&[][..], Vec::as_slice);
        let mut behind = ids.iter().filter(|id| **id > after).filter_map(|id| self.known.get(id));
        let events = behind.by_ref().take(limit).map(|stored| stored.event.clone()).collect();
        EventPage { events, more: behind.next().is_some() }
    }

    /// The newest events of a job, oldest first.
    pub(super) fn last_of_job(&self, id: JobId, limit: usize) -> EventPage {
        let ids = self.of_jobs.get(&id).map_or(&[][..], Vec::as_slice);
        let last = &ids[ids.len().saturating_sub(limit)..];
        let events = last.iter().filter_map(|id| self.known.get(id)).map(|stored| stored.event.clone()).collect();
        EventPage { events, more: last.len() < ids.len() }
    }

    /// Events behind an id.
    pub(super) fn after(&self, after: u64, limit: usize) -> Vec<StoredEvent> {
        self.known.range(after.saturating_add(1)..).take(limit).map(|(_, stored)| stored.clone()).collect()
    }

    /// Removes the events of a job.
    pub(super) fn remove(&mut self, id: JobId) {
        for id in self.of_jobs.remove(&id).unwrap_or_default() {
            self.known.remove(&id);
        }
        self.deliveries.remove_given_up(id);
    }

    /// The id of the newest event.
    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}
