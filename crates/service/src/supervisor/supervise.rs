//! The supervisor's loop. Owns the order of things: what is accepted is durable before it is acknowledged and before it
//! starts, a start is noted before it happens, an end is durable before it is reported. Everything that reaches the disk
//! together is made durable together.

mod commit;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::cgroup::{Cgroups, Controller};
use super::journal::{Journal, Record};
use super::poller::{Poller, Ready};
use super::recovery;
use super::runs::{Runs, Terms};
use super::setup::{Home, Signals};
use super::spawner::{Order, Outcome, SpawnError, Spawner};
use super::start::reclaim;
use super::table::Table;
use super::users::Assigned;
use super::wire::{FIRST_TOKEN, Heard, Wire};
use super::{Doing, Settings, SupervisorError, wall_ms};
use crate::executors::files::{LogFiles, LogWriter};
use crate::executors::process::policy::{Identity, Policy, Users};
use crate::executors::process::protocol::{Failure, OBSERVED_PER_FRAME, Reply, Request};
use crate::executors::{AttemptKey, CANCELED_BEFORE_START, Launch, State};

const LISTENER: u64 = 0;
const CHILD: u64 = 1;
const END: u64 = 2;
const SPAWNER: u64 = 3;
const FIRST_RUN: u64 = 16;

/// A process for which the machine has no room is tried again after this pause, and refused after this time.
const EXHAUSTED_RETRY: Duration = Duration::from_millis(100);
const EXHAUSTED_LIMIT: Duration = Duration::from_secs(30);
/// The most grace that attempts get when the supervisor itself is told to end.
const END_GRACE: Duration = Duration::from_secs(10);
/// How often to see that the data directory is there and that the own messages are bounded.
const CHECK: Duration = Duration::from_secs(5);
/// Descriptors that are kept free of attempts.
const SPARE_DESCRIPTORS: u64 = 64;

pub struct Supervisor {
    home: Home,
    signals: Signals,
    boot: String,
    idle_exit: Duration,
    poller: Poller,
    wire: Wire,
    spawner: Spawner,
    table: Table,
    journal: Journal,
    runs: Runs,
    starting: HashMap<u64, Starting>,
    exhausted: Vec<(Instant, Box<Order>)>,
    next_token: u64,
    max_running: usize,
    /// None before the first server has greeted.
    policy: Option<Policy>,
    assigned: Assigned,
    cgroups: Arc<Cgroups>,
    /// Answers that wait until the journal is durable.
    answers: Vec<u64>,
    /// Ends and acceptances were appended to the journal and are not durable yet.
    uncommitted: bool,
    /// When what was gathered is to be made durable, or a failed journal tried again.
    commit_at: Option<Instant>,
    stopping: bool,
    idle_since: Instant,
    check_at: Instant,
}

/// An attempt on its way through the spawner.
struct Starting {
    key: AttemptKey,
    log_limit_bytes: u64,
    grace_period: Duration,
    time_limit: Option<Duration>,
    identity: Option<Identity>,
    since: Instant,
    canceled: Option<Duration>,
}

impl Supervisor {
    pub fn new(settings: &Settings, home: Home, signals: Signals) -> Result<Supervisor, SupervisorError> {
        let boot = recovery::boot();
        // What an earlier supervisor has left in control groups is killed before anything else.
        let cgroups = Arc::new(Cgroups::open(&home.identity().doing("looking at the directory")?));
        let (table, journal) = recovery::recover(&settings.data, &home.directory, &boot)?;
        let poller = Poller::new().doing("making a poller")?;
        let wire = Wire::new(home.listen()?);
        let spawner = Spawner::new(settings.data.clone(), Arc::clone(&cgroups)).doing("starting the spawner")?;
        poller.add(wire.listener(), LISTENER).doing("watching the socket")?;
        poller.add(&signals.child, CHILD).doing("watching signals")?;
        poller.add(&signals.end, END).doing("watching signals")?;
        poller.add(spawner.wake(), SPAWNER).doing("watching the spawner")?;
        let now = Instant::now();
        Ok(Supervisor {
            home,
            signals,
            boot,
            idle_exit: settings.idle_exit,
            poller,
            wire,
            spawner,
            table,
            journal,
            runs: Runs::default(),
            starting: HashMap::new(),
            exhausted: Vec::new(),
            next_token: FIRST_RUN,
            max_running: 1,
            policy: None,
            assigned: Assigned::new(),
            cgroups,
            answers: Vec::new(),
            uncommitted: false,
            commit_at: None,
            stopping: false,
            idle_since: now,
            check_at: now + CHECK,
        })
    }

