//! The calls to the supervisor. Owns the one connection at a time, the matching of answers to calls, and making a new
//! connection after a break.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{sleep_until, timeout};

use super::connection::{CallError, Connection};
use super::protocol::{self, Decoder, FRAME_LIMIT, FrameError, Hello, PROTOCOL, Reply, Request};
use super::{ProcessSettings, start};
use crate::executors::inbox::Inbox;
use crate::executors::{AttemptKey, ExecutorError, Launch, Observed};

/// How long a supervisor may take to greet.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// How often to try within one call.
const GREETING_TRIES: usize = 2;
/// Bytes of launches that are put into one frame, as long as more than one is left.
const LAUNCH_FRAME_BYTES: usize = 1024 * 1024;
/// Keys in one frame of `Forget`.
const FORGET_FRAME_KEYS: usize = 4096;
/// After a failed attempt to connect, the next one waits this long.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// The server's side of the conversation.
pub struct Client {
    settings: ProcessSettings,
    link: Mutex<Link>,
    inbox: Arc<Inbox>,
}

#[derive(Default)]
struct Link {
    connection: Option<Arc<Connection>>,
    child: Option<Child>,
    retry_at: Option<tokio::time::Instant>,
}

impl Client {
    pub fn new(settings: ProcessSettings) -> Client {
        Client { settings, link: Mutex::default(), inbox: Arc::default() }
    }

    pub async fn supervisor_pid(&self) -> Result<i32, ExecutorError> {
        Ok(self.connection().await?.supervisor_pid)
    }

    pub async fn launch(&self, launches: Vec<Launch>) -> Result<(), ExecutorError> {
        let mut frame = Vec::new();
        let mut bytes = 0;
        for launch in launches {
            let size = size_of_launch(&launch);
            if !frame.is_empty() && bytes + size > LAUNCH_FRAME_BYTES {
                self.launch_frame(std::mem::take(&mut frame)).await?;
                bytes = 0;
            }
            bytes += size;
            frame.push(launch);
        }
        if frame.is_empty() {
            return Ok(());
        }
        self.launch_frame(frame).await
    }

    async fn launch_frame(&self, launches: Vec<Launch>) -> Result<(), ExecutorError> {
        let key = launches.first().map(|launch| launch.key);
        let connection = self.connection().await?;
        let sent = connection.call(|call| Request::Launch { call, launches }).await;
        match (sent, key) {
            (Err(CallError::Frame(FrameError::TooLarge { bytes })), Some(key)) => {
                Err(ExecutorError::TooLarge { key, bytes, limit: FRAME_LIMIT })
            }
            (other, _) => Ok(other?),
        }
    }

    pub async fn cancel(&self, key: AttemptKey, grace: Duration) -> Result<(), ExecutorError> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let connection = self.connection().await?;
        Ok(connection.call(|call| Request::Cancel { call, key, grace_ms }).await?)
    }

    pub async fn forget(&self, keys: &[AttemptKey]) -> Result<(), ExecutorError> {
        for keys in keys.chunks(FORGET_FRAME_KEYS) {
            let keys = keys.to_vec();
            let connection = self.connection().await?;
            connection.call(|call| Request::Forget { call, keys }).await?;
        }
        Ok(())
    }

    pub async fn list(&self) -> Result<Vec<Observed>, ExecutorError> {
        Ok(self.connection().await?.list().await?)
    }

    pub async fn events(&self) -> Result<Vec<Observed>, ExecutorError> {
        loop {
            self.connection().await?;
            if let Some(events) = self.inbox.next().await? {
                return Ok(events);
            }
        }
    }

    /// The living connection, or a new one.
    async fn connection(&self) -> Result<Arc<Connection>, ExecutorError> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            if connection.is_open() {
                return Ok(Arc::clone(connection));
            }
            if connection.was_replaced() {
                return Err(ExecutorError::Replaced);
            }
        }
        link.connection = None;
        if let Some(at) = link.retry_at {
            sleep_until(at).await;
        }
        match self.connect(&mut link.child).await {
            Ok(connection) => {
                link.retry_at = None;
                let connection = Arc::new(connection);
                link.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(e) => {
                link.retry_at = Some(tokio::time::Instant::now() + RETRY_PAUSE);
                Err(e)
            }
        }
    }

    /// A supervisor may end, for want of work, just as it is called: then another is started.
    async fn connect(&self, child: &mut Option<Child>) -> Result<Connection, ExecutorError> {
        for _ in 1..GREETING_TRIES {
            match self.connect_once(child).await {
                Err(ExecutorError::Unreachable(why)) => tracing::debug!("no greeting: {why}"),
                other => return other,
            }
        }
        self.connect_once(child).await
    }

    async fn connect_once(&self, child: &mut Option<Child>) -> Result<Connection, ExecutorError> {
        let mut stream = start::reach(&self.settings, child).await.map_err(unreachable)?;
        let hello = Request::Hello(Hello {
            protocol: PROTOCOL,
            max_running: self.settings.max_running,
            policy: self.settings.policy.clone(),
        });
        let mut frame = Vec::new();
        protocol::encode(&hello, &mut frame).map_err(unreachable)?;
        let (supervisor_pid, decoder) = timeout(GREETING_LIMIT, greet(&mut stream, &frame))
            .await
            .map_err(|_| ExecutorError::Unreachable("the supervisor did not greet".into()))??;
        Ok(Connection::new(stream, decoder, supervisor_pid, Arc::clone(&self.inbox)))
    }
}

/// Sends the greeting and reads the supervisor's. What came behind it stays in the decoder.
async fn greet(stream: &mut UnixStream, hello: &[u8]) -> Result<(i32, Decoder), ExecutorError> {
    stream.write_all(hello).await.map_err(unreachable)?;
    let mut decoder = Decoder::default();
    let mut buffer = [0; 4096];
    loop {
        match decoder.next_frame::<Reply>().map_err(unreachable)? {
            Some(Reply::Hello { protocol, pid }) if protocol == PROTOCOL => {
                return Ok((pid, decoder));
            }
            Some(Reply::Hello { protocol, .. }) => {
                return Err(ExecutorError::Version { ours: PROTOCOL, theirs: protocol });
            }
            Some(_) => {
                return Err(ExecutorError::Unreachable("the supervisor did not greet first".into()));
            }
            None => {}
        }
        match stream.read(&mut buffer).await.map_err(unreachable)? {
            0 => return Err(ExecutorError::Unreachable("the supervisor hung up".into())),
            n => decoder.feed(&buffer[..n]),
        }
    }
}

fn unreachable(error: impl std::fmt::Display) -> ExecutorError {
    ExecutorError::Unreachable(error.to_string())
}

/// About the bytes that a launch takes in a frame.
fn size_of_launch(launch: &Launch) -> usize {
    let commands: usize = launch.commands.iter().map(|c| c.len() + 4).sum();
    let environment: usize = launch.environment.iter().map(|(n, v)| n.len() + v.len() + 8).sum();
    256 + launch.image.len() + commands + environment
}
