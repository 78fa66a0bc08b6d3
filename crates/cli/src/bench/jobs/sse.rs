//! Readers of events: what an idle one costs the server, and how soon an event is with all of them.

use super::{Run, start_request, true_job};
use crate::bench::latency::Latencies;
use crate::bench::load::{self, Meter, Tally};
use crate::bench::process;
use crate::failure::Failure;
use crate::output;
use docket_client::Base;
use docket_contract::Job;
use docket_contract::operations::{JobInput, ReadJob};
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long anything may take before the scenario is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Readers that connect at a time.
const CONNECTING: usize = 64;
/// How long the readers do nothing before the server's memory is read.
const REST: Duration = Duration::from_secs(20);
/// Descriptors for everything else.
const SPARE: u64 = 256;

/// When the present job was started; the readers take their time from it.
type Started = Arc<Mutex<Option<(u64, Instant)>>>;

impl Run {
    pub(super) async fn sse(&mut self) -> Result<(), Failure> {
        let readers = usize::try_from(self.args.readers).unwrap_or(usize::MAX);
        raise_descriptors(readers as u64 + SPARE)?;
        self.progress.begin("sse");
        let pid = self.args.common.pid;
        let before = pid.and_then(process::memory);
        let base = Base::parse(&self.args.common.url)?;
        let opened = Instant::now();
        let sockets = self.open(&base, readers).await?;
        let opened = opened.elapsed();
        let idle = Meter::start(pid);
        tokio::time::sleep(REST).await;
        let after = pid.and_then(process::memory);
        let measured = idle.stop(Tally { items: readers as u64, ..Tally::default() }, readers);
        let what = format!(
            "{} readers of GET /jobs/events that were connected one after another and then left alone for {} s, with their \
             heartbeats; the server's memory before and after.",
            output::count(readers as u64),
            REST.as_secs()
        );
        let mut figure = measured.figure("sse-idle", what, "readers");
        figure = figure.with("secondsUntilAllWereConnected", opened.as_secs_f64());
        if let (Some(before), Some(after)) = (before, after) {
            let added = after.resident_mib - before.resident_mib;
            figure = figure
                .with("residentMibBefore", before.resident_mib)
                .with("residentMibAfter", after.resident_mib)
                .with("kibPerReader", added * 1024.0 / readers as f64);
        }
        self.add("sse", figure);
        self.fan_out(sockets).await
    }

    /// Each job's first event, from its POST until every reader has it.
    async fn fan_out(&mut self, sockets: Vec<TcpStream>) -> Result<(), Failure> {
        let readers = sockets.len();
        let started = Started::default();
        let (heard, mut hearing) = mpsc::unbounded_channel();
        let mut tasks = tokio::task::JoinSet::new();
        for socket in sockets {
            tasks.spawn(listen(socket, started.clone(), heard.clone()));
        }
        drop(heard);
        let mut connection = self.args.common.connection()?;
        let (mut tally, mut starts, mut last) = (Tally::default(), Tally::default(), Latencies::default());
        let tag = format!("{}-sse", self.tag);
        let request = start_request(&true_job(&tag))?;
        let meter = Meter::start(self.args.common.pid);
        for round in 0..self.args.sse_jobs {
            // The readers take the first event behind it.
            *started.lock().unwrap_or_else(PoisonError::into_inner) = Some((round, Instant::now()));
            let answer = load::timed(&mut connection, &request, false, &mut starts).await?;
            let job: Job = serde_json::from_slice(&answer.head)
                .map_err(|error| Failure::other(format!("the answer to a start can't be read: {error}")))?;
            let mut slowest = Duration::ZERO;
            for _ in 0..readers {
                let heard = timeout(PATIENCE, hearing.recv()).await;
                let took = heard.ok().flatten().ok_or_else(|| Failure::other("an event did not reach every reader"))?;
                tally.latencies.add(took);
                tally.items += 1;
                slowest = slowest.max(took);
            }
            last.add(slowest);
            self.settle(&job).await?;
        }
        let measured = meter.stop(tally, readers);
        let what = format!(
            "The first event of a job, from sending its POST until each of {} readers has it; one job at a time. One \
             latency a reader and job.",
            output::count(readers as u64)
        );
        let mut figure = measured.figure("sse-fan-out", what, "events");
        if let Some(start) = starts.latencies.distribution() {
            figure = figure.with("p50MsOfTheStartAlone", start.p50);
        }
        if let Some(last) = last.distribution() {
            figure = figure.with("p50MsUntilTheLastReader", last.p50);
        }
        self.add("sse", figure);
        Ok(())
    }

    /// Waits until a job has ended, where the server runs jobs, so that its events do not fall into the next round.
    async fn settle(&self, job: &Job) -> Result<(), Failure> {
        let since = Instant::now();
        let input = JobInput { job_id: job.id };
        while since.elapsed() < Duration::from_millis(500) {
            if self.client.call::<ReadJob>(&input).await?.status.is_terminal() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The last event is still on its way to the last reader.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    /// Connects readers, each until the head of its answer is there.
    async fn open(&self, base: &Base, readers: usize) -> Result<Vec<TcpStream>, Failure> {
        let key = self.args.common.key.as_deref().map(|key| format!("x-api-key: {key}\r\n")).unwrap_or_default();
        let Base { authority, prefix } = base;
        let request = format!("GET {prefix}/jobs/events HTTP/1.1\r\nhost: {authority}\r\n{key}\r\n");
        let connect = async || {
            let socket = timeout(PATIENCE, connect(base, request.as_bytes())).await;
            socket
                .map_err(|_| Failure::other("a reader was not answered; is --max-connections of the server enough?"))?
        };
        let mut sockets = Vec::with_capacity(readers);
        let mut open: FuturesUnordered<_> = (0..readers.min(CONNECTING)).map(|_| connect()).collect();
        while let Some(socket) = open.next().await {
            sockets.push(socket?);
            if sockets.len() + open.len() < readers {
                open.push(connect());
            }
        }
        Ok(sockets)
    }
}

async fn connect(base: &Base, request: &[u8]) -> Result<TcpStream, Failure> {
    let mut socket = TcpStream::connect(base.socket_name()).await?;
    socket.write_all(request).await?;
    let mut head = Vec::with_capacity(1024);
    // The stream begins with how long to wait before coming again.
    while !head.windows(7).any(|part| part == b"retry: ") {
        if socket.read_buf(&mut head).await? == 0 {
            let text = String::from_utf8_lossy(&head);
            return Err(Failure::other(format!("a reader was refused: {}", text.lines().last().unwrap_or_default())));
        }
    }
    Ok(socket)
}

/// Reads until the connection ends; tells the time of the first event behind each start.
async fn listen(mut socket: TcpStream, started: Started, heard: mpsc::UnboundedSender<Duration>) {
    let mut buffer = vec![0; 512];
    let mut last = None;
    while let Ok(count) = socket.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        let now = Instant::now();
        if !buffer[..count].windows(6).any(|part| part == b"event:") {
            continue;
        }
        let present = *started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((round, began)) = present
            && last != Some(round)
        {
            last = Some(round);
            // Nobody waits any more: the scenario has failed.
            if heard.send(now.saturating_duration_since(began)).is_err() {
                return;
            }
        }
    }
}

/// Sees to it that so many descriptors can be open.
fn raise_descriptors(wanted: u64) -> Result<(), Failure> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(Failure::usage(format!("readers: this process may not open {wanted} descriptors; see ulimit -Hn")));
    }
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit).map_err(|error| Failure::other(format!("raising ulimit -n failed: {error}")))
}
