//! Follows the log of a container into the files of its attempt. Owns the stream and when it is over; a stream that breaks
//! is begun again, and the sink leaves out what it has.

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
/// A stream of a container that has ended gets so long to end as well; then the rest is read without following.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Between two streams.
const PAUSE: Duration = Duration::from_millis(200);
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
    let mut failures = 0;
    while failures < TRIES {
        let number = hub.link.up().await;
        let was_ended = *ended.borrow();
        match stream(&hub, &name, &mut sink, &mut ended, was_ended).await {
            Ok(End::Complete) if was_ended => break,
            Ok(End::Complete) => {
                // The container has most likely ended. If the daemon lived on, nothing was left out.
                let told = timeout(PAUSE, ended.wait_for(|ended| *ended)).await.is_ok();
                if told && hub.link.is(number) {
                    break;
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
    sink: &mut Option<Sink>,
    ended: &mut watch::Receiver<bool>,
    was_ended: bool,
) -> Result<End, Fault> {
    let mut batches = hub.daemon.logs(name, !was_ended)?.ready_chunks(BATCH);
    if let Some(sink) = sink {
        sink.begin();
    }
    let mut drained_by = None;
    loop {
        let drained = async {
            match drained_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let batch = tokio::select! {
            biased;
            batch = batches.next() => batch,
            () = drained => return Ok(End::Dangling),
            told = ended.wait_for(|ended| *ended), if drained_by.is_none() && !was_ended => {
                drop(told);
                drained_by = Some(Instant::now() + DRAIN_LIMIT);
                continue;
            }
        };
        let Some(batch) = batch else { return Ok(End::Complete) };
        let mend = hub.able().local_log;
        let mut failure = None;
        let mut pieces = Vec::with_capacity(batch.len());
        for output in batch {
            match output {
                Ok(output) => pieces.extend(payload(output).map(|bytes| Piece::new(bytes, mend))),
                Err(fault) => failure = failure.or(Some(fault)),
            }
        }
        write(sink, pieces).await?;
        if let Some(fault) = failure {
            return Err(fault);
        }
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
