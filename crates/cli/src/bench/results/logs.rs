//! Processing logs beside the results of jobs: the same records, in turns, so that a disturbance hits both.

use super::pages::{self, PageRequests};
use super::{Run, sleeping};
use crate::bench::load::Measured;
use crate::bench::records::Order;
use crate::failure::Failure;
use crate::output;
use docket_client::Request;
use docket_contract::ProcessingLogId;
use docket_contract::job::JobSpec;
use docket_contract::operations::{
    InsertProcessingLogData, InsertProcessingLogDataInput, ListProcessingLogData, ListProcessingLogDataInput,
    ResultItems, StartJob,
};
use std::sync::Arc;

/// The log that is written to.
pub(super) const LOG: ProcessingLogId = ProcessingLogId::ValidationLog;
/// Turns of two that are compared.
const ROUNDS: u64 = 5;

impl Run {
    /// A storage of this run whose log is emptied at its end.
    fn storage_with_log(&mut self, name: &str) -> String {
        let storage = self.storage(name);
        if !self.logs.contains(&storage) {
            self.logs.push(storage.clone());
        }
        storage
    }

    /// Writes the same new records by two requests, in turns of an equal share.
    async fn write_in_turns(&self, requests: &[Request; 2]) -> Result<[Measured; 2], Failure> {
        let (records, order) = (self.args.records, Order::Shuffled(self.shuffled));
        let mut measured = [None::<Measured>, None];
        for round in 0..ROUNDS {
            let places = records * round / ROUNDS..records * (round + 1) / ROUNDS;
            if places.is_empty() {
                continue;
            }
            for (request, sum) in requests.iter().zip(&mut measured) {
                let written = self.write_by(request, order, places.clone(), 0).await?;
                match sum {
                    None => *sum = Some(written),
                    Some(sum) => sum.add(written),
                }
            }
        }
        match measured {
            [Some(one), Some(other)] => Ok([one, other]),
            _ => Err(Failure::other("no record was written")),
        }
    }

    pub(super) async fn log(&mut self) -> Result<(), Failure> {
        self.progress.begin("log and results, written in turns");
        let (plain, log) = (self.storage("beside-log"), self.storage_with_log("log"));
        let input = InsertProcessingLogDataInput {
            storage_id: log.clone(),
            processing_log_id: LOG,
            results: ResultItems(Vec::new()),
            features_on: Vec::new(),
        };
        let requests = [self.insert_request(&plain)?, Request::of::<InsertProcessingLogData>(&input)?];
        let [results, entries] = self.write_in_turns(&requests).await?;
        let what = |run: &Self, into: &str| {
            run.describe(&format!("New records in a seeded random order into {into}, in {ROUNDS} turns with the other"))
        };
        let (to_job, to_log) = (what(self, "the results of a job"), what(self, "a processing log"));
        self.add_both("log", [("log-insert-results", to_job, results), ("log-insert", to_log, entries)]);

        self.progress.begin("log and results, read in turns");
        let limit = self.args.page;
        let size = i32::try_from(limit).ok();
        let listing = ListProcessingLogDataInput { limit: size, ..every_entry(log) };
        let listings =
            [self.list(&plain, |input| input.limit = size)?, Request::of::<ListProcessingLogData>(&listing)?];
        let listings = listings.map(|first| PageRequests { first: Arc::new(first), limit });
        let [results, entries] = self.walk_in_turns(&listings, self.args.records, ROUNDS as usize).await?;
        let what = |of: &str, records: u64| {
            let records = output::count(records);
            format!(
                "All pages of {limit} of {records} {of}, {ROUNDS} times in turns with the other, over one connection."
            )
        };
        let records = self.args.records;
        let of_job = pages::figure("log-pages-results", what("results of a job", records), results, limit);
        let of_log = pages::figure("log-pages", what("entries of a processing log", records), entries, limit);
        let ratio = of_log.per_second / of_job.per_second;
        self.add("log", of_job);
        self.add("log", of_log.with("ratioToTheOther", ratio));
        Ok(())
    }

    pub(super) async fn mirror(&mut self) -> Result<(), Failure> {
        self.progress.begin("plain and mirrored results in turns");
        let spec = JobSpec { processing_log_id: Some(LOG), ..sleeping() };
        let job = self.client.call::<StartJob>(&spec).await?.id;
        self.mirroring = Some(job);
        let (plain, mirrored) = (self.storage("beside-mirror"), self.storage_with_log("mirror"));
        let requests = [self.insert_request(&plain)?, self.insert_request_of(job, &mirrored)?];
        let [one, two] = self.write_in_turns(&requests).await?;
        let what = |run: &Self, whose: &str| {
            run.describe(&format!("New records in a seeded random order as results of {whose}, in {ROUNDS} turns"))
        };
        let (of_plain, of_mirror) =
            (what(self, "a job that does not mirror"), what(self, "a job that mirrors them into a processing log"));
        self.add_both("mirror", [("mirror-without", of_plain, one), ("mirror", of_mirror, two)]);
        Ok(())
    }

    /// Adds two figures, the second with its ratio to the first.
    fn add_both(&mut self, scenario: &str, figures: [(&str, String, Measured); 2]) {
        let [one, other] = figures.map(|(name, what, measured)| measured.figure(name, what, "records"));
        let ratio = other.per_second / one.per_second;
        self.add(scenario, one);
        self.add(scenario, other.with("ratioToTheOther", ratio));
    }
}

/// All entries of a storage's log.
fn every_entry(storage_id: String) -> ListProcessingLogDataInput {
    ListProcessingLogDataInput {
        storage_id,
        processing_log_id: LOG,
        business_partner_id: Vec::new(),
        data_source_id: Vec::new(),
        external_id: Vec::new(),
        features_off: Vec::new(),
        include_result_data_fields: Vec::new(),
        status: None,
        created_from: None,
        created_to: None,
        modified_from: None,
        modified_to: None,
        limit: None,
        start_after: None,
    }
}
