//! `docket bench results`: what the scenarios are, and in which order they share their data.

mod delete;
mod diff;
mod export;
mod filters;
mod insert;
mod last;
mod logs;
mod pages;
mod retention;
mod soap;

use super::records::{self, DATA_SOURCES, Order, Permutation, Records};
use super::report::Figure;
use super::{Common, Progress, ceiling, chosen};
use crate::failure::Failure;
use crate::output::{self, tell};
use docket_client::{Client, Connection, Request};
use docket_contract::JobId;
use docket_contract::job::JobSpec;
use docket_contract::operations::{
    CancelJob, CancelJobInput, DeleteJobResults, DeleteJobResultsInput, DeleteProcessingLogData,
    DeleteProcessingLogDataInput, ExportFormat, InsertJobResults, InsertJobResultsInput, JobInput, ListJobRunResults,
    ListJobRunResultsInput, ReadJob, ResultItems, ResultsFeature, StartJob,
};
use docket_contract::result::{MAX_INSERT, MAX_PAGE};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The scenarios, in the order in which they run.
const SCENARIOS: [&str; 18] = [
    "insert-ordered",
    "insert-shuffled",
    "grow",
    "pages",
    "soap",
    "ids",
    "totals",
    "diff",
    "upsert",
    "pages-changed",
    "export-ndjson",
    "export-csv",
    "export-parquet",
    "log",
    "mirror",
    "delete",
    "fetchlast",
    "retention",
];

/// The scenarios that bring the records that they need.
const BY_THEMSELVES: [&str; 5] = ["insert-ordered", "log", "mirror", "fetchlast", "retention"];

/// Write results and read them back.
///
/// Starts one job (`sleep`, canceled at the end) whose results are written. The scenarios:
///
/// insert-ordered: --records new records in ascending order of their keys, into a storage of its own.
/// insert-shuffled: the same number in a seeded random order, into another storage; the scenarios below use it.
/// grow: more shuffled records until the storage holds --grow; the last million is a figure of its own, grow-end.
/// pages: all pages of 5000 by one connection, then by --connections at once in different regions (again and again
///   until 1000 pages are read), then the first and the last 100 pages in turns. Bodies are read and counted in bytes, not parsed.
/// soap: the same records written, and the same pages read, over REST and over SOAP in turns, with the ratio of the two.
/// ids: after 5 requests that are not measured, pages of 500 business partners, and of 500 external ids, chosen at random.
/// totals: a page of one record with each filter; every page gives its total.
/// diff: a second run of the same records, of which 5 % are changed and 0.5 % missing and new, is compared with the first:
///   the time to the first page, then the pages of what differs.
/// upsert: --records known records again, in another random order, with new content.
/// pages-changed: the pages again, of which every record, or as many as upsert has written, was changed.
/// export-ndjson, export-csv, export-parquet: the whole storage as one file, over one connection; the number of results and
///   the SHA-256 are checked as docket results pull does, and nothing is written to a disk. With --pid: the server's memory.
/// log: --records new records into a processing log and as a job's results, in turns; then the pages of both, in turns.
/// mirror: --records new records as the results of a job, and as those of a job that mirrors them into a log, in turns.
/// delete: the storage is deleted while another one is being written to.
/// fetchlast, only if named: --jobs jobs write --job-records records each into one storage, in each of --shapes; then the
///   newest results of 500 business partners, and of 500 external ids, chosen at random, before and after each job wrote
///   its first batch again; 20 s of rest come before each.
/// retention, only if named: sets of ended jobs, --records together, and a processing log of as many old entries are removed as
///   retention does it, in turns with a load of 2 writers alone: what the removal costs them. Straight at a store of its own
///   (--scratch), because a server lets nobody write what is old.
///
/// With --ceiling: the same records straight into one storage file through the store, without HTTP, by as many
/// submitters as connections; records are parsed and checked before the clock runs, in portions of 32 batches. And the
/// first page's bytes from memory through the same HTTP stack to the same client, as many as the page walk has read.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Only these scenarios, separated by commas: insert-ordered, insert-shuffled, grow, pages, soap, ids, totals,
    /// diff, upsert, pages-changed, export-ndjson, export-csv, export-parquet, log, mirror, delete, fetchlast, retention. Those that
    /// read or change records write them first (insert-shuffled)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    only: Vec<String>,
    /// Records of the insert scenarios
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=records::MAX_RECORDS))]
    records: u64,
    /// Grow the shuffled storage to this many records; without it, grow is left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=records::MAX_RECORDS))]
    grow: Option<u64>,
    /// Records in one request, at most 1000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=MAX_INSERT as u64))]
    batch: u64,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Characters of a record's resultData, from 64 to 65535; a body of --batch of them must be within the server's limit
    #[arg(long, value_name = "N", default_value_t = 569, value_parser = clap::value_parser!(u64).range(records::MIN_PAYLOAD as u64..=records::MAX_PAYLOAD as u64))]
    payload: u64,
    /// Records written to a storage of their own, and removed, before anything is measured
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    warmup: u64,
    /// Results in a page, at most 5000
    #[arg(long, value_name = "N", default_value_t = MAX_PAGE as u64, value_parser = clap::value_parser!(u64).range(1..=MAX_PAGE as u64))]
    page: u64,
    /// Requests of each identity filter and of each total
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    requests: u64,
    /// Jobs of fetchlast
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    jobs: u64,
    /// Records of each job of fetchlast
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    job_records: u64,
    /// How the records of the jobs of fetchlast overlap
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_enum, default_value = "same,disjoint,interleaved")]
    shapes: Vec<last::Shape>,
    /// Count the records of every page, not only of each 50th
    #[arg(long)]
    verify: bool,
    /// Measure the ceilings of this machine in the same run
    #[arg(long)]
    ceiling: bool,
    /// Leave the job running and its storages in place
    #[arg(long)]
    keep: bool,
}

