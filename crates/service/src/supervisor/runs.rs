//! The processes that run now. Owns one attempt's way from its start to the end of its whole tree: output, polite end,
//! kill, reaping. Records and reports nothing.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, waitid};

use super::cgroup::Group;
use super::confine::{self, Killed};
use super::flow::Flow;
use super::journal::Birth;
use super::poller::Poller;
use super::spawner::Spawned;
use super::tree::{self, Leftover, Process, Root, TICK_MS};
use super::wall_ms;
use crate::executors::files::LogWriter;
use crate::executors::process::policy::Identity;
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
    flow: Flow,
    /// The output is not watched until then, for it came too fast.
    resume_at: Option<Instant>,
    log: LogWriter,
    grace_period: Duration,
    /// When the time limit is over, as long as nothing has stopped the attempt.
    time_up: Option<Instant>,
    stopped: Option<Stopped>,
    /// The next time to kill the whole tree.
    kill_at: Option<Instant>,
    ending: Option<Ending>,
    group: Option<Group>,
    identity: Option<Identity>,
    /// All processes of its own user have got the kill.
    user_killed: bool,
}

/// What asked a tree to end; what came first counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Canceled,
    TimeLimit,
}

/// How an attempt is to be run.
pub struct Terms {
    pub key: AttemptKey,
    /// As whom it runs, if not as the supervisor's own user.
    pub identity: Option<Identity>,
    pub grace_period: Duration,
    pub time_limit: Option<Duration>,
}

/// The main process has ended and is reaped.
struct Ending {
    exit: Exit,
    /// As the kernel tells it without a control group.
    usage: Usage,
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
    /// Groups of ended attempts that the kernel did not let go yet.
    remains: Vec<Group>,
}

/// A run that is over.
pub struct Finished {
    pub key: AttemptKey,
    pub state: State,
    /// As whom nothing of it runs any more.
    pub identity: Option<Identity>,
}

impl Runs {
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn insert(&mut self, token: u64, terms: Terms, started: Spawned, log: LogWriter, now: Instant) {
        let run = Run {
            key: terms.key,
            birth: started.birth,
            pid: started.pid,
            output: Some(started.output),
            flow: Flow::new(now),
            resume_at: None,
            log,
            grace_period: terms.grace_period,
            // A limit beyond what the clock can tell is none.
            time_up: terms.time_limit.and_then(|limit| now.checked_add(limit)),
            stopped: None,
            kill_at: None,
            ending: None,
            group: started.group,
            identity: terms.identity,
            user_killed: false,
        };
        self.runs.insert(token, run);
    }

    /// Reads output that is ready.
    pub fn read(&mut self, token: u64, poller: &Poller, now: Instant) {
        self.buffer.resize(64 * 1024, 0);
        if let Some(run) = self.runs.get_mut(&token)
            && run.resume_at.is_none()
            && let Some(at) = run.read(&mut self.buffer, poller, now)
        {
            run.pause(poller, at);
        }
    }

    /// Watches output again that had come too fast.
    pub fn resume(&mut self, poller: &Poller, now: Instant) {
        for (token, run) in &mut self.runs {
            if run.resume_at.is_some_and(|at| at <= now) {
                run.resume_at = None;
                if let Some(output) = &run.output
                    && let Err(e) = poller.add(output, *token)
                {
                    // Its output is then read at its end only.
                    tracing::error!(attempt = %run.key, "watching output: {e}");
                }
            }
        }
    }

    /// Asks a tree to end, and kills it after the grace; a kill that is due sooner stays.
    pub fn cancel(&mut self, key: AttemptKey, grace: Duration, now: Instant) {
        if let Some(token) = self.token(key) {
            self.stop(token, Stopped::Canceled, grace, now);
        }
    }

    /// Stops the trees whose time limit is over.
    pub fn time_out(&mut self, now: Instant) {
        let over = |run: &Run| run.ending.is_none() && run.time_up.is_some_and(|at| at <= now);
        let due = self.runs.iter().filter(|(_, run)| over(run)).map(|(token, run)| (*token, run.grace_period));
        for (token, grace) in due.collect::<Vec<_>>() {
            self.stop(token, Stopped::TimeLimit, grace, now);
        }
    }

