//! The rows of the queue in memory.

use super::jobs::{Jobs, Row, event, set_end};
use crate::store::queue::{self, Dependent, Gate, Left, Move, Open, Reads, Rows, Upstream, Wait};
use crate::store::{Scope, StoreError, StoredJob, Unmeasured, Wanted};
use docket_contract::history::{Actor, Cause, JobEvent};
use docket_contract::job::{DependencyCondition, ExecutorKind, Figures, Share};
use docket_contract::{JobId, Status, Timestamp};
use std::collections::BTreeSet;
use std::ops::Bound;

/// Who is at a gate, by their places.
#[derive(Default)]
pub(super) struct AtGate {
    holders: BTreeSet<u64>,
    /// By rank.
    waiting: BTreeSet<(i64, u64)>,
    called: BTreeSet<u64>,
}

fn condition(number: u8) -> Result<DependencyCondition, StoreError> {
    queue::condition_from_number(number).ok_or_else(|| StoreError::Internal("no such condition".to_owned()))
}

impl Reads for Jobs {
    type Key = u64;

    fn dependencies(&self, key: u64) -> Result<Vec<Open>, StoreError> {
        let Some(row) = self.rows.get(&key) else { return Ok(Vec::new()) };
        let mut open = Vec::with_capacity(row.upstream.len());
        for ((on, number), most_failed) in &row.upstream {
            let Some(on) = self.rows.get(on) else { continue };
            open.push(Open { id: on.stored.job.id, condition: condition(*number)?, most_failed: *most_failed });
        }
        Ok(open)
    }

    fn gate_of(&self, key: u64) -> Result<Option<Gate>, StoreError> {
        Ok(self.rows.get(&key).and_then(|row| row.at.clone()))
    }

    fn holder(&self, gate: &Gate) -> Result<Option<JobId>, StoreError> {
        let holder = self.gates.get(gate).and_then(|gate| gate.holders.first());
        Ok(holder.and_then(|holder| self.rows.get(holder)).map(|row| row.stored.job.id))
    }
}

impl Rows for Jobs {
    fn find(&mut self, organization: &str, id: JobId) -> Result<Option<(u64, Status)>, StoreError> {
        let stored = Jobs::read(self, &Scope::Organization(organization.to_owned()), id)?;
        Ok(self.place(id).zip(stored.map(|stored| stored.job.status)))
    }

    fn read(&mut self, key: u64) -> Result<StoredJob, StoreError> {
        self.shown(key)
    }

    fn ready(&mut self, executor: ExecutorKind, limit: usize) -> Result<Vec<(u64, Wait)>, StoreError> {
        let is_ready = |stored: &StoredJob| {
            stored.job.status == Status::Scheduled && !stored.claimed && stored.executor() == executor
        };
        let rows = self.rows.iter().filter(|(_, row)| is_ready(&row.stored));
        let mut ready: Vec<_> = rows.map(|(place, row)| (row.rank(), *place, row.wait)).collect();
        ready.sort_unstable_by_key(|(rank, place, _)| (*rank, *place));
        Ok(ready.into_iter().take(limit).map(|(_, place, wait)| (place, wait)).collect())
    }

    fn ready_for_worker(
        &mut self,
        organization: &str,
        types: &[String],
        limit: usize,
    ) -> Result<Vec<(u64, Wait)>, StoreError> {
        let ready = Rows::ready(self, ExecutorKind::Worker, usize::MAX)?.into_iter();
        let fits = |stored: &StoredJob| {
            let own = stored.job.spec.job_type.as_ref();
            stored.organization == organization && (types.is_empty() || own.is_some_and(|own| types.contains(own)))
        };
        let fits = ready.filter(|(place, _)| self.rows.get(place).is_some_and(|row| fits(&row.stored)));
        Ok(fits.take(limit).collect())
    }

    fn start(&mut self, key: u64, job: &StoredJob) -> Result<(), StoreError> {
        self.at(key)?.stored = job.clone();
        let worker = job.lease.as_ref().map_or("", |lease| &lease.worker);
        let event = event(&job.job, Status::Scheduled, job.job.modified_at, Cause::Started, Actor::worker(worker));
        self.events.add(job, event);
        Ok(())
    }

    fn claim(&mut self, key: u64, job: &StoredJob, _holds: bool) -> Result<(), StoreError> {
        let row = self.at(key)?;
        row.stored = job.clone();
        row.wait = Wait::Nothing;
        Ok(())
    }

    fn put(&mut self, key: u64, to: &Move) -> Result<(), StoreError> {
        let row = self.at(key)?;
        (row.wait, row.due_at) = (to.wait, to.due_at);
        let job = &mut row.stored.job;
        (job.status, job.modified_at, job.status_message) = (to.to, to.at, to.message.clone());
        set_end(job, to.at);
        let event = event(job, to.from, to.at, to.event.into(), Actor::SERVER);
        let (stored, message) = (row.stored.clone(), to.message.clone());
        self.events.add(&stored, JobEvent { message, ..event });
        Ok(())
    }

