//! Starts processes, on a thread of its own. Owns what a process of an attempt gets: directories, variables, session,
//! descriptors. Follows no process after its start.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal, setsid};
use rustix::time::{ClockId, clock_gettime};

use super::journal::Birth;
use super::wall_ms;
use crate::executors::Launch;
use crate::executors::process::layout;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LANG: &str = "C.UTF-8";
/// Attempts are offered to the out-of-memory killer before the supervisor and the server.
const OOM_SCORE_RAISE: i32 = 200;
const OOM_SCORE_MOST: i32 = 1000;
/// Characters of a program's name in a message.
const NAME_SHOWN: usize = 200;

/// A process that was started.
pub struct Spawned {
    pub birth: Birth,
    pub pid: Pid,
    /// The reading end of its output, not blocking.
    pub output: OwnedFd,
}

/// Why there is no process.
pub enum SpawnError {
    /// It can never be started so.
    Refused(String),
    /// The machine has no room for it now.
    Exhausted(String, Box<Launch>),
}

pub struct Outcome {
    pub token: u64,
    pub result: Result<Spawned, SpawnError>,
}

/// The spawner thread and the ways to it.
pub struct Spawner {
    orders: Sender<(u64, Box<Launch>)>,
    outcomes: Receiver<Outcome>,
    wake: Arc<OwnedFd>,
}

impl Spawner {
    pub fn new(data: PathBuf) -> io::Result<Spawner> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (orders, received) = channel::<(u64, Box<Launch>)>();
        let (sender, outcomes) = channel();
        let done = Arc::clone(&wake);
        let oom_score = oom_score();
        let work = move || {
            for (token, launch) in received {
                let result = spawn(&data, launch, &oom_score);
                if sender.send(Outcome { token, result }).is_err() {
                    return;
                }
                // Full only when the count is at its end: then a wake-up is waiting anyway.
                let _ = rustix::io::write(&*done, &1_u64.to_ne_bytes());
            }
        };
        thread::Builder::new().name("spawner".into()).spawn(work)?;
        Ok(Spawner { orders, outcomes, wake })
    }

    /// Readable when there are outcomes.
    pub fn wake(&self) -> &OwnedFd {
        &self.wake
    }

    /// Orders a start; its outcome comes with the same token. False when the thread has died.
    pub fn order(&self, token: u64, launch: Box<Launch>) -> bool {
        self.orders.send((token, launch)).is_ok()
    }

    /// All outcomes so far.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut count);
        self.outcomes.try_iter().collect()
    }
}

/// The score for attempts, in the form that the kernel reads.
fn oom_score() -> Vec<u8> {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let own: i32 = own.trim().parse().unwrap_or(0);
    (own + OOM_SCORE_RAISE).min(OOM_SCORE_MOST).to_string().into_bytes()
}

fn spawn(data: &Path, launch: Box<Launch>, oom_score: &[u8]) -> Result<Spawned, SpawnError> {
    let program = validate(&launch).map_err(SpawnError::Refused)?;
    match start(data, &launch, oom_score) {
        Ok(spawned) => Ok(spawned),
        Err(e) => {
            let reason = format!("program {} can't be started: {}", shown(program), explain(&e));
            match is_exhaustion(&e) {
                true => Err(SpawnError::Exhausted(reason, launch)),
                false => Err(SpawnError::Refused(reason)),
            }
        }
    }
}

/// The program's name, or why there is none to start.
fn validate(launch: &Launch) -> Result<&str, String> {
    let Some(program) = launch.commands.first() else {
        return Err("commands is empty: there is no program to start".into());
    };
    if program.is_empty() {
        return Err("commands[0] is empty: there is no program to start".into());
    }
    let cannot = |why: String| Err(format!("program {} can't be started: {why}", shown(program)));
    if let Some(index) = launch.commands.iter().position(|c| c.contains('\0')) {
        return cannot(format!("commands[{index}] holds a NUL character"));
    }
    for (index, (name, value)) in launch.environment.iter().enumerate() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return cannot(format!(
                "the name of environmentVariables[{index}] is empty or holds '=' or a NUL character"
            ));
        }
        if value.contains('\0') {
            return cannot(format!("the value of environmentVariables[{index}] holds a NUL character"));
        }
    }
    Ok(program)
}

/// A name in a message: quoted, and cut when it is very long.
fn shown(program: &str) -> String {
    match program.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("{:?}...", &program[..end]),
        None => format!("{program:?}"),
    }
}

fn explain(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => "it was not found (or the interpreter that its first line names)".into(),
        Some(Errno::ACCESS) => "it is not executable, or may not be".into(),
        Some(Errno::NOEXEC) => "it is not a program of this machine".into(),
        Some(Errno::TOOBIG) => "its arguments and environment are larger than the system takes (one of them over \
             128 KiB, or all together)"
            .into(),
        Some(Errno::NOTDIR) => "a part of its path is not a directory".into(),
        _ => error.to_string(),
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::DQUOT))
}

fn start(data: &Path, launch: &Launch, oom_score: &[u8]) -> io::Result<Spawned> {
    let work = layout::work_directory(data, launch.key);
    make_directory(&work).map_err(|e| match is_exhaustion(&e) {
        true => e,
        false => io::Error::other(format!("its working directory {} can't be made: {e}", work.display())),
    })?;
    let (output, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&output, OFlags::NONBLOCK)?;
    let mut command = command(launch, &work);
    command.stdin(Stdio::null()).stdout(writer.as_fd().try_clone_to_owned()?).stderr(writer);
    let supervisor = getpid();
    let oom_score = oom_score.to_vec();
    // SAFETY: between fork and exec only system calls run, without the C library: no memory is taken or freed, no lock
    // touched. The strings that they use were made before.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // A supervisor that was killed before the line above sends no signal any more.
            if getppid() != Some(supervisor) {
                return Err(Errno::SRCH.into());
            }
            // Not possible everywhere, and of no weight for the attempt itself.
            if let Ok(file) =
                rustix::fs::open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            {
                let _ = rustix::io::write(file, &oom_score);
            }
            Ok(())
        });
    }
    let not_before_ms = since_boot_ms();
    let started_at_ms = wall_ms();
    let child = command.spawn()?;
    let number = i32::try_from(child.id()).map_err(io::Error::other)?;
    let pid = Pid::from_raw(number).ok_or_else(|| io::Error::other("a process without a number"))?;
    Ok(Spawned {
        birth: Birth { pid: number, not_before_ms, not_after_ms: since_boot_ms(), started_at_ms },
        pid,
        output,
    })
}

/// The command with a clean environment. The marker variables can't be overridden: the tree is found by them.
fn command(launch: &Launch, work: &Path) -> Command {
    let mut command = Command::new(&launch.commands[0]);
    command
        .args(&launch.commands[1..])
        .current_dir(work)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", LANG)
        .env("HOME", work)
        .env("TMPDIR", work);
    let given: BTreeMap<&str, &str> = launch.environment.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    command
        .envs(given)
        .env(layout::JOB_ID_VARIABLE, launch.key.job_id.as_hyphenated().to_string())
        .env(layout::ATTEMPT_VARIABLE, launch.key.attempt.to_string());
    command
}

/// Makes the working directory and, at the first attempt of a job, the job's.
fn make_directory(work: &Path) -> io::Result<()> {
    let made = |directory: &Path| match DirBuilder::new().mode(0o700).create(directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    if let Some(job) = work.parent() {
        made(job)?;
    }
    made(work)
}

/// The clock that `/proc/PID/stat` tells start times in.
pub fn since_boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}
