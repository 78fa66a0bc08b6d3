//! The Docker executor: runs each attempt as a container of its own. Owns the way from a launch to the container's end and
//! its log; refuses what would let a job choose how it is confined.
//!
//! What is where: the daemon knows which containers there are and how they ended, and their labels say whose they are. The
//! queue of attempts that have no container yet is in memory only: it ends with the server, and the engine launches
//! again whatever [`Executor::list`] does not name. A container is removed after its end was forgotten; its log is on
//! this host from its first line on.

mod container;
mod daemon;
mod end;
mod follow;
mod hub;
mod image;
mod leftover;
mod link;
mod names;
mod notes;
mod program;
mod run;
pub mod settings;
mod sink;
mod start;
mod stopper;
mod table;
mod usage;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use super::{AttemptKey, Executor, ExecutorError, Launch, LogRange, LogReader, Observed, files};
pub use container::HOST_NAME;
use hub::Hub;
pub use settings::DockerSettings;

/// The longest grace: what is beyond can't be told by the clock.
const LONGEST_GRACE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Runs attempts as containers.
pub struct DockerExecutor {
    hub: Arc<Hub>,
}

impl DockerExecutor {
    /// Prepares the executor. The daemon is called first by the first call that needs it.
    pub fn new(settings: DockerSettings) -> io::Result<DockerExecutor> {
        let data = std::path::absolute(&settings.data)?;
        let make = |directory| DirBuilder::new().recursive(true).mode(0o700).create(directory);
        make(data.join("docker"))?;
        make(data.join("jobs"))?;
        Ok(DockerExecutor { hub: Arc::new(Hub::new(DockerSettings { data, ..settings })?) })
    }
}

impl Drop for DockerExecutor {
    fn drop(&mut self) {
        self.hub.stop();
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    async fn launch(&self, launches: Vec<Launch>) -> Result<(), ExecutorError> {
        self.hub.ensure().await?;
        self.hub.launch(launches)
    }

    async fn cancel(&self, key: AttemptKey, grace: Duration) -> Result<(), ExecutorError> {
        self.hub.ensure().await?;
        self.hub.cancel(key, Instant::now() + grace.min(LONGEST_GRACE));
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Observed>, ExecutorError> {
        self.hub.ensure().await?;
        Ok(self.hub.list())
    }

    async fn forget(&self, keys: &[AttemptKey]) -> Result<(), ExecutorError> {
        self.hub.ensure().await?;
        self.hub.forget(keys);
        Ok(())
    }

    async fn events(&self) -> Result<Vec<Observed>, ExecutorError> {
        loop {
            self.hub.ensure().await?;
            if let Some(events) = self.hub.events().await? {
                return Ok(events);
            }
        }
    }

    async fn read_log(&self, key: AttemptKey, range: LogRange) -> Result<LogReader, ExecutorError> {
        let data = self.hub.settings.data.clone();
        let open = move || {
            // An attempt that has written nothing has no log file, but it has notes.
            std::fs::metadata(notes::path(&data, key))?;
            files::Parts::open(&files::LogFiles::of(&data, key), range)
        };
        match files::blocking(open).await {
            Ok(parts) => Ok(LogReader::new(parts)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ExecutorError::NoLog(key)),
            Err(error) => Err(ExecutorError::Io(format!("opening the log of attempt {key}: {error}"))),
        }
    }

    async fn remove(&self, job_id: Uuid) -> Result<(), ExecutorError> {
        let directory = files::job_directory(&self.hub.settings.data, job_id);
        files::blocking(move || files::remove_tree(&directory))
            .await
            .map_err(|error| ExecutorError::Io(format!("removing the directory of job {job_id}: {error}")))
    }
}