    fn clear_wait(&mut self, key: u64) -> Result<(), StoreError> {
        let row = self.at(key)?;
        (row.wait, row.due_at) = (Wait::Nothing, None);
        Ok(())
    }

    fn holders(&mut self, gate: &Gate, most: usize) -> Result<usize, StoreError> {
        Ok(self.gates.get(gate).map_or(0, |gate| gate.holders.len()).min(most))
    }

    fn claimed(&mut self) -> Result<Vec<u64>, StoreError> {
        Ok(self.rows.iter().filter(|(_, row)| row.stored.claimed).map(|(place, _)| *place).collect())
    }

    fn set_holds(&mut self, _key: u64) -> Result<(), StoreError> {
        // The gates themselves stand in the row.
        Ok(())
    }

    fn hold(&mut self, gate: &Gate, key: u64) -> Result<(), StoreError> {
        self.at(key)?.holds.insert(gate.clone());
        self.gates.entry(gate.clone()).or_default().holders.insert(key);
        Ok(())
    }

    fn release(&mut self, key: u64) -> Result<Vec<Gate>, StoreError> {
        let held = std::mem::take(&mut self.at(key)?.holds);
        for gate in &held {
            self.change_gate(gate, |at| at.holders.remove(&key));
        }
        Ok(held.into_iter().collect())
    }

    fn wait_at(&mut self, gate: &Gate, _executor: ExecutorKind, rank: i64, key: u64) -> Result<(), StoreError> {
        self.at(key)?.at = Some(gate.clone());
        self.gates.entry(gate.clone()).or_default().waiting.insert((rank, key));
        Ok(())
    }

    fn next_at(&mut self, gate: &Gate, executor: ExecutorKind) -> Result<Option<u64>, StoreError> {
        let waiting = self.gates.get(gate).into_iter().flat_map(|at| &at.waiting);
        Ok(waiting.map(|(_, key)| *key).find(|key| self.runs_on(*key, executor)))
    }

    fn call(&mut self, gate: &Gate, key: u64) -> Result<(), StoreError> {
        let rank = self.at(key)?.rank();
        let at = self.gates.entry(gate.clone()).or_default();
        at.waiting.remove(&(rank, key));
        at.called.insert(key);
        Ok(())
    }

    fn called(&mut self, gate: &Gate, executor: ExecutorKind, most: usize) -> Result<usize, StoreError> {
        let called = self.gates.get(gate).into_iter().flat_map(|at| &at.called);
        Ok(called.filter(|key| self.runs_on(**key, executor)).count().min(most))
    }

    fn leave(&mut self, key: u64) -> Result<Option<Left>, StoreError> {
        let row = self.at(key)?;
        let (rank, executor, gate) = (row.rank(), row.stored.executor(), row.at.take());
        let Some(gate) = gate else { return Ok(None) };
        let called = self.change_gate(&gate, |at| {
            at.waiting.remove(&(rank, key));
            at.called.remove(&key)
        });
        Ok(Some(Left { gate, executor, called }))
    }

