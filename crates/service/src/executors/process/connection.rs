//! One connection to the supervisor. Owns the task that reads it, the calls that wait for an answer; events go to an
//! inbox, which outlives the connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::protocol::{self, Decoder, Failure, FrameError, Reply, Request};
use crate::executors::inbox::Inbox;
use crate::executors::{ExecutorError, Observed};

/// How long the supervisor may take for an answer.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Why a call got no answer that it could use.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Frame(FrameError),
    #[error(transparent)]
    Executor(#[from] ExecutorError),
}

impl From<CallError> for ExecutorError {
    fn from(error: CallError) -> ExecutorError {
        match error {
            CallError::Frame(e) => ExecutorError::Refused(e.to_string()),
            CallError::Executor(e) => e,
        }
    }
}

/// An open or broken connection.
pub struct Connection {
    pub supervisor_pid: i32,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    shared: Arc<Shared>,
    next_call: AtomicU64,
    reader: JoinHandle<()>,
}

/// What the reading task and the callers share.
struct Shared {
    waiting: Mutex<HashMap<u64, Waiting>>,
    broken: AtomicBool,
    replaced: AtomicBool,
    inbox: Arc<Inbox>,
}

struct Waiting {
    answer: oneshot::Sender<Result<Vec<Observed>, Failure>>,
    listed: Vec<Observed>,
}

impl Connection {
    /// Takes over a stream after the greetings; `decoder` holds what was read behind them.
    pub fn new(stream: UnixStream, decoder: Decoder, supervisor_pid: i32, inbox: Arc<Inbox>) -> Connection {
        let (reader, writer) = stream.into_split();
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            broken: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            inbox,
        });
        Connection {
            supervisor_pid,
            writer: tokio::sync::Mutex::new(writer),
            shared: Arc::clone(&shared),
            next_call: AtomicU64::new(0),
            reader: tokio::spawn(read(reader, decoder, shared)),
        }
    }

    pub fn is_open(&self) -> bool {
        !self.shared.broken.load(Ordering::Acquire)
    }

    pub fn was_replaced(&self) -> bool {
        self.shared.replaced.load(Ordering::Acquire)
    }

    /// A call that is answered by done or failed.
    pub async fn call(&self, request: impl FnOnce(u64) -> Request) -> Result<(), CallError> {
        self.exchange(request).await.map(drop)
    }

    /// Everything that the supervisor knows.
    pub async fn list(&self) -> Result<Vec<Observed>, CallError> {
        self.exchange(|call| Request::List { call }).await
    }

    async fn exchange(&self, request: impl FnOnce(u64) -> Request) -> Result<Vec<Observed>, CallError> {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let mut frame = Vec::new();
        protocol::encode(&request(call), &mut frame).map_err(CallError::Frame)?;
        let (answer, answered) = oneshot::channel();
        let listed = Vec::new();
        lock(&self.shared.waiting).insert(call, Waiting { answer, listed });
        // Looked at after the insertion: whoever breaks the connection later finds the call and ends it.
        if !self.is_open() {
            lock(&self.shared.waiting).remove(&call);
            return Err(self.lost().into());
        }
        let conversation = async {
            let written = self.writer.lock().await.write_all(&frame).await;
            written.map_err(|_| self.lost())?;
            answered.await.map_err(|_| self.lost())
        };
        match timeout(CALL_LIMIT, conversation).await {
            Ok(Ok(Ok(observed))) => Ok(observed),
            Ok(Ok(Err(Failure::Full(why)))) => Err(ExecutorError::Full(why).into()),
            Ok(Ok(Err(Failure::Refused(why)))) => Err(ExecutorError::Refused(why).into()),
            Ok(Err(lost)) => {
                self.shared.break_off("the connection broke");
                Err(lost.into())
            }
            Err(_) => {
                let why = format!("no answer within {} s", CALL_LIMIT.as_secs());
                self.shared.break_off(&why);
                Err(ExecutorError::Unreachable(why).into())
            }
        }
    }

    fn lost(&self) -> ExecutorError {
        match self.was_replaced() {
            true => ExecutorError::Replaced,
            false => ExecutorError::Unreachable("the connection broke".into()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Shared {
    /// Ends all waiting calls and tells the reader of events, once.
    fn break_off(&self, why: &str) {
        if self.broken.swap(true, Ordering::AcqRel) {
            return;
        }
        lock(&self.waiting).clear();
        self.inbox.fail(match self.replaced.load(Ordering::Acquire) {
            true => ExecutorError::Replaced,
            false => ExecutorError::Unreachable(why.into()),
        });
    }

    fn take(&self, reply: Reply) -> Result<(), &'static str> {
        let (call, answer) = match reply {
            Reply::Events { observed } => {
                self.inbox.put(observed);
                return Ok(());
            }
            Reply::Replaced => {
                self.replaced.store(true, Ordering::Release);
                return Err("another server has taken over");
            }
            Reply::Hello { .. } => return Err("the supervisor greeted twice"),
            Reply::Done { call } => (call, Ok(Vec::new())),
            Reply::Failed { call, failure } => (call, Err(failure)),
            Reply::Listed { call, observed, more } => {
                let mut waiting = lock(&self.waiting);
                let Some(entry) = waiting.get_mut(&call) else {
                    return Ok(());
                };
                entry.listed.extend(observed);
                if more {
                    return Ok(());
                }
                (call, Ok(std::mem::take(&mut entry.listed)))
            }
        };
        // The caller may have stopped waiting: then nobody is there to answer.
        if let Some(waiting) = lock(&self.waiting).remove(&call) {
            let _ = waiting.answer.send(answer);
        }
        Ok(())
    }
}

/// Reads until the connection ends. Never waits for anybody else, so an answer is not held up by events.
async fn read(mut stream: OwnedReadHalf, mut decoder: Decoder, shared: Arc<Shared>) {
    let mut buffer = vec![0; 64 * 1024];
    let why = loop {
        match decoder.next_frame::<Reply>() {
            Ok(Some(reply)) => match shared.take(reply) {
                Ok(()) => continue,
                Err(why) => break why.to_owned(),
            },
            Ok(None) => {}
            Err(e) => break e.to_string(),
        }
        match stream.read(&mut buffer).await {
            Ok(0) => break "the supervisor hung up".to_owned(),
            Ok(n) => decoder.feed(&buffer[..n]),
            Err(e) => break e.to_string(),
        }
    };
    shared.break_off(&why);
}

/// A lock whose holder panicked still guards whole values here: each change is one insertion or removal.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
