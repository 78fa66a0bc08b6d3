//! What a server costs that has nothing to do.

use super::{Run, start_request, true_job};
use crate::bench::load::{self, Meter, Tally, Worker};
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::job::JobSpec;
use docket_contract::operations::{CancelJob, CancelJobInput};
use docket_contract::{Job, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// 2100-01-01: no job of the bench comes to its turn.
const NEVER: i64 = 4_102_444_800_000;

/// Starts jobs that wait, and cancels those before a number.
struct Filler {
    connection: Connection,
    request: Request,
    next: Arc<AtomicU64>,
    canceled: u64,
    end: u64,
}

impl Worker for Filler {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.end {
            return Ok(false);
        }
        let answer = load::timed(&mut self.connection, &self.request, false, tally).await?;
        tally.items += 1;
        if index < self.canceled {
            let job: Job = serde_json::from_slice(&answer.head)
                .map_err(|error| Failure::other(format!("the answer to a start can't be read: {error}")))?;
            let input = CancelJobInput { job_id: job.id, reason: None, grace_period_seconds: None };
            load::timed(&mut self.connection, &Request::of::<CancelJob>(&input)?, false, tally).await?;
        }
        Ok(true)
    }
}

impl Run {
    pub(super) async fn idle(&mut self) -> Result<(), Failure> {
        let pid = self.args.common.pid;
        let pid = pid.ok_or_else(|| Failure::usage("idle measures the server's CPU: give its --pid"))?;
        let (ended, waiting) = (self.args.idle_ended, self.args.idle_waiting);
        self.progress.begin("idle: filling");
        let start_at = Some(Timestamp::from_millis(NEVER));
        let request = start_request(&JobSpec { start_at, ..true_job(&format!("{}-idle", self.tag)) })?;
        let next = Arc::new(AtomicU64::new(0));
        let fillers = self.connections()?.into_iter().map(|connection| Filler {
            connection,
            request: request.clone(),
            next: next.clone(),
            canceled: ended,
            end: ended + waiting,
        });
        load::run(fillers.collect(), None).await?;
        self.progress.begin("idle");
        // What the filling left to do is not what is measured.
        tokio::time::sleep(SETTLE).await;
        let meter = Meter::start(Some(pid));
        let time = Duration::from_secs(self.args.idle_seconds);
        tokio::time::sleep(time).await;
        let measured = meter.stop(Tally::default(), 0);
        let what = format!(
            "A server without any request for {} s, with {} ended jobs and {} that wait for their time, after a rest of \
             {} s.",
            self.args.idle_seconds,
            output::count(ended),
            output::count(waiting),
            SETTLE.as_secs()
        );
        let figure = measured.figure("idle", what, "jobs");
        let share = figure.server_cpu_seconds.unwrap_or_default() / figure.seconds;
        self.add("idle", figure.with("percentOfACore", share * 100.0));
        Ok(())
    }
}

/// The time between the filling and the measurement.
const SETTLE: Duration = Duration::from_secs(10);
