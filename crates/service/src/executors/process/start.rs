//! Finds the supervisor of a data directory or starts one. Owns the way to its socket; says nothing over it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::{ProcessSettings, layout};
use crate::executors::files;

/// How long a supervisor may take until it answers on its socket. A new one first clears up after one that crashed.
const START_LIMIT: Duration = Duration::from_secs(15);
/// The pause between two looks for the socket of a starting supervisor.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A supervisor that ended at once is started again after this pause.
const START_AGAIN: Duration = Duration::from_millis(250);

/// Makes a directory for this user only, with its parents. An existing one stays as it is.
pub fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Makes a directory for this user only, with its parents. An existing one loses what it allows others.
pub fn make_private(directory: &Path) -> io::Result<()> {
    make(directory)?;
    let metadata = fs::metadata(directory)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Lets other users through the data directory and that of the jobs, to directories of their own below. They can list
/// neither, and everything else in the data directory loses what it allows others.
pub fn let_through(data: &Path) -> io::Result<()> {
    let jobs = files::jobs_directory(data);
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let tighten = || {
            let metadata = fs::symlink_metadata(&path)?;
            let mode = metadata.permissions().mode();
            match path == jobs || metadata.is_symlink() || mode & 0o077 == 0 {
                true => Ok(()),
                false => fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700)),
            }
        };
        match tighten() {
            // It was a passing one.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    for directory in [&jobs, data] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// A connection to the supervisor; starts one when nobody answers. `child` is the one started last, kept so that it is
/// reaped when it ends.
pub async fn reach(settings: &ProcessSettings, child: &mut Option<Child>) -> io::Result<UnixStream> {
    let deadline = Instant::now() + START_LIMIT;
    let directory = layout::supervisor_directory(&settings.data);
    loop {
        match connect(&directory).await {
            Ok(stream) => return Ok(stream),
            Err(e) if nobody_there(&e) => {}
            Err(e) => return Err(e),
        }
        let running = match child {
            Some(started) => started.try_wait()?.is_none(),
            None => false,
        };
        if !running {
            if child.take().is_some() {
                sleep(START_AGAIN).await;
            }
            *child = Some(start(settings, &directory)?);
        }
        if Instant::now() >= deadline {
            let log = directory.join(layout::SUPERVISOR_LOG);
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no supervisor answered within {} s; see {}", START_LIMIT.as_secs(), log.display()),
            ));
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn connect(directory: &Path) -> io::Result<UnixStream> {
    let opened = File::open(directory)?;
    UnixStream::connect(layout::socket_path(directory, opened.as_raw_fd())).await
}

fn nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Starts the supervisor without anything of this process: no variables, no descriptors, not its directory. It makes a
/// session of its own before it takes any attempt, so no terminal reaches it.
fn start(settings: &ProcessSettings, directory: &Path) -> io::Result<Child> {
    make_private(directory)?;
    let messages =
        OpenOptions::new().create(true).append(true).mode(0o600).open(directory.join(layout::SUPERVISOR_LOG))?;
    Command::new(&settings.program)
        .args(&settings.arguments)
        .arg("--data")
        .arg(&settings.data)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(messages)
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("starting the supervisor {}: {e}", settings.program.display())))
}
