//! The files of a job that executors on this host share: its directory, and the log of an attempt in parts. Owns their
//! names, the writing within the limit, the reading as one log and the removal; knows nothing of how an attempt runs.

mod parts;
mod remove;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::AttemptKey;
pub use parts::Parts;
pub use remove::remove_tree;
pub use writer::LogWriter;

/// The directories of all jobs.
pub fn jobs_directory(data: &Path) -> PathBuf {
    data.join("jobs")
}

/// The directories of all attempts of a job.
pub fn job_directory(data: &Path, job_id: Uuid) -> PathBuf {
    jobs_directory(data).join(job_id.as_hyphenated().to_string())
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

/// Runs file operations on a thread where blocking is allowed.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
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
}
