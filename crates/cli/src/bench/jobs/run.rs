//! Jobs from their start to their end, and the peer that starts bare processes.

use super::start::Starter;
use super::{Run, start_request, true_job};
use crate::bench::load::{self, Measured, Meter, Tally};
use crate::failure::Failure;
use crate::output;
use docket_client::{Client, Update};
use docket_contract::job::JobSpec;
use docket_contract::operations::{
    JobInput, ListJobs, ListJobsFeature, ListJobsInput, ReadJob, StreamJobEvents, StreamJobEventsInput,
};
use docket_contract::{Job, JobId, Status};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// How often the number of finished jobs is asked for.
const POLL: Duration = Duration::from_millis(10);
/// How long no job may finish before the run is given up.
const STALLED: Duration = Duration::from_secs(60);

impl Run {
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        self.warm_up_runs().await?;
        self.progress.begin("run");
        let tag = format!("{}-run", self.tag);
        let runs = self.args.runs;
        let next = Arc::new(AtomicU64::new(0));
        let starters = self.connections()?.into_iter().map(|connection| {
            let tag = tag.clone();
            Starter { connection, spec: move |_| true_job(&tag), next: next.clone(), end: runs }
        });
        let meter = Meter::start(self.args.common.pid);
        let (_, started) = load::run(starters.collect(), None).await?;
        let starting = started.elapsed.as_secs_f64();
        wait_finished(&self.client, &tag, runs).await?;
        let connections = usize::from(self.args.connections);
        let measured = meter.stop(started.tally, connections);
        let what = format!(
            "{} process jobs of /bin/true, from the first POST until List Jobs gives all of them as FINISHED (asked \
             each {} ms); each start, launch and end is durable. Latencies are those of the starts, over {connections} \
             connections, while jobs run.",
            output::count(runs),
            POLL.as_millis(),
        );
        let figure = measured.figure("run", what, "jobs").with("secondsUntilAllWereStarted", starting);
        self.add("run", figure);
        Ok(())
    }

    async fn warm_up_runs(&mut self) -> Result<(), Failure> {
        let tag = format!("{}-warmup", self.tag);
        let count = self.args.warmup.min(100);
        for _ in 0..count {
            self.client.call::<docket_contract::operations::StartJob>(&true_job(&tag)).await?;
        }
        wait_finished(&self.client, &tag, count).await
    }

    pub(super) async fn latency(&mut self) -> Result<(), Failure> {
        self.warm_up_runs().await?;
        self.progress.begin("latency");
        let spec = true_job(&format!("{}-latency", self.tag));
        let (measured, starts) = self.one_at_a_time(&spec, self.args.latency_jobs).await?;
        let what = "One process job of /bin/true at a time on an idle server: from the POST until the job's events, opened \
                    behind the answer, tell that it is FINISHED.";
        let mut figure = measured.figure("latency", what, "jobs");
        if let Some(start) = starts.latencies.distribution() {
            figure = figure.with("p50MsOfTheStartAlone", start.p50).with("p99MsOfTheStartAlone", start.p99);
        }
        self.add("latency", figure);
        Ok(())
    }

    /// Runs so many jobs one after the other; the times of the whole jobs, and those of their starts alone.
    pub(super) async fn one_at_a_time(&self, spec: &JobSpec, count: u64) -> Result<(Measured, Tally), Failure> {
        let request = start_request(spec)?;
        let mut connection = self.args.common.connection()?;
        let (mut tally, mut starts) = (Tally::default(), Tally::default());
        let meter = Meter::start(self.args.common.pid);
        for _ in 0..count {
            let started = Instant::now();
            let answer = load::timed(&mut connection, &request, false, &mut starts).await?;
            let job: Job = serde_json::from_slice(&answer.head)
                .map_err(|error| Failure::other(format!("the answer to a start can't be read: {error}")))?;
            let end = tokio::time::timeout(STALLED, self.end_of(job.id)).await;
            let status = end.map_err(|_| Failure::other(format!("job {} does not end", job.id)))??;
            if status != Some(Status::Finished) {
                return Err(ended(&self.client.call::<ReadJob>(&JobInput { job_id: job.id }).await?));
            }
            tally.latencies.add(started.elapsed());
            tally.items += 1;
        }
        Ok((meter.stop(tally, 1), starts))
    }

    /// Waits for the end of a job, as its events tell it.
    async fn end_of(&self, job_id: JobId) -> Result<Option<Status>, Failure> {
        let mut events =
            self.client.events::<StreamJobEvents>(&StreamJobEventsInput { job_id, last_event_id: None })?;
        while let Some(event) = events.next().await? {
            if let Update::End(end) = event.update()? {
                return Ok(end.status);
            }
        }
        Ok(None)
    }

    pub(super) async fn peer_xargs(&mut self) -> Result<(), Failure> {
        self.progress.begin("peer-xargs");
        let runs = self.args.runs;
        let meter = Meter::start(None);
        tokio::task::spawn_blocking(move || xargs(runs)).await.map_err(Failure::other)??;
        let measured = meter.stop(Tally { items: runs, ..Tally::default() }, 2);
        let what = format!(
            "Peer: `xargs -P2 -n1 /bin/true` over {} lines: bare processes, nothing stored, on the same machine in the \
             same run.",
            output::count(runs)
        );
        let figure = measured.figure("peer-xargs", what, "jobs").compared_with(self.progress.report.rate("run"));
        self.add("peer-xargs", figure);
        Ok(())
    }
}

fn ended(job: &Job) -> Failure {
    let message = job.status_message.as_deref().unwrap_or("without a message");
    Failure::other(format!("job {} is {} ({message})", job.id, job.status.name()))
}

/// Waits until so many jobs with a tag are FINISHED; any other end is an error.
async fn wait_finished(client: &Client, tag: &str, count: u64) -> Result<(), Failure> {
    let input = |statuses: &[Status]| ListJobsInput {
        tags: vec![tag.to_owned()],
        job_status: statuses.to_vec(),
        limit: Some(1),
        features_on: vec![ListJobsFeature::NumberOfTotal],
        ..ListJobsInput::default()
    };
    let (mut before, mut moved) = (0, Instant::now());
    loop {
        let finished = client.call::<ListJobs>(&input(&[Status::Finished])).await?.total.unwrap_or(0).max(0) as u64;
        if finished >= count {
            return Ok(());
        }
        if finished > before {
            (before, moved) = (finished, Instant::now());
        } else if moved.elapsed() > Duration::from_secs(1) {
            let other = client.call::<ListJobs>(&input(&[Status::Failed, Status::Died, Status::Canceled])).await?;
            if let Some(job) = other.values.first() {
                return Err(ended(job));
            }
        }
        if moved.elapsed() > STALLED {
            return Err(Failure::other(format!("only {finished} of {count} jobs finished, none within a minute")));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn xargs(lines: u64) -> Result<(), Failure> {
    let mut child = Command::new("xargs")
        .args(["-P2", "-n1", "/bin/true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| Failure::other(format!("xargs can't be started: {error}")))?;
    if let Some(stdin) = child.stdin.take() {
        let mut stdin = std::io::BufWriter::new(stdin);
        for line in 0..lines {
            writeln!(stdin, "{line}")?;
        }
        stdin.flush()?;
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(Failure::other(format!("xargs ended with {status}"))) }
}
