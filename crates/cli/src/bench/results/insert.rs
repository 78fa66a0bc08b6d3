//! Writing: in key order, shuffled, into a large storage, and known records again.

use super::Run;
use crate::bench::load::{self, Measured, Tally, Worker};
use crate::bench::records::{Order, Permutation, Records};
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::operations::InsertSummary;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many records at the end of a growing storage are measured by themselves, as `grow-end`.
const LAST: u64 = 1_000_000;

/// One connection that takes the next batch until there is none.
struct Inserter {
    connection: Connection,
    request: Request,
    records: Arc<Records>,
    order: Order,
    next: Arc<AtomicU64>,
    end: u64,
    batch: u64,
    revision: u64,
    created: u64,
    updated: u64,
}

impl Worker for Inserter {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let start = self.next.fetch_add(self.batch, Ordering::Relaxed);
        if start >= self.end {
            return Ok(false);
        }
        let places = start..self.end.min(start + self.batch);
        let sent = places.end - places.start;
        let body = self.records.body(&self.order, places, self.revision);
        let request = self.request.clone().with_body(body.into());
        let answer = load::timed(&mut self.connection, &request, false, tally).await?;
        let text = String::from_utf8_lossy(&answer.head);
        let summary: InsertSummary = serde_json::from_str(&text)
            .map_err(|error| Failure::other(format!("the answer to an insert can't be read: {error}: {text}")))?;
        let (created, updated) = (summary.created.max(0) as u64, summary.updated.max(0) as u64);
        if summary.failed != 0 || created + updated != sent {
            return Err(Failure::other(format!("{sent} records were sent, the answer is {text}")));
        }
        self.created += created;
        self.updated += updated;
        tally.items += sent;
        Ok(true)
    }
}

impl Run {
    /// Writes the records at these places by a request that is still without its body; answers the measurement, and how many
    /// were created and updated.
    pub(super) async fn insert(
        &self,
        request: &Request,
        order: Order,
        places: Range<u64>,
        revision: u64,
    ) -> Result<(Measured, u64, u64), Failure> {
        let next = Arc::new(AtomicU64::new(places.start));
        let workers = self.connections()?.into_iter().map(|connection| Inserter {
            connection,
            request: request.clone(),
            records: self.records.clone(),
            order,
            next: next.clone(),
            end: places.end,
            batch: self.args.batch,
            revision,
            created: 0,
            updated: 0,
        });
        let (workers, measured) = load::run(workers.collect(), self.args.common.pid).await?;
        let created = workers.iter().map(|worker| worker.created).sum();
        let updated = workers.iter().map(|worker| worker.updated).sum();
        Ok((measured, created, updated))
    }

    /// Writes new records.
    pub(super) async fn write(
        &self,
        storage: &str,
        order: Order,
        places: Range<u64>,
        revision: u64,
    ) -> Result<Measured, Failure> {
        self.write_by(&self.insert_request(storage)?, order, places, revision).await
    }

    /// Writes new records by a request that is still without its body.
    pub(super) async fn write_by(
        &self,
        request: &Request,
        order: Order,
        places: Range<u64>,
        revision: u64,
    ) -> Result<Measured, Failure> {
        let expected = places.end - places.start;
        let (measured, created, updated) = self.insert(request, order, places, revision).await?;
        // A repeated request may have been carried out at its first attempt.
        if measured.tally.repeated == 0 && created != expected {
            return Err(Failure::other(format!("{expected} new records: {created} created, {updated} updated")));
        }
        Ok(measured)
    }

    pub(super) fn describe(&self, how: &str) -> String {
        format!(
            "{how}, {} a request, over {} connections; resultData of {} characters; each answer comes when its records \
             are durable. The rate includes making the bodies, the latencies do not.",
            self.args.batch, self.args.connections, self.args.payload
        )
    }

    pub(super) async fn insert_ordered(&mut self) -> Result<(), Failure> {
        self.progress.begin("insert-ordered");
        let storage = self.storage("ordered");
        let measured = self.write(&storage, Order::Key, 0..self.args.records, 0).await?;
        let what = self.describe("New records in ascending order of their keys into an empty storage");
        self.add("insert-ordered", measured.figure("insert-ordered", what, "records"));
        Ok(())
    }

    pub(super) async fn insert_shuffled(&mut self) -> Result<(), Failure> {
        self.progress.begin("insert-shuffled");
        let storage = self.storage("shuffled");
        let measured = self.write(&storage, Order::Shuffled(self.shuffled), 0..self.args.records, 0).await?;
        self.stored = self.args.records;
        let what = self.describe("New records in a seeded random order into an empty storage");
        self.add("insert-shuffled", measured.figure("insert-shuffled", what, "records"));
        Ok(())
    }

    pub(super) async fn grow(&mut self) -> Result<(), Failure> {
        let Some(goal) = self.args.grow else { return Ok(()) };
        let storage = self.storage("shuffled");
        let last = goal.saturating_sub(LAST).max(self.stored);
        for (name, places) in [("grow", self.stored..last), ("grow-end", last..goal)] {
            if places.is_empty() {
                continue;
            }
            let (from, to) = (output::count(places.start), output::count(places.end));
            self.progress.begin(&format!("{name}: from {from} to {to}"));
            let measured = self.write(&storage, Order::Shuffled(self.shuffled), places, 0).await?;
            let what = self.describe(&format!(
                "New records in a seeded random order into a storage that grows from {from} to {to} records"
            ));
            self.add("grow", measured.figure(name, what, "records"));
        }
        self.stored = goal;
        Ok(())
    }

    pub(super) async fn upsert(&mut self) -> Result<(), Failure> {
        self.progress.begin("upsert");
        let storage = self.storage("shuffled");
        let again = Permutation::new(self.stored, self.args.common.seed ^ 1);
        let order = Order::Again { written: self.shuffled, again };
        let count = self.args.records.min(self.stored);
        let request = self.insert_request(&storage)?;
        let (measured, created, updated) = self.insert(&request, order, 0..count, 1).await?;
        if created != 0 || updated != count {
            return Err(Failure::other(format!("{count} known records: {created} created, {updated} updated")));
        }
        let what = self.describe(&format!(
            "Known records, in another random order and with new content, in a storage of {} records",
            output::count(self.stored)
        ));
        self.add("upsert", measured.figure("upsert", what, "records"));
        Ok(())
    }
}
