//! The ceilings of `docket bench jobs`.

use super::memory_server::MemoryServer;
use super::open;
use crate::bench::load::{self, Measured, Meter, Tally, Worker};
use crate::failure::Failure;
use bytes::Bytes;
use docket_client::{Connection, Request};
use docket_contract::job::JobSpec;
use docket_contract::{JobId, Status};
use docket_service::clock::{Clock, SystemClock};
use docket_service::store::{ControlStore, NewJob};
use http_body_util::BodyExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What to insert.
#[derive(Clone)]
pub struct Load {
    /// The job, as a request's body.
    pub body: Bytes,
    /// How many.
    pub count: u64,
    /// Calls or connections at once.
    pub submitters: usize,
}

fn new_job(spec: JobSpec) -> NewJob {
    NewJob {
        status: Status::Scheduled,
        id: JobId(uuid::Uuid::now_v7()),
        organization: "bench".to_owned(),
        user: "bench".to_owned(),
        spec,
        created_at: SystemClock.now(),
        rerun: None,
        scheduled: None,
    }
}

fn parse(body: &[u8]) -> Result<JobSpec, Failure> {
    serde_json::from_slice(body).map_err(Failure::other)
}

/// One durable insert a call, straight into the control plane's store.
pub async fn insert(directory: &Path, load: Load) -> Result<Measured, Failure> {
    let store = open::control(directory)?;
    let spec = parse(&load.body)?;
    let left = Arc::new(AtomicU64::new(load.count));
    let meter = Meter::start(None);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..load.submitters {
        let (store, spec, left) = (store.clone(), spec.clone(), left.clone());
        tasks.spawn(async move {
            let mut tally = Tally::default();
            while take_one(&left) {
                let job = new_job(spec.clone());
                let started = Instant::now();
                let stored = store.insert_job(job).await;
                tally.latencies.add(started.elapsed());
                stored.map_err(Failure::other)?;
                tally.items += 1;
            }
            Ok::<_, Failure>(tally)
        });
    }
    let mut tally = Tally::default();
    while let Some(task) = tasks.join_next().await {
        tally.merge(task.map_err(Failure::other)??);
    }
    Ok(meter.stop(tally, load.submitters))
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Posts jobs.
struct Poster {
    connection: Connection,
    request: Request,
    left: Arc<AtomicU64>,
}

impl Worker for Poster {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        if !take_one(&self.left) {
            return Ok(false);
        }
        load::timed(&mut self.connection, &self.request, false, tally).await?;
        tally.items += 1;
        Ok(true)
    }
}

/// The same behind bare HTTP: the body is parsed, inserted, and the job is answered as JSON. No routing, no caller, no
/// validation.
pub async fn insert_by_http(directory: &Path, load: Load) -> Result<Measured, Failure> {
    let store: Arc<dyn ControlStore> = open::control(directory)?;
    by_http(store, load).await
}

async fn by_http(store: Arc<dyn ControlStore>, load: Load) -> Result<Measured, Failure> {
    let server = MemoryServer::start(move |request: http::Request<hyper::body::Incoming>| {
        let store = store.clone();
        async move {
            let body = request.into_body().collect().await.ok()?.to_bytes();
            let stored = store.insert_job(new_job(parse(&body).ok()?)).await.ok()?;
            Some(Bytes::from(serde_json::to_vec(&stored.job).ok()?))
        }
    })?;
    let left = Arc::new(AtomicU64::new(load.count));
    let request = Request {
        method: http::Method::POST,
        target: "/jobs".to_owned(),
        body: Some(load.body.clone()),
        media_type: "application/json".into(),
        repeatable: false,
        trailers: false,
    };
    let posters = (0..load.submitters).map(|_| {
        Ok(Poster { connection: Connection::new(&server.url, None)?, request: request.clone(), left: left.clone() })
    });
    let (_, measured) = load::run(posters.collect::<Result<_, Failure>>()?, None).await?;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ways_store_every_job() {
        let body = Bytes::from_static(br#"{"dockerImageUrl":"image","commands":["/bin/true"]}"#);
        let load = Load { body, count: 100, submitters: 8 };
        let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let measured = insert(one.path(), load.clone()).await.expect("inserted");
        assert_eq!((measured.tally.items, measured.tally.latencies.len()), (100, 100));
        let measured = insert_by_http(other.path(), load).await.expect("inserted");
        assert_eq!((measured.tally.items, measured.tally.latencies.len()), (100, 100));
        assert!(measured.tally.bytes_received > 100 * 100, "each job is answered");
    }
}
