//! `docket bench schedules`: what many scheduled jobs cost while none is due, and how late they are when many are.

use super::latency::Latencies;
use super::load::{self, Meter, Tally, Worker};
use super::report::Figure;
use super::{Common, Progress, chosen};
use crate::failure::Failure;
use crate::output;
use docket_client::{Client, Connection, Request};
use docket_contract::job::JobSpec;
use docket_contract::operations::{
    CreateScheduledJob, CreateScheduledJobInput, ListScheduledJobRuns, ListScheduledJobRunsInput,
};
use docket_contract::schedule::{OverlapPolicy, RunKind, ScheduledJobSpec};
use docket_contract::{ScheduledJob, ScheduledJobId, Timestamp};
use docket_service::clock::{Clock, SystemClock};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The scenarios, in the order in which they run.
const SCENARIOS: [&str; 4] = ["create", "idle", "minute", "second"];
/// The time between the filling and the measurement.
const SETTLE: Duration = Duration::from_secs(10);
/// How long after their slots all must have fired.
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: i64 = 60_000;

/// Schedule many jobs, let the server rest, then let many fire.
///
/// Give the server a data directory that can be thrown away, and `--slots 0` where the jobs are not to run.
///
/// create: --schedules scheduled jobs that are active and not due, through the API, over --connections. The others need them,
///   so it always comes first.
/// idle: what a server without requests costs that holds them (needs --pid; left out without).
/// minute: --firing further ones fire within one minute, spread over its seconds: how late each was.
/// second: --firing further ones fire in the same second.
///
/// Lateness is what List Scheduled Job Runs tells: from when a slot was due to when its job was stored. A slot that fired
/// not at all, twice or as skipped fails the run.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Only these scenarios, separated by commas: create, idle, minute, second
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    only: Vec<String>,
    /// Scheduled jobs that are active and not due
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    schedules: u64,
    /// Scheduled jobs that fire in each scenario
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    firing: u64,
    /// Connections at once, for making and reading them
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// How long idle is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    idle_seconds: u64,
}

struct Run {
    args: Args,
    progress: Progress,
    client: Client,
}

/// Runs the chosen scenarios and prints the report.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut scenarios = chosen(&SCENARIOS, &args.only)?;
    let common = args.common.clone();
    let mut progress = Progress::new(&common, parameters(&args));
    if args.only.is_empty() && common.pid.is_none() {
        scenarios.retain(|name| *name != "idle");
        progress.note("idle was left out: it measures the server's CPU and needs its --pid");
    }
    let mut run = Run { client: common.client()?, args, progress };
    run.fill().await.map_err(|failure| failure.context("create"))?;
    for scenario in scenarios.into_iter().filter(|name| *name != "create") {
        let done = match scenario {
            "idle" => run.idle().await,
            "minute" => run.fire("minute", |number| number % 60).await,
            _ => run.fire("second", |_| 30).await,
        };
        done.map_err(|failure| failure.context(scenario))?;
    }
    run.progress.print(common.json)
}

fn parameters(args: &Args) -> BTreeMap<&'static str, serde_json::Value> {
    BTreeMap::from([
        ("schedules", json!(args.schedules)),
        ("firing", json!(args.firing)),
        ("connections", json!(args.connections)),
        ("idleSeconds", json!(args.idle_seconds)),
    ])
}

/// One connection that makes the next scheduled job until there is none.
struct Maker<F> {
    connection: Connection,
    cron: F,
    next: Arc<AtomicU64>,
    end: u64,
    made: Vec<ScheduledJobId>,
}

impl<F: Fn(u64) -> String + Send + 'static> Worker for Maker<F> {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.end {
            return Ok(false);
        }
        let scheduled_job = scheduled((self.cron)(number));
        let request = Request::of::<CreateScheduledJob>(&CreateScheduledJobInput { scheduled_job })?;
        let answer = load::timed(&mut self.connection, &request, false, tally).await?;
        let made: ScheduledJob = serde_json::from_slice(&answer.head)
            .map_err(|error| Failure::other(format!("the answer to a scheduled job can't be read: {error}")))?;
        self.made.push(made.id);
        tally.items += 1;
        Ok(true)
    }
}

fn scheduled(cron_expression: String) -> ScheduledJobSpec {
    let job = JobSpec {
        docker_image_url: "docket-bench".to_owned(),
        commands: vec!["/bin/true".to_owned()],
        job_type: Some("BENCH_JOB".to_owned()),
        ..JobSpec::default()
    };
    ScheduledJobSpec { cron_expression, job, overlap_policy: Some(OverlapPolicy::Allow), ..ScheduledJobSpec::default() }
}

impl Run {
    async fn make<F>(&self, count: u64, cron: F) -> Result<(Vec<ScheduledJobId>, load::Measured), Failure>
    where
        F: Fn(u64) -> String + Clone + Send + 'static,
    {
        let next = Arc::new(AtomicU64::new(0));
        let maker =
            |connection| Maker { connection, cron: cron.clone(), next: next.clone(), end: count, made: Vec::new() };
        let connections = (0..self.args.connections).map(|_| self.args.common.connection());
        let makers = connections.map(|connection| Ok(maker(connection?))).collect::<Result<Vec<_>, Failure>>()?;
        let (makers, measured) = load::run(makers, self.args.common.pid).await?;
        Ok((makers.into_iter().flat_map(|maker| maker.made).collect(), measured))
    }

