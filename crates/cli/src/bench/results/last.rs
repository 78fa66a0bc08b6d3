//! The newest result of each record, when many jobs have written to one storage.

use super::Run;
use super::filters::Sender;
use crate::bench::load::{self, Measured, Tally, Worker};
use crate::bench::records::{self, Order, Records, business_partner_id, external_id};
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::job::JobSpec;
use docket_contract::operations::{
    CancelJob, CancelJobInput, FetchLastResults, FetchLastResultsInput, InsertJobResults, InsertJobResultsInput,
    ResultItems, StartJob,
};
use docket_contract::result::MAX_FILTER_IDS;
use docket_contract::{JobId, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A day, in milliseconds: the jobs that only lend their names to results wait until then.
const DAY: i64 = 86_400_000;

/// The time between writing and measuring: the index merges behind what was written, which is none of the readers' cost.
const SETTLE: Duration = Duration::from_secs(20);

/// How the jobs' records overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Every job writes the same records, one job after another
    Same,
    /// Every job writes records of its own, one job after another
    Disjoint,
    /// Every job writes the same records, all jobs in turns
    Interleaved,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Disjoint => "disjoint",
            Self::Interleaved => "interleaved",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Same => "the same records by every job, one job after another",
            Self::Disjoint => "other records by every job, one job after another",
            Self::Interleaved => "the same records by every job, all jobs in turns",
        }
    }
}

/// What is written: so many batches, and which job and which places each is.
#[derive(Clone, Copy)]
struct Plan {
    shape: Shape,
    jobs: u64,
    records: u64,
    batch: u64,
    /// Only the first batch of each job.
    once: bool,
}

impl Plan {
    fn batches(self) -> u64 {
        if self.once { 1 } else { self.records.div_ceil(self.batch) }
    }

    /// The job of a step, and the keys of the records that it writes.
    fn step(self, step: u64) -> (u64, std::ops::Range<u64>) {
        let (job, batch) = match self.shape {
            Shape::Interleaved => (step % self.jobs, step / self.jobs),
            Shape::Same | Shape::Disjoint => (step / self.batches(), step % self.batches()),
        };
        let first = if self.shape == Shape::Disjoint { job * self.records } else { 0 };
        let start = batch * self.batch;
        (job, first + start..first + self.records.min(start + self.batch))
    }

    /// How many different records there are.
    fn distinct(self) -> u64 {
        if self.shape == Shape::Disjoint { self.jobs * self.records } else { self.records }
    }
}

/// A connection that takes the next batch until there is none.
struct Writer {
    connection: Connection,
    requests: Arc<Vec<Request>>,
    records: Arc<Records>,
    next: Arc<AtomicU64>,
    plan: Plan,
    revision: u64,
}

impl Worker for Writer {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let step = self.next.fetch_add(1, Ordering::Relaxed);
        if step >= self.plan.jobs * self.plan.batches() {
            return Ok(false);
        }
        let (job, keys) = self.plan.step(step);
        let sent = keys.end - keys.start;
        let request = self.requests.get(usize::try_from(job).unwrap_or(usize::MAX));
        let request = request.ok_or_else(|| Failure::other("a batch of no job"))?;
        let request = request.clone().with_body(self.records.body(&Order::Key, keys, self.revision).into());
        load::timed(&mut self.connection, &request, false, tally).await?;
        tally.items += sent;
        Ok(true)
    }
}

impl Run {
    pub(super) async fn fetch_last(&mut self) -> Result<(), Failure> {
        let mut jobs = Vec::new();
        let outcome = self.fetch_last_by(&mut jobs).await;
        for job_id in jobs {
            let cancel = CancelJobInput { job_id, reason: None, grace_period_seconds: None };
            self.client.call::<CancelJob>(&cancel).await?;
        }
        outcome
    }

