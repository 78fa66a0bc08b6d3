//! The data directory through the real binary: backups, restores, checks, and the transfer of results.

mod backup;
mod check;
#[allow(dead_code, reason = "these tests need only a part of what the tests over HTTP share")]
#[path = "../http/support/mod.rs"]
mod support;

use self::support::BINARY;
use std::ffi::OsStr;
use std::process::Command;

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Checks that it ended with this code and that its one line of explanation holds all of `parts`.
    #[track_caller]
    fn failed(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
        }
        self
    }
}

/// Runs the binary.
fn docket<S: AsRef<OsStr>>(arguments: &[S]) -> Ended {
    docket_with(arguments, &[])
}

/// Runs the binary with variables in its environment.
fn docket_with<S: AsRef<OsStr>>(arguments: &[S], environment: &[(&str, &str)]) -> Ended {
    let mut program = Command::new(BINARY);
    program.args(arguments).envs(environment.iter().copied()).env_remove("DOCKET_DATA");
    let output = program.output().expect("the program");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