    /// Works until there is nothing more to do.
    pub fn run(mut self) -> Result<(), SupervisorError> {
        loop {
            let limit = self.deadline().saturating_duration_since(Instant::now());
            let ready = self.poller.wait(Some(limit)).doing("waiting for events")?;
            let now = Instant::now();
            for ready in ready {
                self.handle(ready, now)?;
            }
            self.runs.time_out(now);
            self.runs.kill_due(now);
            self.runs.resume(&self.poller, now);
            self.finish_runs(now);
            self.start_next(now)?;
            self.commit_if_due(now);
            self.start_next(now)?;
            self.write_behind();
            self.wire.flush_all(&self.poller, now);
            if self.is_done(now) {
                self.runs.remove_remains();
                self.cgroups.close();
                self.home.remove_socket();
                return Ok(());
            }
        }
    }

    fn deadline(&self) -> Instant {
        let retry = self.exhausted.iter().map(|(at, _)| *at).min();
        let idle = self.is_idle().then(|| self.idle_since + self.idle_exit);
        let all = [self.runs.deadline(), self.wire.deadline(), self.commit_at, retry, idle];
        all.into_iter().flatten().fold(self.check_at, Instant::min)
    }

    fn handle(&mut self, ready: Ready, now: Instant) -> Result<(), SupervisorError> {
        match ready.token {
            LISTENER => self.wire.accept(&self.poller),
            CHILD => {
                drain(&self.signals.child);
                self.runs.reap(now);
                self.runs.look_now(now);
            }
            END => {
                drain(&self.signals.end);
                tracing::info!(running = self.runs.len(), "told to end");
                self.stop(END_GRACE, now);
            }
            SPAWNER => {
                for outcome in self.spawner.outcomes() {
                    self.spawned(outcome, now);
                }
                // A main process may have ended before it was known.
                self.runs.reap(now);
            }
            token if token >= FIRST_TOKEN => {
                for heard in self.wire.serve(ready, &self.poller) {
                    self.hear(heard, now);
                }
            }
            token => self.runs.read(token, &self.poller, now),
        }
        Ok(())
    }

    fn hear(&mut self, heard: Heard, now: Instant) {
        match heard {
            Heard::Server(hello) => {
                let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
                let most = descriptors.saturating_sub(SPARE_DESCRIPTORS).max(1);
                self.adopt(hello.policy);
                self.max_running = usize::try_from(most.min(hello.max_running.into())).unwrap_or(1).max(1);
                // Those were for the server before.
                self.answers.clear();
                self.table.tell_all();
            }
            Heard::Request(Request::Launch { call, launches }) => self.accept(call, launches),
            Heard::Request(Request::Cancel { call, key, grace_ms }) => {
                self.cancel(key, Duration::from_millis(grace_ms), now);
                self.answers.push(call);
            }
            Heard::Request(Request::List { call }) => self.list(call, now),
            Heard::Request(Request::Forget { call, keys }) => {
                // An end that is not durable yet was never told, so it can't be among them.
                let forgotten = self.table.forget(keys);
                if !forgotten.is_empty() {
                    self.journal.append(&Record::Forgotten(forgotten));
                }
                self.wire.send(&Reply::Done { call });
            }
            Heard::Request(Request::Hello(_)) => tracing::warn!("a second greeting is ignored"),
        }
    }

