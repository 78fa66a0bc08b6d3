//! How a container tells whose it is: its name and its labels. Owns both ways, and the id of this installation; asks no
//! daemon.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use crate::executors::{AttemptKey, Launch};

/// The label that every container of this installation carries.
pub const INSTALLATION: &str = "docket.installation";
const JOB: &str = "docket.job";
const ATTEMPT: &str = "docket.attempt";
const LOG_LIMIT: &str = "docket.log-limit-bytes";
const GRACE: &str = "docket.grace-ms";
const TIME_LIMIT: &str = "docket.time-limit-ms";
const MEMORY: &str = "docket.memory-bytes";

/// The name of an attempt's container: of two creations of one attempt the daemon takes one.
pub fn container(key: AttemptKey) -> String {
    format!("docket-{}-{}", key.job_id.as_hyphenated(), key.attempt)
}

/// What a later server must know to take over a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The attempt.
    pub key: AttemptKey,
    /// Bytes of log kept.
    pub log_limit_bytes: u64,
    /// Between the polite signal and the kill at the time limit.
    pub grace: Duration,
    /// Longest run.
    pub time_limit: Option<Duration>,
    /// Most memory.
    pub memory_bytes: Option<u64>,
}

impl Plan {
    /// What a launch asks for.
    pub fn of(launch: &Launch) -> Plan {
        Plan {
            key: launch.key,
            log_limit_bytes: launch.log_limit_bytes,
            grace: launch.grace_period,
            time_limit: launch.time_limit,
            memory_bytes: launch.limits.memory_bytes,
        }
    }

    /// As labels.
    pub fn labels(&self, installation: &str) -> HashMap<String, String> {
        let mut labels = HashMap::from([
            (INSTALLATION.to_owned(), installation.to_owned()),
            (JOB.to_owned(), self.key.job_id.as_hyphenated().to_string()),
            (ATTEMPT.to_owned(), self.key.attempt.to_string()),
            (LOG_LIMIT.to_owned(), self.log_limit_bytes.to_string()),
            (GRACE.to_owned(), self.grace.as_millis().to_string()),
        ]);
        if let Some(limit) = self.time_limit {
            labels.insert(TIME_LIMIT.to_owned(), limit.as_millis().to_string());
        }
        if let Some(bytes) = self.memory_bytes {
            labels.insert(MEMORY.to_owned(), bytes.to_string());
        }
        labels
    }

    /// From labels; nothing when they are not those of this installation.
    pub fn read(labels: &HashMap<String, String>, installation: &str) -> Option<Plan> {
        if labels.get(INSTALLATION).map(String::as_str) != Some(installation) {
            return None;
        }
        let number = |name: &str| labels.get(name)?.parse::<u64>().ok();
        Some(Plan {
            key: AttemptKey {
                job_id: Uuid::parse_str(labels.get(JOB)?).ok()?,
                attempt: u32::try_from(number(ATTEMPT)?).ok()?,
            },
            log_limit_bytes: number(LOG_LIMIT)?,
            grace: Duration::from_millis(number(GRACE)?),
            time_limit: number(TIME_LIMIT).map(Duration::from_millis),
            memory_bytes: number(MEMORY),
        })
    }
}

/// The id of this installation, made at its first start. Two servers on one daemon never touch each other's containers.
pub fn installation(directory: &Path) -> io::Result<String> {
    let path = directory.join("installation");
    match fs::read_to_string(&path) {
        Ok(text) => match Uuid::parse_str(text.trim()) {
            Ok(id) => return Ok(id.to_string()),
            Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = Uuid::now_v7().to_string();
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(aside, &path)?;
    File::open(directory)?.sync_all()?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back_and_others_are_not_ours() {
        let key = AttemptKey { job_id: Uuid::now_v7(), attempt: 3 };
        let plan = Plan {
            key,
            log_limit_bytes: 4096,
            grace: Duration::from_millis(1500),
            time_limit: None,
            memory_bytes: Some(1),
        };
        let limited = Plan { time_limit: Some(Duration::from_secs(9)), ..plan };
        for plan in [plan, limited] {
            let labels = plan.labels("here");
            assert_eq!(Plan::read(&labels, "here"), Some(plan));
            assert_eq!(Plan::read(&labels, "there"), None);
        }
        assert_eq!(Plan::read(&HashMap::new(), "here"), None);
        assert_eq!(container(key), format!("docket-{}-3", key.job_id));
    }

    #[test]
    fn an_installation_keeps_its_id() {
        let directory = tempfile::tempdir().unwrap();
        let id = installation(directory.path()).unwrap();
        assert_eq!(installation(directory.path()).unwrap(), id);
        fs::write(directory.path().join("installation"), "broken").unwrap();
        assert!(installation(directory.path()).is_err());
    }
}
