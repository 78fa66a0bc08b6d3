//! The closed loop: a number of workers, each with a connection of its own, each sending its next request when the
//! answer to the last one is complete.

use super::latency::Latencies;
use super::process;
use super::report::Figure;
use crate::failure::Failure;
use docket_client::{Connection, Request, RetryPolicy, Scan};
use std::future::Future;
use std::time::{Duration, Instant};

/// What workers did.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// One latency a request.
    pub latencies: Latencies,
    /// Records, jobs or pages.
    pub items: u64,
    /// Requests that were repeated because the server refused them for a while.
    pub repeated: u64,
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Bytes of answer bodies.
    pub bytes_received: u64,
}

impl Tally {
    /// Adds what another worker did.
    pub fn merge(&mut self, other: Tally) {
        self.latencies.merge(other.latencies);
        self.items += other.items;
        self.repeated += other.repeated;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }
}

/// One worker of the loop.
pub trait Worker: Send + 'static {
    /// Sends the next request, or answers false because there is none.
    fn step(&mut self, tally: &mut Tally) -> impl Future<Output = Result<bool, Failure>> + Send;
}

/// A run that was timed.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was done.
    pub tally: Tally,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    connections: usize,
    client_cpu_seconds: Option<f64>,
    server_cpu_seconds: Option<f64>,
    server: Option<u32>,
}

/// Takes the time of a run, and of the CPU.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    client_cpu: Option<f64>,
    server_cpu: Option<f64>,
    server: Option<u32>,
}

impl Meter {
    /// Starts; `server` is its process id, where it is known.
    pub fn start(server: Option<u32>) -> Self {
        let client_cpu = process::cpu_seconds(std::process::id());
        Self { client_cpu, server_cpu: server.and_then(process::cpu_seconds), server, started: Instant::now() }
    }

    /// Stops.
    pub fn stop(self, tally: Tally, connections: usize) -> Measured {
        let elapsed = self.started.elapsed();
        self.stop_after(elapsed, tally, connections)
    }

    /// Stops, with a time that was taken by parts.
    pub fn stop_after(self, elapsed: Duration, tally: Tally, connections: usize) -> Measured {
        let used = |before: Option<f64>, pid| Some(process::cpu_seconds(pid)? - before?);
        Measured {
            tally,
            elapsed,
            connections,
            client_cpu_seconds: used(self.client_cpu, std::process::id()),
            server_cpu_seconds: self.server.and_then(|pid| used(self.server_cpu, pid)),
            server: self.server,
        }
    }
}

impl Measured {
    /// Adds another run of the same kind.
    pub fn add(&mut self, other: Measured) {
        let sum = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
        self.tally.merge(other.tally);
        self.elapsed += other.elapsed;
        self.client_cpu_seconds = sum(self.client_cpu_seconds, other.client_cpu_seconds);
        self.server_cpu_seconds = sum(self.server_cpu_seconds, other.server_cpu_seconds);
    }

    /// The figure of the run, still without its line.
    pub fn figure(self, name: &str, what: impl Into<String>, unit: &'static str) -> Figure {
        let seconds = self.elapsed.as_secs_f64();
        Figure {
            name: name.to_owned(),
            what: what.into(),
            unit,
            items: self.tally.items,
            seconds,
            per_second: if seconds > 0.0 { self.tally.items as f64 / seconds } else { 0.0 },
            connections: self.connections,
            requests: self.tally.latencies.len() as u64,
            repeated: self.tally.repeated,
            bytes_sent: self.tally.bytes_sent,
            bytes_received: self.tally.bytes_received,
            latency_ms: self.tally.latencies.distribution(),
            client_cpu_seconds: self.client_cpu_seconds,
            server_cpu_seconds: self.server_cpu_seconds,
            server_memory: self.server.and_then(process::memory),
            ..Figure::default()
        }
    }
}