    async fn fetch_last_by(&mut self, jobs: &mut Vec<JobId>) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::other)?.as_millis();
        let spec = JobSpec {
            name: Some("docket bench results".to_owned()),
            docker_image_url: "docket-bench".to_owned(),
            start_at: Some(Timestamp::from_millis(i64::try_from(now).map_err(Failure::other)? + DAY)),
            ..JobSpec::default()
        };
        for _ in 0..self.args.jobs {
            jobs.push(self.client.call::<StartJob>(&spec).await?.id);
        }
        for shape in self.args.shapes.clone() {
            let (jobs_count, records, batch) = (self.args.jobs, self.args.job_records, self.args.batch);
            let plan = Plan { shape, jobs: jobs_count, records, batch, once: false };
            let storage = self.storage(&format!("last-{}", shape.name()));
            let requests = Arc::new(jobs.iter().map(|job| insert(*job, &storage)).collect::<Result<Vec<_>, _>>()?);
            let name = format!("fetchlast-{}", shape.name());
            self.progress.begin(&format!("{name}-insert"));
            let measured = self.write_jobs(&requests, plan, 0).await?;
            let what = format!(
                "Results of {jobs_count} jobs, {} each, into one storage: {}; over {} connections.",
                output::count(records),
                shape.says(),
                self.args.connections
            );
            self.add("fetchlast", measured.figure(&format!("{name}-insert"), what, "records"));
            tokio::time::sleep(SETTLE).await;
            self.fetch_some(&name, &storage, plan, "").await?;
            // Every job writes some of its records again, which makes old ones the newest.
            self.write_jobs(&requests, Plan { once: true, ..plan }, 1).await?;
            tokio::time::sleep(SETTLE).await;
            let again = format!(", after each job wrote its first {} again", batch.min(records));
            self.fetch_some(&format!("{name}-revised"), &storage, plan, &again).await?;
        }
        Ok(())
    }

    async fn write_jobs(&self, requests: &Arc<Vec<Request>>, plan: Plan, revision: u64) -> Result<Measured, Failure> {
        let next = Arc::new(AtomicU64::new(0));
        let workers = self.connections()?.into_iter().map(|connection| Writer {
            connection,
            requests: requests.clone(),
            records: self.records.clone(),
            next: next.clone(),
            plan,
            revision,
        });
        Ok(load::run(workers.collect(), self.args.common.pid).await?.1)
    }

    /// Asks for the newest results of ids that are chosen at random.
    async fn fetch_some(&mut self, name: &str, storage: &str, plan: Plan, again: &str) -> Result<(), Failure> {
        let ids = (MAX_FILTER_IDS as u64).min(plan.distinct());
        for (ending, field) in [("", "business partners"), ("-external", "external ids")] {
            let name = format!("{name}{ending}");
            self.progress.begin(&name);
            let mut connection = self.args.common.connection()?;
            let mut requests = Vec::new();
            for index in 0..self.args.requests + load::WARM_UP {
                let seed = records::mix(self.args.common.seed ^ index << 20);
                let keys = records::Permutation::new(plan.distinct(), seed);
                requests.push(fetch(storage, ending.is_empty(), (0..ids).map(|index| keys.at(index)))?);
            }
            for request in requests.split_off(requests.len() - load::WARM_UP as usize) {
                load::unmeasured(&mut connection, &request).await?;
            }
            let sender = Sender { connection, requests: requests.into_iter(), expected: Some(ids), total: None };
            let (_, measured) = load::run(vec![sender], self.args.common.pid).await?;
            let what = format!(
                "The newest results of {ids} {field} chosen at random, over {} jobs of {} results in one storage, written \
                 as: {}{again}; one connection. The number of results is checked.",
                plan.jobs,
                output::count(plan.records),
                plan.shape.says()
            );
            self.add("fetchlast", measured.figure(&name, what, "requests"));
        }
        Ok(())
    }
}

fn insert(job_id: JobId, storage: &str) -> Result<Request, Failure> {
    let results = ResultItems(Vec::new());
    let input = InsertJobResultsInput { job_id, storage_id: storage.to_owned(), results, features_on: Vec::new() };
    Ok(Request::of::<InsertJobResults>(&input)?)
}

fn fetch(storage: &str, by_partner: bool, keys: impl Iterator<Item = u64>) -> Result<Request, Failure> {
    let (mut business_partner_ids, mut external_ids) = (Vec::new(), Vec::new());
    if by_partner {
        business_partner_ids.extend(keys.map(business_partner_id));
    } else {
        external_ids.extend(keys.map(external_id));
    }
    let input = FetchLastResultsInput {
        storage_id: storage.to_owned(),
        job_type: None,
        business_partner_id: business_partner_ids,
        external_id: external_ids,
        data_source_id: Vec::new(),
        job_result_status: None,
        include_result_data_fields: Vec::new(),
    };
    Ok(Request::of::<FetchLastResults>(&input)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_job_gets_its_records_once() {
        for shape in [Shape::Same, Shape::Disjoint, Shape::Interleaved] {
            let plan = Plan { shape, jobs: 3, records: 25, batch: 10, once: false };
            let mut written: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            for step in 0..plan.jobs * plan.batches() {
                let (job, keys) = plan.step(step);
                written.entry(job).or_default().extend(keys);
            }
            for (job, keys) in &mut written {
                let first = if shape == Shape::Disjoint { job * 25 } else { 0 };
                assert_eq!(*keys, (first..first + 25).collect::<Vec<_>>(), "{shape:?}");
            }
            assert_eq!(written.len(), 3);
        }
    }
}
