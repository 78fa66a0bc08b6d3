//! What a process of an attempt may do: its user, its privileges, its priority, how many others it may start. Owns the
//! steps between fork and the program, where only system calls are allowed, and the way to kill all of a user.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpid, getppid, kill_process_group, nice, set_parent_process_death_signal,
    setrlimit, setsid,
};
use rustix::thread::{
    CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::executors::process::policy::Identity;

/// Attempts are offered to the out-of-memory killer before the supervisor and the server.
const OOM_SCORE_RAISE: i32 = 200;
const OOM_SCORE_MOST: i32 = 1000;
/// Attempts give way to the supervisor and the server by so much, so that both answer while a job takes every core.
const NICE_RAISE: i32 = 5;

/// The score for attempts, in the form that the kernel reads.
pub fn oom_score() -> Vec<u8> {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let own: i32 = own.trim().parse().unwrap_or(0);
    (own + OOM_SCORE_RAISE).min(OOM_SCORE_MOST).to_string().into_bytes()
}

/// All that a new process of an attempt does to itself. Made before the fork, for memory can't be taken behind it.
pub struct Confinement {
    supervisor: Option<Pid>,
    oom_score: Vec<u8>,
    groups: Vec<OwnedFd>,
    processes: Option<u64>,
    user: Option<User>,
}

struct User {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl User {
    fn of(identity: &Identity) -> User {
        User {
            uid: Uid::from_raw(identity.uid),
            gid: Gid::from_raw(identity.gid),
            groups: identity.groups.iter().copied().map(Gid::from_raw).collect(),
        }
    }

    /// System calls only. The user comes last, for the others need the rights of the one before.
    fn become_it(&self) -> rustix::io::Result<()> {
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)?;
        // Takes all capabilities away, as none of the three numbers is root's any more.
        set_thread_res_uid(self.uid, self.uid, self.uid)
    }
}

impl Confinement {
    /// For a process that joins the groups by these files, and counts as many processes of its user (`processes`) as it
    /// may have. Without an identity it stays the supervisor's user.
    pub fn new(
        oom_score: &[u8],
        groups: Vec<OwnedFd>,
        processes: Option<u64>,
        identity: Option<&Identity>,
    ) -> Confinement {
        Confinement {
            supervisor: Some(getpid()),
            oom_score: oom_score.to_vec(),
            groups,
            processes,
            user: identity.map(User::of),
        }
    }

    /// In the new process, as the last before its program. System calls only, no memory, no locks.
    pub fn enter(&self) -> io::Result<()> {
        setsid()?;
        for group in &self.groups {
            rustix::io::write(group, b"0")?;
        }
        // Neither is possible everywhere, nor of weight for the attempt itself.
        if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        {
            let _ = rustix::io::write(file, &self.oom_score);
        }
        let _ = nice(NICE_RAISE);
        if let Some(processes) = self.processes {
            setrlimit(Resource::Nproc, Rlimit { current: Some(processes), maximum: Some(processes) })?;
        }
        if let Some(user) = &self.user {
            for bit in 0..u64::BITS {
                // Refused behind the last number that the kernel knows, and to those who may not; the next lines do without.
                if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)).is_err() {
                    break;
                }
            }
            user.become_it()?;
        }
        set_no_new_privs(true)?;
        // Behind the change of the user, which would clear it.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A supervisor that was killed before the line above sends no signal any more.
        if getppid() != self.supervisor {
            return Err(Errno::SRCH.into());
        }
        Ok(())
    }
}

/// What became of the processes of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// There were none.
    Nobody,
    /// All have got the signal and go as soon as the kernel can let them; none can fork any more.
    All,
    /// It has to be tried again.
    Unknown,
}

/// Kills every process of a user that only one attempt has, at one moment, so that nobody can fork out of it. Done by a
/// process that becomes that user, as the kernel spares who is somebody else.
pub fn kill_user(identity: &Identity) -> Killed {
    let user = User::of(identity);
    let mut killer = Command::new("/");
    // SAFETY: as in `Confinement::enter`: system calls only, on memory that was taken before.
    unsafe {
        killer.pre_exec(move || {
            user.become_it()?;
            kill_everybody()?;
            // There is no program to go on with.
            Err(Errno::CANCELED.into())
        });
    }
    match killer.spawn() {
        Err(e) if code(&e) == Some(Errno::SRCH) => Killed::Nobody,
        Err(e) if code(&e) == Some(Errno::CANCELED) => Killed::All,
        Err(e) => {
            tracing::warn!(uid = identity.uid, "killing all of a user: {e}");
            Killed::Unknown
        }
        // One of them was faster, and has killed the killer.
        Ok(_) => Killed::Unknown,
    }
}

fn code(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

/// `kill(-1)`: everybody that the caller may signal, but itself.
fn kill_everybody() -> rustix::io::Result<()> {
    // The group with the number of the first process stands for everybody: kill(-1).
    kill_process_group(Pid::INIT, Signal::KILL)
}