    /// Takes over the rules for attempts to come, and says what they can't keep here.
    fn adopt(&mut self, policy: Policy) {
        if self.policy.as_ref() == Some(&policy) {
            return;
        }
        let shared = !matches!(policy.users, Users::Range { .. });
        let lacking = Controller::ALL.into_iter().filter(|controller| !self.cgroups.has(*controller));
        for controller in lacking.filter(|controller| shared || *controller != Controller::Processes) {
            tracing::warn!("no control group with the {controller} controller: {}", self.cgroups.obstacles());
        }
        self.assigned.prepare(&policy.users);
        self.policy = Some(policy);
    }

    fn accept(&mut self, call: u64, launches: Vec<Launch>) {
        let refused = match (self.stopping, self.journal.is_broken()) {
            (true, _) => Err(Failure::Refused("the supervisor is ending".into())),
            (_, true) => Err(Failure::Refused("the supervisor can't write its journal".into())),
            _ => self.table.accept(launches),
        };
        match refused {
            Ok(accepted) => {
                self.uncommitted |= !accepted.is_empty();
                for key in accepted {
                    self.journal.append(&Record::Accepted(key));
                }
                self.answers.push(call);
            }
            Err(failure) => self.wire.send(&Reply::Failed { call, failure }),
        }
    }

    fn cancel(&mut self, key: AttemptKey, grace: Duration, now: Instant) {
        if let Some(state) = self.table.cancel_queued(key, wall_ms()) {
            self.journal.append(&Record::Final(key, state));
            self.uncommitted = true;
        } else if let Some(starting) = self.starting.values_mut().find(|starting| starting.key == key) {
            starting.canceled = Some(starting.canceled.map_or(grace, |before| before.min(grace)));
        } else {
            self.runs.cancel(key, grace, now);
        }
    }

    fn list(&mut self, call: u64, now: Instant) {
        self.commit(now);
        if self.uncommitted {
            let failure = Failure::Refused("the supervisor can't write its journal".into());
            return self.wire.send(&Reply::Failed { call, failure });
        }
        let all = self.table.list();
        let mut parts = all.chunks(OBSERVED_PER_FRAME).peekable();
        loop {
            let observed = parts.next().unwrap_or_default().to_vec();
            let more = parts.peek().is_some();
            self.wire.send(&Reply::Listed { call, observed, more });
            if !more {
                return;
            }
        }
    }

