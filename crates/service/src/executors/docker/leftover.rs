//! What a start leaves behind that the daemon knows nothing of: a daemon that is killed just after it had a process started
//! does not find it again. Owns finding such a process by its variables, and killing it. Sees the processes of this host
//! only, and those of others only as root.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};

use crate::executors::AttemptKey;

/// Kills all processes of an attempt.
pub fn kill(key: AttemptKey) -> io::Result<()> {
    let job = format!("DOCKET_JOB_ID={}", key.job_id.as_hyphenated());
    let attempt = format!("DOCKET_ATTEMPT={}", key.attempt);
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // One that has gone, or that is not ours to look at, has nothing to read.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |variable: &str| environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes());
        if has(&job)
            && has(&attempt)
            && let Some(found) = Pid::from_raw(pid)
        {
            tracing::warn!(attempt = %key, pid, "killing a process that its daemon has forgotten");
            let _ = kill_process(found, Signal::KILL);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use uuid::Uuid;

    #[test]
    fn only_processes_of_the_attempt_are_killed() {
        let key = AttemptKey { job_id: Uuid::now_v7(), attempt: 2 };
        let start = |attempt: &str| {
            let mut command = Command::new("sleep");
            command.arg("1000").env("DOCKET_JOB_ID", key.job_id.to_string()).env("DOCKET_ATTEMPT", attempt);
            command.spawn().unwrap()
        };
        let (mut mine, mut other) = (start("2"), start("1"));
        kill(key).unwrap();
        assert_eq!(mine.wait().unwrap().signal(), Some(9));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
