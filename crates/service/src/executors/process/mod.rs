//! The process executor: runs attempts as processes of this host, through a supervisor process that outlives the server.
//! Owns the server's side: finding or starting the supervisor, the calls, reading logs and removing directories. Starts
//! no process of a job itself.

mod client;
mod connection;
pub mod layout;
pub mod policy;
pub mod protocol;
mod start;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{AttemptKey, Executor, ExecutorError, Launch, LogRange, LogReader, Observed, files};
use client::Client;
use policy::Policy;

/// What the process executor needs to know.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// The data directory; the executor uses `supervisor/` and `jobs/` in it. Made when missing.
    pub data: PathBuf,
    /// The path of the program to start as supervisor. `/proc/self/exe` is the running binary, also after it was replaced on disk.
    pub program: PathBuf,
    /// Its arguments; `--data DIR` is put behind them.
    pub arguments: Vec<String>,
    /// Most processes at once, at least 1.
    pub max_running: u32,
    /// As whom attempts run, and what becomes of limits that can't be enforced.
    pub policy: Policy,
}

/// Runs attempts on this host.
pub struct ProcessExecutor {
    client: Client,
    data: PathBuf,
}

impl ProcessExecutor {
    /// Prepares the executor. The supervisor is found or started by the first call that needs it.
    pub fn new(settings: ProcessSettings) -> io::Result<ProcessExecutor> {
        let data = std::path::absolute(&settings.data)?;
        let settings =
            ProcessSettings { data: data.clone(), program: std::path::absolute(&settings.program)?, ..settings };
        let jobs = files::jobs_directory(&data);
        if settings.policy.users.are_others() {
            start::make(&jobs)?;
            start::let_through(&data)?;
            if let Some(closed) = settings.policy.users.stopped_at(&fs::canonicalize(&data)?) {
                tracing::warn!(
                    "jobs run as other users, whom {} does not let through: they work in their directories, but HOME \
                     and TMPDIR do not lead them there",
                    closed.display()
                );
            }
        } else {
            start::make_private(&data)?;
            start::make_private(&jobs)?;
        }
        start::make_private(&layout::supervisor_directory(&data))?;
        Ok(ProcessExecutor { client: Client::new(settings), data })
    }

    /// The supervisor's process id, connecting to it first when necessary.
    pub async fn supervisor_pid(&self) -> Result<i32, ExecutorError> {
        self.client.supervisor_pid().await
    }

    /// The directory in which an attempt works.
    pub fn work_directory(&self, key: AttemptKey) -> PathBuf {
        layout::work_directory(&self.data, key)
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    async fn launch(&self, launches: Vec<Launch>) -> Result<(), ExecutorError> {
        self.client.launch(launches).await
    }

    async fn cancel(&self, key: AttemptKey, grace: Duration) -> Result<(), ExecutorError> {
        self.client.cancel(key, grace).await
    }

    async fn list(&self) -> Result<Vec<Observed>, ExecutorError> {
        self.client.list().await
    }

    async fn forget(&self, keys: &[AttemptKey]) -> Result<(), ExecutorError> {
        self.client.forget(keys).await
    }

    async fn events(&self) -> Result<Vec<Observed>, ExecutorError> {
        self.client.events().await
    }

    async fn read_log(&self, key: AttemptKey, range: LogRange) -> Result<LogReader, ExecutorError> {
        let files = files::LogFiles::of(&self.data, key);
        let work = self.work_directory(key);
        let open = move || {
            fs::metadata(work)?;
            files::Parts::open(&files, range)
        };
        match files::blocking(open).await {
            Ok(parts) => Ok(LogReader::new(parts)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(ExecutorError::NoLog(key)),
            Err(e) => Err(ExecutorError::Io(format!("opening the log of attempt {key}: {e}"))),
        }
    }

    async fn remove(&self, job_id: Uuid) -> Result<(), ExecutorError> {
        let directory = files::job_directory(&self.data, job_id);
        files::blocking(move || files::remove_tree(&directory))
            .await
            .map_err(|e| ExecutorError::Io(format!("removing the directory of job {job_id}: {e}")))
    }
}
