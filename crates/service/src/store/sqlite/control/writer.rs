//! The one writer: a thread that makes the requests which arrive together in one transaction, with one sync to disk.
//!
//! Each request has an answer of its own, sent after the commit. When one fails, the transaction is rolled back and the
//! others are made again without it: failures are rare, and a savepoint for each request would cost every request a
//! seventh. So a request's work may run more than once, and must leave nothing behind but rows. When the disk is full or
//! the commit fails, all requests of the transaction fail, none of them is saved, and the next one starts anew.

use super::counts::Counts;
use super::events;
use super::names::Names;
use crate::store::StoreError;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::{SendTimeoutError, TrySendError};
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait.
pub(super) const QUEUE: usize = 4096;
/// Requests in one transaction, at most.
const BATCH: usize = 512;
/// Under load transactions begin no closer together than this: fewer, larger ones write fewer pages for each request.
const PACE: Duration = Duration::from_micros(600);
/// More requests than this in a window are load. A request that comes alone never waits.
const LOAD: usize = 16;
const WINDOW: Duration = Duration::from_millis(10);
/// How long a request waits for its place in a full queue.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a request works with.
pub(super) struct Tx<'a> {
    /// The connection, in a transaction.
    pub(super) connection: &'a Connection,
    /// The dictionary.
    pub(super) names: &'a mut Names,
    /// Numbers of jobs.
    pub(super) counts: &'a mut Counts,
    /// The newest event of the transaction, or of those before it.
    pub(super) newest_event: &'a mut i64,
    /// Counts the deliveries that are added.
    pub(super) deliveries: &'a mut u64,
}

trait Request: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Pending<I, T, W> {
    input: I,
    work: W,
    result: Option<T>,
    reply: oneshot::Sender<Result<(I, T), StoreError>>,
}

impl<I, T, W> Request for Pending<I, T, W>
where
    I: Send,
    T: Send,
    W: Fn(&mut Tx<'_>, &I) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(tx, &self.input)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { input, result, reply, .. } = *self;
        let missing = || StoreError::Internal("the request did not run".to_owned());
        let result = outcome.and_then(|()| result.ok_or_else(missing));
        // A caller that has gone away gets no answer; what it asked for is done all the same.
        let _ = reply.send(result.map(|result| (input, result)));
    }
}

enum Message {
    Request(Box<dyn Request>),
    Close,
}

/// The handle of the writing thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    newest_event: watch::Receiver<u64>,
    new_deliveries: watch::Receiver<u64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let newest_event = events::newest(&connection)?;
        let (told, listener) = watch::channel(newest_event.unsigned_abs());
        let (told_deliveries, new_deliveries) = watch::channel(0);
        let worker = Worker {
            connection,
            requests,
            names: Names::default(),
            counts: Counts::default(),
            newest_event,
            told,
            deliveries: 0,
            told_deliveries,
            pace: Pace::new(),
        };
        let thread = std::thread::Builder::new().name("control-writer".to_owned()).spawn(|| worker.serve());
        let thread = thread.map_err(|error| StoreError::Internal(format!("no thread for the writer: {error}")))?;
        Ok(Self { queue, newest_event: listener, new_deliveries, thread: Mutex::new(Some(thread)) })
    }

    /// The id of the newest durable event.
    pub(super) fn newest_event(&self) -> watch::Receiver<u64> {
        self.newest_event.clone()
    }

    /// Changes when deliveries were added.
    pub(super) fn new_deliveries(&self) -> watch::Receiver<u64> {
        self.new_deliveries.clone()
    }

    /// Has a request made; ready once it is durable.
    pub(super) async fn write<I, T, W>(&self, input: I, work: W) -> Result<T, StoreError>
    where
        I: Send + 'static,
        T: Send + 'static,
        W: Fn(&mut Tx<'_>, &I) -> Result<T, StoreError> + Send + 'static,
    {
        self.write_and_return(input, work).await.map(|(_, result)| result)
    }

    /// The same, and gives the input back: an answer that repeats it need not be copied.
    pub(super) async fn write_and_return<I, T, W>(&self, input: I, work: W) -> Result<(I, T), StoreError>
    where
        I: Send + 'static,
        T: Send + 'static,
        W: Fn(&mut Tx<'_>, &I) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let message = Message::Request(Box::new(Pending { input, work, result: None, reply }));
        match self.queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(StoreError::Closing),
            Err(TrySendError::Full(message)) => match self.queue.send_timeout(message, PATIENCE).await {
                Ok(()) => {}
                Err(SendTimeoutError::Closed(_)) => return Err(StoreError::Closing),
                Err(SendTimeoutError::Timeout(_)) => return Err(StoreError::Overloaded),
            },
        }
        answer.await.unwrap_or(Err(StoreError::Closing))
    }

    /// Refuses new requests, finishes those that wait, and ends the thread.
    pub(super) async fn close(&self) {
        // The queue is closed already if this is the second call.
        let _ = self.queue.send(Message::Close).await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && !matches!(tokio::task::spawn_blocking(|| thread.join()).await, Ok(Ok(())))
        {
            tracing::error!("the writer of the control plane failed while it was closed");
        }
    }
}

