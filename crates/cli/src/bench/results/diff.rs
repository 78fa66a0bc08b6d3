//! Comparing two runs: the time to the first page, in which the comparison is made, then the pages of what differs.

use super::Run;
use super::pages::PageRequests;
use crate::bench::load::{self, Meter, Tally};
use crate::bench::records::{Order, Permutation};
use crate::failure::Failure;
use crate::output;
use docket_client::Request;
use docket_contract::operations::{DiffCounts, DiffJobResults, DiffJobResultsInput};
use serde::Deserialize;
use std::sync::Arc;

/// One of so many records is changed, one of so many is missing, and as many are new.
const CHANGED: u64 = 20;
const MISSING: u64 = 200;

impl Run {
    pub(super) async fn diff(&mut self) -> Result<(), Failure> {
        self.progress.begin("diff: writing the other run, not measured");
        let (before, after) = (self.storage("shuffled"), self.storage("compared"));
        let (missing, changed) = (self.stored / MISSING, self.stored / CHANGED);
        let order = Order::Shuffled(Permutation::new(self.stored, self.args.common.seed ^ 2));
        self.write(&after, order, 0..self.stored - missing, 0).await?;
        self.write(&after, Order::Key, self.stored..self.stored + missing, 0).await?;
        self.insert(&self.insert_request(&after)?, order, 0..changed, 1).await?;

        self.progress.begin("diff");
        let input = DiffJobResultsInput {
            storage_id: Some(after),
            against_storage_id: Some(before),
            limit: Some(i32::try_from(self.args.page).unwrap_or(i32::MAX)),
            ..DiffJobResultsInput::of(self.job, self.job)
        };
        let first = Request::of::<DiffJobResults>(&DiffJobResultsInput { limit: Some(1), ..input.clone() })?;
        let mut connection = self.args.common.connection()?;
        let (mut tally, meter) = (Tally::default(), Meter::start(self.args.common.pid));
        let page = load::timed(&mut connection, &first, false, &mut tally).await?;
        tally.items = self.stored * 2;
        let measured = meter.stop(tally, 1);
        let counts = counts(&String::from_utf8_lossy(&page.head))?;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let expected = DiffCounts {
            changed: number(changed),
            unchanged: number(self.stored - missing - changed),
            missing: number(missing),
            new: number(missing),
            ..DiffCounts::default()
        };
        if counts != expected {
            return Err(Failure::other(format!("the comparison has {counts:?}, written were {expected:?}")));
        }
        let what = format!(
            "Two runs of {} records, written in different orders, are compared: to the first page of one record. Counted \
             are the records of both. {} are changed, {} missing and {} new, and the comparison has found just these.",
            output::count(self.stored),
            output::count(changed),
            output::count(missing),
            output::count(missing)
        );
        self.add("diff", measured.figure("diff", what, "records"));

        self.progress.begin("diff: its pages");
        let requests = PageRequests { first: Arc::new(Request::of::<DiffJobResults>(&input)?), limit: self.args.page };
        let (mut tally, meter) = (Tally::default(), Meter::start(self.args.common.pid));
        let mut token: Option<String> = None;
        loop {
            let page = load::timed(&mut connection, &requests.at(token.as_deref()), false, &mut tally).await?;
            tally.items += 1;
            token = page.next_start_after().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        let measured = meter.stop(tally, 1);
        let what = format!(
            "The pages of what differs, by {} records with both of their results, by one connection; the comparison is kept \
             by now.",
            output::count(self.args.page)
        );
        self.add("diff", measured.figure("diff-pages", what, "pages"));
        Ok(())
    }
}

/// The counts in the beginning of a page.
fn counts(head: &str) -> Result<DiffCounts, Failure> {
    let unreadable = || Failure::other(format!("the page has no counts: {}", output::cut(head, 200)));
    let (_, rest) = head.split_once("\"counts\":").ok_or_else(unreadable)?;
    DiffCounts::deserialize(&mut serde_json::Deserializer::from_str(rest)).map_err(|_| unreadable())
}
