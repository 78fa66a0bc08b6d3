//! Which processes belong to an attempt, and signals to all of them. Owns every reading of `/proc`.
//!
//! An attempt's tree is its main process, everything in that process's session or group, every orphan that carries the
//! attempt's marker in its environment, and all descendants of these. While the supervisor lives, a process that
//! has lost its parent becomes the supervisor's child, so nothing can leave the supervisor's own tree.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, pidfd_send_signal, test_kill_process_group,
    wait,
};
use uuid::Uuid;

use crate::executors::process::layout::{ATTEMPT_VARIABLE, JOB_ID_VARIABLE};
use crate::executors::{AttemptKey, Exit, Usage};

/// Ticks of the start time in `/proc/PID/stat` a second: a constant of Linux's interface.
const TICKS_PER_SECOND: u64 = 100;
/// Milliseconds in a tick, the precision of a start time.
pub const TICK_MS: u64 = 1000 / TICKS_PER_SECOND;
/// The part of an environment that is searched for the marker.
const ENVIRONMENT_LIMIT: u64 = 4 * 1024 * 1024;
/// `waitpid`: children of the calling thread only. (`__WNOTHREAD` in the kernel's headers.)
const CHILDREN_OF_THIS_THREAD: u32 = 0x2000_0000;

/// A process as it was seen in `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Milliseconds since boot, rounded down to a tick.
    pub born_ms: u64,
    pub zombie: bool,
    /// Its user; root's also of one that hides from its own user (`PR_SET_DUMPABLE`).
    pub uid: u32,
}

/// All processes that can be seen now.
pub fn snapshot() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(look_at).collect()
}

/// One process, unless it has gone.
pub fn look_at(pid: i32) -> Option<Process> {
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let mut stat = Vec::with_capacity(512);
    file.read_to_end(&mut stat).ok()?;
    parse_stat(pid, file.metadata().ok()?.uid(), &stat)
}

fn parse_stat(pid: i32, uid: u32, stat: &[u8]) -> Option<Process> {
    // The name stands in brackets and may itself hold brackets and spaces.
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let mut next = || i32::from_str(fields.next()?).ok();
    let (parent, group, session) = (next()?, next()?, next()?);
    // Field 22 of the file, the sixteenth behind the session.
    let ticks = u64::from_str(fields.nth(15)?).ok()?;
    Some(Process {
        pid,
        parent,
        group,
        session,
        born_ms: ticks.saturating_mul(TICK_MS),
        zombie: matches!(state, "Z" | "X"),
        uid,
    })
}

/// The attempt whose marker a process carries in the environment that its program was started with.
pub fn marker(pid: i32) -> Option<AttemptKey> {
    let mut environment = Vec::new();
    let file = File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(ENVIRONMENT_LIMIT).read_to_end(&mut environment).ok()?;
    parse_marker(&environment)
}

fn parse_marker(environment: &[u8]) -> Option<AttemptKey> {
    let value = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|variable| {
            let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            std::str::from_utf8(value).ok()
        })
    };
    Some(AttemptKey {
        job_id: Uuid::from_str(value(JOB_ID_VARIABLE)?).ok()?,
        attempt: u32::from_str(value(ATTEMPT_VARIABLE)?).ok()?,
    })
}

/// `roots` and all their descendants, except below `fences`.
pub fn with_descendants(all: &[Process], roots: &HashSet<i32>, fences: &HashSet<i32>) -> Vec<Process> {
    let mut members = roots.clone();
    loop {
        let before = members.len();
        for process in all {
            if members.contains(&process.parent) && !fences.contains(&process.pid) {
                members.insert(process.pid);
            }
        }
        if members.len() == before {
            break;
        }
    }
    all.iter().filter(|process| members.contains(&process.pid)).copied().collect()
}

/// An attempt as far as its tree is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    pub key: AttemptKey,
    /// The main process, also the number of its session and group.
    pub main: i32,
    /// The main process was made not before this, milliseconds since boot.
    pub not_before_ms: u64,
    /// False from the end of the main process on.
    pub running: bool,
}

/// To whom an orphan belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Attempt(AttemptKey),
    /// Nobody who is still running can be its owner.
    Nobody,
    /// One of those that run may be its owner: it has left session and group and dropped the marker.
    Unclear,
}

