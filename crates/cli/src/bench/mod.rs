//! `docket bench`: an honest load generator against any server, and the ceilings of the same machine in the same run.
//!
//! Everything is seeded. Nothing is left out of a figure: a request that had to be repeated counts with its whole wait,
//! and a run with a wrong answer fails instead of being reported.

mod ceiling;
mod jobs;
mod latency;
mod load;
mod process;
mod records;
mod report;
mod results;
mod schedules;

use crate::failure::Failure;
use crate::output::{say, tell};
use docket_client::{Client, ClientError, Connection};
use report::{Environment, Figure, Report};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure a server.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
// Each is described at its own arguments.
enum What {
    Results(results::Args),
    Jobs(jobs::Args),
    Schedules(schedules::Args),
}

/// What both benchmarks take.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// The server to measure
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key of an operator, where the server asks for one
    #[arg(long, env = "DOCKET_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Makes the same records and the same order again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
    /// Process id of the server, to report its memory and CPU
    #[arg(long)]
    pid: Option<u32>,
    /// The server's data directory, to see when deleted space is back
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the ceiling's own files are made and removed again; default: beside --data, else the current directory.
    /// It should be on the disk of the server's data: a file system in memory has no durable writes to compare with.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

impl Common {
    fn client(&self) -> Result<Client, ClientError> {
        Client::new(&self.url, self.key.as_deref())
    }

    fn connection(&self) -> Result<Connection, ClientError> {
        Connection::new(&self.url, self.key.as_deref())
    }

    /// A directory of its own that is removed when it is dropped.
    fn scratch(&self) -> Result<tempfile::TempDir, Failure> {
        let beside = self.data.as_ref().and_then(|data| data.parent()).filter(|parent| !parent.as_os_str().is_empty());
        let parent = self.scratch.as_deref().or(beside).unwrap_or(std::path::Path::new("."));
        tempfile::Builder::new()
            .prefix("docket-bench-")
            .tempdir_in(parent)
            .map_err(|error| Failure::usage(format!("can't make a directory in {}: {error}", parent.display())))
    }
}

/// A report that grows; each figure is told on standard error as it comes.
#[derive(Debug)]
struct Progress {
    report: Report,
    arguments: Vec<String>,
}

impl Progress {
    fn new(common: &Common, parameters: BTreeMap<&'static str, serde_json::Value>) -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let environment = Environment::of_this_machine(&common.url);
        let mut notes = Vec::new();
        if environment.build == "debug" {
            notes.push("this is a debug build of the client: its figures say nothing about speed".to_owned());
        }
        let line = report::line(&arguments, None);
        Self { report: Report { line, environment, parameters, figures: Vec::new(), notes }, arguments }
    }

    fn begin(&self, what: &str) {
        tell!("{what} ...");
    }

    fn add(&mut self, scenario: &str, mut figure: Figure) {
        figure.line = report::line(&self.arguments, Some(scenario));
        let p99 = figure.latency_ms.map_or("-".to_owned(), |latency| crate::output::figure(latency.p99));
        let rate = crate::output::figure(figure.per_second);
        tell!("  {}: {rate} {} a second, p99 {p99} ms", figure.name, figure.unit);
        self.report.figures.push(figure);
    }

    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        tell!("  note: {note}");
        self.report.notes.push(note);
    }

    fn print(&self, json: bool) -> Result<(), Failure> {
        let text = if json {
            serde_json::to_string_pretty(&self.report).map_err(Failure::other)?
        } else {
            self.report.table()
        };
        say!("{text}");
        Ok(())
    }
}

/// Which of the known scenarios were asked for; all when none was.
fn chosen(known: &[&'static str], only: &[String]) -> Result<Vec<&'static str>, Failure> {
    if only.is_empty() {
        return Ok(known.to_vec());
    }
    let find = |name: &String| known.iter().copied().find(|known| known == name);
    if let Some(unknown) = only.iter().find(|name| find(name).is_none()) {
        return Err(Failure::usage(format!(
            "--only: there is no scenario {unknown:?}; there are {}",
            known.join(", ")
        )));
    }
    Ok(known.iter().copied().filter(|known| only.iter().any(|name| name == known)).collect())
}

/// Runs a benchmark and prints its report.
///
/// # Errors
/// Wrong arguments, a server that can't be reached, and any answer that is not what it should be.
pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.what {
        What::Results(args) => results::run(args).await,
        What::Jobs(args) => jobs::run(args).await,
        What::Schedules(args) => schedules::run(args).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_chosen_in_their_own_order() {
        let only =
            |names: &[&str]| chosen(&["a", "b", "c"], &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(only(&[]), Ok(vec!["a", "b", "c"]));
        assert_eq!(only(&["c", "a"]), Ok(vec!["a", "c"]));
        assert_eq!(only(&["d"]).expect_err("unknown").code, 2);
    }
}