/// What the scenarios share.
struct Run {
    args: Args,
    progress: Progress,
    client: Client,
    job: JobId,
    records: Arc<Records>,
    /// The order of the shuffled storage: of all keys that it will ever hold.
    shuffled: Permutation,
    /// Records in the shuffled storage.
    stored: u64,
    /// Storages to remove at the end.
    storages: Vec<String>,
    /// Storages whose processing log is to be emptied at the end.
    logs: Vec<String>,
    /// Another job, which mirrors, to be ended.
    mirroring: Option<JobId>,
}

/// Runs the chosen scenarios and prints the report.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut scenarios = chosen(&SCENARIOS, &args.only)?;
    let (common, payload) = (args.common.clone(), usize::try_from(args.payload).unwrap_or(records::MAX_PAYLOAD));
    let records = Arc::new(Records::new(common.seed, payload));
    let mut progress = Progress::new(&common, parameters(&args, &records));
    if args.grow.is_none_or(|grow| grow <= args.records) && scenarios.contains(&"grow") {
        scenarios.retain(|name| *name != "grow");
        progress.note("grow was left out: it needs --grow N, larger than --records");
    }
    if args.only.is_empty() {
        // They write very much, and share nothing with the others.
        scenarios.retain(|name| !["fetchlast", "retention"].contains(name));
    }
    if scenarios.iter().any(|name| !BY_THEMSELVES.contains(name)) && !scenarios.contains(&"insert-shuffled") {
        // What reads or changes records needs some; the figure is given, because it was measured all the same.
        let at = usize::from(scenarios.first() == Some(&"insert-ordered"));
        scenarios.insert(at, "insert-shuffled");
    }
    let client = common.client()?;
    let shuffled = Permutation::new(args.records.max(args.grow.unwrap_or(0)), common.seed);
    let job = client.call::<StartJob>(&sleeping()).await?.id;
    let (storages, logs) = (Vec::new(), Vec::new());
    let mut run = Run { args, progress, client, job, records, shuffled, stored: 0, storages, logs, mirroring: None };
    let outcome = tokio::select! {
        outcome = run.all(&scenarios) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure { code: 130, message: "interrupted".to_owned() }),
    };
    let cleaned = run.clean().await;
    outcome?;
    run.progress.print(common.json)?;
    cleaned
}