/// Runs the workers until none has anything left to do. The first failure ends the run.
pub async fn run<W: Worker>(workers: Vec<W>, server: Option<u32>) -> Result<(Vec<W>, Measured), Failure> {
    let connections = workers.len();
    let meter = Meter::start(server);
    let mut tasks = tokio::task::JoinSet::new();
    for mut worker in workers {
        tasks.spawn(async move {
            let mut tally = Tally::default();
            while worker.step(&mut tally).await? {}
            Ok::<_, Failure>((worker, tally))
        });
    }
    let (mut workers, mut tally) = (Vec::with_capacity(connections), Tally::default());
    while let Some(task) = tasks.join_next().await {
        // Leaving early drops the set, which ends the other workers.
        let (worker, own) = task.map_err(|error| Failure::other(format!("a worker failed: {error}")))??;
        workers.push(worker);
        tally.merge(own);
    }
    Ok((workers, meter.stop(tally, connections)))
}

/// Requests that are sent and not measured before each figure of single reads.
pub const WARM_UP: u64 = 5;

/// Sends a request without measuring it.
pub async fn unmeasured(connection: &mut Connection, request: &Request) -> Result<(), Failure> {
    timed(connection, request, false, &mut Tally::default()).await.map(drop)
}

/// Sends one request and takes its time, from the first attempt on: a request that the server refuses for a while is
/// repeated, and its whole wait counts as its latency.
pub async fn timed(
    connection: &mut Connection,
    request: &Request,
    count: bool,
    tally: &mut Tally,
) -> Result<Scan, Failure> {
    let policy = RetryPolicy::default();
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        let error = match connection.scan(request, count).await {
            Ok(scan) => {
                tally.latencies.add(started.elapsed());
                tally.bytes_sent += request.body.as_ref().map_or(0, |body| body.len() as u64);
                tally.bytes_received += scan.bytes;
                return Ok(scan);
            }
            Err(error) => error,
        };
        // A broken connection is a finding, not a wait.
        let wish = if error.code().is_some() { error.may_repeat(true) } else { None };
        let left = policy.budget.saturating_sub(started.elapsed());
        let delay = wish.and_then(|wish| policy.delay(attempt, wish, left, fastrand::f64()));
        let Some(delay) = delay else { return Err(error.into()) };
        tokio::time::sleep(delay).await;
        tally.repeated += 1;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_client::testing::{answer, scripted};

    struct Reader {
        connection: Connection,
        left: usize,
    }

    impl Worker for Reader {
        async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
            if self.left == 0 {
                return Ok(false);
            }
            self.left -= 1;
            timed(&mut self.connection, &Request::get("/jobs".to_owned()), false, tally).await?;
            tally.items += 1;
            Ok(true)
        }
    }

    #[tokio::test]
    async fn a_refused_request_counts_once_with_its_wait() {
        let busy = answer("503 Busy", "retry-after: 0\r\n", r#"{"code":"overloaded","detail":"busy"}"#);
        let (url, requests) = scripted(vec![answer("200 OK", "", "[]"), busy, answer("200 OK", "", "[1]")]).await;
        let reader = Reader { connection: Connection::new(&url, None).expect("a connection"), left: 2 };
        let (_, measured) = run(vec![reader], None).await.expect("measured");
        assert_eq!(requests.lock().expect("no panic").len(), 3);
        let figure = measured.figure("read", "Reads.", "requests");
        assert_eq!((figure.items, figure.requests, figure.repeated, figure.bytes_received), (2, 2, 1, 5));
        assert!(figure.per_second > 0.0 && figure.latency_ms.is_some());
    }

    #[tokio::test]
    async fn a_failure_ends_the_run() {
        let wrong = answer("404 No", "", r#"{"code":"not_found","detail":"no such job"}"#);
        let (url, _) = scripted(vec![answer("200 OK", "", "[]"), wrong]).await;
        let reader = Reader { connection: Connection::new(&url, None).expect("a connection"), left: 5 };
        let failure = run(vec![reader], None).await.map(drop).expect_err("404");
        assert_eq!(failure.message, "no such job (HTTP 404, not_found)");
    }
}
