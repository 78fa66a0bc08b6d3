//! Reading: every page by one connection, then by several at once, then the first and the last pages in turns.

use super::Run;
use crate::bench::ceiling;
use crate::bench::load::{self, Measured, Tally, Worker};
use crate::bench::report::Figure;
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request, encode};
use std::sync::Arc;

/// Pages at either end that are compared.
const ENDS: usize = 100;
/// How often the ends are read in turns, so that a disturbance hits both.
const ROUNDS: usize = 5;
/// The walk of all connections is repeated until it has read so many pages, so that it lasts for seconds.
const PAGES: usize = 1000;
/// Every so many pages the records are counted.
const SAMPLE: usize = 50;

/// The figure of pages of so many records each.
pub(super) fn figure(name: &str, what: String, measured: Measured, limit: u64) -> Figure {
    let megabytes = measured.tally.bytes_received as f64 / 1e6;
    let seconds = measured.elapsed.as_secs_f64();
    let figure = measured.figure(name, what, "pages");
    let records = figure.per_second * limit as f64;
    figure.with("recordsPerSecond", records).with("megabytesPerSecond", megabytes / seconds)
}

/// Reads a stretch of pages, following the tokens.
pub(super) struct Walker {
    connection: Connection,
    requests: PageRequests,
    /// The token of the next page.
    token: Option<String>,
    /// Pages to read; `None` for all that follow.
    left: Option<usize>,
    read: usize,
    verify: bool,
    /// The token of each page that was read.
    pub(super) tokens: Vec<Option<String>>,
    /// What the first answer gave as total.
    total: Option<u64>,
    ended: bool,
}

/// Makes the request of a page from its token.
#[derive(Clone)]
pub(super) struct PageRequests {
    pub(super) first: Arc<Request>,
    pub(super) limit: u64,
}

impl PageRequests {
    pub(super) fn at(&self, token: Option<&str>) -> Request {
        match token {
            None => (*self.first).clone(),
            Some(token) => {
                let mut target = format!("{}&startAfter=", self.first.target);
                target.extend(encode(token));
                Request::get(target)
            }
        }
    }
}

impl Worker for Walker {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        if self.ended || self.left == Some(self.read) {
            return Ok(false);
        }
        let request = self.requests.at(self.token.as_deref());
        let sample = self.verify || self.read.is_multiple_of(SAMPLE);
        let page = load::timed(&mut self.connection, &request, sample, tally).await?;
        if self.total.is_none() {
            self.total = Some(page.total()?);
        }
        let next = page.next_start_after().map(str::to_owned);
        match (page.results, &next) {
            // A page that another one follows is full.
            (Some(found), Some(_)) if found != self.requests.limit => {
                let limit = self.requests.limit;
                return Err(Failure::other(format!("page {} has {found} results instead of {limit}", self.read)));
            }
            _ => {}
        }
        tally.items += 1;
        self.read += 1;
        self.tokens.push(std::mem::replace(&mut self.token, next));
        self.ended = self.token.is_none();
        Ok(true)
    }
}

impl Run {
    pub(super) fn walker(
        &self,
        requests: &PageRequests,
        token: Option<String>,
        left: Option<usize>,
    ) -> Result<Walker, Failure> {
        Ok(Walker {
            connection: self.args.common.connection()?,
            requests: requests.clone(),
            token,
            left,
            read: 0,
            verify: self.args.verify,
            tokens: Vec::new(),
            total: None,
            ended: false,
        })
    }

    /// Reads `tokens.len()` pages from these tokens on, by all connections, each a stretch of its own.
    async fn stretch(&self, requests: &PageRequests, tokens: &[Option<String>]) -> Result<Measured, Failure> {
        let share = tokens.len().div_ceil(usize::from(self.args.connections)).max(1);
        let walkers =
            tokens.chunks(share).map(|stretch| self.walker(requests, stretch[0].clone(), Some(stretch.len())));
        let (walkers, measured) = load::run(walkers.collect::<Result<_, _>>()?, self.args.common.pid).await?;
        let read: usize = walkers.iter().map(|walker| walker.read).sum();
        if read != tokens.len() {
            return Err(Failure::other(format!("{read} pages were read instead of {}", tokens.len())));
        }
        Ok(measured)
    }

    /// Reads every page of two listings of as many records, in turns.
    pub(super) async fn walk_in_turns(
        &self,
        listings: &[PageRequests; 2],
        records: u64,
        rounds: usize,
    ) -> Result<[Measured; 2], Failure> {
        let mut measured = [None::<Measured>, None];
        for _ in 0..rounds {
            for (listing, sum) in listings.iter().zip(&mut measured) {
                let walker = self.walker(listing, None, None)?;
                let (walkers, walk) = load::run(vec![walker], self.args.common.pid).await?;
                let total = walkers.first().and_then(|walker| walker.total);
                if total != Some(records) {
                    return Err(Failure::other(format!("{records} records are stored, the total is {total:?}")));
                }
                match sum {
                    None => *sum = Some(walk),
                    Some(sum) => sum.add(walk),
                }
            }
        }
        match measured {
            [Some(one), Some(other)] => Ok([one, other]),
            _ => Err(Failure::other("no page was read")),
        }
    }

    /// The requests of the storage's pages.
    fn page_requests(&mut self) -> Result<PageRequests, Failure> {
        let storage = self.storage("shuffled");
        let limit = self.args.page;
        let first = self.list(&storage, |input| input.limit = i32::try_from(limit).ok())?;
        Ok(PageRequests { first: Arc::new(first), limit })
    }