    /// Hands to the spawner as many attempts as may run now, after their starts are noted.
    fn start_next(&mut self, now: Instant) -> Result<(), SupervisorError> {
        if self.stopping || self.journal.is_broken() {
            return Ok(());
        }
        if !self.table.has_queued() && self.exhausted.is_empty() {
            return Ok(());
        }
        // Nothing is queued before a server was here.
        let Policy { users, unenforced } = self.policy.clone().unwrap_or_default();
        let mut orders = Vec::new();
        while self.table.has_queued()
            && self.runs.len() + self.starting.len() + orders.len() < self.max_running
            && let Ok(identity) = self.assigned.take(&users)
        {
            let Some(launch) = self.table.next() else {
                self.assigned.give_back(identity.as_ref());
                continue;
            };
            self.journal.append(&Record::Starting(launch.key));
            let token = self.next_token;
            self.next_token += 1;
            orders.push(Order { token, launch, identity, unenforced });
        }
        if orders.is_empty() && self.exhausted.is_empty() {
            return Ok(());
        }
        if let Err(e) = self.journal.flush() {
            self.journal_failed(&e, now);
            for order in orders.into_iter().rev() {
                self.assigned.give_back(order.identity.as_ref());
                self.table.put_back(order.launch);
            }
            return Ok(());
        }
        for order in orders {
            let starting = Starting {
                key: order.launch.key,
                log_limit_bytes: order.launch.log_limit_bytes,
                grace_period: order.launch.grace_period,
                time_limit: order.launch.time_limit,
                identity: order.identity.clone(),
                since: now,
                canceled: None,
            };
            self.starting.insert(order.token, starting);
            self.order(order)?;
        }
        let due: Vec<_> = self.exhausted.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, order) in due {
            self.order(*order)?;
        }
        Ok(())
    }

    fn order(&self, order: Order) -> Result<(), SupervisorError> {
        match self.spawner.order(order) {
            true => Ok(()),
            false => Err(std::io::Error::other("its thread has ended")).doing("ordering a start"),
        }
    }

    fn spawned(&mut self, outcome: Outcome, now: Instant) {
        let Some(starting) = self.starting.remove(&outcome.token) else {
            return;
        };
        let (token, key) = (outcome.token, starting.key);
        match outcome.result {
            Ok(spawned) => {
                self.journal.append(&Record::Started(key, spawned.birth));
                self.table.started(key, spawned.birth);
                if let Err(e) = self.poller.add(&spawned.output, token) {
                    // Its output is then read at its end only.
                    tracing::error!(attempt = %key, "watching output: {e}");
                }
                let log = LogWriter::new(LogFiles::of(&self.home.data, key), starting.log_limit_bytes);
                let terms = Terms {
                    key,
                    identity: starting.identity,
                    grace_period: starting.grace_period,
                    time_limit: starting.time_limit,
                };
                self.runs.insert(token, terms, spawned, log, now);
                if let Some(grace) = starting.canceled {
                    self.runs.cancel(key, grace, now);
                }
            }
            Err(SpawnError::Refused(reason)) => self.refuse(&starting, reason),
            Err(SpawnError::Exhausted(..)) if starting.canceled.is_some() => {
                self.refuse(&starting, CANCELED_BEFORE_START.into())
            }
            Err(SpawnError::Exhausted(reason, order)) if now < starting.since + EXHAUSTED_LIMIT => {
                tracing::warn!(attempt = %key, "{reason}; tried again");
                self.starting.insert(token, starting);
                self.exhausted.push((now + EXHAUSTED_RETRY, order));
            }
            Err(SpawnError::Exhausted(reason, _)) => self.refuse(&starting, reason),
        }
    }

    fn refuse(&mut self, starting: &Starting, reason: String) {
        self.leave(starting.key, starting.identity.as_ref());
        self.record(starting.key, State::Refused { reason, at_ms: wall_ms() });
    }

    /// Nothing of an attempt runs any more: its directory is no longer its user's, and its user is free.
    fn leave(&mut self, key: AttemptKey, identity: Option<&Identity>) {
        if identity.is_some() {
            reclaim(&self.home.data, key);
        }
        self.assigned.give_back(identity);
    }

    fn record(&mut self, key: AttemptKey, state: State) {
        self.journal.append(&Record::Final(key, state.clone()));
        self.table.ended(key, state);
        self.uncommitted = true;
    }

    fn finish_runs(&mut self, now: Instant) {
        for finished in self.runs.settle(&self.poller, now) {
            self.leave(finished.key, finished.identity.as_ref());
            self.record(finished.key, finished.state);
        }
    }

    fn stop(&mut self, grace: Duration, now: Instant) {
        self.stopping = true;
        self.runs.cancel_all(grace, now);
        for starting in self.starting.values_mut() {
            starting.canceled = Some(starting.grace_period.min(grace));
        }
    }

    fn is_idle(&self) -> bool {
        self.table.is_empty() && self.starting.is_empty() && self.runs.is_empty() && !self.wire.has_connections()
    }

    fn is_done(&mut self, now: Instant) -> bool {
        if now >= self.check_at {
            self.check_at = now + CHECK;
            self.home.bound_messages();
            self.runs.remove_remains();
            if self.runs.is_empty() && self.starting.is_empty() {
                self.cgroups.close();
            }
            if !self.home.is_there() {
                tracing::error!("the data directory has gone");
                self.stop(Duration::ZERO, now);
                self.runs.kill_due(now);
            }
        }
        if self.stopping && self.runs.is_empty() && self.starting.is_empty() {
            self.commit(now);
            self.wire.flush_all(&self.poller, now);
            return true;
        }
        if !self.is_idle() {
            self.idle_since = now;
        }
        now >= self.idle_since + self.idle_exit
    }
}

/// Takes the wake-ups out of a signal's pipe.
fn drain(pipe: &std::os::fd::OwnedFd) {
    let mut bytes = [0; 256];
    while let Ok(n) = rustix::io::read(pipe, &mut bytes)
        && n == bytes.len()
    {}
}
