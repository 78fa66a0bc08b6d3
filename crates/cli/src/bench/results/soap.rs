//! SOAP beside REST: the same records and the same pages over either face, in turns, so that a disturbance hits both.

use super::Run;
use super::pages::PageRequests;
use crate::bench::load::{self, Measured, Tally, Worker};
use crate::bench::records::Order;
use crate::failure::Failure;
use crate::output;
use docket_client::{Connection, Request};
use docket_contract::Operation;
use docket_contract::operations::{InsertJobResults, InsertJobResultsInput, ListJobRunResults, ResultItems};
use docket_service::faces::soap::Requests;
use http::Method;
use memchr::memmem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often the faces take turns.
const ROUNDS: u64 = 6;
/// Most records of one turn: their bodies are made before the clock runs, and held.
const MOST_RECORDS: u64 = 60_000;
/// Pages of one turn.
const PAGES: usize = 120;

/// A face, with the figures of its turns.
struct Face {
    name: &'static str,
    measured: Option<Measured>,
}

/// One connection that sends the next of the prepared requests until there is none.
struct Sender {
    connection: Connection,
    requests: Arc<Vec<Request>>,
    next: Arc<AtomicUsize>,
    /// What the end or the beginning of each answer must hold.
    mark: Arc<str>,
    items: u64,
}

impl Worker for Sender {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        let Some(request) = self.requests.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return Ok(false) };
        let answer = load::timed(&mut self.connection, request, false, tally).await?;
        let mark = self.mark.as_bytes();
        if memmem::find(&answer.head, mark).is_none() && memmem::find(&answer.tail, mark).is_none() {
            let text = String::from_utf8_lossy(&answer.head[..answer.head.len().min(400)]).into_owned();
            return Err(Failure::other(format!("an answer does not hold {}: {text}", self.mark)));
        }
        tally.items += self.items;
        Ok(true)
    }
}

impl Run {
    async fn turn(&self, face: &mut Face, requests: Vec<Request>, mark: &str, items: u64) -> Result<(), Failure> {
        let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
        let senders = self.connections()?.into_iter().map(|connection| Sender {
            connection,
            requests: requests.clone(),
            next: next.clone(),
            mark: mark.into(),
            items,
        });
        let (_, measured) = load::run(senders.collect(), self.args.common.pid).await?;
        match &mut face.measured {
            None => face.measured = Some(measured),
            Some(sum) => sum.add(measured),
        }
        Ok(())
    }

    pub(super) async fn soap(&mut self) -> Result<(), Failure> {
        let envelopes = Requests::of_the_table();
        self.soap_inserts(&envelopes).await?;
        self.soap_pages(&envelopes).await
    }

    async fn soap_inserts(&mut self, envelopes: &Requests) -> Result<(), Failure> {
        self.progress.begin("inserts over REST and SOAP in turns");
        let storages = [self.storage("rest"), self.storage("soap")];
        let mut faces =
            [Face { name: "soap-insert-rest", measured: None }, Face { name: "soap-insert", measured: None }];
        let batch = self.args.batch;
        let batches = (self.args.records.min(MOST_RECORDS) / batch).max(1);
        for round in 0..ROUNDS {
            for (face, storage) in faces.iter_mut().zip(&storages) {
                let over_soap = face.name == "soap-insert";
                let first = self.insert_request(storage)?;
                let places = (round * batches..(round + 1) * batches).map(|at| at * batch..(at + 1) * batch);
                let requests = places.map(|places| {
                    let body = self.records.body(&Order::Key, places, 0);
                    if !over_soap {
                        return Ok(first.clone().with_body(body.into()));
                    }
                    let input = InsertJobResultsInput {
                        job_id: self.job,
                        storage_id: storage.clone(),
                        results: ResultItems(Vec::new()),
                        features_on: Vec::new(),
                    };
                    let head = serde_json::to_string(&input).map_err(Failure::other)?;
                    // The members of the input, but for the records, which come from the generator.
                    let head = head.replace("\"results\":[],", "").replace(",\"results\":[]", "");
                    let json = [&head.as_bytes()[..head.len() - 1], b",", &body[1..]].concat();
                    soap_request(envelopes, InsertJobResults::NAME, &json)
                });
                let requests = requests.collect::<Result<Vec<_>, _>>()?;
                let mark = if over_soap {
                    format!("<created>{batch}</created><updated>0</updated><failed>0</failed>")
                } else {
                    format!("\"created\":{batch},\"updated\":0,\"failed\":0")
                };
                self.turn(face, requests, &mark, batch).await?;
            }
        }
        let what = format!(
            "New records in ascending order of their keys, {batch} a request, over {} connections, in {ROUNDS} turns \
             with the other face; resultData of {} characters; bodies are made before the clock runs.",
            self.args.connections, self.args.payload
        );
        self.add_faces(faces, &what, "records");
        Ok(())
    }

