//! `docket validate-partners`: a validator of business partners, run as a job's command. An ordinary client of the API:
//! what it does, any program with the job's environment can do.
//!
//! One thread reads and checks, a bounded number of requests writes. Every record of the file gets one result, the rows
//! that can't be read included.

mod batch;
mod progress;

use crate::failure::Failure;
use crate::output::{self, say};
use crate::partners::{PartnerReader, Summary};
use batch::{Batch, Batches};
use docket_client::{Client, ClientError, Request, RetryPolicy};
use docket_contract::JobId;
use docket_contract::operations::{
    InsertJobResults, InsertJobResultsInput, InsertSummary, ResultItems, UpdateResultData, UpdateResultDataInput,
};
use docket_contract::result::MAX_INSERT;
use progress::Reporter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A job goes on when the server is restarted or its disk is full for a while.
const RETRY: RetryPolicy = RetryPolicy { retries: 200, budget: Duration::from_secs(600) };
/// Rejected records that are named in the log.
const NAMED_REJECTIONS: usize = 20;

/// Check business partners from a CSV file and write one result a record.
///
/// Run as a job's command: the address of the server, the job, its storage and a token come from the environment that
/// every job gets. Columns: externalId, name and country (required), businessPartnerId, dataSourceId, street,
/// postalCode, city, vatNumber, iban, lei, identifiers (TYPE:value;TYPE:value).
///
/// Exit code 0 when every record got a result, failed ones included; 2 when the input can't be read; 1 otherwise.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The CSV file
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The server
    #[arg(long, env = "DOCKET_URL")]
    url: String,
    /// The job whose results are written
    #[arg(long, env = "DOCKET_JOB_ID")]
    job: JobId,
    /// The attempt of the job; an outdated one is refused by the server
    #[arg(long, env = "DOCKET_ATTEMPT")]
    attempt: Option<i32>,
    /// The storage that the results are written to
    #[arg(long, env = "DOCKET_STORAGE_ID")]
    storage: String,
    /// The job's token, or the key of a worker
    #[arg(long, env = "DOCKET_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Results in one request, at most 1000
    #[arg(long, value_name = "N", default_value_t = MAX_INSERT, value_parser = batch_size)]
    batch: usize,
    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = in_flight)]
    in_flight: usize,
}

fn batch_size(text: &str) -> Result<usize, String> {
    in_range(text, MAX_INSERT)
}

fn in_flight(text: &str) -> Result<usize, String> {
    in_range(text, 64)
}

fn in_range(text: &str, max: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| format!("must be a number from 1 to {max}"))
}

/// What a validation leaves in the job's `resultData`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Records of the file, unreadable rows included.
    pub records: u64,
    /// Those that failed.
    pub failed: u64,
    /// Rows that could not be read as a record; they have a failed result.
    pub unreadable_rows: u64,
    /// Records that the server did not take as results.
    pub rejected: u64,
    /// Results that were new.
    pub created: u64,
    /// Results that were known: a repeated request, a repeated run, or the same record twice in the file.
    pub updated: u64,
    /// For each rule, the records in which it struck.
    pub rules: BTreeMap<String, u64>,
    /// For each country, its records and how many of them failed; `-` for a country that is not known.
    pub countries: BTreeMap<String, [u64; 2]>,
    /// Seconds from opening the file to the last answer.
    pub seconds: f64,
}

impl Outcome {
    fn count(&mut self, summary: &Summary) {
        self.records = summary.records;
        self.failed = summary.failed;
        self.rules = summary.by_rule.clone();
        self.countries =
            summary.by_country.iter().map(|(code, count)| (code.clone(), [count.records, count.failed])).collect();
    }
}

/// Validates the file.
///
/// # Errors
/// An input that can't be read (exit code 2); a server that can't be reached or refuses the job's reports.
pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    if args.storage.is_empty() {
        return Err(Failure::other("the job has no storage: start it with resultStorageId, or give --storage"));
    }
    let client = Client::new(&args.url, args.token.as_deref())?.with_retry(RETRY);
    let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", args.input.display()));
    let size = std::fs::metadata(&args.input).map_err(|error| unreadable(&error))?.len();
    let reader = PartnerReader::open(&args.input).map_err(|error| unreadable(&error))?;
    for column in reader.unknown_columns() {
        say!("column {:?} is not known and was left out", output::cut(column, 80));
    }
    let mut run = Run {
        reporter: Reporter::new(client.clone(), args.job, args.attempt, size),
        request: insert_request(&args)?,
        client,
        outcome: Outcome::default(),
    };
    let summary = run.write_all(&args, reader).await;
    run.outcome.seconds = started.elapsed().as_secs_f64();
    let ended = match summary {
        Ok(ended) => ended,
        Err(failure) => {
            say!("stopped after {} records: {failure}", output::count(run.reporter.done()));
            return Err(failure);
        }
    };
    run.outcome.count(&ended.summary);
    run.outcome.unreadable_rows = ended.unreadable_rows;
    run.finish(args.job).await?;
    print_outcome(&run.outcome);
    if let Some(fatal) = ended.fatal {
        return Err(unreadable(&fatal));
    }
    if run.outcome.rejected > 0 {
        let rejected = output::count(run.outcome.rejected);
        return Err(Failure::other(format!("{rejected} records were not taken by the server and have no result")));
    }
    Ok(ExitCode::SUCCESS)
}

