//! What a process does once to become a supervisor: session, descriptors, signals, lock. Starts nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, flock};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{getpid, set_child_subreaper, setsid, umask};
use signal_hook::consts::{FORBIDDEN, SIGCHLD, SIGINT, SIGTERM};

use super::{Doing, SupervisorError};
use crate::executors::process::layout;

/// How long to wait for a supervisor that is just ending.
const LOCK_WAIT: Duration = Duration::from_secs(12);
/// The supervisor's own messages are cut at this size.
const MESSAGES_LIMIT: u64 = 1024 * 1024;

/// Leaves the server's session and keeps nothing that was inherited but the standard streams.
pub fn detach() -> Result<(), SupervisorError> {
    if rustix::thread::gettid() != getpid() || threads().doing("counting threads")? != 1 {
        return Err(SupervisorError::NotAlone);
    }
    close_inherited().doing("closing inherited descriptors")?;
    // Refused only when this process already leads a group, as one started from a shell does.
    let _ = setsid();
    umask(Mode::RWXG | Mode::RWXO);
    set_child_subreaper(Some(getpid())).doing("becoming the reaper of orphans")?;
    Ok(())
}

fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

fn close_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            && number > 2
        {
            inherited.push(number);
        }
    }
    // The descriptor of the listing itself is closed by now.
    let open = |number: &i32| fs::read_link(format!("/proc/self/fd/{number}")).is_ok();
    for number in inherited.into_iter().filter(open) {
        // SAFETY: `run` demands to be called before this process opens anything, and there is no other thread, so
        // nobody owns these descriptors.
        unsafe { rustix::io::close(number) };
    }
    Ok(())
}

/// The supervisor's directory, locked.
pub struct Home {
    pub data: PathBuf,
    pub directory: PathBuf,
    /// Open for the path of the socket and to make renames durable.
    pub opened: File,
    lock: File,
}

impl Home {
    /// Opens and locks the directory. Of two supervisors one gets it; the other waits a while, for the first may be ending.
    pub fn open(data: &Path) -> Result<Home, SupervisorError> {
        let directory = layout::supervisor_directory(data);
        let opened = File::open(&directory).doing("opening the supervisor's directory")?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(directory.join(layout::LOCK))
            .doing("opening the lock file")?;
        let deadline = Instant::now() + LOCK_WAIT;
        while let Err(e) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(e).doing("locking the supervisor's directory");
            }
            if Instant::now() >= deadline {
                return Err(SupervisorError::AlreadyRunning(directory));
            }
            sleep(Duration::from_millis(20));
        }
        // For the reader of the directory only; the lock itself is what counts.
        let _ = lock.set_len(0);
        let _ = (&lock).write_all(format!("{}\n", getpid()).as_bytes());
        Ok(Home { data: data.to_owned(), directory, opened, lock })
    }

    /// Tells this directory from every other on the machine, also from one of the same name in another container.
    pub fn identity(&self) -> io::Result<String> {
        let metadata = self.opened.metadata()?;
        Ok(format!("{:x}-{:x}", metadata.dev(), metadata.ino()))
    }

    /// Listens on the socket, in place of one left by a supervisor that crashed.
    pub fn listen(&self) -> Result<UnixListener, SupervisorError> {
        self.remove_socket();
        let path = layout::socket_path(&self.directory, self.opened.as_raw_fd());
        let listener = UnixListener::bind(path).doing("binding the socket")?;
        listener.set_nonblocking(true).doing("preparing the socket")?;
        Ok(listener)
    }

    /// Takes the socket away, so that nobody connects to a supervisor that is leaving.
    pub fn remove_socket(&self) {
        if let Err(e) = fs::remove_file(self.directory.join(layout::SOCKET))
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("removing the socket: {e}");
        }
    }

    /// Whether the directory that was locked is still the one at its path.
    pub fn is_there(&self) -> bool {
        let locked = self.lock.metadata();
        let at_path = fs::metadata(self.directory.join(layout::LOCK));
        matches!((locked, at_path), (Ok(a), Ok(b)) if a.ino() == b.ino() && a.dev() == b.dev())
    }

    /// Empties the file that standard error goes to, when it is over its bound.
    pub fn bound_messages(&self) {
        let Ok(copy) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3) else {
            return;
        };
        let messages = File::from(copy);
        if let Ok(metadata) = messages.metadata()
            && metadata.is_file()
            && metadata.len() > MESSAGES_LIMIT
            && messages.set_len(0).is_ok()
        {
            tracing::warn!("older messages were removed");
        }
    }
}

/// Signals as readable descriptors.
pub struct Signals {
    /// A child has ended.
    pub child: OwnedFd,
    /// The supervisor is to end.
    pub end: OwnedFd,
}

impl Signals {
    /// Catches the signals that the supervisor acts on. Those that it was started to ignore are caught as well and
    /// dropped: a caught signal becomes the default one in a new program, an ignored one would stay ignored.
    pub fn catch() -> Result<Signals, SupervisorError> {
        let dropped = Arc::new(AtomicBool::new(false));
        for signal in ignored().doing("reading which signals are ignored")? {
            if !FORBIDDEN.contains(&signal) {
                // Refused for numbers that the C library keeps for itself; those stay as they are.
                let _ = signal_hook::flag::register(signal, Arc::clone(&dropped));
            }
        }
        Ok(Signals { child: wake_on(&[SIGCHLD])?, end: wake_on(&[SIGTERM, SIGINT])? })
    }
}

fn wake_on(signals: &[i32]) -> Result<OwnedFd, SupervisorError> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).doing("making a pipe")?;
    for signal in signals {
        let write = write.try_clone().doing("making a pipe")?;
        signal_hook::low_level::pipe::register(*signal, write).doing("catching a signal")?;
    }
    Ok(read)
}

/// The signals that this process ignores.
fn ignored() -> io::Result<Vec<i32>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    Ok((1..=64).filter(|signal| mask & (1 << (signal - 1)) != 0).collect())
}
