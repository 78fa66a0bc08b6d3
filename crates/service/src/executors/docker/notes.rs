//! What the executor notes of an attempt beside its log: that it exists, when it was started by a clock that nobody can
//! set, that its time was over, what it used. Owns the file; everything else of an attempt is known to the daemon.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::executors::files::job_directory;
use crate::executors::{AttemptKey, Usage};

/// The notes of one attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Notes {
    /// When it was started, if it has a time limit.
    pub started: Option<Moment>,
    /// Its time was over, and it was stopped for that.
    pub timed_out: bool,
    /// The daemon went away while it ran.
    #[serde(default)]
    pub daemon_went: bool,
    /// What it has used, as far as was seen.
    pub usage: Usage,
}

/// A moment by the clock of the kernel that runs on in sleep and that nobody can set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moment {
    boot: String,
    millis: u64,
}

impl Moment {
    /// The present one.
    pub fn now() -> Moment {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let millis = seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000_000;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Moment { boot: boot.trim().to_owned(), millis }
    }

    /// How long ago it was; nothing when this machine was started anew since.
    pub fn elapsed(&self) -> Option<Duration> {
        let now = Moment::now();
        (now.boot == self.boot).then(|| Duration::from_millis(now.millis.saturating_sub(self.millis)))
    }
}

/// Where the notes of an attempt lie. Its being there says that the attempt came to this executor.
pub fn path(data: &Path, key: AttemptKey) -> PathBuf {
    job_directory(data, key.job_id).join(format!("{}.docker", key.attempt))
}

/// Reads the notes; what is not there or broken has no notes.
pub fn read(path: &Path) -> Notes {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Writes the notes in place of older ones.
pub fn write(path: &Path, notes: &Notes) -> io::Result<()> {
    let aside = path.with_extension("docker-new");
    fs::write(&aside, serde_json::to_vec(notes)?)?;
    fs::rename(aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1.docker");
        assert_eq!(read(&path), Notes::default());
        let notes = Notes { started: Some(Moment::now()), timed_out: true, ..Notes::default() };
        write(&path, &notes).unwrap();
        assert_eq!(read(&path), notes);
        fs::write(&path, "{").unwrap();
        assert_eq!(read(&path), Notes::default());
    }

    #[test]
    fn time_since_an_earlier_boot_is_unknown() {
        let now = Moment::now();
        assert!(now.elapsed().is_some_and(|elapsed| elapsed < Duration::from_secs(60)));
        assert_eq!(Moment { boot: "another".into(), ..now }.elapsed(), None);
    }
}