    fn stop(&mut self, token: u64, by: Stopped, grace: Duration, now: Instant) {
        let Some(run) = self.runs.get_mut(&token) else {
            return;
        };
        let first = run.stopped.is_none();
        run.stopped.get_or_insert(by);
        if by == Stopped::TimeLimit {
            run.time_up = None;
        }
        if first && !grace.is_zero() {
            // A stopped process acts on nothing but the second.
            self.signal_tree(token, &[Signal::TERM, Signal::CONT], &tree::snapshot());
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
        // A look through `/proc` costs more than all signals: one does for all trees.
        let all = if tokens.is_empty() { Vec::new() } else { tree::snapshot() };
        for token in tokens {
            self.signal_tree(token, &[Signal::KILL], &all);
            if let Some(run) = self.runs.get_mut(&token) {
                run.kill_all();
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
            // Not paused any more: it is at its end.
            let _ = run.read(&mut self.buffer, poller, now);
        }
        let mut finished = Vec::new();
        for (_, mut run) in self.runs.extract_if(.., |_, run| run.is_over(now)) {
            let group = run.group.take();
            finished.push(run.finish(poller, group.as_ref()));
            self.remains.extend(group);
        }
        self.remove_remains();
        finished
    }

    /// Removes the groups of ended attempts, as far as the kernel lets go of them.
    pub fn remove_remains(&mut self) {
        self.remains.retain_mut(|group| !group.remove());
    }

    /// A child has ended: all that are ending are looked at again.
    pub fn look_now(&mut self, now: Instant) {
        for ending in self.runs.values_mut().filter_map(|run| run.ending.as_mut()) {
            ending.next_look = now;
        }
    }

    /// Looks for what ended attempts left, kills it, and notes which trees have gone. No orphan and no member of the
    /// group left, says the kernel: gone. Nobody in a control group that can't be left, or nobody of a user that only this
    /// attempt has: gone. A look through `/proc` is no single moment, so there it takes two that found nothing.
    fn clear_trees(&mut self, now: Instant) {
        let orphans_live = tree::reap_orphans();
        let groups_live = self.runs.values().any(|run| run.ending.is_some() && tree::group_exists(run.pid));
        let all = if orphans_live || groups_live { tree::snapshot() } else { Vec::new() };
        let leftovers = tree::leftovers(&all, getpid().as_raw_pid(), &self.roots());
        for leftover in &leftovers {
            tree::signal(&leftover.process, Signal::KILL);
        }
        self.sweep_at = (!leftovers.is_empty()).then_some(now + KILL_AGAIN);
        for run in self.runs.values_mut() {
            let proof = match &run.ending {
                None => continue,
                Some(_) if !orphans_live && !groups_live => Some(true),
                Some(_) => run.clear(&all),
            };
            let (key, born_ms) = (run.key, run.birth.not_before_ms);
            let concerns = |leftover: &Leftover| match leftover.owner {
                Some(owner) => owner == key,
                None => leftover.process.born_ms + TICK_MS >= born_ms,
            };
            let Some(ending) = &mut run.ending else {
                continue;
            };
            ending.next_look = now + KILL_AGAIN;
            ending.clean_looks = match proof {
                Some(true) => CLEAN_LOOKS,
                None if !leftovers.iter().any(concerns) => ending.clean_looks + 1,
                _ => 0,
            };
            if ending.clean_looks >= CLEAN_LOOKS && ending.tree_gone.is_none() {
                ending.tree_gone = Some(now);
            }
        }
    }

    /// The next time that something is to be done without an event.
    pub fn deadline(&self) -> Option<Instant> {
        let of_run = |run: &Run| match &run.ending {
            Some(ending) => Some(ending.next_look),
            None => [run.kill_at, run.time_up, run.resume_at].into_iter().flatten().min(),
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

    /// Sends these signals, in this order, to a tree among the processes that were seen a moment ago.
    fn signal_tree(&self, token: u64, signals: &[Signal], all: &[Process]) {
        let Some(run) = self.runs.get(&token) else {
            return;
        };
        let mut members = tree::members(all, getpid().as_raw_pid(), &run.root(), &self.roots());
        members.retain(|process| process.group != run.birth.pid);
        for signal in signals {
            tree::signal_group(run.pid, *signal);
            for process in &members {
                tree::signal(process, *signal);
            }
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

    /// Kills all that the attempt's own user or control group tells to be its, whatever tricks it plays.
    fn kill_all(&mut self) {
        if let Some(group) = &self.group {
            group.kill();
        }
        if !self.user_killed
            && let Some(identity) = self.sole_user()
        {
            self.user_killed = confine::kill_user(identity) != Killed::Unknown;
        }
    }

    /// Kills what is left behind the main process. Answers whether that proves that nothing is left any more, or that
    /// something was; nothing where processes could have left the group and the user is not the attempt's alone. `all`
    /// are the processes that were seen a moment ago.
    fn clear(&mut self, all: &[Process]) -> Option<bool> {
        let in_group = self.group.as_ref().map(|group| !group.is_empty());
        if in_group == Some(true) {
            self.kill_all();
        }
        // The supervisor's own user may move its processes elsewhere.
        self.identity.as_ref()?;
        if let Some(left) = in_group {
            return Some(!left);
        }
        let identity = self.sole_user()?;
        if self.user_killed {
            // Behind the kill none is new, so one look is enough.
            return Some(!all.iter().any(|process| process.uid == identity.uid && !process.zombie));
        }
        let killed = confine::kill_user(identity);
        self.user_killed = killed != Killed::Unknown;
        Some(killed == Killed::Nobody)
    }

    fn sole_user(&self) -> Option<&Identity> {
        self.identity.as_ref().filter(|identity| identity.sole)
    }

    /// Reads until there is no more, or the others' turn has come. At the end of the output nothing is watched any more.
    /// Answers when to read on, when it comes too fast; what is left at the end of the attempt is read whole.
    fn read(&mut self, buffer: &mut [u8], poller: &Poller, now: Instant) -> Option<Instant> {
        let allowed = match (&self.ending, self.flow.allowance(now)) {
            (Some(_), _) => READ_BYTES,
            (None, Ok(bytes)) => bytes.min(READ_BYTES),
            (None, Err(at)) => return Some(at),
        };
        let mut total = 0;
        while total < allowed
            && let Some(output) = &self.output
        {
            match rustix::io::read(output, &mut *buffer) {
                Ok(0) => self.close_output(poller),
                Ok(n) => {
                    total += n;
                    self.log.write(&buffer[..n], now);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(e) => {
                    tracing::warn!(attempt = %self.key, "reading output: {e}");
                    self.close_output(poller);
                }
            }
        }
        self.flow.took(total);
        None
    }

    /// Lets the output wait in its pipe, and in the end who writes into it.
    fn pause(&mut self, poller: &Poller, until: Instant) {
        if let Some(output) = &self.output {
            poller.remove(output);
            self.resume_at = Some(until);
        }
    }

    fn reap(&mut self, now: Instant) {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if !matches!(waitid(WaitId::Pid(self.pid), look), Ok(Some(_))) {
            return;
        }
        // Before reaping, while the number of the group is certainly still this attempt's.
        tree::signal_group(self.pid, Signal::KILL);
        // Nobody else reaps it.
        let (exit, usage) = tree::reap_main(self.pid).unwrap_or((Exit::Lost, Usage::default()));
        self.ending = Some(Ending {
            exit,
            usage,
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

    fn finish(mut self, poller: &Poller, group: Option<&Group>) -> Finished {
        self.close_output(poller);
        self.log.finish();
        let (exit, usage, finished_at_ms, gone) = match &self.ending {
            Some(ending) => (ending.exit, ending.usage, ending.finished_at_ms, ending.tree_gone.is_some()),
            // Only ended runs are finished.
            None => (Exit::Lost, Usage::default(), wall_ms(), false),
        };
        let exit = match exit {
            _ if self.stopped == Some(Stopped::TimeLimit) => Exit::TimedOut,
            Exit::Code(0) => exit,
            _ if group.is_some_and(Group::ran_out_of_memory) => Exit::OutOfMemory,
            _ => exit,
        };
        let counted = group.map(Group::usage).unwrap_or_default();
        Finished {
            key: self.key,
            state: State::Ended {
                exit,
                started_at_ms: self.birth.started_at_ms,
                finished_at_ms,
                usage: Usage {
                    memory_peak_bytes: counted.memory_peak_bytes.or(usage.memory_peak_bytes),
                    cpu_time_ms: counted.cpu_time_ms.or(usage.cpu_time_ms),
                },
            },
            // Where something is left, nobody else may become that user.
            identity: self.identity.filter(|_| gone),
        }
    }
}
