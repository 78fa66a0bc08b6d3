//! `docket work`: a small pull worker. It claims jobs, runs their commands as processes of this host, sends heartbeats,
//! ends a job when it is asked to, and completes it with its exit code. What the commands write goes where the worker's
//! own output goes: the API takes no log of a worker's job.

mod process;

use crate::failure::Failure;
use crate::output::tell;
use docket_client::{Client, ClientError, RetryPolicy};
use docket_contract::JobId;
use docket_contract::operations::{
    ClaimJobs, ClaimJobsInput, ClaimedJob, CompleteJob, CompleteJobInput, HeartbeatJob, HeartbeatJobInput, Outcome,
};
use process::{Ended, Process};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one claim waits.
const WAIT_SECONDS: i32 = 30;
/// How long a worker rests when the server can't be asked.
const REST: Duration = Duration::from_secs(1);

/// Claim jobs of the executor `worker` and run their commands on this host, one after the other
///
/// Ends on SIGTERM or Ctrl-C, once the jobs that run have ended. Exit code 0 then, 3 when the server refused a claim.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The server
    #[arg(long, env = "DOCKET_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key of a worker, where the server asks for one
    #[arg(long, env = "DOCKET_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Only jobs of these types, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    types: Vec<String>,
    /// Jobs at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    slots: u16,
    /// Seconds after which a job counts as lost when the server hears nothing of this worker
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(i32).range(1..=3600))]
    lease: i32,
    /// The worker's name in the history of its jobs [default: the key's user]
    #[arg(long)]
    name: Option<String>,
    /// End after this many jobs
    #[arg(long, value_name = "N")]
    jobs: Option<u64>,
}

struct Worker {
    client: Client,
    args: Args,
    /// Jobs that may still be claimed.
    left: AtomicU64,
}

/// Works until it is told to stop.
///
/// # Errors
/// The URL or key can't be used, or the server refuses a claim.
pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    // A heartbeat that comes late is as good as none: the next one follows soon.
    let retry = RetryPolicy { retries: 3, budget: Duration::from_secs(5) };
    let client = Client::new(&args.url, args.key.as_deref())?.with_retry(retry);
    let slots = args.slots;
    let worker = Arc::new(Worker { client, left: AtomicU64::new(args.jobs.unwrap_or(u64::MAX)), args });
    let (stop, stopped) = watch::channel(false);
    let mut work = JoinSet::new();
    for _ in 0..slots {
        let (worker, stopped) = (Arc::clone(&worker), stopped.clone());
        work.spawn(async move { worker.serve(stopped).await });
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            done = work.join_next() => match done {
                None => return Ok(ExitCode::SUCCESS),
                Some(done) => done.map_err(Failure::other)?.map_err(Failure::of_call)?,
            },
            _ = terminate.recv() => { stop.send_replace(true); }
            _ = tokio::signal::ctrl_c() => { stop.send_replace(true); }
        }
    }
}

impl Worker {
    /// One slot: a job at a time.
    async fn serve(&self, mut stopped: watch::Receiver<bool>) -> Result<(), ClientError> {
        loop {
            let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if taken.is_err() {
                return Ok(());
            }
            // Dropped half way, the claim ends with its connection.
            let claimed = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
                claimed = self.claim() => claimed?,
            };
            self.work(claimed).await;
        }
    }

    async fn claim(&self) -> Result<ClaimedJob, ClientError> {
        let input = ClaimJobsInput {
            types: self.args.types.clone(),
            max: Some(1),
            wait_seconds: Some(WAIT_SECONDS),
            lease_seconds: Some(self.args.lease),
            worker_name: self.args.name.clone(),
        };
        loop {
            match self.client.call::<ClaimJobs>(&input).await {
                Ok(mut claimed) => {
                    if let Some(job) = claimed.values.pop() {
                        return Ok(job);
                    }
                }
                Err(error @ ClientError::Problem { status: 400..=407 | 409..=428 | 430..=499, .. }) => {
                    return Err(error);
                }
                Err(error) => {
                    tell!("claiming failed: {error}");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Runs a job to its end.
    async fn work(&self, claimed: ClaimedJob) {
        let id = claimed.job.id;
        let attempt = claimed.lease.attempt;
        tell!("job {id}, attempt {attempt}: begins");
        let ended = match Process::start(&claimed.job.spec.commands, &claimed.environment) {
            Ok(process) => self.watch(process, &claimed).await,
            Err(error) => Some(Ended::Failed(format!("The job can't be started: {error}"))),
        };
        let Some(ended) = ended else {
            tell!("job {id}, attempt {attempt}: is not this worker's any more");
            return;
        };
        match self.client.call::<CompleteJob>(&completion(id, attempt, ended)).await {
            Ok(job) => tell!("job {id}, attempt {attempt}: {}", job.status.name()),
            Err(error) => tell!("job {id}, attempt {attempt}: the end was not taken: {error}"),
        }
    }

    /// Sends heartbeats while the process runs; `None` if the job was taken away.
    async fn watch(&self, mut process: Process, claimed: &ClaimedJob) -> Option<Ended> {
        let beat = Duration::from_secs(u64::try_from(claimed.lease.seconds).unwrap_or(1)) / 3;
        let mut beats = tokio::time::interval_at(Instant::now() + beat, beat);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut kill_at: Option<Instant> = None;
        let sign = HeartbeatJobInput {
            job_id: claimed.job.id,
            attempt: Some(claimed.lease.attempt),
            progress: None,
            status_message: None,
        };
        loop {
            tokio::select! {
                ended = process.ended() => return Some(ended),
                () = tokio::time::sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                    process.kill();
                    kill_at = None;
                }
                _ = beats.tick() => match self.client.call::<HeartbeatJob>(&sign).await {
                    Ok(answer) if answer.cancel_requested && !process.is_asked() => {
                        process.ask();
                        let grace = answer.grace_period_seconds.and_then(|grace| grace.try_into().ok());
                        kill_at = Some(Instant::now() + Duration::from_secs(grace.unwrap_or_default()));
                    }
                    Ok(_) => {}
                    // Somebody else may have the job already.
                    Err(ClientError::Problem { status: 404 | 409, .. }) => {
                        process.kill();
                        process.ended().await;
                        return None;
                    }
                    Err(error) => tell!("a heartbeat failed: {error}"),
                },
            }
        }
    }
}

fn completion(job_id: JobId, attempt: i32, ended: Ended) -> CompleteJobInput {
    let (exit_code, outcome, status_message) = match ended {
        Ended::Code(code) => (Some(code), None, None),
        Ended::Failed(message) => (None, Some(Outcome::Failed), Some(message)),
    };
    CompleteJobInput { job_id, attempt: Some(attempt), exit_code, outcome, status_message, result_data: None }
}
