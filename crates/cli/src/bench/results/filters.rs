//! Reading by filter: identities, and the totals that every page gives.

use super::{Run, SOME_DATA_SOURCE};
use crate::bench::load::{self, Measured, Tally, Worker};
use crate::bench::records::{self, business_partner_id, external_id};
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::operations::ListJobRunResultsInput;
use docket_contract::result::{MAX_FILTER_IDS, ResultStatus};

/// Sends prepared requests, one after another.
pub(super) struct Sender {
    pub(super) connection: Connection,
    pub(super) requests: std::vec::IntoIter<Request>,
    /// The total that each answer must give, where it is known.
    pub(super) expected: Option<u64>,
    pub(super) total: Option<u64>,
}

impl Worker for Sender {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let Some(request) = self.requests.next() else { return Ok(false) };
        let total = load::timed(&mut self.connection, &request, false, tally).await?.total()?;
        if self.expected.is_some_and(|expected| expected != total) || self.total.is_some_and(|before| before != total) {
            return Err(Failure::other(format!("the total is {total}, expected {:?}", self.expected.or(self.total))));
        }
        self.total = Some(total);
        tally.items += 1;
        Ok(true)
    }
}

impl Run {
    /// Sends requests one after another, after some that are not measured.
    async fn send_all(
        &self,
        warm_up: &[Request],
        requests: Vec<Request>,
        expected: Option<u64>,
    ) -> Result<(Measured, u64), Failure> {
        let mut connection = self.args.common.connection()?;
        for request in warm_up {
            load::unmeasured(&mut connection, request).await?;
        }
        let sender = Sender { connection, requests: requests.into_iter(), expected, total: None };
        let (workers, measured) = load::run(vec![sender], self.args.common.pid).await?;
        Ok((measured, workers.first().and_then(|worker| worker.total).unwrap_or(0)))
    }

    /// Keys of records that are stored, the same for a seed and a request.
    fn some_keys(&self, request: u64) -> Vec<u64> {
        let count = (MAX_FILTER_IDS as u64).min(self.stored);
        let seed = records::mix(self.args.common.seed ^ request << 20);
        let places = records::Permutation::new(self.stored, seed);
        (0..count).map(|index| self.shuffled.at(places.at(index))).collect()
    }

    pub(super) async fn ids(&mut self) -> Result<(), Failure> {
        type Choose = fn(&mut ListJobRunResultsInput, &[u64]);
        let filters: [(&str, &str, Choose); 2] = [
            ("ids-business-partner", "businessPartnerId", |input, keys| {
                input.business_partner_id = keys.iter().map(|key| business_partner_id(*key)).collect();
            }),
            ("ids-external", "externalId", |input, keys| {
                input.external_id = keys.iter().map(|key| external_id(*key)).collect();
            }),
        ];
        let storage = self.storage("shuffled");
        for (name, field, choose) in filters {
            self.progress.begin(name);
            let mut requests = Vec::new();
            for index in 0..self.args.requests + load::WARM_UP {
                let keys = self.some_keys(index);
                requests.push(self.list(&storage, |input| {
                    input.limit = Some(MAX_FILTER_IDS as i32);
                    choose(input, &keys);
                })?);
            }
            let ids = (MAX_FILTER_IDS as u64).min(self.stored);
            // Other ids than those that are measured.
            let warm_up = requests.split_off(requests.len() - load::WARM_UP as usize);
            let (measured, _) = self.send_all(&warm_up, requests, Some(ids)).await?;
            let what = format!(
                "The results of {ids} values of {field}, chosen at random from {} records, in one page, with their \
                 total, which is checked; one connection.",
                output::count(self.stored)
            );
            self.add("ids", measured.figure(name, what, "requests"));
        }
        Ok(())
    }

    pub(super) async fn totals(&mut self) -> Result<(), Failure> {
        type Choose = fn(&mut ListJobRunResultsInput);
        let filters: [(&str, &str, Choose); 6] = [
            ("total-all", "no filter", |_| {}),
            ("total-ok", "jobResultStatus=OK", |input| input.job_result_status = Some(ResultStatus::Ok)),
            ("total-failed", "jobResultStatus=FAILED", |input| input.job_result_status = Some(ResultStatus::Failed)),
            ("total-source", "a dataSourceId", |input| input.data_source_id = Some(SOME_DATA_SOURCE.to_owned())),
            ("total-source-failed", "a dataSourceId and jobResultStatus=FAILED", |input| {
                input.data_source_id = Some(SOME_DATA_SOURCE.to_owned());
                input.job_result_status = Some(ResultStatus::Failed);
            }),
            ("total-none", "a dataSourceId that no record has", |input| {
                input.data_source_id = Some("no-such-data-source".to_owned());
            }),
        ];
        let storage = self.storage("shuffled");
        let mut base = None;
        for (name, filter, choose) in filters {
            self.progress.begin(name);
            let request = self.list(&storage, |input| {
                input.limit = Some(1);
                choose(input);
            })?;
            let count = usize::try_from(self.args.requests).unwrap_or(usize::MAX);
            let expected = match name {
                "total-all" => Some(self.stored),
                "total-none" => Some(0),
                _ => None,
            };
            let (measured, total) =
                self.send_all(&vec![request.clone(); load::WARM_UP as usize], vec![request; count], expected).await?;
            let what = format!(
                "The first page of one result and its total, with {filter}, in a storage of {} records; one connection. \
                 The API always gives the total, so the filters are compared with each other.",
                output::count(self.stored)
            );
            let mut figure = measured.figure(name, what, "requests").with("total", total as f64);
            let p50 = figure.latency_ms.map_or(0.0, |latency| latency.p50);
            figure = figure.with("p50RatioToNoFilter", p50 / *base.get_or_insert(p50));
            self.add("totals", figure);
        }
        Ok(())
    }
}
