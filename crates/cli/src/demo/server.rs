//! The server of the demonstration: the same program, in a process of its own.

use crate::failure::Failure;
use docket_client::{Client, Request};
use docket_contract::JobId;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take until it listens and is ready.
const START: Duration = Duration::from_secs(20);
/// How long it may take to stop, before it is killed.
const STOP: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);

/// A server process. It is killed when it is dropped without having been stopped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    data: PathBuf,
    port_file: PathBuf,
    log: PathBuf,
    client: Option<Client>,
    job: Option<JobId>,
}

impl Server {
    /// Starts a server on a free port of the loopback interface; its log goes to a file in `work`.
    pub fn start(program: &Path, data: &Path, work: &Path) -> Result<Self, Failure> {
        let (port_file, log) = (work.join("address"), work.join("server.log"));
        let output = File::create(&log)?;
        let child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--port-file")
            .arg(&port_file)
            // The job is this program, and reads what the caller named: it gets the caller's rights.
            .arg("--job-user")
            .arg(rustix::process::geteuid().to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A Ctrl-C in the terminal is for the demonstration, which then stops the server in order.
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::other(format!("can't start {}: {error}", program.display())))?;
        Ok(Self { child, data: data.to_owned(), port_file, log, client: None, job: None })
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The client of it, once it is ready.
    pub fn client(&self) -> Option<Client> {
        self.client.clone()
    }

    /// The job that runs in it.
    pub fn job(&self) -> Option<JobId> {
        self.job
    }

    /// Notes the job that runs in it.
    pub fn runs(&mut self, job: JobId) {
        self.job = Some(job);
    }

    /// Waits until the server is ready, and answers a client of it.
    pub async fn ready(&mut self) -> Result<Client, Failure> {
        let started = Instant::now();
        let mut client: Option<Client> = None;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(Failure::other(format!("the server ended with {status}:\n{}", self.log_tail())));
            }
            if client.is_none()
                && let Ok(text) = std::fs::read_to_string(&self.port_file)
                && let Some(address) = address(&text)
            {
                client = Some(Client::new(&format!("http://{address}"), None)?);
            }
            if let Some(client) = &client
                && client.send(&Request::get("/readyz".to_owned())).await.is_ok()
            {
                self.client = Some(client.clone());
                return Ok(client.clone());
            }
            if started.elapsed() > START {
                let seconds = START.as_secs();
                return Err(Failure::other(format!(
                    "the server was not ready after {seconds} s:\n{}",
                    self.log_tail()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ready when the server has ended by itself.
    pub async fn ended(&mut self) {
        while matches!(self.child.try_wait(), Ok(None)) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Stops the server in order, and kills it if it does not.
    pub async fn stop(mut self) -> Result<(), Failure> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::TERM);
        }
        let started = Instant::now();
        while started.elapsed() < STOP {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(Failure::other(format!("the server ended with {status}:\n{}", self.log_tail())))
                };
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Failure::other(format!("the server did not stop within {} s and was killed", STOP.as_secs())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing can be done about a process that can't be killed.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The address in a port file: written whole when its line is.
fn address(text: &str) -> Option<SocketAddr> {
    let line = text.strip_suffix('\n')?.trim();
    line.parse().ok().or_else(|| Some(SocketAddr::from(([127, 0, 0, 1], line.parse().ok()?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_port_file_is_none() {
        assert_eq!(address("127.0.0.1:80"), None);
        assert_eq!(address("127.0.0.1:8080\n"), "127.0.0.1:8080".parse().ok());
        assert_eq!(address("8080\n"), "127.0.0.1:8080".parse().ok());
        assert_eq!(address("\n"), None);
    }

    #[tokio::test]
    async fn a_server_that_ends_is_told_with_its_log() {
        let work = tempfile::tempdir().expect("a directory");
        let mut server = Server::start(Path::new("/bin/false"), work.path(), work.path()).expect("started");
        std::fs::write(work.path().join("server.log"), "no\nsuch flag\n").expect("a file");
        let failure = server.ready().await.expect_err("it ended");
        assert!(failure.message.ends_with("no\nsuch flag"), "{failure}");
    }
}
