//! Names of files and directories that the executor and its supervisor share. Touches no file.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::executors::AttemptKey;

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

/// The directories of all attempts of a job.
pub fn job_directory(data: &Path, job_id: Uuid) -> PathBuf {
    data.join("jobs").join(job_id.as_hyphenated().to_string())
}

/// The directory in which an attempt works, for its temporary files as well. Each directory made costs more than all
/// else in a short attempt's life but the process itself, so the log lies beside it rather than above it.
pub fn work_directory(data: &Path, key: AttemptKey) -> PathBuf {
    job_directory(data, key.job_id).join(key.attempt.to_string())
}

/// The names of the files that hold an attempt's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFiles {
    directory: PathBuf,
    head: String,
}

impl LogFiles {
    /// The files of an attempt.
    pub fn of(data: &Path, key: AttemptKey) -> LogFiles {
        LogFiles { directory: job_directory(data, key.job_id), head: format!("{}.log", key.attempt) }
    }

    /// Where they lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The first part.
    pub fn head(&self) -> PathBuf {
        self.directory.join(&self.head)
    }

    /// A later part; the number is the position of its first byte in all that the process wrote. Where a part does not
    /// begin at the end of the part before it, bytes were cut.
    pub fn part(&self, position: u64) -> PathBuf {
        self.directory.join(format!("{}.{position:020}", self.head))
    }

    /// The position of the part with this name; zero for the head; nothing for another file.
    pub fn position(&self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(&self.head)?;
        if rest.is_empty() {
            return Some(0);
        }
        let digits = rest.strip_prefix('.')?;
        (digits.len() == 20).then(|| digits.parse().ok())?
    }
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
    fn log_parts_are_known_by_their_names() {
        let key = AttemptKey { job_id: Uuid::nil(), attempt: 1 };
        let files = LogFiles::of(Path::new("/d"), key);
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(files.position(&name(files.head())), Some(0));
        assert_eq!(files.position(&name(files.part(1234))), Some(1234));
        assert_eq!(files.position(&name(files.part(u64::MAX))), Some(u64::MAX));
        for other in ["1", "2.log", "11.log", "1.log.12", "1.log.", "1.logs", "1.log.0000000000000000001x"] {
            assert_eq!(files.position(other), None, "{other}");
        }
    }

    #[test]
    fn a_long_socket_path_goes_through_the_descriptor() {
        assert_eq!(socket_path(Path::new("/d"), 7), Path::new("/d/socket"));
        let long = PathBuf::from("/".to_owned() + &"x".repeat(101));
        assert_eq!(socket_path(&long, 7), Path::new("/proc/self/fd/7/socket"));
    }
}