struct Worker {
    connection: Connection,
    requests: mpsc::Receiver<Message>,
    names: Names,
    counts: Counts,
    /// The newest event, durable or not.
    newest_event: i64,
    told: watch::Sender<u64>,
    /// Counts deliveries, also those that were undone: whoever hears of those looks in vain.
    deliveries: u64,
    told_deliveries: watch::Sender<u64>,
    pace: Pace,
}

/// When the next transaction may begin.
struct Pace {
    begun: Instant,
    window: Instant,
    made_in_window: usize,
    loaded: bool,
}

impl Pace {
    fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, window: now, made_in_window: 0, loaded: false }
    }

    fn wait(&mut self) {
        let age = self.window.elapsed();
        if age >= WINDOW {
            self.loaded = age < 2 * WINDOW && self.made_in_window > LOAD;
            self.window = Instant::now();
            self.made_in_window = 0;
        }
        if self.loaded {
            std::thread::sleep(PACE.saturating_sub(self.begun.elapsed()));
        }
        self.begun = Instant::now();
    }

    fn made(&mut self, requests: usize) {
        self.made_in_window += requests;
    }
}

type Requests = Vec<Box<dyn Request>>;

/// How a transaction went wrong.
enum Failure {
    /// For the request with this index, by a fault of its own.
    One(usize, StoreError),
    /// For all.
    All(StoreError),
}

impl Worker {
    fn serve(mut self) {
        while let Some(message) = self.requests.blocking_recv() {
            match message {
                Message::Close => self.requests.close(),
                Message::Request(first) => {
                    self.pace.wait();
                    let made = self.serve_batch(vec![first]);
                    self.pace.made(made);
                }
            }
        }
    }

    /// Makes these requests and those that arrive meanwhile, and answers them; tells how many were made.
    fn serve_batch(&mut self, mut batch: Requests) -> usize {
        while !batch.is_empty() {
            let failure = match self.transaction(&mut batch) {
                Ok(()) => {
                    let made = batch.len();
                    self.tell();
                    batch.into_iter().for_each(|request| request.answer(Ok(())));
                    return made;
                }
                Err(failure) => failure,
            };
            self.roll_back();
            match failure {
                Failure::One(index, error) => batch.remove(index).answer(Err(error)),
                Failure::All(error) => batch.drain(..).for_each(|request| request.answer(Err(error.clone()))),
            }
        }
        0
    }

    fn transaction(&mut self, batch: &mut Requests) -> Result<(), Failure> {
        self.execute("BEGIN IMMEDIATE").map_err(Failure::All)?;
        let mut next = 0;
        while let Some(request) = batch.get_mut(next) {
            let mut tx = Tx {
                connection: &self.connection,
                names: &mut self.names,
                counts: &mut self.counts,
                newest_event: &mut self.newest_event,
                deliveries: &mut self.deliveries,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| request.run(&mut tx)))
                .unwrap_or_else(|_| Err(StoreError::Internal("a request panicked".to_owned())));
            match outcome {
                Ok(()) => {}
                Err(error @ (StoreError::Internal(_) | StoreError::Damaged(_))) if !self.connection.is_autocommit() => {
                    return Err(Failure::One(next, error));
                }
                Err(error) => return Err(Failure::All(error)),
            }
            next += 1;
            if next == batch.len() && next < BATCH {
                batch.extend(self.waiting());
            }
        }
        self.counts.write(&self.connection).and_then(|()| self.execute("COMMIT")).map_err(Failure::All)
    }

    /// Tells of the events and deliveries that are durable now.
    fn tell(&self) {
        let newest = self.newest_event.unsigned_abs();
        self.told.send_if_modified(|told| std::mem::replace(told, newest) != newest);
        let added = self.deliveries;
        self.told_deliveries.send_if_modified(|told| std::mem::replace(told, added) != added);
    }

    fn waiting(&mut self) -> Option<Box<dyn Request>> {
        loop {
            match self.requests.try_recv() {
                Ok(Message::Request(request)) => return Some(request),
                Ok(Message::Close) => self.requests.close(),
                Err(_) => return None,
            }
        }
    }

    fn roll_back(&mut self) {
        self.counts.forget();
        self.names.forget();
        self.newest_event = i64::try_from(*self.told.borrow()).unwrap_or(i64::MAX);
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
