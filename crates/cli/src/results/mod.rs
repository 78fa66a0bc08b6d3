//! `docket results`: whole result sets to and from files. Ordinary clients of the API.

mod part;
mod pull;
mod push;

use crate::failure::Failure;
use clap::Subcommand;
use docket_client::{Client, RetryPolicy};
use docket_contract::{JobId, ProcessingLogId};
use std::process::ExitCode;
use std::time::Duration;

/// A file goes on when the server is restarted or its disk is full for a while.
const RETRY: RetryPolicy = RetryPolicy { retries: 100, budget: Duration::from_secs(300) };

/// Write whole result sets to files, and load them.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
// Each is described at its own arguments.
enum What {
    Pull(pull::Args),
    Push(push::Args),
}

/// Which results, and where they are.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// The job whose results they are [default: DOCKET_JOB_ID, unless --log is given]
    #[arg(long, conflicts_with = "log")]
    job: Option<JobId>,
    /// The processing log whose results they are, such as VALIDATION_LOG
    #[arg(long, value_parser = log_of)]
    log: Option<ProcessingLogId>,
    /// The storage
    #[arg(long, env = "DOCKET_STORAGE_ID")]
    storage: String,
    /// The server
    #[arg(long, env = "DOCKET_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key, where the server asks for one [default: DOCKET_TOKEN, which running jobs find]
    #[arg(long, env = "DOCKET_KEY", hide_env_values = true)]
    key: Option<String>,
}

/// Whose results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Job(JobId),
    Log(ProcessingLogId),
}

impl Place {
    fn owner(&self) -> Result<Owner, Failure> {
        match (self.log, self.job) {
            (Some(log), _) => Ok(Owner::Log(log)),
            (None, Some(job)) => Ok(Owner::Job(job)),
            (None, None) => {
                let job = std::env::var("DOCKET_JOB_ID").ok().and_then(|job| job.parse().ok());
                job.map(Owner::Job).ok_or_else(|| Failure::usage("name the results: --job ID or --log NAME"))
            }
        }
    }

    fn client(&self) -> Result<Client, Failure> {
        let key = self.key.clone().or_else(|| std::env::var("DOCKET_TOKEN").ok()).filter(|key| !key.is_empty());
        Ok(Client::new(&self.url, key.as_deref())?.with_retry(RETRY))
    }
}

fn log_of(name: &str) -> Result<ProcessingLogId, String> {
    let known = ProcessingLogId::ALL;
    let names = || known.map(ProcessingLogId::name).join(", ");
    known.into_iter().find(|log| log.name() == name).ok_or_else(|| format!("must be one of {}", names()))
}

/// Pulls or pushes.
///
/// # Errors
/// See the arguments of each.
pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.what {
        What::Pull(args) => pull::run(args).await,
        What::Push(args) => push::run(args).await,
    }
}
