//! `docket bench jobs`: what the scenarios are, and in which order they share their data.

mod docker;
mod idle;
mod list;
mod pull;
mod release;
mod run;
mod sse;
mod start;

use super::report::Figure;
use super::{Common, Progress, chosen};
use crate::failure::Failure;
use crate::output;
use docket_client::{Client, Connection, Request};
use docket_contract::job::{JobSpec, NameValue, StartJobFeature};
use docket_contract::operations::{JobInput, ReadJob, StartJob};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The scenarios, in the order in which they run.
const SCENARIOS: [&str; 11] =
    ["starts", "list", "release", "latency", "run", "peer-xargs", "sse", "docker", "idle", "pull", "idle-workers"];
/// Those that run only when they are asked for: they need more than a server.
const ON_DEMAND: [&str; 6] = ["peer-xargs", "sse", "docker", "idle", "pull", "idle-workers"];
/// Those that need jobs to stay where they are.
const AT_REST: [&str; 3] = ["starts", "list", "release"];
/// Those that need jobs to run.
const RUNNING: [&str; 2] = ["latency", "run"];
/// How long a job of `/bin/true` may take before the server counts as one that runs none.
const PROBE: Duration = Duration::from_secs(2);

/// Start jobs, list them, run them to their end.
///
/// starts, list and release need a server that keeps its jobs waiting: `docket serve --slots 0`, with a data directory that can
/// be thrown away, because such jobs can't be deleted in bulk. latency and run need one that runs jobs (the default).
/// Which of the two it is, is found out by a probe; the other scenarios are left out, with a note.
///
/// starts: --starts jobs, each answered when it is durable, over --connections.
/// list: more jobs until --jobs are stored, then pages of 100 with every filter, both orders, first pages and those that
///   follow; one connection.
/// release: --dependents jobs that depend on one, from the end of that one until all are in the queue.
/// latency: single `/bin/true` jobs while the server is idle, from POST to FINISHED as its events tell.
/// run: --runs jobs of `/bin/true`, from the first POST until List Jobs gives all of them as FINISHED.
/// peer-xargs: `xargs -P2 -n1 /bin/true` over the same number, in the same run (with --peer-xargs, or by --only).
/// sse: --readers readers of GET /jobs/events, what they cost the server when nothing happens, and how soon an event is
///   with all of them; only with --only. The server needs as many --max-connections and a third more.
/// docker: containers of --docker-image one at a time, in turns with `docker run` of the same (by --only; the server and the
///   command `docker` use the same engine).
/// idle: what a server without requests costs that holds --idle-ended and --idle-waiting jobs (by --only, with --pid).
/// pull: --pulls jobs, started before, are claimed and completed by --workers pull workers (by --only).
/// idle-workers: what --idle-workers waiting workers cost, and how fast a job finds one (by --only, with --pid; each needs a
///   file descriptor here and at the server).
///
/// With --ceiling: as many durable inserts of the same job, one a call, straight into the control plane's store by as
/// many submitters as connections; and the same behind bare HTTP, without routing, callers or validation.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Only these scenarios, separated by commas: starts, list, release, latency, run, peer-xargs, sse, docker, idle,
    /// pull, idle-workers
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    only: Vec<String>,
    /// Jobs of the scenario starts
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    starts: u64,
    /// Jobs that are stored when list is measured; they are loaded through the API
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Connections at once, for starts, loading and run
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Requests of each kind of list
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    requests: u64,
    /// Jobs of the scenario release
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    dependents: u64,
    /// Jobs of the scenario run
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Jobs of the scenario latency
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    latency_jobs: u64,
    /// Readers of the scenario sse
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    readers: u32,
    /// Jobs of the scenario sse
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    sse_jobs: u64,
    /// Jobs started before anything is measured
    #[arg(long, value_name = "N", default_value_t = 1000)]
    warmup: u64,
    /// Also time `xargs -P2 -n1 /bin/true` over as many
    #[arg(long)]
    peer_xargs: bool,
    /// The image of the scenario docker
    #[arg(long, value_name = "IMAGE", default_value = "busybox")]
    docker_image: String,
    /// The command of its containers
    #[arg(long, value_name = "PROGRAM", default_value = "true")]
    docker_command: String,
    /// Containers of the scenario docker
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    docker_jobs: u64,
    /// Jobs that have ended when idle is measured; they are loaded through the API
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    idle_ended: u64,
    /// Jobs that wait for their time meanwhile
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    idle_waiting: u64,
    /// How long idle is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    idle_seconds: u64,
    /// Jobs of the scenario pull
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    pulls: u64,
    /// Its workers
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    workers: u16,
    /// Workers of the scenario idle-workers
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    idle_workers: u16,
    /// Measure the ceilings of this machine in the same run
    #[arg(long)]
    ceiling: bool,
}

/// What the scenarios share.
struct Run {
    args: Args,
    progress: Progress,
    client: Client,
    /// Tells the jobs of this run from others: a tag of each.
    tag: String,
    /// Jobs started so far that stay where they are.
    stored: u64,
}