    fn gates_with_waiters(&mut self, after: Option<&Gate>, limit: usize) -> Result<Vec<Gate>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let gates = self.gates.range((from, Bound::Unbounded)).filter(|(_, at)| !at.waiting.is_empty());
        Ok(gates.take(limit).map(|(gate, _)| gate.clone()).collect())
    }

    fn depend(&mut self, on: u64, dependent: Dependent<u64>) -> Result<(), StoreError> {
        let Dependent { key, condition, most_failed } = dependent;
        let condition = queue::condition_number(condition);
        self.at(key)?.upstream.insert((on, condition), most_failed);
        let upstream = self.at(on)?;
        upstream.stored.followed = true;
        upstream.dependents.insert((key, condition), most_failed);
        Ok(())
    }

    fn figures(&mut self, key: u64) -> Result<Option<Figures>, StoreError> {
        Ok(self.at(key)?.figures)
    }

    fn await_figures(&mut self, on: u64) -> Result<(), StoreError> {
        self.at(on)?.unmeasured = true;
        Ok(())
    }

    fn dependents(&mut self, on: u64, limit: usize) -> Result<Vec<Dependent<u64>>, StoreError> {
        let all = &self.at(on)?.dependents;
        let (gated, open): (Vec<_>, Vec<_>) = all.iter().partition(|(_, most_failed)| most_failed.is_some());
        let dependents = open.into_iter().chain(gated).take(limit);
        let dependent = |((key, number), most_failed): (&(u64, u8), &Option<Share>)| {
            Ok(Dependent { key: *key, condition: condition(*number)?, most_failed: *most_failed })
        };
        dependents.map(dependent).collect()
    }

    fn fulfil(&mut self, on: u64, dependent: Dependent<u64>) -> Result<bool, StoreError> {
        let Dependent { key, condition, .. } = dependent;
        let condition = queue::condition_number(condition);
        self.at(on)?.dependents.remove(&(key, condition));
        let row = self.at(key)?;
        row.upstream.remove(&(on, condition));
        Ok(!row.upstream.is_empty())
    }

    fn drop_dependencies(&mut self, key: u64) -> Result<(), StoreError> {
        for (on, condition) in std::mem::take(&mut self.at(key)?.upstream).into_keys() {
            self.at(on)?.dependents.remove(&(key, condition));
        }
        Ok(())
    }

    fn ended_upstream(&mut self) -> Result<Option<Upstream<u64>>, StoreError> {
        let is_ready = |row: &Row| row.stored.followed && row.stored.job.status.is_terminal() && !row.unmeasured;
        let found = self.rows.iter().find(|(_, row)| is_ready(row));
        Ok(found.map(|(key, row)| {
            let job = &row.stored.job;
            Upstream { key: *key, id: job.id, status: job.status, figures: row.figures }
        }))
    }

    fn clear_followed(&mut self, on: u64) -> Result<(), StoreError> {
        self.at(on)?.stored.followed = false;
        Ok(())
    }

    fn due_at(&mut self, key: u64) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.at(key)?.due_at)
    }

    fn due(&mut self, now: Timestamp, limit: usize) -> Result<Vec<(u64, Wait)>, StoreError> {
        let rows = self.rows.iter().filter_map(|(place, row)| Some((row.due_at?, *place, row.wait)));
        let mut due: Vec<_> = rows.filter(|(at, ..)| *at <= now).collect();
        due.sort_unstable_by_key(|(at, place, _)| (*at, *place));
        Ok(due.into_iter().take(limit).map(|(_, place, wait)| (place, wait)).collect())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.rows.values().filter_map(|row| row.due_at).min())
    }

    fn clear_due(&mut self, key: u64) -> Result<(), StoreError> {
        self.at(key)?.due_at = None;
        Ok(())
    }
}

impl Jobs {
    /// Ended jobs whose results are to be counted, behind a position.
    pub(super) fn unmeasured(&self, after: u64, limit: usize) -> Vec<Unmeasured> {
        let rows = self.rows.range((Bound::Excluded(after), Bound::Unbounded)).filter(|(_, row)| row.unmeasured);
        let jobs = rows.map(|(position, row)| {
            let StoredJob { organization, job, .. } = &row.stored;
            Unmeasured { position: *position, organization: organization.clone(), id: job.id }
        });
        jobs.take(limit).collect()
    }

    /// Writes what the results of ended jobs came to; what was written first stays.
    pub(super) fn measure(&mut self, measured: &[(JobId, Figures)]) {
        for (id, figures) in measured {
            let row = self.place(*id).and_then(|place| self.rows.get_mut(&place));
            if let Some(row) = row.filter(|row| row.stored.job.status.is_terminal()) {
                row.figures.get_or_insert(*figures);
                row.unmeasured = false;
            }
        }
    }

    fn runs_on(&self, key: u64, executor: ExecutorKind) -> bool {
        self.rows.get(&key).is_some_and(|row| row.stored.executor() == executor)
    }

    /// A job that waits at a gate has another rank than before.
    pub(super) fn move_rank(&mut self, key: u64, before: i64) -> Result<(), StoreError> {
        let row = self.at(key)?;
        let (rank, gate) = (row.rank(), row.at.clone());
        if let Some(at) = gate.and_then(|gate| self.gates.get_mut(&gate))
            && at.waiting.remove(&(before, key))
        {
            at.waiting.insert((rank, key));
        }
        Ok(())
    }

    /// The types of jobs that are ready for workers.
    pub(super) fn ready_types(
        &mut self,
        wanted: Vec<(Wanted, usize)>,
    ) -> Result<Vec<(Wanted, Vec<String>)>, StoreError> {
        let mut found = Vec::with_capacity(wanted.len());
        for (wanted, limit) in wanted {
            let ready = self.ready_for_worker(&wanted.organization, wanted.job_type.as_slice(), limit)?;
            let jobs = ready.into_iter().filter_map(|(place, _)| self.rows.get(&place));
            let types = jobs.map(|row| row.stored.job.spec.job_type.clone().unwrap_or_default()).collect();
            found.push((wanted, types));
        }
        Ok(found)
    }

    /// Changes a gate; one where nobody is any more goes.
    fn change_gate(&mut self, gate: &Gate, change: impl FnOnce(&mut AtGate) -> bool) -> bool {
        let Some(at) = self.gates.get_mut(gate) else { return false };
        let changed = change(at);
        if at.holders.is_empty() && at.waiting.is_empty() && at.called.is_empty() {
            self.gates.remove(gate);
        }
        changed
    }
}
