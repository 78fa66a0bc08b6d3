//! `docket backup` and `docket restore`: on the data directory itself, also while a server runs.

use crate::bar;
use crate::failure::Failure;
use crate::output::{count, figure, say, tell};
use clap::Args;
use docket_service::backup::{self, BackupError, Manifest, Watcher};
use docket_service::clock::SystemClock;
use indicatif::ProgressBar;
use rustix::fs::Mode;
use rustix::process::umask;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Copy the data directory, while the server runs or not.
///
/// DIR must be empty or not there yet; each backup has a directory of its own. It holds every record that was
/// acknowledged before it began. Run it as the user that the server runs as, on the same machine.
///
/// Exit codes: 0 made; 1 failed, or made without a storage that can't be read; 2 wrong directories.
#[derive(Args, Debug)]
pub struct BackupArguments {
    /// Where to put the backup.
    directory: PathBuf,
    /// The server's data directory.
    #[arg(long, env = "DOCKET_DATA", default_value = "docket-data")]
    data: PathBuf,
}

/// Make a data directory of a backup.
///
/// Verifies all checksums first. The data directory must be empty or not there yet, and no server may use it. A restore
/// that was killed is run again: until then no server starts on the directory.
///
/// Exit codes: 0 restored; 1 failed, or the backup is damaged; 2 wrong directories.
#[derive(Args, Debug)]
pub struct RestoreArguments {
    /// The backup.
    directory: PathBuf,
    /// The data directory to make.
    #[arg(long, env = "DOCKET_DATA", default_value = "docket-data")]
    data: PathBuf,
}

/// Shows how far it is.
#[derive(Debug, Default)]
pub struct Bars(Option<ProgressBar>);

impl Watcher for Bars {
    fn begin(&mut self, doing: &'static str, bytes: u64) {
        self.end();
        self.0 = Some(bar::bytes(doing, bytes));
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }
}

impl Bars {
    /// Leaves nothing on the terminal.
    pub fn end(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

/// `docket backup`.
pub fn back_up(arguments: &BackupArguments) -> Result<ExitCode, Failure> {
    // What is copied is as little for others as what it is copied from.
    umask(Mode::RWXG | Mode::RWXO);
    let (begun, mut bars) = (Instant::now(), Bars::default());
    let taken = backup::take(&arguments.data, &arguments.directory, &SystemClock, &mut bars);
    bars.end();
    let manifest = taken.map_err(failed)?;
    say!("{} backed up in {} s: {}", what(&manifest), seconds(begun), arguments.directory.display());
    for storage in &manifest.left_out {
        tell!("docket: left out {}: {}", storage.directory, storage.reason);
    }
    Ok(if manifest.left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `docket restore`.
pub fn restore(arguments: &RestoreArguments) -> Result<ExitCode, Failure> {
    umask(Mode::RWXG | Mode::RWXO);
    let (begun, mut bars) = (Instant::now(), Bars::default());
    let restored = backup::restore(&arguments.directory, &arguments.data, &mut bars);
    bars.end();
    let manifest = restored.map_err(failed)?;
    say!("{} restored in {} s: {}", what(&manifest), seconds(begun), arguments.data.display());
    say!("the state of {}; a server can start on it now", manifest.started_at);
    Ok(ExitCode::SUCCESS)
}

fn what(manifest: &Manifest) -> String {
    format!(
        "{} results in {} storages, {} jobs, {} files, {}",
        count(manifest.results),
        count(manifest.storages),
        count(manifest.jobs),
        count(manifest.files),
        bar::amount(manifest.bytes)
    )
}

fn seconds(begun: Instant) -> String {
    figure(begun.elapsed().as_secs_f64())
}

/// How a command that reads or writes backups ends.
pub fn failed(error: BackupError) -> Failure {
    match error {
        BackupError::Refused(message) => Failure::usage(message),
        other => Failure::other(other),
    }
}
