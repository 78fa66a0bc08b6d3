//! Starts processes, on a thread of its own. Owns the thread, the orders, and what can be said of a start that failed;
//! [`super::start`] makes the process. Follows no process after its start.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::process::Pid;

use super::cgroup::{Cgroups, Group};
use super::confine;
use super::journal::Birth;
use super::start::{Starter, enforceable};
use crate::executors::Launch;
use crate::executors::process::policy::{Identity, Unenforced};

/// What a program may be given, in a message.
const TAKEN: &str = "the system takes (one of them over 128 KiB, or all together)";
/// Characters of a program's name in a message.
const NAME_SHOWN: usize = 200;

/// A process that was started.
pub struct Spawned {
    pub birth: Birth,
    pub pid: Pid,
    /// The reading end of its output, not blocking.
    pub output: OwnedFd,
    /// The control group that it is in, if it needed one.
    pub group: Option<Group>,
}

/// A start that is wanted.
pub struct Order {
    /// Comes back with the outcome.
    pub token: u64,
    pub launch: Box<Launch>,
    /// As whom; `None` as the supervisor's own user.
    pub identity: Option<Identity>,
    pub unenforced: Unenforced,
}

/// Why there is no process.
pub enum SpawnError {
    /// It can never be started so.
    Refused(String),
    /// The machine has no room for it now.
    Exhausted(String, Box<Order>),
}

pub struct Outcome {
    pub token: u64,
    pub result: Result<Spawned, SpawnError>,
}

/// The spawner thread and the ways to it.
pub struct Spawner {
    orders: Sender<Order>,
    outcomes: Receiver<Outcome>,
    wake: Arc<OwnedFd>,
}

impl Spawner {
    pub fn new(data: PathBuf, cgroups: Arc<Cgroups>) -> io::Result<Spawner> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (orders, received) = channel::<Order>();
        let (sender, outcomes) = channel();
        let done = Arc::clone(&wake);
        let starter = Starter { data, cgroups, oom_score: confine::oom_score(), nothing: File::open("/dev/null")? };
        let work = move || {
            for order in received {
                let token = order.token;
                let result = spawn(&starter, order);
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
    pub fn order(&self, order: Order) -> bool {
        self.orders.send(order).is_ok()
    }

    /// All outcomes so far.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut count);
        self.outcomes.try_iter().collect()
    }
}

fn spawn(starter: &Starter, order: Order) -> Result<Spawned, SpawnError> {
    let program = validate(&order.launch).map_err(SpawnError::Refused)?;
    let limits = enforceable(&starter.cgroups, &order).map_err(SpawnError::Refused)?;
    match starter.start(&order, &limits) {
        Ok(spawned) => Ok(spawned),
        Err(e) => {
            let reason = format!("program {} can't be started: {}", shown(program), explain(&e, &order));
            match is_exhaustion(&e) {
                true => Err(SpawnError::Exhausted(reason, Box::new(order))),
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

fn explain(error: &io::Error, order: &Order) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => "it was not found (or the interpreter that its first line names)".into(),
        Some(Errno::ACCESS) => match &order.identity {
            Some(identity) => {
                format!("it is not executable, or may not be for user {}, as whom this job runs", identity.uid)
            }
            None => "it is not executable, or may not be".into(),
        },
        Some(Errno::NOEXEC) => "it is not a program of this machine".into(),
        Some(Errno::TOOBIG) if order.launch.limits.memory_bytes.is_some() => {
            format!("its arguments and environment are larger than {TAKEN}, or than its memory limit lets it have")
        }
        Some(Errno::TOOBIG) => format!("its arguments and environment are larger than {TAKEN}"),
        Some(Errno::NOTDIR) => "a part of its path is not a directory".into(),
        _ => error.to_string(),
    }
}

/// Whether the machine had no room: it may have some later.
pub fn is_exhaustion(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::DQUOT))
}
