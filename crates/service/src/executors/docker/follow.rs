//! Follows the log of a container into the files of its attempt. Owns the stream and when it is over; a stream that breaks
//! is begun again, and the sink leaves out what it has.
//!
//! Daemons end the following of a busy log early now and then, as if it were complete (seen with Docker 20.10). So it is
//! never believed: what follows the container's end is one more reading, without following.

use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::daemon::Fault;
use super::hub::Hub;
use super::names::{self, Plan};
use super::sink::{Piece, Sink};
use crate::executors::files;

/// Pieces that are written at once; each has at most 16 KiB.
const BATCH: usize = 256;
/// Pieces are gathered for so long: the daemon sends every line by itself.
const GATHER: Duration = Duration::from_millis(10);
/// After the container's end its stream may be silent for so long; then the rest is read without following.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Between two streams, doubled each time.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Streams of an ended container that fail in a row before the rest of its log is given up.
const TRIES: u32 = 5;

/// How a stream ended.
enum End {
    /// The daemon said that there is no more.
    Complete,
    /// The container has ended, but the stream goes on.
    Dangling,
}

/// Follows until the container has ended and all is read, which `ended` tells.
pub async fn follow(hub: Arc<Hub>, plan: Plan, mut ended: watch::Receiver<bool>) {
    let data = hub.settings.data.clone();
    let opened = files::blocking(move || Sink::open(&data, plan.key, plan.log_limit_bytes)).await;
    let mut sink = match opened {
        Ok(sink) => Some(sink),
        Err(error) => {
            tracing::error!(attempt = %plan.key, %error, "the log can't be kept");
            return;
        }
    };
    let name = names::container(plan.key);
    let (mut failures, mut pause) = (0, PAUSE);
    // What an earlier server has read is told from the rest by its mark alone: the clock may have been set meanwhile.
    let mut since = 0;
    while failures < TRIES {
        let number = hub.link.up().await;
        let was_ended = *ended.borrow();
        match stream(&hub, &name, since, &mut sink, &mut ended, was_ended).await {
            Ok(End::Complete) if was_ended => break,
            Ok(End::Complete) => {
                // Most likely the container has ended, which is told in a moment.
                if timeout(pause, ended.wait_for(|ended| *ended)).await.is_err() {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            Ok(End::Dangling) => {}
            Err(Fault::Unreachable(why)) => hub.doubt(number, &why).await,
            // The container is gone, and what of its log is not here with it.
            Err(fault) if fault.is(404) => break,
            Err(fault) => {
                tracing::warn!(attempt = %plan.key, error = %fault, "the log can't be read");
                failures += u32::from(was_ended);
                sleep(PAUSE).await;
            }
        }
        since = sink.as_ref().map_or(0, Sink::since);
    }
    if let Some(mut sink) = sink {
        let finished = files::blocking(move || {
            sink.finish();
            Ok(())
        });
        if let Err(error) = finished.await {
            tracing::warn!(attempt = %plan.key, %error, "the log was not finished");
        }
    }
}

/// Reads one stream into the sink.
async fn stream(
    hub: &Hub,
    name: &str,
    since: i32,
    sink: &mut Option<Sink>,
    ended: &mut watch::Receiver<bool>,
    was_ended: bool,
) -> Result<End, Fault> {
    let mut batches = hub.daemon.logs(name, !was_ended, since)?.ready_chunks(BATCH);
    if let Some(sink) = sink {
        sink.begin();
    }
    let mut drained_by = None;
    let mut pieces = Vec::new();
    let mut write_at = None;
    loop {
        let batch = tokio::select! {
            biased;
            () = reached(write_at) => {
                write(sink, std::mem::take(&mut pieces)).await?;
                write_at = None;
                continue;
            }
            batch = batches.next() => batch,
            () = reached(drained_by) => break write(sink, pieces).await.map(|()| End::Dangling),
            () = told(ended), if drained_by.is_none() && !was_ended => {
                drained_by = Some(Instant::now() + DRAIN_LIMIT);
                continue;
            }
        };
        let Some(batch) = batch else { break write(sink, pieces).await.map(|()| End::Complete) };
        drained_by = drained_by.map(|_| Instant::now() + DRAIN_LIMIT);
        let mend = hub.able().local_log;
        let mut failure = None;
        for output in batch {
            match output {
                Ok(output) => pieces.extend(payload(output).map(|bytes| Piece::new(bytes, mend))),
                Err(fault) => failure = failure.or(Some(fault)),
            }
        }
        if failure.is_some() || pieces.len() >= BATCH {
            write(sink, std::mem::take(&mut pieces)).await?;
            write_at = None;
        } else if write_at.is_none() {
            write_at = Some(Instant::now() + GATHER);
        }
        if let Some(fault) = failure {
            return Err(fault);
        }
    }
}

/// When the container has ended. Nobody is there to tell after its attempt was given up.
async fn told(ended: &mut watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}

/// At that time, or never.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The bytes of a piece. What has no frame is one that was cut off when the daemon went; it comes again.
fn payload(output: LogOutput) -> Option<Bytes> {
    match output {
        LogOutput::StdOut { message } | LogOutput::StdErr { message } => Some(message),
        LogOutput::StdIn { .. } | LogOutput::Console { .. } => None,
    }
}

/// Writes on a thread where that may block.
async fn write(sink: &mut Option<Sink>, pieces: Vec<Piece>) -> Result<(), Fault> {
    if pieces.is_empty() {
        return Ok(());
    }
    let Some(mut writing) = sink.take() else { return Ok(()) };
    let written = files::blocking(move || {
        writing.write(pieces);
        Ok(writing)
    });
    *sink = Some(written.await.map_err(|error| Fault::Answer { status: 500, message: error.to_string() })?);
    Ok(())
}
