//! The calls to the daemon. Owns the time that each may take and the difference between no answer and a refusal; decides
//! nothing. Only calls that Podman's Docker API has as well are here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStatsResponse, ContainerSummary, ImageInspect,
};
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, CreateContainerOptions, CreateImageOptions, InspectContainerOptions,
    KillContainerOptions, ListContainersOptions, LogsOptions, RemoveContainerOptions, StartContainerOptions,
    StatsOptions, WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::names::INSTALLATION;

/// How long a call may take. A busy daemon takes its time to start containers.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long the daemon may take to say that it is there.
const PING_LIMIT: Duration = Duration::from_secs(5);
/// How long a call that waits for something may take: longer than any job.
const WAIT_LIMIT: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No answer, or none in time. What was asked for may have been done.
    #[error("{0}")]
    Unreachable(String),
    /// The daemon answered that it does not.
    #[error("{message}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
}

impl Fault {
    /// Whether the daemon answered with this status.
    pub fn is(&self, wanted: u16) -> bool {
        matches!(self, Fault::Answer { status, .. } if *status == wanted)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Fault::Answer { status: status_code, message: message.trim().to_owned() }
            }
            Error::DockerStreamError { error } => Fault::Answer { status: 500, message: error },
            Error::SocketNotFoundError(path) => Fault::Unreachable(format!("there is no socket {path}")),
            Error::RequestTimeoutError => Fault::Unreachable("no answer in time".into()),
            other => Fault::Unreachable(chain(&other)),
        }
    }
}

/// An error with its causes: that of the client alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// A daemon behind a unix socket. Each call is a connection of its own, so nothing is left over from a daemon that went.
pub struct Daemon {
    socket: PathBuf,
    client: OnceLock<Docker>,
}

impl Daemon {
    /// Of this socket, which need not be there yet.
    pub fn new(socket: &Path) -> Daemon {
        Daemon { socket: socket.to_owned(), client: OnceLock::new() }
    }

    fn client(&self, limit: Duration) -> Result<Docker, Fault> {
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let path = self.socket.to_string_lossy();
                let made = Docker::connect_with_unix(&path, CALL_LIMIT.as_secs(), API_DEFAULT_VERSION)?;
                self.client.get_or_init(|| made)
            }
        };
        Ok(client.clone().with_timeout(limit))
    }

    /// The daemon's name and version.
    pub async fn version(&self) -> Result<(String, String), Fault> {
        let version = self.client(PING_LIMIT)?.version().await?;
        let name = version.components.and_then(|components| components.into_iter().next()).map(|c| c.name);
        Ok((name.unwrap_or_else(|| "Engine".into()), version.version.unwrap_or_default()))
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), Fault> {
        self.client(PING_LIMIT)?.ping().await?;
        Ok(())
    }

    /// All containers of an installation.
    pub async fn list(&self, installation: &str) -> Result<Vec<ContainerSummary>, Fault> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{INSTALLATION}={installation}")])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        Ok(self.client(CALL_LIMIT)?.list_containers(Some(options)).await?)
    }

    /// Creates a container.
    pub async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<(), Fault> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..Default::default() };
        self.client(CALL_LIMIT)?.create_container(Some(options), body).await?;
        Ok(())
    }

    /// Starts a container; one that runs already is left alone. One that has ended would run again.
    pub async fn start(&self, name: &str) -> Result<(), Fault> {
        self.client(CALL_LIMIT)?.start_container(name, None::<StartContainerOptions>).await?;
        Ok(())
    }

    /// What is known of a container.
    pub async fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, Fault> {
        Ok(self.client(CALL_LIMIT)?.inspect_container(name, None::<InspectContainerOptions>).await?)
    }

    /// Sends a signal to the main process.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<(), Fault> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        self.client(CALL_LIMIT)?.kill_container(name, Some(options)).await?;
        Ok(())
    }

    /// Removes a container with its volumes, also a running one.
    pub async fn remove(&self, name: &str) -> Result<(), Fault> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        self.client(CALL_LIMIT)?.remove_container(name, Some(options)).await?;
        Ok(())
    }

    /// Waits until a container does not run.
    pub async fn wait(&self, name: &str) -> Result<(), Fault> {
        let options = WaitContainerOptions { condition: "not-running".into() };
        let mut answers = std::pin::pin!(self.client(WAIT_LIMIT)?.wait_container(name, Some(options)));
        match answers.next().await {
            Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(error.into()),
            None => Err(Fault::Unreachable("the daemon stopped to answer".into())),
        }
    }

    /// The log of a container from a second on (since 1970; zero is its start), each piece with its time in front.
    pub fn logs(
        &self,
        name: &str,
        follow: bool,
        since: i32,
    ) -> Result<BoxStream<'static, Result<LogOutput, Fault>>, Fault> {
        let options = LogsOptions { follow, since, stdout: true, stderr: true, timestamps: true, ..Default::default() };
        Ok(self.client(WAIT_LIMIT)?.logs(name, Some(options)).map_err(Fault::from).boxed())
    }

    /// What a running container uses now.
    pub async fn stats(&self, name: &str) -> Result<Option<ContainerStatsResponse>, Fault> {
        let options = StatsOptions { stream: false, one_shot: true };
        let mut answers = self.client(CALL_LIMIT)?.stats(name, Some(options)).boxed();
        Ok(answers.try_next().await?)
    }

    /// What is known of an image.
    pub async fn image(&self, image: &str) -> Result<ImageInspect, Fault> {
        Ok(self.client(CALL_LIMIT)?.inspect_image(image).await?)
    }

    /// Pulls an image; nothing if it is not there in time.
    pub async fn pull(&self, image: &str, tag: &str, limit: Duration) -> Result<Option<()>, Fault> {
        let options =
            CreateImageOptions { from_image: Some(image.to_owned()), tag: Some(tag.to_owned()), ..Default::default() };
        let steps = self.client(limit)?.create_image(Some(options), None, None);
        let whole = steps.try_for_each(|_| std::future::ready(Ok(())));
        match timeout(limit, whole).await {
            Ok(Ok(())) => Ok(Some(())),
            Ok(Err(Error::RequestTimeoutError)) | Err(_) => Ok(None),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// The mode of a file in a container, as Go's `os.FileMode`.
    pub async fn file_mode(&self, name: &str, path: &str) -> Result<u32, Fault> {
        let options = ContainerArchiveInfoOptions { path: path.to_owned() };
        Ok(self.client(CALL_LIMIT)?.get_container_archive_info(name, Some(options)).await?.file_mode)
    }
}