/// Runs the chosen scenarios and prints the report.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut scenarios = chosen(&SCENARIOS, &args.only)?;
    if args.only.is_empty() {
        scenarios.retain(|name| !ON_DEMAND.contains(name));
    }
    if args.peer_xargs && !scenarios.contains(&"peer-xargs") {
        scenarios.push("peer-xargs");
    }
    let common = args.common.clone();
    let progress = Progress::new(&common, parameters(&args));
    let tag = format!("bench-{}", uuid::Uuid::now_v7());
    let mut run = Run { client: common.client()?, args, progress, tag, stored: 0 };
    run.leave_out(&mut scenarios).await?;
    for scenario in scenarios {
        let done = match scenario {
            "starts" => run.starts().await,
            "list" => run.list().await,
            "release" => run.release().await,
            "latency" => run.latency().await,
            "run" => run.run().await,
            "docker" => run.docker().await,
            "idle" => run.idle().await,
            "sse" => run.sse().await,
            "pull" => run.pull().await,
            "idle-workers" => run.idle_workers().await,
            _ => run.peer_xargs().await,
        };
        done.map_err(|failure| failure.context(scenario))?;
    }
    run.progress.print(common.json)
}

fn parameters(args: &Args) -> BTreeMap<&'static str, serde_json::Value> {
    BTreeMap::from([
        ("seed", json!(args.common.seed)),
        ("starts", json!(args.starts)),
        ("jobs", json!(args.jobs)),
        ("connections", json!(args.connections)),
        ("requests", json!(args.requests)),
        ("dependents", json!(args.dependents)),
        ("runs", json!(args.runs)),
        ("latencyJobs", json!(args.latency_jobs)),
        ("readers", json!(args.readers)),
        ("sseJobs", json!(args.sse_jobs)),
        ("pulls", json!(args.pulls)),
        ("workers", json!(args.workers)),
        ("idleWorkers", json!(args.idle_workers)),
        ("warmup", json!(args.warmup)),
    ])
}

impl Run {
    /// Removes the scenarios that this server's slots do not allow; an error when one of them was asked for by name.
    async fn leave_out(&mut self, scenarios: &mut Vec<&'static str>) -> Result<(), Failure> {
        if scenarios.iter().all(|name| !AT_REST.contains(name) && !RUNNING.contains(name)) {
            return Ok(());
        }
        let (wrong, why) = if self.runs_jobs().await? {
            (&AT_REST[..], "the server runs its jobs; start it with --slots 0 for them")
        } else {
            (&RUNNING[..], "the server ran no job within 2 s; start it with slots for them (the default)")
        };
        let left_out: Vec<_> = scenarios.iter().copied().filter(|name| wrong.contains(name)).collect();
        if left_out.is_empty() {
            return Ok(());
        }
        let note = format!("{} can't be measured: {why}", left_out.join(", "));
        if !self.args.only.is_empty() {
            return Err(Failure::usage(note));
        }
        scenarios.retain(|name| !left_out.contains(name));
        self.progress.note(note);
        Ok(())
    }

    async fn runs_jobs(&self) -> Result<bool, Failure> {
        let job = self.client.call::<StartJob>(&true_job(&self.tag)).await?.id;
        let started = Instant::now();
        while started.elapsed() < PROBE {
            if self.client.call::<ReadJob>(&JobInput { job_id: job }).await?.status.is_terminal() {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(false)
    }

    fn connections(&self) -> Result<Vec<Connection>, Failure> {
        (0..self.args.connections).map(|_| Ok(self.args.common.connection()?)).collect()
    }

    fn add(&mut self, scenario: &str, figure: Figure) {
        self.progress.add(scenario, figure);
    }
}

/// A job that ends at once.
fn true_job(tag: &str) -> JobSpec {
    JobSpec {
        docker_image_url: "docket-bench".to_owned(),
        commands: vec!["/bin/true".to_owned()],
        job_type: Some("BENCH_JOB".to_owned()),
        tags: vec![tag.to_owned()],
        ..JobSpec::default()
    }
}

fn start_request(spec: &JobSpec) -> Result<Request, Failure> {
    Ok(Request::of::<StartJob>(spec)?)
}

/// The rare values that lists are filtered by: one job of this many has them.
const RARE: u64 = 10_000;

/// The job number `index` of those that lists are measured with: some common and some rare values in every field that
/// List Jobs can filter by.
fn stored_job(tag: &str, index: u64, seed: u64) -> JobSpec {
    let hash = super::records::mix(seed ^ index);
    let rare = index % RARE == RARE / 2;
    let mut tags = vec![tag.to_owned(), format!("team-{}", hash % 10)];
    if (hash / 16).is_multiple_of(4) {
        tags.push("nightly".to_owned());
    }
    if rare {
        tags.push("rare".to_owned());
    }
    JobSpec {
        name: Some(format!("Benchmark job {index}")),
        job_type: Some(if rare { "BENCH_RARE_JOB".to_owned() } else { format!("BENCH_KIND_{}_JOB", hash / 64 % 5) }),
        // Not initialized: a thousand storages would be measured beside the jobs.
        result_storage_id: Some(if rare { "bench-rare".to_owned() } else { format!("bench-{}", hash / 512 % 1000) }),
        features_on: vec![StartJobFeature::SkipResultsInitialization],
        labels: vec![NameValue { name: "index".to_owned(), value: index.to_string() }],
        tags,
        ..true_job(tag)
    }
}

/// Says how many jobs are stored.
fn stored(count: u64) -> String {
    format!("at {} stored jobs of this run", output::count(count))
}