    /// Reads every page by one connection; answers their tokens.
    async fn walk(&self, requests: &PageRequests) -> Result<(Vec<Option<String>>, Measured), Failure> {
        let (walkers, measured) = load::run(vec![self.walker(requests, None, None)?], self.args.common.pid).await?;
        let (tokens, total) =
            walkers.into_iter().next().map_or((Vec::new(), None), |walker| (walker.tokens, walker.total));
        if total != Some(self.stored) || tokens.len() as u64 != self.stored.div_ceil(requests.limit) {
            return Err(Failure::other(format!(
                "{} records are stored; the total is {total:?}, and there are {} pages of {}",
                self.stored,
                tokens.len(),
                requests.limit
            )));
        }
        Ok((tokens, measured))
    }

    /// The pages of a storage whose records were changed.
    pub(super) async fn pages_changed(&mut self) -> Result<(), Failure> {
        self.progress.begin("pages of changed records");
        let requests = self.page_requests()?;
        let (tokens, _) = self.walk(&requests).await?;
        let measured = self.stretch(&requests, &tokens).await?;
        let what = format!(
            "All pages of {} results of a storage of {} records, once over {} connections at once, after the scenarios \
             before this one have changed records in a random order.",
            requests.limit,
            output::count(self.stored),
            self.args.connections
        );
        self.add_pages("pages-changed", "pages-changed", what, measured, requests.limit);
        Ok(())
    }

    pub(super) async fn pages(&mut self) -> Result<(), Failure> {
        let requests = self.page_requests()?;
        let limit = requests.limit;

        self.progress.begin("pages by one connection");
        let (tokens, measured) = self.walk(&requests).await?;
        let stored = output::count(self.stored);
        let checked = if self.args.verify { "every page" } else { "each 50th page" };
        let what = |who: &str| {
            format!(
                "All pages of {limit} results of a storage of {stored} records, {who}. Bodies are read to their end; \
                 the records of {checked} are counted."
            )
        };
        self.add_pages("pages", "pages-one-connection", what("one after another over one connection"), measured, limit);

        self.progress.begin("pages by all connections");
        let rounds = PAGES.div_ceil(tokens.len().max(1));
        let mut measured = self.stretch(&requests, &tokens).await?;
        for _ in 1..rounds {
            measured.add(self.stretch(&requests, &tokens).await?);
        }
        let pages = measured.tally.items;
        let page_bytes = measured.tally.bytes_received / pages.max(1);
        let connections = self.args.connections;
        let who = format!("{rounds} times over {connections} connections at once, each in a region of its own");
        self.add_pages("pages", "pages", what(&who), measured, limit);

        self.ends(&requests, &tokens).await?;
        if self.args.ceiling {
            self.pages_ceiling(&requests, pages, page_bytes).await?;
        }
        Ok(())
    }

    fn add_pages(&mut self, scenario: &str, name: &str, what: String, measured: Measured, limit: u64) {
        self.add(scenario, figure(name, what, measured, limit));
    }

    /// The first and the last pages, in turns.
    async fn ends(&mut self, requests: &PageRequests, tokens: &[Option<String>]) -> Result<(), Failure> {
        let count = ENDS.min(tokens.len());
        self.progress.begin("first and last pages in turns");
        let mut ends = [("first", &tokens[..count]), ("last", &tokens[tokens.len() - count..])]
            .map(|(name, tokens)| (name, tokens, None::<Measured>));
        for _ in 0..ROUNDS {
            for (_, tokens, sum) in &mut ends {
                let measured = self.stretch(requests, tokens).await?;
                match sum {
                    None => *sum = Some(measured),
                    Some(sum) => sum.add(measured),
                }
            }
        }
        let mut medians = Vec::new();
        for (name, _, measured) in ends {
            let Some(measured) = measured else { continue };
            let what = format!(
                "The {name} {count} pages of {} results, {ROUNDS} times in turns with the other end, over {} connections.",
                self.args.page, self.args.connections
            );
            let mut figure = measured.figure(&format!("pages-{name}-{count}"), what, "pages");
            medians.push(figure.latency_ms.map_or(0.0, |latency| latency.p50));
            if let [first, last] = medians[..] {
                figure = figure.with("p50RatioToTheFirstPages", last / first);
            }
            self.add("pages", figure);
        }
        Ok(())
    }

    async fn pages_ceiling(&mut self, requests: &PageRequests, pages: u64, page_bytes: u64) -> Result<(), Failure> {
        self.progress.begin("ceiling of pages");
        let page = self.client.send(&requests.at(None)).await?;
        let size = page.len();
        let connections = usize::from(self.args.connections);
        let measured = ceiling::results::pages(page, pages, connections).await?;
        let what = format!(
            "Ceiling: a page of the same bytes ({}) from memory, over the same HTTP stack on loopback to the same \
             client, over {connections} connections; the server of this ceiling runs in this process.",
            output::count(size as u64),
        );
        let megabytes = measured.tally.bytes_received as f64 / 1e6 / measured.elapsed.as_secs_f64();
        let mut figure = measured.figure("ceiling-pages", what, "pages").with("megabytesPerSecond", megabytes);
        if let Some(rate) = self.progress.report.rate("pages") {
            // By bytes, because the last page may be short.
            let bytes = rate * page_bytes as f64 / (figure.per_second * size as f64);
            figure = figure.with("ratioOfServerToThis", bytes);
        }
        self.add("pages", figure);
        Ok(())
    }
}