fn insert_request(args: &Args) -> Result<Request, ClientError> {
    Request::of::<InsertJobResults>(&InsertJobResultsInput {
        job_id: args.job,
        storage_id: args.storage.clone(),
        results: ResultItems(Vec::new()),
        features_on: Vec::new(),
    })
}

struct Run {
    client: Client,
    reporter: Reporter,
    request: Request,
    outcome: Outcome,
}

/// What one request did.
struct Written {
    records: u64,
    bytes_read: u64,
    summary: InsertSummary,
}

impl Run {
    /// Reads, checks and writes all records; answers what was found in them.
    async fn write_all(&mut self, args: &Args, reader: PartnerReader<std::fs::File>) -> Result<batch::Ended, Failure> {
        // As many batches wait as are in flight: memory stays bounded, whichever side is slower.
        let (sender, mut batches) = mpsc::channel(args.in_flight);
        let size = args.batch;
        let reading = tokio::task::spawn_blocking(move || Batches::new(reader, size).send_to(&sender));
        let mut flights: JoinSet<Result<Written, Failure>> = JoinSet::new();
        let mut more = true;
        while more || !flights.is_empty() {
            tokio::select! {
                batch = batches.recv(), if more && flights.len() < args.in_flight => match batch {
                    Some(batch) => {
                        flights.spawn(write(self.client.clone(), self.request.clone(), batch));
                    }
                    None => more = false,
                },
                Some(written) = flights.join_next(), if !flights.is_empty() => {
                    let written = written.map_err(|error| Failure::other(format!("a request failed: {error}")))??;
                    self.count(&written);
                    self.reporter.advance(written.records, written.bytes_read).await?;
                }
            }
        }
        reading.await.map_err(|error| Failure::other(format!("reading failed: {error}")))
    }

    fn count(&mut self, written: &Written) {
        let summary = &written.summary;
        let number = |count: i32| u64::try_from(count).unwrap_or(0);
        self.outcome.created += number(summary.created);
        self.outcome.updated += number(summary.updated);
        let named = usize::try_from(self.outcome.rejected).unwrap_or(usize::MAX);
        for failure in summary.failures.iter().take(NAMED_REJECTIONS.saturating_sub(named)) {
            let id = failure.external_id.as_deref().unwrap_or("without an external id");
            say!("not taken: {}: {}", output::cut(id, 60), output::cut(&failure.detail, 200));
        }
        self.outcome.rejected += number(summary.failed);
    }

    /// Tells the server the end of it.
    async fn finish(&mut self, job: JobId) -> Result<(), Failure> {
        let result_data = serde_json::to_string(&self.outcome).map_err(Failure::other)?;
        self.client.call::<UpdateResultData>(&UpdateResultDataInput { job_id: job, result_data }).await?;
        self.reporter.finish(self.outcome.records, self.outcome.failed).await
    }
}

async fn write(client: Client, request: Request, batch: Batch) -> Result<Written, Failure> {
    let answer = client.send(&request.with_body(batch.body.into())).await?;
    let summary: InsertSummary = serde_json::from_slice(&answer)
        .map_err(|error| Failure::other(format!("the answer to an insert can't be read: {error}")))?;
    Ok(Written { records: batch.records, bytes_read: batch.bytes_read, summary })
}

fn print_outcome(outcome: &Outcome) {
    let rate = outcome.records as f64 / outcome.seconds.max(1e-9);
    say!(
        "{} records checked and written in {:.1} s ({} a second), {} failed, {} unreadable rows, {} not taken",
        output::count(outcome.records),
        outcome.seconds,
        output::figure(rate),
        output::count(outcome.failed),
        output::count(outcome.unreadable_rows),
        output::count(outcome.rejected),
    );
    let mut table = output::numbers(["rule", "records"]);
    for (rule, records) in &outcome.rules {
        table.add_row([rule.clone(), output::count(*records)]);
    }
    if !outcome.rules.is_empty() {
        say!("{table}");
    }
}
