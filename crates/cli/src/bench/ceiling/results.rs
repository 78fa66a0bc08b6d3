//! The ceilings of `docket bench results`.

use super::memory_server::MemoryServer;
use super::open;
use crate::bench::load::{self, Measured, Meter, Tally, Worker};
use crate::bench::records::{Order, Records};
use crate::failure::Failure;
use bytes::Bytes;
use docket_client::{Connection, Request};
use docket_contract::JobId;
use docket_contract::result::{Record, ResultItem};
use docket_service::clock::{Clock, SystemClock};
use docket_service::store::{ResultStore, SetKey, SetOwner, StorageKey};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Batches that are prepared while the clock stands.
const PORTION: u64 = 32;

/// What to insert.
pub struct Load {
    /// The records.
    pub records: Arc<Records>,
    /// Their order.
    pub order: Order,
    /// How many.
    pub count: u64,
    /// How many in one call.
    pub batch: u64,
    /// Calls at once.
    pub submitters: usize,
    /// Records written to another storage before, which are not measured.
    pub warmup: u64,
}

/// Inserts records through the store. The clock runs only while records are being inserted.
pub async fn insert(directory: &Path, load: Load) -> Result<Measured, Failure> {
    insert_into(open::results(directory)?, load).await
}

async fn insert_into(store: Arc<dyn ResultStore>, load: Load) -> Result<Measured, Failure> {
    let set = |storage_id: &str| {
        let storage = StorageKey { organization: "bench".to_owned(), storage_id: storage_id.to_owned() };
        SetKey { storage, owner: SetOwner::Job(JobId(uuid::Uuid::now_v7())) }
    };
    let warm_up = prepare(&load, 0..load.warmup.min(load.count)).await?;
    submit(&store, &set("warmup"), warm_up, load.submitters).await?;
    let set = set("ceiling");
    let meter = Meter::start(None);
    let (mut tally, mut elapsed) = (Tally::default(), Duration::ZERO);
    let mut start = 0;
    while start < load.count {
        let end = load.count.min(start + PORTION * load.batch);
        let prepared = prepare(&load, start..end).await?;
        start = end;
        let started = Instant::now();
        let portion = submit(&store, &set, prepared, load.submitters).await?;
        elapsed += started.elapsed();
        tally.merge(portion);
    }
    store.close().await;
    Ok(meter.stop_after(elapsed, tally, load.submitters))
}

/// Makes and checks the records of a portion, by batches.
async fn prepare(load: &Load, places: Range<u64>) -> Result<Vec<Vec<Record>>, Failure> {
    let (records, order, batch) = (load.records.clone(), load.order, load.batch);
    let prepare = move || {
        let batches = (places.start..places.end).step_by(usize::try_from(batch).unwrap_or(usize::MAX));
        batches.map(|start| parse(&records, &order, start..places.end.min(start + batch))).collect()
    };
    tokio::task::spawn_blocking(prepare).await.map_err(Failure::other)?
}

/// Makes and checks records.
pub fn parse(records: &Records, order: &Order, places: Range<u64>) -> Result<Vec<Record>, Failure> {
    let mut json = Vec::new();
    places
        .map(|place| {
            json.clear();
            records.write(order.key(place), 0, &mut json);
            match ResultItem::parse(&String::from_utf8_lossy(&json)) {
                ResultItem::Record(record, _) => Ok(record),
                ResultItem::Rejected(failure) => Err(Failure::other(failure.detail)),
            }
        })
        .collect()
}

async fn submit(
    store: &Arc<dyn ResultStore>,
    set: &SetKey,
    batches: Vec<Vec<Record>>,
    submitters: usize,
) -> Result<Tally, Failure> {
    let batches = Arc::new(Mutex::new(batches.into_iter()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..submitters {
        let (store, set, batches) = (store.clone(), set.clone(), batches.clone());
        tasks.spawn(async move {
            let mut tally = Tally::default();
            loop {
                let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(batch) = batch else { return Ok::<_, Failure>(tally) };
                let count = batch.len() as u64;
                let started = Instant::now();
                let upserted = store.upsert_results(&set, batch, SystemClock.now()).await;
                tally.latencies.add(started.elapsed());
                let upserted = upserted.map_err(Failure::other)?;
                if u64::from(upserted.created) != count {
                    return Err(Failure::other(format!("{} of {count} records were new", upserted.created)));
                }
                tally.items += count;
            }
        });
    }
    let mut tally = Tally::default();
    while let Some(task) = tasks.join_next().await {
        tally.merge(task.map_err(Failure::other)??);
    }
    Ok(tally)
}

/// Reads the same page from memory, over HTTP.
struct Reader {
    connection: Connection,
    request: Request,
    left: Arc<AtomicU64>,
    expected: u64,
}

impl Worker for Reader {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return Ok(false);
        }
        let page = load::timed(&mut self.connection, &self.request, false, tally).await?;
        if page.bytes != self.expected {
            return Err(Failure::other(format!("{} bytes of {} came", page.bytes, self.expected)));
        }
        tally.items += 1;
        Ok(true)
    }
}

/// Sends `count` copies of a page from memory through HTTP to the client of the benchmark.
pub async fn pages(page: Bytes, count: u64, connections: usize) -> Result<Measured, Failure> {
    let expected = page.len() as u64;
    let server = MemoryServer::start(move |_| std::future::ready(Some(page.clone())))?;
    let left = Arc::new(AtomicU64::new(count));
    let readers = (0..connections).map(|_| {
        Ok(Reader {
            connection: Connection::new(&server.url, None)?,
            request: Request::get("/page".to_owned()),
            left: left.clone(),
            expected,
        })
    });
    let (_, measured) = load::run(readers.collect::<Result<_, Failure>>()?, None).await?;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_come_whole() {
        let page = Bytes::from(vec![b'x'; 3_000_000]);
        let measured = pages(page, 20, 4).await.expect("pages");
        assert_eq!((measured.tally.items, measured.tally.bytes_received), (20, 60_000_000));
        assert_eq!(measured.tally.latencies.len(), 20);
    }

    #[tokio::test]
    async fn portions_hold_every_record_once() {
        let load = Load {
            records: Arc::new(Records::new(1, 100)),
            order: Order::Key,
            count: 2500,
            batch: 1000,
            submitters: 4,
            warmup: 0,
        };
        let batches = prepare(&load, 0..2500).await.expect("records");
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
        let ids: std::collections::BTreeSet<_> =
            batches.iter().flatten().map(|record| record.identity.clone()).collect();
        assert_eq!(ids.len(), 2500);
    }

    #[tokio::test]
    async fn the_store_takes_every_record_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let records = Arc::new(Records::new(1, 100));
        let order = Order::Shuffled(crate::bench::records::Permutation::new(5000, 1));
        // More than one portion, and a warm-up with the same records.
        let load = Load { records, order, count: 5000, batch: 100, submitters: 4, warmup: 500 };
        let measured = insert(directory.path(), load).await.expect("inserted");
        assert_eq!((measured.tally.items, measured.tally.latencies.len()), (5000, 50));
    }
}