    /// Makes those that are not due: each at another minute of the day before this one, so a year from now.
    async fn fill(&mut self) -> Result<(), Failure> {
        if self.args.schedules == 0 {
            return Ok(());
        }
        self.progress.begin("create");
        let yesterday = SystemClock.now().plus_millis(-24 * 60 * MINUTE).to_string();
        let (month, day) = (yesterday[5..7].to_owned(), yesterday[8..10].to_owned());
        let cron = move |number: u64| format!("{} {} {day} {month} *", number % 60, number / 60 % 24);
        let (_, measured) = self.make(self.args.schedules, cron).await?;
        let what = "Create Scheduled Job, each answered when it is durable.";
        self.progress.add("create", measured.figure("create", what, "schedules"));
        Ok(())
    }

    async fn idle(&mut self) -> Result<(), Failure> {
        let pid = self.args.common.pid;
        let pid = pid.ok_or_else(|| Failure::usage("idle measures the server's CPU: give its --pid"))?;
        self.progress.begin("idle");
        // What the filling left to do is not what is measured.
        tokio::time::sleep(SETTLE).await;
        let meter = Meter::start(Some(pid));
        tokio::time::sleep(Duration::from_secs(self.args.idle_seconds)).await;
        let measured = meter.stop(Tally::default(), 0);
        let what = format!(
            "A server without any request for {} s, with {} active scheduled jobs that are not due, after a rest of {} s.",
            self.args.idle_seconds,
            output::count(self.args.schedules),
            SETTLE.as_secs()
        );
        let figure = measured.figure("idle", what, "schedules");
        let share = figure.server_cpu_seconds.unwrap_or_default() / figure.seconds;
        self.progress.add("idle", figure.with("percentOfACore", share * 100.0));
        Ok(())
    }

    /// Makes those that fire in the same minute, waits for it, and reads how late each was.
    async fn fire(&mut self, name: &'static str, second: fn(u64) -> u64) -> Result<(), Failure> {
        self.progress.begin(name);
        // Time to make them all, at a thousand in ten seconds.
        let ready = SystemClock.now().plus_millis(MINUTE / 6 + i64::try_from(self.args.firing * 10).unwrap_or(MINUTE));
        let minute = Timestamp::from_millis((ready.as_millis() / MINUTE + 1) * MINUTE);
        let text = minute.to_string();
        let (month, day) = (text[5..7].to_owned(), text[8..10].to_owned());
        let (hour, at) = (text[11..13].to_owned(), text[14..16].to_owned());
        let cron = move |number: u64| format!("{} {at} {hour} {day} {month} *", second(number));
        let (ids, _) = self.make(self.args.firing, cron).await?;
        if SystemClock.now() >= minute {
            return Err(Failure::other("making the scheduled jobs took longer than until their minute; give fewer"));
        }
        sleep_until(minute).await;
        let meter = Meter::start(self.args.common.pid);
        sleep_until(minute.plus_millis(MINUTE)).await;
        let mut tally = Tally { items: self.args.firing, ..Tally::default() };
        tally.latencies = self.lateness(&ids).await?;
        let measured = meter.stop_after(Duration::from_secs(60), tally, 0);
        let spread = if name == "minute" { "spread over a minute" } else { "in the same second" };
        let what = format!(
            "{} scheduled jobs fire {spread} beside {} that do not; the latency is how late each job was stored.",
            output::count(self.args.firing),
            output::count(self.args.schedules),
        );
        let figure = Figure { requests: 0, ..measured.figure(name, what, "slots") };
        self.progress.add(name, figure);
        Ok(())
    }

    /// How late each one fired, once all have.
    async fn lateness(&self, ids: &[ScheduledJobId]) -> Result<Latencies, Failure> {
        let begin = Instant::now();
        let mut found = Latencies::default();
        for id in ids {
            let input = ListScheduledJobRunsInput { scheduled_job_id: *id, limit: None, start_after: None };
            let runs = loop {
                let runs = self.client.call::<ListScheduledJobRuns>(&input).await?.values;
                if !runs.is_empty() {
                    break runs;
                }
                if begin.elapsed() > PATIENCE {
                    return Err(Failure::other(format!("{id} has not fired a minute after its slot")));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            match runs.as_slice() {
                [run] if run.kind == RunKind::Fired => {
                    let late = run.lateness_ms.and_then(|late| u64::try_from(late).ok()).unwrap_or_default();
                    found.add(Duration::from_millis(late));
                }
                runs => return Err(Failure::other(format!("{id} has other runs than one that fired: {runs:?}"))),
            }
        }
        Ok(found)
    }
}

async fn sleep_until(time: Timestamp) {
    let left = time.as_millis() - SystemClock.now().as_millis();
    tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or_default())).await;
}