    async fn soap_pages(&mut self, envelopes: &Requests) -> Result<(), Failure> {
        self.progress.begin("pages over REST and SOAP in turns");
        let storage = self.storage("shuffled");
        let limit = self.args.page;
        let mut input = self.list_input(&storage);
        input.limit = i32::try_from(limit).ok();
        let first = self.list(&storage, |input| input.limit = i32::try_from(limit).ok())?;
        let requests = PageRequests { first: Arc::new(first), limit };
        let (walkers, _) = load::run(vec![self.walker(&requests, None, None)?], self.args.common.pid).await?;
        let tokens: Vec<_> = walkers.into_iter().flat_map(|walker| walker.tokens).collect();
        let turn: Vec<_> = tokens.iter().cycle().take(PAGES.max(tokens.len())).collect();
        let mut faces = [Face { name: "soap-pages-rest", measured: None }, Face { name: "soap-pages", measured: None }];
        for _ in 0..ROUNDS {
            let pages = turn.iter().map(|token| requests.at(token.as_deref())).collect();
            self.turn(&mut faces[0], pages, "]", 1).await?;
            let pages = turn.iter().map(|token| {
                input.start_after.clone_from(token);
                let json = serde_json::to_vec(&input).map_err(Failure::other)?;
                soap_request(envelopes, ListJobRunResults::NAME, &json)
            });
            let pages = pages.collect::<Result<Vec<_>, _>>()?;
            self.turn(&mut faces[1], pages, "</soap:Body></soap:Envelope>", 1).await?;
        }
        let what = format!(
            "Pages of {limit} results of a storage of {} records over {} connections, in {ROUNDS} turns with the other face.",
            output::count(self.stored),
            self.args.connections
        );
        self.add_faces(faces, &what, "pages");
        Ok(())
    }

    /// Both figures, the second with its ratio to the first.
    fn add_faces(&mut self, faces: [Face; 2], what: &str, unit: &'static str) {
        let mut rest = None;
        for Face { name, measured } in faces {
            let Some(measured) = measured else { continue };
            let megabytes = (measured.tally.bytes_sent + measured.tally.bytes_received) as f64 / 1e6;
            let per_second = megabytes / measured.elapsed.as_secs_f64();
            let over = if rest.is_none() { "REST" } else { "SOAP 1.1" };
            let mut figure = measured.figure(name, format!("{what} This is {over}."), unit);
            figure = figure.with("megabytesPerSecond", per_second);
            if let Some(rest) = rest {
                let ratio = figure.per_second / rest;
                figure = figure.with("ratioOfSoapToRest", ratio);
            }
            rest = Some(figure.per_second);
            self.add("soap", figure);
        }
    }
}

fn soap_request(envelopes: &Requests, operation: &str, json: &[u8]) -> Result<Request, Failure> {
    let envelope = envelopes
        .envelope(operation, json)
        .ok_or_else(|| Failure::other(format!("{operation} can't be written as an envelope")))?;
    Ok(Request {
        method: Method::POST,
        target: "/soap/v2".to_owned(),
        body: Some(envelope.into()),
        media_type: "text/xml; charset=utf-8".into(),
        repeatable: true,
        trailers: false,
    })
}
