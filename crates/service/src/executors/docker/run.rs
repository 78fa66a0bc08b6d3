//! The life of one attempt, from its turn to its end. Owns the waiting for the end, passing on signals, and looking at what
//! it uses; where the daemon went away meanwhile, it goes on when the daemon is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::end::{self, Stage, now_ms};
use super::follow::follow;
use super::hub::Hub;
use super::leftover;
use super::names::{self, Plan};
use super::notes::{self, Moment, Notes};
use super::start::{Failure, Start};
use super::stopper::{Act, Stopper};
use super::table::{Deadline, Source, Turn};
use super::usage::Sampler;
use crate::executors::{Exit, State, Usage, files};

/// A container that was killed is looked at again after this pause: word of a memory limit may come late.
const LATE_WORD: Duration = Duration::from_millis(50);

/// Runs an attempt to its end and reports it.
pub async fn drive(hub: Arc<Hub>, turn: Turn) {
    let Turn { key, source, deadline } = turn;
    let name = names::container(key);
    let (plan, launch) = match source {
        Source::New(launch) => (Plan::of(&launch), Some(launch)),
        Source::Left(plan) => (plan, None),
        Source::Started(plan) => {
            let state = Run::new(&hub, plan, &name, deadline).follow_to_end(false).await;
            return hub.report(key, state);
        }
    };
    let mut start = Start { hub: &hub, plan, name: &name, deadline: deadline.clone(), has_container: false };
    let started = match launch {
        Some(launch) => start.launch(&launch).await,
        None => start.left().await,
    };
    let state = match started {
        Ok(()) => Run::new(&hub, plan, &name, deadline).follow_to_end(true).await,
        // Its container goes when it is forgotten, as that of every attempt that may have run.
        Err(Failure::Lost) => {
            let swept = files::blocking(move || leftover::kill(key)).await;
            if let Err(error) = swept {
                tracing::warn!(attempt = %key, %error, "what is left of an attempt could not be looked for");
            }
            end::lost(now_ms())
        }
        Err(Failure::Refused(reason)) => {
            if start.has_container {
                hub.discard(key);
            }
            State::Refused { reason, at_ms: now_ms() }
        }
    };
    hub.report(key, state);
}

