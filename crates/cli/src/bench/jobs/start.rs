//! Starting jobs that do not run meanwhile.

use super::{Run, start_request, stored_job};
use crate::bench::ceiling;
use crate::bench::load::{self, Measured, Tally, Worker};
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::job::JobSpec;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One connection that starts the next job until there is none.
pub struct Starter<F> {
    pub connection: Connection,
    /// Makes the job with a number.
    pub spec: F,
    pub next: Arc<AtomicU64>,
    pub end: u64,
}

impl<F: Fn(u64) -> JobSpec + Send + 'static> Worker for Starter<F> {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.end {
            return Ok(false);
        }
        let request: Request = start_request(&(self.spec)(index))?;
        load::timed(&mut self.connection, &request, false, tally).await?;
        tally.items += 1;
        Ok(true)
    }
}

impl Run {
    /// Starts the jobs with these numbers.
    async fn start(&self, numbers: Range<u64>) -> Result<Measured, Failure> {
        let next = Arc::new(AtomicU64::new(numbers.start));
        let starters = self.connections()?.into_iter().map(|connection| {
            let (tag, seed) = (self.tag.clone(), self.args.common.seed);
            let spec = move |index| stored_job(&tag, index, seed);
            Starter { connection, spec, next: next.clone(), end: numbers.end }
        });
        let (_, measured) = load::run(starters.collect(), self.args.common.pid).await?;
        Ok(measured)
    }

    /// Starts jobs until there are this many.
    async fn start_until(&mut self, goal: u64) -> Result<Option<Measured>, Failure> {
        if goal <= self.stored {
            return Ok(None);
        }
        let measured = self.start(self.stored..goal).await?;
        self.stored = goal;
        Ok(Some(measured))
    }

    pub(super) async fn starts(&mut self) -> Result<(), Failure> {
        self.progress.begin("starts");
        self.start_until(self.args.warmup).await?;
        let from = self.stored;
        let Some(measured) = self.start_until(from + self.args.starts).await? else { return Ok(()) };
        let what = format!(
            "Start Job over {} connections; each answer comes when the job is durable. No job runs meanwhile. The \
             client sends no idempotency keys.",
            self.args.connections
        );
        self.add("starts", measured.figure("starts", what, "jobs"));
        if self.args.ceiling {
            self.start_ceilings().await?;
        }
        Ok(())
    }

    /// Loads jobs for the lists; a figure of its own, because it was measured all the same.
    pub(super) async fn fill(&mut self) -> Result<(), Failure> {
        let from = self.stored;
        self.progress.begin(&format!("loading jobs until {} are stored", output::count(self.args.jobs)));
        let Some(measured) = self.start_until(self.args.jobs).await? else { return Ok(()) };
        let what = format!(
            "Start Job over {} connections, while the number of stored jobs grows from {} to {}.",
            self.args.connections,
            output::count(from),
            output::count(self.stored)
        );
        self.add("list", measured.figure("starts-while-loading", what, "jobs"));
        Ok(())
    }

    async fn start_ceilings(&mut self) -> Result<(), Failure> {
        self.progress.begin("ceiling of starts");
        let spec = stored_job(&self.tag, 0, self.args.common.seed);
        let load = ceiling::jobs::Load {
            body: start_request(&spec)?.body.unwrap_or_default(),
            count: self.args.starts,
            submitters: usize::from(self.args.connections),
        };
        let rate = self.progress.report.rate("starts");
        let directory = self.args.common.scratch()?;
        let measured = ceiling::jobs::insert(directory.path(), load.clone()).await?;
        drop(directory);
        let what = format!(
            "Ceiling: one durable insert of the same job a call, straight into the control plane's store, by {} \
             submitters, without HTTP.",
            self.args.connections
        );
        let figure = measured.figure("ceiling-starts", what, "jobs").compared_with(rate);
        self.add("starts", figure);

        let directory = self.args.common.scratch()?;
        let measured = ceiling::jobs::insert_by_http(directory.path(), load).await?;
        let what = format!(
            "Ceiling: the same insert behind bare HTTP on loopback, over {} connections: parse, insert, answer; no \
             routing, no callers, no validation. Its server runs in this process.",
            self.args.connections
        );
        let figure = measured.figure("ceiling-starts-http", what, "jobs").compared_with(rate);
        self.add("starts", figure);
        Ok(())
    }
}