fn owner(orphan: &Process, roots: &[Root], marker: impl Fn(i32) -> Option<AttemptKey>) -> Owner {
    let by_session = |root: &&Root| root.main == orphan.session || root.main == orphan.group;
    if let Some(root) = roots.iter().find(by_session) {
        return Owner::Attempt(root.key);
    }
    if let Some(key) = marker(orphan.pid) {
        return match roots.iter().any(|root| root.key == key) {
            true => Owner::Attempt(key),
            false => Owner::Nobody,
        };
    }
    let older = |root: &Root| root.running && root.not_before_ms <= orphan.born_ms + TICK_MS;
    match roots.iter().any(older) {
        true => Owner::Unclear,
        false => Owner::Nobody,
    }
}

/// The living processes of a running attempt.
pub fn members(all: &[Process], supervisor: i32, root: &Root, roots: &[Root]) -> Vec<Process> {
    let mut members = orphans_of(all, supervisor, roots, |o| o == Owner::Attempt(root.key));
    members.insert(root.main);
    let in_session = all.iter().filter(|p| p.session == root.main || p.group == root.main);
    members.extend(in_session.map(|process| process.pid));
    alive(with_descendants(all, &members, &other_mains(roots, root.main)))
}

/// A process that must go, and the ended attempt that it belonged to, if that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub process: Process,
    pub owner: Option<AttemptKey>,
}

/// The living processes that must go now that some attempts have ended: those of every root that no longer runs, and
/// those that nobody owns.
pub fn leftovers(all: &[Process], supervisor: i32, roots: &[Root]) -> Vec<Leftover> {
    let fences = other_mains(roots, 0);
    let mut leftovers = Vec::new();
    let mut add = |members: &HashSet<i32>, owner| {
        let processes = alive(with_descendants(all, members, &fences));
        leftovers.extend(processes.into_iter().map(|process| Leftover { process, owner }));
    };
    for root in roots.iter().filter(|root| !root.running) {
        let mut members = orphans_of(all, supervisor, roots, |owner| owner == Owner::Attempt(root.key));
        let in_session = all.iter().filter(|p| p.session == root.main || p.group == root.main);
        members.extend(in_session.map(|process| process.pid));
        add(&members, Some(root.key));
    }
    add(&orphans_of(all, supervisor, roots, |owner| owner == Owner::Nobody), None);
    leftovers
}

fn orphans_of(all: &[Process], supervisor: i32, roots: &[Root], wanted: impl Fn(Owner) -> bool) -> HashSet<i32> {
    let is_main = |pid| roots.iter().any(|root| root.main == pid && root.running);
    let orphans = all.iter().filter(|p| p.parent == supervisor && !p.zombie && !is_main(p.pid));
    orphans.filter(|orphan| wanted(owner(orphan, roots, marker))).map(|orphan| orphan.pid).collect()
}

fn other_mains(roots: &[Root], main: i32) -> HashSet<i32> {
    roots.iter().filter(|root| root.running && root.main != main).map(|root| root.main).collect()
}

fn alive(mut processes: Vec<Process>) -> Vec<Process> {
    processes.retain(|process| !process.zombie);
    processes
}

/// Sends a signal to exactly this process, not to a later one with its number.
pub fn signal(process: &Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    if let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
        && look_at(process.pid).is_some_and(|now| now.born_ms == process.born_ms)
    {
        report(process.pid, pidfd_send_signal(descriptor, signal));
    }
}

/// Sends a signal to a whole group whose number can't have been given away: its leader is not reaped yet.
pub fn signal_group(leader: Pid, signal: Signal) {
    report(leader.as_raw_pid(), kill_process_group(leader, signal));
}

fn report(pid: i32, sent: Result<(), Errno>) {
    match sent {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(e) => tracing::warn!(pid, "sending a signal: {e}"),
    }
}

/// Whether anything is left of a group whose leader was just reaped.
pub fn group_exists(leader: Pid) -> bool {
    test_kill_process_group(leader) != Err(Errno::SRCH)
}

/// Reaps a main process that has ended. Answers how it did, and what it and those of its descendants that were reaped by
/// their parents have used; nothing when there is no such child.
pub fn reap_main(main: Pid) -> Option<(Exit, Usage)> {
    let mut status = 0;
    let mut used = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to living memory of the right types, and are not kept.
    let reaped = unsafe { libc::wait4(main.as_raw_pid(), &mut status, libc::WNOHANG, used.as_mut_ptr()) };
    if reaped != main.as_raw_pid() {
        return None;
    }
    // SAFETY: all bits zero is a value of these plain numbers, also if the kernel had written nothing.
    let used = unsafe { used.assume_init() };
    let exit = match () {
        () if libc::WIFEXITED(status) => Exit::Code(libc::WEXITSTATUS(status)),
        () if libc::WIFSIGNALED(status) => Exit::Signal(libc::WTERMSIG(status)),
        () => Exit::Lost,
    };
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    let usage = Usage {
        // The kernel tells KiB, of the largest of these processes.
        memory_peak_bytes: u64::try_from(used.ru_maxrss).ok().map(|kib| kib * 1024),
        cpu_time_ms: Some((micros(used.ru_utime) + micros(used.ru_stime)) / 1000),
    };
    Some((exit, usage))
}

