//! One process with its group. It is signaled only as long as it was not reaped, so never another one of the same number.

use docket_contract::job::NameValue;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use tokio::task::JoinHandle;

/// What a job's process gets of the worker's own environment.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// Otherwise; the text tells how.
    Failed(String),
}

/// A running process, the leader of its group.
pub struct Process {
    child: Child,
    group: Pid,
    asked: bool,
    /// Ready when it has ended; it is not reaped by that.
    watched: JoinHandle<io::Result<()>>,
}

impl Process {
    /// Starts a program with its arguments, and with these variables beside a few of the worker's own.
    pub fn start(commands: &[String], environment: &[NameValue]) -> io::Result<Self> {
        let (program, arguments) =
            commands.split_first().ok_or_else(|| io::Error::other("it names no command to run"))?;
        let own = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(own)
            .envs(environment.iter().map(|variable| (&variable.name, &variable.value)))
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()?;
        let group = Pid::from_child(&child);
        let watched = tokio::task::spawn_blocking(move || {
            waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
            Ok(())
        });
        Ok(Self { child, group, asked: false, watched })
    }

    /// Until it has ended; what it left behind in its group is killed. Not to be called again after that.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.watched).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Ended::Failed(format!("The job's process can't be watched: {error}")),
            Err(error) => return Ended::Failed(format!("The job's process can't be watched: {error}")),
        }
        self.kill();
        match self.child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Ended::Code(code),
                (None, signal) => {
                    let signal = signal.unwrap_or_default();
                    Ended::Failed(format!("The job was killed by signal {signal}."))
                }
            },
            Err(error) => Ended::Failed(format!("The end of the job's process can't be read: {error}")),
        }
    }

    /// Whether it was asked to end.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Asks it to end.
    pub fn ask(&mut self) {
        self.asked = true;
        // It may have ended by itself.
        let _ = kill_process_group(self.group, Signal::TERM);
    }

    /// Ends it.
    pub fn kill(&mut self) {
        self.asked = true;
        // As above.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}
