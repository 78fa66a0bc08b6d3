//! `docket demo`: a server, a job and its results, from nothing, in one command. Everything goes through the API, as any
//! client would do it.

mod input;
mod next_night;
mod read_back;
mod server;
mod show;
mod watch;

use crate::failure::Failure;
use crate::output::{self, say};
use crate::validate::Outcome;
use docket_client::{Client, ClientError};
use docket_contract::job::JobSpec;
use docket_contract::operations::{CancelJob, CancelJobInput, ReadJobStatistics, ReadJobStatisticsInput, StartJob};
use docket_contract::{Job, Status};
use input::Input;
use server::Server;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The storage of the demonstration's results.
const STORAGE: &str = "demo";

/// Show a job from its start to its results.
///
/// Starts a server of its own on a free port of this machine with an empty data directory, starts one
/// DATA_VALIDATION_JOB that checks business partners, pages through all of its results, and prints what was found. Then
/// the server stays up until Ctrl-C.
///
/// Without --input, partners are made up from --seed, a known share of them with known defects; the results must then
/// tell exactly those, or the demonstration fails. So must the comparison of two nights (--nights 2).
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A CSV file of business partners instead of made-up ones; see `docket validate-partners --help`
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Partners to make up
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    records: u64,
    /// Makes the same partners again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Nights: with 2 the partners are checked again after some were corrected, spoiled, removed and added, and the runs
    /// are compared
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2), conflicts_with = "input")]
    nights: u8,
    /// End when everything is shown, instead of keeping the server up
    #[arg(long)]
    exit: bool,
    /// The server's data directory, which is kept; without it, a temporary one that is removed at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep the temporary directory
    #[arg(long)]
    keep: bool,
}

/// SIGINT and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Ready at the first of them.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs the demonstration.
///
/// # Errors
/// A server that does not start, a job that does not finish, results that are not what was planted.
pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    let mut stop = Stop::new()?;
    let work = tempfile::Builder::new().prefix("docket-demo-").disable_cleanup(args.keep).tempdir()?;
    if args.keep {
        say!("Everything of this demonstration stays in {}", work.path().display());
    }
    let program = std::env::current_exe()?;
    let data = args.data.clone().unwrap_or_else(|| work.path().join("data"));
    let mut server = Server::start(&program, &data, work.path())?;
    let outcome = tokio::select! {
        outcome = show(&args, &program, work.path(), &mut server) => outcome,
        () = stop.asked() => Err(Failure { code: 130, message: "interrupted".to_owned() }),
    };
    match &outcome {
        Ok(()) if !args.exit => {
            say!("\nThe server stays up. Ctrl-C ends it.");
            tokio::select! {
                () = stop.asked() => {}
                () = server.ended() => {
                    return Err(Failure::other(format!("the server ended by itself:\n{}", server.log_tail())));
                }
            }
        }
        Ok(()) => {}
        // Nothing of the job is to run on without its server.
        Err(_) => server.end_job().await,
    }
    let stopped = server.stop().await;
    outcome.and(stopped).map(|()| ExitCode::SUCCESS)
}

async fn show(args: &Args, program: &Path, work: &Path, server: &mut Server) -> Result<(), Failure> {
    let client = server.ready().await?;
    let base = client.base().url("");
    say!("Server       {base}  (data in {})", server.data().display());
    let input = input::prepare(args, work).await?;
    say!("Input        {}", input.describe());

    let (job, outcome) = validate(program, &input.path, &client, server).await?;

    let found = read_back::all(&client, job.id, STORAGE).await?;
    show::results(&found, &outcome);
    check(&client, &job, &input, &found, &outcome).await?;
    let second = match args.nights {
        2 => Some(next_night::run(args, program, work, &client, server, job.id).await?),
        _ => None,
    };
    show::next_steps(&base, job.id, second, STORAGE);
    Ok(())
}

/// Runs a validation job over a file to its end.
async fn validate(
    program: &Path,
    input: &Path,
    client: &Client,
    server: &mut Server,
) -> Result<(Job, Outcome), Failure> {
    let job = client.call::<StartJob>(&job_spec(program, input)?).await?;
    server.runs(job.id);
    say!("Job          {}  ({})", job.id, job.spec.job_type.as_deref().unwrap_or_default());
    let job = watch::until_ended(client, job.id).await?;
    let outcome = finished(client, &job).await?;
    Ok((job, outcome))
}

