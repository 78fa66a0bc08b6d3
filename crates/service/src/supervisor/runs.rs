//! The processes that run now. Owns one attempt's way from its start to the end of its whole tree: output, polite end,
//! kill, reaping. Records and reports nothing.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, waitid, waitpid};

use super::journal::Birth;
use super::poller::Poller;
use super::tree::{self, Leftover, Root, TICK_MS};
use super::wall_ms;
use crate::executors::files::LogWriter;
use crate::executors::{AttemptKey, Exit, State, Usage};

/// Bytes of output read of one attempt before others have their turn.
const READ_BYTES: usize = 256 * 1024;
/// A tree that was killed and still lives is killed again after this pause.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// Looks through `/proc` in a row that find nothing left of a tree.
const CLEAN_LOOKS: u32 = 2;
/// The end is recorded even if processes can't be killed (they wait for a device, say) for so long.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// When the tree has gone, its output may still be held open by a stranger for so long.
const DRAIN_LIMIT: Duration = Duration::from_millis(250);

pub struct Run {
    pub key: AttemptKey,
    birth: Birth,
    pid: Pid,
    output: Option<OwnedFd>,
    log: LogWriter,
    grace_period: Duration,
    /// The next time to kill the whole tree.
    kill_at: Option<Instant>,
    ending: Option<Ending>,
}

/// The main process has ended and is reaped.
struct Ending {
    exit: Exit,
    finished_at_ms: i64,
    since: Instant,
    next_look: Instant,
    clean_looks: u32,
    tree_gone: Option<Instant>,
}

/// All runs, by the number under which their output is watched.
#[derive(Default)]
pub struct Runs {
    runs: BTreeMap<u64, Run>,
    buffer: Vec<u8>,
    /// When to look again for processes that were killed, whoever's they were.
    sweep_at: Option<Instant>,
}

/// A run that is over.
pub struct Finished {
    pub key: AttemptKey,
    pub state: State,
}

impl Runs {
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn insert(
        &mut self,
        token: u64,
        key: AttemptKey,
        started: super::spawner::Spawned,
        log: LogWriter,
        grace: Duration,
    ) {
        let run = Run {
            key,
            birth: started.birth,
            pid: started.pid,
            output: Some(started.output),
            log,
            grace_period: grace,
            kill_at: None,
            ending: None,
        };
        self.runs.insert(token, run);
    }

    /// Reads output that is ready.
    pub fn read(&mut self, token: u64, poller: &Poller, now: Instant) {
        self.buffer.resize(64 * 1024, 0);
        if let Some(run) = self.runs.get_mut(&token) {
            run.read(&mut self.buffer, poller, now);
        }
    }

