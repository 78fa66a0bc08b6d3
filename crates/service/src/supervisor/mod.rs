//! The supervisor: a small process that holds all process attempts of one data directory, apart from the server, so that
//! the server's end neither kills an attempt nor loses an exit. Owns processes, their output and their exit records.
//! Refuses decisions about jobs, retries and priorities: it starts what it is given, in the order given.
//!
//! Two threads. The main thread waits for sockets, signals and output, and does everything but starting processes. The
//! spawner thread starts processes and nothing else. That split is what makes the end of an attempt cheap to prove: the
//! kernel gives orphaned descendants to the main thread, while main processes stay children of the spawner thread, so one
//! `waitpid` limited to the calling thread tells whether any process is left over.
//!
//! SIGTERM ends the supervisor with all its attempts: each tree is asked to end, killed after its grace period (at most
//! ten seconds), and its exit recorded. SIGKILL lets nothing be recorded: the kernel kills the main processes, the next
//! supervisor the rest, and those attempts are reported as lost.

mod cgroup;
mod confine;
mod flow;
mod journal;
mod poller;
mod recovery;
mod runs;
mod setup;
mod spawner;
mod start;
mod supervise;
mod table;
mod tree;
mod users;
mod vfork;
mod wire;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a supervisor is told what to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory, absolute.
    pub data: PathBuf,
    /// Without attempts and without a server for so long, the supervisor ends.
    pub idle_exit: Duration,
}

impl Settings {
    /// The usual time without work after which a supervisor ends.
    pub const IDLE_EXIT: Duration = Duration::from_secs(30);
}

/// Why a supervisor can't run.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Another supervisor holds the data directory.
    #[error("another supervisor holds {0}")]
    AlreadyRunning(PathBuf),
    /// There are other threads in this process.
    #[error("the supervisor must run on the main thread of a process that has no other")]
    NotAlone,
    /// A file or system operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// Names what was being done when a file or system operation failed.
trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, SupervisorError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &'static str) -> Result<T, SupervisorError> {
        self.map_err(|e| SupervisorError::Io { doing, source: e.into() })
    }
}

/// Runs a supervisor until it has nothing to do, is told to end, or its data directory goes away. To be called first
/// thing in `main`, on the main thread, before any other thread, file or socket exists: it closes every descriptor
/// above standard error that the process was started with.
pub fn run(settings: &Settings) -> Result<(), SupervisorError> {
    setup::detach()?;
    let home = setup::Home::open(&settings.data)?;
    let signals = setup::Signals::catch()?;
    supervise::Supervisor::new(settings, home, signals)?.run()
}

/// Milliseconds since 1970, UTC.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