fn job_spec(program: &Path, input: &Path) -> Result<JobSpec, Failure> {
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| Failure::usage(format!("{} is not UTF-8: a job's command must be", path.display())))
    };
    Ok(JobSpec {
        name: Some("Demonstration: check business partners".to_owned()),
        job_type: Some("DATA_VALIDATION_JOB".to_owned()),
        docker_image_url: "docket-demo".to_owned(),
        commands: vec![text(program)?, "validate-partners".to_owned(), "--input".to_owned(), text(input)?],
        result_storage_id: Some(STORAGE.to_owned()),
        tags: vec!["demo".to_owned()],
        ..JobSpec::default()
    })
}

/// What the job left as its result; an error with the end of its log when it did not finish.
async fn finished(client: &Client, job: &Job) -> Result<Outcome, Failure> {
    if job.status != Status::Finished {
        let message = job.status_message.as_deref().unwrap_or("without a message");
        let log = watch::log_tail(client, job.id).await;
        return Err(Failure::other(format!("the job is {}: {message}\nIts log ends with:\n{log}", job.status.name())));
    }
    let data = job.result_data.as_deref().ok_or_else(|| Failure::other("the job finished without result data"))?;
    serde_json::from_str(data).map_err(|error| Failure::other(format!("the job's result data can't be read: {error}")))
}

/// Compares what the pages tell with what the job says, what the server counts, and what was planted.
async fn check(
    client: &Client,
    job: &Job,
    input: &Input,
    found: &read_back::ReadBack,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let ask = ReadJobStatisticsInput {
        job_id: job.id,
        storage_id: Some(STORAGE.to_owned()),
        pointer: Vec::new(),
        limit: None,
    };
    let counted = client.call::<ReadJobStatistics>(&ask).await?;
    let mut wrong = Vec::new();
    let mut compare = |what: &str, number: u64, expected: u64| {
        if number != expected {
            wrong.push(format!("{what}: {}, the pages have {}", output::count(number), output::count(expected)));
        }
    };
    compare("the statistics' total", u64::try_from(counted.total).unwrap_or(0), found.summary.records);
    compare("the statistics' failed", u64::try_from(counted.failed).unwrap_or(0), found.summary.failed);
    compare("the total of the pages themselves", found.total, found.summary.records);
    // A record that stands twice in the file is one result.
    if outcome.updated == 0 {
        compare("the job's records", outcome.records, found.summary.records);
        compare("the job's failed", outcome.failed, found.summary.failed);
    }
    match &input.planted {
        Some(planted) => wrong.extend(found.summary.differences(planted)),
        None if outcome.updated > 0 => {
            let twice = output::count(outcome.updated);
            say!("\n{twice} records stood more than once in the file; the last one counts.");
        }
        None => {}
    }
    if !wrong.is_empty() {
        return Err(Failure::other(format!("the results are not what they should be:\n  {}", wrong.join("\n  "))));
    }
    say!(
        "\nChecked: the pages agree with the job's own summary and the server's statistics{}.",
        if input.planted.is_some() { ",\nand with what was planted: every rule, every country" } else { "" }
    );
    Ok(())
}

impl Server {
    /// Cancels the job, if there is one that runs, and waits for its end, for a bounded time.
    async fn end_job(&mut self) {
        let (Some(client), Some(job)) = (self.client(), self.job()) else { return };
        let cancel = CancelJobInput {
            job_id: job,
            reason: Some("The demonstration was ended".to_owned()),
            grace_period_seconds: Some(1),
        };
        let ended = async {
            client.call::<CancelJob>(&cancel).await?;
            watch::quietly_until_ended(&client, job).await?;
            Ok::<_, ClientError>(())
        };
        let started = Instant::now();
        if let Err(error) = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap_or(Ok(())) {
            tracing::debug!(%error, elapsed = ?started.elapsed(), "the job could not be canceled");
        }
    }
}