    /// Asks a tree to end, and kills it after the grace; a kill that is due sooner stays.
    pub fn cancel(&mut self, key: AttemptKey, grace: Duration, now: Instant) {
        let Some(token) = self.token(key) else {
            return;
        };
        let first = self.runs.get(&token).is_some_and(|run| run.kill_at.is_none());
        if first && !grace.is_zero() {
            self.signal_tree(token, Signal::TERM);
            // A stopped process acts on nothing but this.
            self.signal_tree(token, Signal::CONT);
        }
        if let Some(run) = self.runs.get_mut(&token) {
            // A grace beyond what the clock can tell never ends.
            let at = now.checked_add(grace);
            run.kill_at = match (run.kill_at, at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }

    /// Cancels every run, each with its own grace period, but at most this one.
    pub fn cancel_all(&mut self, most: Duration, now: Instant) {
        let all: Vec<(AttemptKey, Duration)> = self.runs.values().map(|run| (run.key, run.grace_period)).collect();
        for (key, grace) in all {
            self.cancel(key, grace.min(most), now);
        }
    }

    /// Kills the trees whose time has come.
    pub fn kill_due(&mut self, now: Instant) {
        let due = |run: &Run| run.ending.is_none() && run.kill_at.is_some_and(|at| at <= now);
        let tokens: Vec<u64> = self.runs.iter().filter(|(_, run)| due(run)).map(|(token, _)| *token).collect();
        for token in tokens {
            self.signal_tree(token, Signal::KILL);
            if let Some(run) = self.runs.get_mut(&token) {
                run.kill_at = Some(now + KILL_AGAIN);
            }
        }
    }

    /// Takes in main processes that have ended.
    pub fn reap(&mut self, now: Instant) {
        for run in self.runs.values_mut().filter(|run| run.ending.is_none()) {
            run.reap(now);
        }
    }

    /// Kills what the ended main processes left behind, and takes out the runs that are over.
    pub fn settle(&mut self, poller: &Poller, now: Instant) -> Vec<Finished> {
        let due = |run: &Run| run.ending.as_ref().is_some_and(|ending| ending.next_look <= now);
        if !self.runs.values().any(due) && self.sweep_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.clear_trees(now);
        self.buffer.resize(64 * 1024, 0);
        for run in self.runs.values_mut().filter(|run| run.ending.is_some()) {
            run.read(&mut self.buffer, poller, now);
        }
        let over = self.runs.extract_if(.., |_, run| run.is_over(now));
        over.map(|(_, run)| run.finish(poller)).collect()
    }

    /// A child has ended: all that are ending are looked at again.
    pub fn look_now(&mut self, now: Instant) {
        for ending in self.runs.values_mut().filter_map(|run| run.ending.as_mut()) {
            ending.next_look = now;
        }
    }

    /// Looks for what ended attempts left, kills it, and notes which trees have gone. No orphan and no member of the
    /// group left, says the kernel: gone. A look through `/proc` is no single moment, so there it takes two that found nothing.
    fn clear_trees(&mut self, now: Instant) {
        let orphans_live = tree::reap_orphans();
        let groups_live = self.runs.values().any(|run| run.ending.is_some() && tree::group_exists(run.pid));
        let leftovers = match orphans_live || groups_live {
            true => tree::leftovers(&tree::snapshot(), getpid().as_raw_pid(), &self.roots()),
            false => Vec::new(),
        };
        for leftover in &leftovers {
            tree::signal(&leftover.process, Signal::KILL);
        }
        self.sweep_at = (!leftovers.is_empty()).then_some(now + KILL_AGAIN);
        for run in self.runs.values_mut() {
            let Some(ending) = &mut run.ending else {
                continue;
            };
            ending.next_look = now + KILL_AGAIN;
            let (key, born_ms) = (run.key, run.birth.not_before_ms);
            let concerns = |leftover: &Leftover| match leftover.owner {
                Some(owner) => owner == key,
                None => leftover.process.born_ms + TICK_MS >= born_ms,
            };
            if leftovers.iter().any(concerns) {
                ending.clean_looks = 0;
            } else {
                ending.clean_looks += if orphans_live || groups_live { 1 } else { CLEAN_LOOKS };
            }
            if ending.clean_looks >= CLEAN_LOOKS && ending.tree_gone.is_none() {
                ending.tree_gone = Some(now);
            }
        }
    }

    /// The next time that something is to be done without an event.
    pub fn deadline(&self) -> Option<Instant> {
        let of_run = |run: &Run| match &run.ending {
            Some(ending) => Some(ending.next_look),
            None => run.kill_at,
        };
        self.runs.values().filter_map(of_run).chain(self.sweep_at).min()
    }

    fn token(&self, key: AttemptKey) -> Option<u64> {
        let mut matching = self.runs.iter().filter(|(_, run)| run.key == key && run.ending.is_none());
        matching.next().map(|(token, _)| *token)
    }

    fn roots(&self) -> Vec<Root> {
        self.runs.values().map(Run::root).collect()
    }

    fn signal_tree(&self, token: u64, signal: Signal) {
        let Some(run) = self.runs.get(&token) else {
            return;
        };
        tree::signal_group(run.pid, signal);
        let members = tree::members(&tree::snapshot(), getpid().as_raw_pid(), &run.root(), &self.roots());
        for process in members.iter().filter(|process| process.group != run.birth.pid) {
            tree::signal(process, signal);
        }
    }
}

impl Run {
    fn root(&self) -> Root {
        Root {
            key: self.key,
            main: self.birth.pid,
            not_before_ms: self.birth.not_before_ms,
            running: self.ending.is_none(),
        }
    }

    /// Reads until there is no more, or the others' turn has come. At the end of the output nothing is watched any more.
    fn read(&mut self, buffer: &mut [u8], poller: &Poller, now: Instant) {
        let mut total = 0;
        while total < READ_BYTES
            && let Some(output) = &self.output
        {
            match rustix::io::read(output, &mut *buffer) {
                Ok(0) => self.close_output(poller),
                Ok(n) => {
                    total += n;
                    self.log.write(&buffer[..n], now);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(e) => {
                    tracing::warn!(attempt = %self.key, "reading output: {e}");
                    self.close_output(poller);
                }
            }
        }
    }

    fn reap(&mut self, now: Instant) {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if !matches!(waitid(WaitId::Pid(self.pid), look), Ok(Some(_))) {
            return;
        }
        // Before reaping, while the number of the group is certainly still this attempt's.
        tree::signal_group(self.pid, Signal::KILL);
        let exit = match waitpid(Some(self.pid), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => exit_of(status),
            // Nobody else reaps it.
            Ok(None) | Err(_) => Exit::Lost,
        };
        self.ending = Some(Ending {
            exit,
            finished_at_ms: wall_ms().max(self.birth.started_at_ms),
            since: now,
            next_look: now,
            clean_looks: 0,
            tree_gone: None,
        });
    }

    fn is_over(&self, now: Instant) -> bool {
        let Some(ending) = &self.ending else {
            return false;
        };
        match ending.tree_gone {
            Some(gone) => self.output.is_none() || now >= gone + DRAIN_LIMIT,
            None if now >= ending.since + KILL_LIMIT => {
                tracing::error!(attempt = %self.key, "processes were left behind: they can't be killed");
                true
            }
            None => false,
        }
    }

    fn close_output(&mut self, poller: &Poller) {
        if let Some(output) = self.output.take() {
            poller.remove(output);
        }
    }

    fn finish(mut self, poller: &Poller) -> Finished {
        self.close_output(poller);
        self.log.finish();
        let (exit, finished_at_ms) = match &self.ending {
            Some(ending) => (ending.exit, ending.finished_at_ms),
            // Only ended runs are finished.
            None => (Exit::Lost, wall_ms()),
        };
        Finished {
            key: self.key,
            state: State::Ended {
                exit,
                started_at_ms: self.birth.started_at_ms,
                finished_at_ms,
                usage: Usage::default(),
            },
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Lost,
    }
}
