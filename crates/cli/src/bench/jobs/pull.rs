//! Jobs of pull workers: claimed and completed as fast as they come, and workers that only wait.

use super::start::Starter;
use super::{Run, true_job};
use crate::bench::latency::Latencies;
use crate::bench::load::{self, Meter, Tally, Worker};
use crate::bench::process;
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::JobId;
use docket_contract::job::{ExecutorKind, JobSpec};
use docket_contract::operations::{ClaimJobs, ClaimJobsInput, CompleteJob, CompleteJobInput, StartJob};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long waiting workers are watched.
const WATCH: Duration = Duration::from_secs(20);
/// How long all of them may take to be waiting.
const SETTLE: Duration = Duration::from_secs(3);
/// Jobs that are started while workers wait, one at a time.
const WAKES: u64 = 200;

/// The part of a claim's answer that a worker needs.
#[derive(Deserialize)]
struct Claimed {
    values: Vec<Value>,
}

#[derive(Deserialize)]
struct Value {
    job: Named,
    lease: Attempt,
}

#[derive(Deserialize)]
struct Named {
    id: JobId,
}

#[derive(Deserialize)]
struct Attempt {
    attempt: i32,
}

/// A worker that completes what it gets at once, until there is nothing left.
struct Puller {
    connection: Connection,
    claim: Request,
}

/// The jobs of an answer. One job's answer fits into what is kept of it; no job's fits anyway.
fn claimed(head: &[u8]) -> Result<Vec<Value>, Failure> {
    let claimed: Claimed = serde_json::from_slice(head)
        .map_err(|error| Failure::other(format!("the answer to a claim can't be read: {error}")))?;
    Ok(claimed.values)
}

fn completion(value: &Value) -> Result<Request, Failure> {
    let input = CompleteJobInput {
        job_id: value.job.id,
        attempt: Some(value.lease.attempt),
        exit_code: Some(0),
        outcome: None,
        status_message: None,
        result_data: None,
    };
    Ok(Request::of::<CompleteJob>(&input)?)
}

impl Worker for Puller {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let answer = load::timed(&mut self.connection, &self.claim, false, tally).await?;
        let jobs = claimed(&answer.head)?;
        for job in &jobs {
            load::timed(&mut self.connection, &completion(job)?, false, tally).await?;
            tally.items += 1;
        }
        Ok(!jobs.is_empty())
    }
}

fn claim(job_type: &str, wait_seconds: i32) -> Result<Request, Failure> {
    let input = ClaimJobsInput {
        types: vec![job_type.to_owned()],
        max: Some(1),
        wait_seconds: Some(wait_seconds),
        ..ClaimJobsInput::default()
    };
    Ok(Request::of::<ClaimJobs>(&input)?)
}

impl Run {
    /// A type of its own: jobs that another run left are not claimed.
    fn pull_type(&self, scenario: &str) -> String {
        let run = self.tag.rsplit('-').next().unwrap_or_default();
        format!("BENCH_{scenario}_{}_JOB", run.to_ascii_uppercase())
    }

    fn pull_job(&self, job_type: &str) -> JobSpec {
        JobSpec {
            executor: Some(ExecutorKind::Worker),
            job_type: Some(job_type.to_owned()),
            ..true_job(&format!("{}-pull", self.tag))
        }
    }

    pub(super) async fn pull(&mut self) -> Result<(), Failure> {
        let (job_type, workers) = (self.pull_type("PULL"), self.args.workers);
        self.progress.begin("pull: starting the jobs");
        let (next, end, spec) = (Arc::new(AtomicU64::new(0)), self.args.pulls, self.pull_job(&job_type));
        let starters = self.connections()?.into_iter().map(|connection| {
            let spec = spec.clone();
            Starter { connection, spec: move |_| spec.clone(), next: next.clone(), end }
        });
        load::run(starters.collect(), None).await?;
        self.progress.begin("pull");
        let pullers = (0..workers)
            .map(|_| Ok(Puller { connection: self.args.common.connection()?, claim: claim(&job_type, 0)? }))
            .collect::<Result<Vec<_>, Failure>>()?;
        let (_, measured) = load::run(pullers, self.args.common.pid).await?;
        if measured.tally.items != self.args.pulls {
            let (got, wanted) = (measured.tally.items, self.args.pulls);
            return Err(Failure::other(format!("{got} jobs were handed out, {wanted} were started")));
        }
        let what = format!(
            "{} jobs that were started before, claimed and completed one by one by {workers} workers, each over a \
             connection of its own: two requests a job, each answered when it is durable. Latencies are those of both.",
            output::count(self.args.pulls)
        );
        self.add("pull", measured.figure("pull", what, "jobs"));
        Ok(())
    }

    pub(super) async fn idle_workers(&mut self) -> Result<(), Failure> {
        let (job_type, workers) = (self.pull_type("IDLE"), self.args.idle_workers);
        let pid = self.args.common.pid;
        let before = pid.and_then(process::memory);
        self.progress.begin("idle-workers: connecting");
        let mut waiting = JoinSet::new();
        for _ in 0..workers {
            let (mut connection, claim) = (self.args.common.connection()?, claim(&job_type, 60)?);
            waiting.spawn(async move {
                loop {
                    let answer = connection.scan(&claim, false).await?;
                    let got = Instant::now();
                    if let Some(job) = claimed(&answer.head)?.first() {
                        connection.scan(&completion(job)?, false).await?;
                        return Ok::<_, Failure>(got);
                    }
                }
            });
        }
        tokio::time::sleep(SETTLE).await;
        self.progress.begin("idle-workers");
        let meter = Meter::start(pid);
        tokio::time::sleep(WATCH).await;
        let idle = meter.stop(Tally::default(), usize::from(workers)).figure("idle-workers", "", "jobs");

        let spec = self.pull_job(&job_type);
        let mut tally = Tally { latencies: Latencies::default(), ..Tally::default() };
        let meter = Meter::start(pid);
        for _ in 0..WAKES.min(u64::from(workers)) {
            let started = Instant::now();
            self.client.call::<StartJob>(&spec).await?;
            let got = waiting.join_next().await.ok_or_else(|| Failure::other("no worker is left"))?;
            let got = got.map_err(Failure::other)??;
            tally.latencies.add(got.saturating_duration_since(started));
            tally.items += 1;
        }
        let measured = meter.stop(tally, usize::from(workers));
        let what = format!(
            "{} workers of one type that wait for a job, each over a connection of its own. Memory and CPU are those of \
             {} s without a job; then jobs are started one at a time: the latency is that from the POST until a worker \
             has got the job.",
            output::count(u64::from(workers)),
            WATCH.as_secs()
        );
        let mut figure = measured.figure("idle-workers", what, "jobs");
        if let Some(cpu) = idle.server_cpu_seconds {
            figure = figure.with("percentOfACoreWhileIdle", cpu / idle.seconds * 100.0);
        }
        if let (Some(before), Some(after)) = (before, idle.server_memory) {
            let kib = (after.resident_mib - before.resident_mib) * 1024.0 / f64::from(workers);
            figure = figure.with("residentMibWhileIdle", after.resident_mib).with("kibForEachWorker", kib);
        }
        self.add("idle-workers", figure);
        Ok(())
    }
}