/// A container that was started.
struct Run<'a> {
    hub: &'a Arc<Hub>,
    plan: Plan,
    name: &'a str,
    deadline: Deadline,
    notes: Notes,
    began: Instant,
    /// A signal has reached it.
    was_signaled: bool,
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> Run<'a> {
    fn new(hub: &'a Arc<Hub>, plan: Plan, name: &'a str, deadline: Deadline) -> Run<'a> {
        Run { hub, plan, name, deadline, notes: Notes::default(), began: Instant::now(), was_signaled: false }
    }

    /// Follows it to its end. `is_new` says that it was started by this server, a moment ago.
    async fn follow_to_end(mut self, is_new: bool) -> State {
        let (over, is_over) = watch::channel(false);
        let mut log = Owned(tokio::spawn(follow(Arc::clone(self.hub), self.plan, is_over)));
        let path = notes::path(&self.hub.settings.data, self.plan.key);
        if is_new && self.plan.time_limit.is_some() {
            self.notes.started = Some(Moment::now());
            self.write_notes().await;
        } else if !is_new {
            self.notes = files::blocking(move || Ok(notes::read(&path))).await.unwrap_or_default();
        }
        let before = self.notes.clone();
        let state = self.wait().await;
        // The log is whole before the end is told.
        over.send_replace(true);
        if let Err(error) = (&mut log.0).await {
            tracing::error!(attempt = %self.plan.key, %error, "following the log failed");
        }
        if self.notes != before {
            self.write_notes().await;
        }
        state
    }

    /// Waits for the end.
    async fn wait(&mut self) -> State {
        let (hub, name) = (Arc::clone(self.hub), self.name);
        let mut started_at_ms = None;
        let number = hub.link.up().await;
        loop {
            let inspected = hub.persist(|| hub.daemon.inspect(name)).await;
            let state = match inspected {
                Ok(found) => found.state.unwrap_or_default(),
                Err(error) => {
                    tracing::warn!(attempt = %self.plan.key, %error, "a container has gone before its time");
                    return end::lost(started_at_ms.unwrap_or_else(now_ms));
                }
            };
            match end::stage(&state) {
                Stage::Running { started_at_ms: at } => {
                    if started_at_ms.replace(at).is_none() {
                        hub.report(self.plan.key, State::Running { started_at_ms: at });
                    }
                }
                _ => {
                    self.notes.daemon_went |= !hub.link.is(number);
                    return self.end(state).await;
                }
            }
            self.until_stopped(started_at_ms.unwrap_or_else(now_ms)).await;
        }
    }

    /// Waits until the daemon says that it does not run any more, or has another reason to look.
    async fn until_stopped(&mut self, started_at_ms: i64) {
        let (hub, name) = (Arc::clone(self.hub), self.name);
        let mut stopped = std::pin::pin!(hub.persist(|| hub.daemon.wait(name)));
        let mut stopper = Stopper::new(self.began, self.time_up_at(started_at_ms));
        if self.notes.timed_out {
            // An earlier server may have sent the signal already.
            self.was_signaled = true;
            stopper.stop(Instant::now() + self.plan.grace, Instant::now());
        }
        let mut sampler = Sampler::new(self.began);
        let mut deadline = self.deadline.clone();
        deadline.mark_changed();
        loop {
            let next = stopper.next();
            let signal = async {
                match next {
                    Some((at, act)) => {
                        sleep_until(at).await;
                        act
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                Ok(()) = deadline.changed() => {
                    if let Some(at) = *deadline.borrow_and_update() {
                        stopper.stop(at, Instant::now());
                    }
                }
                act = signal => self.act(act, &mut stopper).await,
                () = sleep_until(sampler.next_at()) => {
                    let sample = sampler.sample(&hub.daemon, name).await;
                    add(&mut self.notes.usage, sample);
                }
            }
        }
    }

    async fn act(&mut self, act: Act, stopper: &mut Stopper) {
        let signal = match act {
            Act::TimeUp => {
                // Who was told to end before does not end for its time.
                if self.deadline.borrow().is_none() {
                    // Noted before it is done, so that a later server knows why.
                    self.notes.timed_out = true;
                    self.write_notes().await;
                }
                stopper.done(act, true, Instant::now());
                stopper.stop(Instant::now() + self.plan.grace, Instant::now());
                return;
            }
            Act::Polite => "SIGTERM",
            Act::Kill => "SIGKILL",
        };
        let sent = self.hub.daemon.kill(self.name, signal).await;
        match &sent {
            Ok(()) => self.was_signaled = true,
            // It came to its end by itself, just before.
            Err(fault) if fault.is(404) || fault.is(409) => self.notes.timed_out &= self.was_signaled,
            Err(fault) => tracing::warn!(attempt = %self.plan.key, error = %fault, "sending {signal} failed"),
        }
        stopper.done(act, sent.is_ok(), Instant::now());
    }

    /// When the time limit is over, by the clock that nobody sets where it was noted.
    fn time_up_at(&self, started_at_ms: i64) -> Option<Instant> {
        let limit = self.plan.time_limit?;
        if self.notes.timed_out {
            return None;
        }
        let noted = self.notes.started.as_ref().and_then(Moment::elapsed);
        let told = || Duration::from_millis(u64::try_from(now_ms() - started_at_ms).unwrap_or_default());
        let elapsed = noted.unwrap_or_else(told);
        Some(Instant::now() + limit.saturating_sub(elapsed))
    }

    /// The end in the words of executors.
    async fn end(&mut self, mut state: bollard::models::ContainerState) -> State {
        let ended = end::ended(&state, self.plan.memory_bytes, &self.notes);
        let killed = matches!(ended, State::Ended { exit: Exit::Signal(9), .. });
        if !killed || self.plan.memory_bytes.is_none() || self.deadline.borrow().is_some() {
            return ended;
        }
        sleep(LATE_WORD).await;
        if let Ok(found) = self.hub.persist(|| self.hub.daemon.inspect(self.name)).await {
            state = found.state.unwrap_or(state);
        }
        end::ended(&state, self.plan.memory_bytes, &self.notes)
    }

    async fn write_notes(&self) {
        let path = notes::path(&self.hub.settings.data, self.plan.key);
        let notes = self.notes.clone();
        if let Err(error) = files::blocking(move || notes::write(&path, &notes)).await {
            tracing::warn!(attempt = %self.plan.key, %error, "noting the state of an attempt failed");
        }
    }
}

/// The most memory, and the newest time.
fn add(usage: &mut Usage, sample: Usage) {
    usage.memory_peak_bytes = usage.memory_peak_bytes.max(sample.memory_peak_bytes);
    usage.cpu_time_ms = usage.cpu_time_ms.max(sample.cpu_time_ms);
}
