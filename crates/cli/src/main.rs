//! `docket`: the server, its tools, and its client commands.

mod backup;
mod bar;
mod bench;
mod call;
mod check;
mod demo;
mod erasure;
mod failure;
mod keys;
mod limits;
mod logging;
mod mock;
mod output;
mod partners;
mod results;
mod retention;
mod samples;
mod serve;
mod settings;
mod validate;
mod webhooks;
mod work;
mod wsdl;

use crate::failure::Failure;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Exit code for wrong settings and arguments.
const EXIT_USAGE: u8 = 2;

#[derive(Parser)]
#[command(name = "docket", version, about = "A self-hosted Jobs Management API", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(Box<settings::ServeArguments>),
    /// Run a mock server: examples as answers, or lives of jobs played from a file. Stores nothing, needs no key.
    Mock(Box<mock::MockArguments>),
    /// Show what Docket does: a server, a validation job over many business partners, and its results.
    Demo(Box<demo::Args>),
    /// Measure a server, against the ceiling of the same run.
    Bench(Box<bench::Args>),
    /// Validate business partners and write a result for each; to be run as a job's command.
    ValidatePartners(Box<validate::Args>),
    Call(Box<call::Args>),
    Work(Box<work::Args>),
    Results(Box<results::Args>),
    /// Write the documentation's samples as files that run.
    Samples(samples::Args),
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
    Check(check::CheckArguments),
    /// Make, list and revoke keys.
    Keys(keys::KeysArguments),
    Erasure(erasure::ErasureArguments),
    /// Show what receivers of webhooks need.
    Webhooks(webhooks::WebhooksArguments),
    /// Print the WSDL of the SOAP face.
    Wsdl(wsdl::Args),
    /// Hold the processes of jobs, apart from the server. Started by the server.
    #[command(hide = true)]
    Supervise {
        /// The server's data directory.
        #[arg(long)]
        data: PathBuf,
        /// Milliseconds without work after which it ends.
        #[arg(long)]
        idle_ms: Option<u64>,
    },
}

/// No runtime and no thread before the command is known: the supervisor must be alone in its process.
fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let done = match arguments.command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Mock(arguments) => run(mock::run(*arguments)),
        Command::Demo(arguments) => run(demo::run(*arguments)),
        Command::Bench(arguments) => run(bench::run(*arguments)),
        Command::ValidatePartners(arguments) => run(validate::run(*arguments)),
        Command::Call(arguments) => run(call::run(*arguments)),
        Command::Work(arguments) => run(work::run(*arguments)),
        Command::Results(arguments) => run(results::run(*arguments)),
        Command::Samples(arguments) => samples::run(&arguments),
        Command::Backup(arguments) => backup::back_up(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Keys(arguments) => keys::run(arguments),
        Command::Erasure(arguments) => run(erasure::run(arguments)),
        Command::Webhooks(arguments) => webhooks::run(arguments),
        Command::Wsdl(arguments) => wsdl::run(&arguments),
        Command::Supervise { data, idle_ms } => supervise(data, idle_ms),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("docket: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Runs a command that needs a runtime.
fn run(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::other)?;
    runtime.block_on(command)
}

/// Help and version as clap prints them; a wrong argument as one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    eprintln!("docket: {}", line.strip_prefix("error: ").unwrap_or(line));
    ExitCode::from(EXIT_USAGE)
}

fn supervise(data: PathBuf, idle_ms: Option<u64>) -> Result<ExitCode, Failure> {
    use docket_service::supervisor::{Settings, run};
    let idle_exit = idle_ms.map_or(Settings::IDLE_EXIT, Duration::from_millis);
    run(&Settings { data, idle_exit }).map_err(Failure::other)?;
    Ok(ExitCode::SUCCESS)
}
