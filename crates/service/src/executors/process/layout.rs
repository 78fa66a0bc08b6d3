//! Names of files and directories that the executor and its supervisor share. Touches no file.

use std::path::{Path, PathBuf};

use crate::executors::AttemptKey;
use crate::executors::files::job_directory;

/// The supervisor's own directory: socket, lock, journal, log.
pub fn supervisor_directory(data: &Path) -> PathBuf {
    data.join("supervisor")
}

/// The name of the socket within the supervisor's directory.
pub const SOCKET: &str = "socket";
/// The file whose lock is held by the living supervisor.
pub const LOCK: &str = "lock";
/// The record of launches and exits.
pub const JOURNAL: &str = "journal";
/// The supervisor's own messages.
pub const SUPERVISOR_LOG: &str = "log";

/// The directory in which an attempt works, for its temporary files as well. Each directory made costs more than all
/// else in a short attempt's life but the process itself, so the log lies beside it rather than above it.
pub fn work_directory(data: &Path, key: AttemptKey) -> PathBuf {
    job_directory(data, key.job_id).join(key.attempt.to_string())
}

/// The variables by which a process of an attempt is known, whatever session it has moved to.
pub const JOB_ID_VARIABLE: &str = "DOCKET_JOB_ID";
/// The variable that tells the attempt.
pub const ATTEMPT_VARIABLE: &str = "DOCKET_ATTEMPT";

/// Longest path that a socket address takes (108 bytes with the closing zero).
const SOCKET_PATH_LIMIT: usize = 107;

/// The path by which to reach the socket: its own, or, when that is too long for a socket address, one through an open
/// descriptor of its directory, valid in this process while the descriptor stays open.
pub fn socket_path(directory: &Path, descriptor: i32) -> PathBuf {
    let direct = directory.join(SOCKET);
    if direct.as_os_str().len() <= SOCKET_PATH_LIMIT {
        return direct;
    }
    PathBuf::from(format!("/proc/self/fd/{descriptor}/{SOCKET}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_socket_path_goes_through_the_descriptor() {
        assert_eq!(socket_path(Path::new("/d"), 7), Path::new("/d/socket"));
        let long = PathBuf::from("/".to_owned() + &"x".repeat(101));
        assert_eq!(socket_path(&long, 7), Path::new("/proc/self/fd/7/socket"));
    }
}