/// A job whose results are written meanwhile.
fn sleeping() -> JobSpec {
    JobSpec {
        name: Some("docket bench results".to_owned()),
        docker_image_url: "docket-bench".to_owned(),
        commands: ["/bin/sleep", "86400"].map(str::to_owned).to_vec(),
        job_type: Some("BENCH_JOB".to_owned()),
        ..JobSpec::default()
    }
}

fn parameters(args: &Args, records: &Records) -> BTreeMap<&'static str, serde_json::Value> {
    BTreeMap::from([
        ("seed", json!(args.common.seed)),
        ("records", json!(args.records)),
        ("grow", json!(args.grow)),
        ("batch", json!(args.batch)),
        ("connections", json!(args.connections)),
        ("payload", json!(args.payload)),
        ("recordBytesSent", json!(records.record_bytes())),
        ("page", json!(args.page)),
        ("requests", json!(args.requests)),
        ("warmup", json!(args.warmup)),
        ("jobs", json!(args.jobs)),
        ("jobRecords", json!(args.job_records)),
        ("verify", json!(args.verify)),
    ])
}

impl Run {
    async fn all(&mut self, scenarios: &[&'static str]) -> Result<(), Failure> {
        self.warm_up().await?;
        for scenario in scenarios {
            let done = match *scenario {
                "insert-ordered" => self.insert_ordered().await,
                "insert-shuffled" => self.insert_shuffled().await,
                "grow" => self.grow().await,
                "upsert" => self.upsert().await,
                "pages" => self.pages().await,
                "soap" => self.soap().await,
                "ids" => self.ids().await,
                "totals" => self.totals().await,
                "diff" => self.diff().await,
                "pages-changed" => self.pages_changed().await,
                "export-ndjson" => self.export(ExportFormat::Ndjson, scenario).await,
                "export-csv" => self.export(ExportFormat::Csv, scenario).await,
                "export-parquet" => self.export(ExportFormat::Parquet, scenario).await,
                "fetchlast" => self.fetch_last().await,
                "log" => self.log().await,
                "mirror" => self.mirror().await,
                "retention" => self.retention().await,
                _ => self.delete().await,
            };
            done.map_err(|failure| failure.context(scenario))?;
        }
        if self.args.ceiling {
            for name in ["insert-ordered", "insert-shuffled"] {
                if scenarios.contains(&name) {
                    self.store_ceiling(name).await?;
                }
            }
        }
        Ok(())
    }

    async fn warm_up(&mut self) -> Result<(), Failure> {
        if self.args.warmup == 0 {
            return Ok(());
        }
        self.progress.begin("warming up, not measured");
        let storage = self.storage("warmup");
        self.write(&storage, Order::Key, 0..self.args.warmup, 0).await?;
        let mut connection = self.args.common.connection()?;
        for _ in 0..20 {
            connection.scan(&self.list(&storage, |input| input.limit = Some(1000))?, true).await?;
        }
        self.client.call::<DeleteJobResults>(&DeleteJobResultsInput { storage_id: storage.clone() }).await?;
        self.storages.retain(|kept| *kept != storage);
        Ok(())
    }

    async fn store_ceiling(&mut self, name: &str) -> Result<(), Failure> {
        let order = if name == "insert-ordered" { Order::Key } else { Order::Shuffled(self.shuffled) };
        self.progress.begin(&format!("ceiling of {name}"));
        let directory = self.args.common.scratch()?;
        let load = ceiling::results::Load {
            records: self.records.clone(),
            order,
            count: self.args.records,
            batch: self.args.batch,
            submitters: usize::from(self.args.connections),
            warmup: self.args.warmup,
        };
        let measured = ceiling::results::insert(directory.path(), load).await?;
        let what = format!(
            "Ceiling: the same {} records in the same order straight into one storage file through the store, {} a \
             call, by {} submitters, without HTTP; made durable call by call. Parsing and checking the JSON is not \
             included: the clock stands while 32 batches are prepared.",
            output::count(self.args.records),
            self.args.batch,
            self.args.connections,
        );
        let figure = measured
            .figure(&name.replace("insert", "ceiling"), what, "records")
            .compared_with(self.progress.report.rate(name));
        self.add(name, figure);
        Ok(())
    }

    fn add(&mut self, scenario: &str, figure: Figure) {
        self.progress.add(scenario, figure);
    }

    /// A storage of this run, removed at its end.
    fn storage(&mut self, name: &str) -> String {
        let storage = format!("bench-{}-{name}", self.job);
        if !self.storages.contains(&storage) {
            self.storages.push(storage.clone());
        }
        storage
    }

    fn connections(&self) -> Result<Vec<Connection>, Failure> {
        (0..self.args.connections).map(|_| Ok(self.args.common.connection()?)).collect()
    }

    /// An insert into a storage, still without its body.
    fn insert_request(&self, storage: &str) -> Result<Request, Failure> {
        self.insert_request_of(self.job, storage)
    }

    fn insert_request_of(&self, job_id: JobId, storage: &str) -> Result<Request, Failure> {
        let input = InsertJobResultsInput {
            job_id,
            storage_id: storage.to_owned(),
            results: ResultItems(Vec::new()),
            features_on: Vec::new(),
        };
        Ok(Request::of::<InsertJobResults>(&input)?)
    }

    /// A page of a storage, with all pages' tokens.
    fn list(&self, storage: &str, change: impl FnOnce(&mut ListJobRunResultsInput)) -> Result<Request, Failure> {
        let mut input = self.list_input(storage);
        change(&mut input);
        Ok(Request::of::<ListJobRunResults>(&input)?)
    }

    fn list_input(&self, storage: &str) -> ListJobRunResultsInput {
        ListJobRunResultsInput {
            job_id: self.job,
            storage_id: storage.to_owned(),
            business_partner_id: Vec::new(),
            data_source_id: None,
            external_id: Vec::new(),
            start_after: None,
            features_on: vec![ResultsFeature::UseNextStartAfter],
            job_result_status: None,
            limit: None,
            include_result_data_fields: Vec::new(),
        }
    }

    /// Ends the job and removes what was written.
    async fn clean(&mut self) -> Result<(), Failure> {
        if self.args.keep {
            tell!("kept: job {}, storages {}", self.job, self.storages.join(", "));
            return Ok(());
        }
        for storage in std::mem::take(&mut self.storages) {
            self.client.call::<DeleteJobResults>(&DeleteJobResultsInput { storage_id: storage }).await?;
        }
        for storage_id in std::mem::take(&mut self.logs) {
            let input = DeleteProcessingLogDataInput { storage_id, processing_log_id: logs::LOG };
            self.client.call::<DeleteProcessingLogData>(&input).await?;
        }
        if let Some(job) = self.mirroring.take() {
            self.end(job).await?;
        }
        self.end(self.job).await
    }

    async fn end(&self, job_id: JobId) -> Result<(), Failure> {
        let cancel = CancelJobInput { job_id, reason: None, grace_period_seconds: Some(1) };
        self.client.call::<CancelJob>(&cancel).await?;
        // Leaves the server idle for whoever measures next.
        for _ in 0..100 {
            if self.client.call::<ReadJob>(&JobInput { job_id }).await?.status.is_terminal() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Err(Failure::other(format!("job {job_id} was canceled but has not ended")))
    }
}

/// A data source that a third of the records has.
const SOME_DATA_SOURCE: &str = DATA_SOURCES[0];
