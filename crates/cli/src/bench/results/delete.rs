//! Deleting a large storage while another one is being written to.

use super::Run;
use crate::bench::latency::Latencies;
use crate::bench::load::{self, Meter, Tally};
use crate::bench::process;
use crate::bench::records::{Order, Records};
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::operations::{DeleteJobResults, DeleteJobResultsInput};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the writer is watched before the deletion, and at least after it.
const WATCHED: Duration = Duration::from_secs(10);
/// How long the space may take to come back before the run says that it did not.
const PATIENCE: Duration = Duration::from_secs(120);
/// The writer's pace: so many records at each tick.
const RECORDS: u64 = 100;
const TICK: Duration = Duration::from_millis(10);

const BEFORE: u8 = 0;
const AFTER: u8 = 1;
const STOP: u8 = 2;

/// Writes a little to another storage, at an even pace, and sorts its latencies by phase.
struct Beside {
    connection: Connection,
    request: Request,
    records: Arc<Records>,
    phase: Arc<AtomicU8>,
    sent: Arc<AtomicU64>,
}

impl Beside {
    async fn run(mut self) -> Result<(Latencies, Latencies), Failure> {
        let (mut before, mut after) = (Tally::default(), Tally::default());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for batch in 0.. {
            ticks.tick().await;
            let tally = match self.phase.load(Ordering::Relaxed) {
                BEFORE => &mut before,
                AFTER => &mut after,
                _ => break,
            };
            let body = self.records.body(&Order::Key, batch * RECORDS..(batch + 1) * RECORDS, 0);
            self.sent.fetch_add(body.len() as u64, Ordering::Relaxed);
            let request = self.request.clone().with_body(body.into());
            load::timed(&mut self.connection, &request, false, tally).await?;
        }
        Ok((before.latencies, after.latencies))
    }
}

impl Run {
    pub(super) async fn delete(&mut self) -> Result<(), Failure> {
        self.progress.begin("delete");
        let (storage, other) = (self.storage("shuffled"), self.storage("beside"));
        let phase = Arc::new(AtomicU8::new(BEFORE));
        let sent = Arc::new(AtomicU64::new(0));
        let beside = Beside {
            connection: self.args.common.connection()?,
            request: self.insert_request(&other)?,
            records: self.records.clone(),
            phase: phase.clone(),
            sent: sent.clone(),
        };
        // A set of one: it ends with this scenario, however that ends.
        let mut writer = JoinSet::new();
        writer.spawn(beside.run());
        tokio::time::sleep(WATCHED).await;

        let data = self.args.common.data.clone();
        let before = data.as_deref().map(|data| (process::disk_usage(data), sent.load(Ordering::Relaxed)));
        phase.store(AFTER, Ordering::Relaxed);
        let mut tally = Tally::default();
        let meter = Meter::start(self.args.common.pid);
        let mut connection = self.args.common.connection()?;
        let request = Request::of::<DeleteJobResults>(&DeleteJobResultsInput { storage_id: storage.clone() })?;
        let answer = load::timed(&mut connection, &request, false, &mut tally).await?;
        tally.items = self.stored;
        let deleted = meter.stop(tally, 1);
        let answered = Instant::now();
        let text = String::from_utf8_lossy(&answer.head).into_owned();
        if !text.contains(&format!(":{}", self.stored)) {
            return Err(Failure::other(format!("{} records were stored, the answer is {text}", self.stored)));
        }
        let visible = connection.scan(&self.list(&storage, |input| input.limit = Some(1))?, true).await?;
        if visible.total()? != 0 || visible.results != Some(0) {
            return Err(Failure::other("results can be read behind the answer to their deletion"));
        }

        let expected = self.stored * self.records.record_bytes() as u64 / 10 * 8;
        let space = match (data, before) {
            (Some(data), Some((bytes, sent_before))) => {
                let goal = move |sent_now: u64| (bytes + 2 * (sent_now - sent_before)).saturating_sub(expected);
                space_back(&data, answered, || goal(sent.load(Ordering::Relaxed))).await?
            }
            _ => None,
        };
        tokio::time::sleep(WATCHED.saturating_sub(answered.elapsed())).await;
        phase.store(STOP, Ordering::Relaxed);
        let ended = writer.join_next().await.ok_or_else(|| Failure::other("the writer beside is gone"))?;
        let (quiet, disturbed) =
            ended.map_err(|error| Failure::other(format!("the writer beside failed: {error}")))??;

        let what = format!(
            "Deletion of a storage of {} records, over one connection: the latency is the time until the answer, \
             behind which nothing can be read any more (checked). Meanwhile another storage is written to, {RECORDS} \
             records each {} ms: its latency is given in the {} s before and from the deletion on.",
            output::count(self.stored),
            TICK.as_millis(),
            WATCHED.as_secs(),
        );
        let mut figure = deleted.figure("delete", what, "records");
        for (p50, p99, latencies) in [
            ("writerBesideP50MsBefore", "writerBesideP99MsBefore", quiet),
            ("writerBesideP50MsAfter", "writerBesideP99MsAfter", disturbed),
        ] {
            if let Some(latency) = latencies.distribution() {
                figure = figure.with(p50, latency.p50).with(p99, latency.p99);
            }
        }
        match (space, &self.args.common.data) {
            (Some(space), _) => figure = figure.with("secondsUntilSpaceIsBack", space.as_secs_f64()),
            (None, Some(_)) => {
                let patience = PATIENCE.as_secs();
                self.progress.note(format!("delete: the space of the storage was not back after {patience} s"));
            }
            (None, None) => self.progress.note("delete: without --data it is not seen when the space is back"),
        }
        self.storages.retain(|kept| *kept != storage);
        self.stored = 0;
        self.add("delete", figure);
        Ok(())
    }
}

/// Waits until a directory has shrunk to the goal; answers how long that took.
async fn space_back(data: &Path, since: Instant, goal: impl Fn() -> u64) -> Result<Option<Duration>, Failure> {
    while since.elapsed() < PATIENCE {
        let directory = data.to_owned();
        let usage = tokio::task::spawn_blocking(move || process::disk_usage(&directory));
        let usage = usage.await.map_err(Failure::other)?;
        if usage <= goal() {
            return Ok(Some(since.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(None)
}
