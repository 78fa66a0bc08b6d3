//! `docket check`: on the data directory itself, also while a server runs, or on a backup.

use crate::backup::{Bars, failed};
use crate::failure::Failure;
use crate::output::{count, figure, numbers, say, tell};
use clap::Args;
use docket_service::check::{self, CheckError, Report, Severity};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Check a data directory or a backup.
///
/// Reads everything once and changes nothing: the databases, every result, the counters against a recount, that the index
/// finds every result, the attachments. While a server runs, it sees each file as it is at one moment; leftovers (files
/// that nothing names any more) are looked for only when none runs, and meanwhile none can start. Of a backup it verifies
/// the checksums first.
///
/// Exit codes: 0 sound, with leftovers or without; 1 damage was found, or the check failed; 2 wrong directory.
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// The server's data directory.
    #[arg(long, env = "DOCKET_DATA", default_value = "docket-data")]
    data: PathBuf,
    /// A backup to check in its place.
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// Answer one JSON object.
    #[arg(long)]
    json: bool,
}

/// What programs read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    directory: &'a Path,
    #[serde(flatten)]
    report: &'a Report,
}

/// `docket check`.
pub fn run(arguments: &CheckArguments) -> Result<ExitCode, Failure> {
    let (begun, mut bars) = (Instant::now(), Bars::default());
    let (directory, checked) = match &arguments.backup {
        Some(backup) => (backup, check::backup(backup, &mut bars).map(|(_, report)| report)),
        None => (&arguments.data, check::data_directory(&arguments.data, &mut bars)),
    };
    bars.end();
    let report = checked.map_err(|error| match error {
        CheckError::Refused(message) => Failure::usage(message),
        CheckError::Backup(error) => failed(error),
        other => Failure::other(other),
    })?;
    if arguments.json {
        let answer = Answer { directory, report: &report };
        say!("{}", serde_json::to_string(&answer).map_err(Failure::other)?);
    } else {
        tell_people(&report, directory, begun);
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell_people(report: &Report, directory: &Path, begun: Instant) {
    let mut table = numbers(["checked", "number"]);
    let checked = [
        ("jobs", report.jobs),
        ("storages", report.storages),
        ("results", report.results),
        ("attachments", report.attachments),
    ];
    for (what, number) in checked {
        table.add_row([what.to_owned(), count(number)]);
    }
    say!("{table}");
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Damage => "damage",
            Severity::Leftover => "leftover",
        };
        say!("{severity} ({}): {}: {}", finding.kind, finding.path, finding.what);
    }
    if report.more_findings > 0 {
        say!("and {} more findings", count(report.more_findings));
    }
    if report.beside_server {
        tell!("docket: a server uses the directory: leftovers were not looked for");
    }
    let seconds = figure(begun.elapsed().as_secs_f64());
    let verdict = if report.sound { "sound" } else { "damaged" };
    say!("{verdict}, checked in {seconds} s: {}", directory.display());
}