/// Reaps orphans that have ended; tells whether others live on. Only for the thread that orphans are given to.
pub fn reap_orphans() -> bool {
    let options = WaitOptions::NOHANG | WaitOptions::from_bits_retain(CHILDREN_OF_THIS_THREAD);
    loop {
        match wait(options) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> AttemptKey {
        AttemptKey { job_id: Uuid::from_u128(7), attempt: n }
    }

    fn process(pid: i32, parent: i32, session: i32) -> Process {
        Process { pid, parent, group: session, session, born_ms: 500, zombie: false, uid: 0 }
    }

    fn root(n: u32, main: i32, running: bool) -> Root {
        Root { key: key(n), main, not_before_ms: 500, running }
    }

    fn pids(processes: Vec<Process>) -> Vec<i32> {
        processes.into_iter().map(|process| process.pid).collect()
    }

    #[test]
    fn stat_is_read_behind_a_name_with_brackets() {
        let line = b"42 (a) b (c) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 2";
        let read = parse_stat(42, 7, line).unwrap();
        assert_eq!((read.parent, read.group, read.session, read.born_ms), (7, 8, 9, 42420));
        assert!(!read.zombie && read.uid == 7);
        assert_eq!(parse_stat(42, 7, b"42 (a) S 7"), None);
        let own = look_at(rustix::process::getpid().as_raw_pid()).unwrap();
        // Not compared by session: in a container its leader may live outside, then it is 0, which getsid can't say.
        assert_eq!(own.parent, std::os::unix::process::parent_id().cast_signed());
    }

    #[test]
    fn the_marker_needs_both_variables() {
        let id = Uuid::from_u128(7);
        let both = format!("A=1\0DOCKET_JOB_ID={id}\0DOCKET_ATTEMPT=3\0");
        assert_eq!(parse_marker(both.as_bytes()), Some(key(3)));
        assert_eq!(parse_marker(format!("DOCKET_JOB_ID={id}\0").as_bytes()), None);
        assert_eq!(parse_marker(b"DOCKET_JOB_IDX=1\0DOCKET_ATTEMPT=3\0"), None);
    }

    #[test]
    fn members_are_session_and_descendants_but_not_other_attempts() {
        let roots = [root(1, 10, true), root(2, 20, true)];
        let all = [
            process(10, 1, 10),
            process(11, 10, 10),
            process(12, 11, 12),
            process(13, 1, 10),
            process(14, 13, 14),
            process(20, 1, 20),
            process(21, 20, 20),
        ];
        assert_eq!(pids(members(&all, 1, &roots[0], &roots)), [10, 11, 12, 13, 14]);
        assert_eq!(pids(members(&all, 1, &roots[1], &roots)), [20, 21]);
    }

    #[test]
    fn leftovers_spare_what_a_running_attempt_may_own() {
        let ended = root(1, 10, false);
        let running = root(2, 20, true);
        let all =
            [process(13, 1, 10), process(14, 13, 14), process(20, 1, 20), process(22, 1, 20), process(23, 22, 23)];
        let found = |roots: &[Root]| -> Vec<(i32, Option<AttemptKey>)> {
            let leftovers = leftovers(&all, 1, roots);
            leftovers.iter().map(|leftover| (leftover.process.pid, leftover.owner)).collect()
        };
        assert_eq!(found(&[ended, running]), [(13, Some(key(1))), (14, Some(key(1)))]);
        assert_eq!(found(&[running]), []);
        let nobody = [13, 14, 20, 22, 23].map(|pid| (pid, None));
        assert_eq!(found(&[]), nobody);
    }

    #[test]
    fn an_orphan_without_a_trace_is_spared_while_its_owner_may_run() {
        let none = |_| None;
        let orphan = process(90, 1, 90);
        assert_eq!(owner(&orphan, &[root(1, 10, true)], none), Owner::Unclear);
        assert_eq!(owner(&orphan, &[root(1, 10, false)], none), Owner::Nobody);
        let later = Root { not_before_ms: 600, ..root(1, 10, true) };
        assert_eq!(owner(&orphan, &[later], none), Owner::Nobody);
        assert_eq!(owner(&orphan, &[root(1, 10, true)], |_| Some(key(1))), Owner::Attempt(key(1)));
        assert_eq!(owner(&orphan, &[root(1, 10, true)], |_| Some(key(5))), Owner::Nobody);
    }
}
