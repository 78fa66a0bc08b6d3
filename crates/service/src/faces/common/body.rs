//! Takes a request's body off the wire into one contiguous piece, within bounds.
//!
//! Three bounds: the bytes of one body, counted after decompression (413); the time that it may take to arrive (408);
//! and the bytes of all bodies together. The last is reserved in steps as bytes really arrive, so that nobody can hold
//! memory by promising a body. A reservation that doesn't come in time is 503: it also resolves two half-read bodies
//! that wait for each other.

use axum::body::Body;
use bytes::Bytes;
use docket_contract::{Code, Error};
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// First reservation for a body: the usual insert of 1000 records needs no second one.
const FIRST_STEP: usize = 2 << 20;
/// How much of a compressed body is decompressed at a time: at most 1032 times as much comes out.
const GZIP_SLICE: usize = 4096;
/// How many times larger than its compressed bytes a body may become. What people compress becomes ten, repetitive
/// records perhaps a hundred times smaller; only bombs come near the thousand that gzip can do.
const MAX_RATIO: usize = 200;
/// Bytes up to which that is not looked at.
const RATIO_FREE: usize = 4 << 20;
/// How much of a refused body is still read, so that its sender comes to read the refusal.
const DISCARD_BYTES: usize = 256 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Bounds on bodies.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Most bytes of one body, decompressed. Default 96 MiB: 1000 records whose `resultData` has 65,535 characters fit
    /// if a character takes one byte on the wire (64 MiB) and half of them are escaped; fully escaped ones need smaller
    /// batches.
    pub max_bytes: usize,
    /// Most bytes of all bodies that are held at a time. Default 256 MiB; not less than `max_bytes`.
    pub max_bytes_in_memory: usize,
    /// Longest wait for a share of that. Default 5 s.
    pub memory_wait: Duration,
    /// Longest time for a body to arrive. Default 60 s.
    pub read_timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max_bytes: 96 << 20,
            max_bytes_in_memory: 256 << 20,
            memory_wait: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
        }
    }
}

/// The memory that all bodies share, in KiB.
#[derive(Debug)]
pub(in crate::faces) struct Memory {
    kibibytes: Arc<Semaphore>,
    limits: BodyLimits,
}

/// A body, and its share of the memory; keep it until the request is answered, because the input is as large.
#[derive(Debug, Default)]
pub(in crate::faces) struct Collected {
    /// The bytes, decompressed.
    pub(in crate::faces) bytes: Bytes,
    /// Its share of the memory, given back when this is dropped.
    pub(in crate::faces) share: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(in crate::faces) fn new(limits: BodyLimits) -> Self {
        let kibibytes = limits.max_bytes_in_memory.max(limits.max_bytes).div_ceil(1024);
        Self { kibibytes: Arc::new(Semaphore::new(kibibytes.min(Semaphore::MAX_PERMITS))), limits }
    }

    /// Reads a body of JSON. What is left of it after an error is discarded in the background.
    pub(in crate::faces) async fn collect(&self, headers: &HeaderMap, body: Body) -> Result<Collected, Error> {
        if !body.is_end_stream()
            && let Err(error) = check_media_type(headers)
        {
            discard(headers, body);
            return Err(error);
        }
        self.collect_any(headers, body).await
    }

    /// The same for a body whose media type the face has checked.
    pub(in crate::faces) async fn collect_any(&self, headers: &HeaderMap, mut body: Body) -> Result<Collected, Error> {
        if body.is_end_stream() {
            return Ok(Collected::default());
        }
        let collected = self.read(headers, &mut body).await;
        if collected.is_err() {
            discard(headers, body);
        }
        collected
    }

    /// Reserves `bytes` more for what is made of a body; all that there is if that is less, so that the largest body can
    /// still be read alone.
    pub(in crate::faces) async fn extend(&self, collected: &mut Collected, bytes: usize) -> Result<(), Error> {
        let held = collected.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let all = self.limits.max_bytes_in_memory.max(self.limits.max_bytes).div_ceil(1024);
        let kibibytes = (held + bytes.div_ceil(1024)).min(all);
        let mut share = Share { memory: self, permit: collected.share.take(), kibibytes: held };
        let covered = share.cover(kibibytes * 1024, kibibytes * 1024).await;
        collected.share = share.permit;
        covered
    }

    /// Longest time for a body to arrive; for a file, for its next piece.
    pub(super) fn read_timeout(&self) -> Duration {
        self.limits.read_timeout
    }

    /// Most bytes of one body.
    pub(in crate::faces) fn max_bytes(&self) -> usize {
        self.limits.max_bytes
    }

    async fn read(&self, headers: &HeaderMap, body: &mut Body) -> Result<Collected, Error> {
        let max = self.limits.max_bytes;
        let compressed = is_gzip(headers)?;
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length > max as u64) {
            return Err(too_large(max));
        }
        let mut share = Share { memory: self, permit: None, kibibytes: 0 };
        let expected = length.map_or(0, |length| length as usize);
        let mut sink = if compressed { Sink::gzip(max) } else { Sink::Plain(Plain { expected, ..Plain::default() }) };
        let deadline = Instant::now() + self.limits.read_timeout;
        loop {
            let frame = timeout_at(deadline, body.frame()).await.map_err(|_| {
                let seconds = self.limits.read_timeout.as_secs_f64();
                Error::new(Code::RequestTimeout, format!("The body did not arrive within {seconds} seconds."))
            })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "body broke off");
                Error::new(Code::MalformedBody, "The body broke off before its end.")
            })?;
            if let Ok(data) = frame.into_data() {
                sink.take(data, max, &mut share).await?;
            }
        }
        Ok(Collected { bytes: sink.finish(max)?, share: share.permit })
    }
}

fn too_large(max: usize) -> Error {
    let detail = format!(
        "The body must have at most {max} bytes, counted after decompression, and over {RATIO_FREE} bytes not more than \
         {MAX_RATIO} times as many as it has compressed."
    );
    Error::new(Code::BodyTooLarge, detail)
}

/// What one body has reserved.
struct Share<'m> {
    memory: &'m Memory,
    permit: Option<OwnedSemaphorePermit>,
    kibibytes: usize,
}

impl Share<'_> {
    /// Bytes that are covered.
    fn bytes(&self) -> usize {
        self.kibibytes * 1024
    }

    /// Reserves until `bytes` are covered; at least doubles, so that a large body takes few steps. `expected` is the
    /// length that the sender promised, or 0.
    async fn cover(&mut self, bytes: usize, expected: usize) -> Result<(), Error> {
        if bytes <= self.bytes() {
            return Ok(());
        }
        let Memory { kibibytes, limits } = self.memory;
        let most = if expected == 0 { limits.max_bytes } else { expected };
        let wanted = expected.min(FIRST_STEP).max(self.bytes() * 2).min(most).max(bytes).div_ceil(1024);
        let more = u32::try_from(wanted - self.kibibytes).unwrap_or(u32::MAX);
        let permit = match Arc::clone(kibibytes).try_acquire_many_owned(more) {
            Ok(permit) => permit,
            Err(_) => match timeout(limits.memory_wait, Arc::clone(kibibytes).acquire_many_owned(more)).await {
                Ok(Ok(permit)) => permit,
                _ => return Err(Error::new(Code::Overloaded, "Too many bodies are being read; nothing was saved.")),
            },
        };
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        self.kibibytes = wanted;
        Ok(())
    }
}

/// Where the pieces of a body go.
enum Sink {
    Plain(Plain),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

/// An uncompressed body. One that came in one piece is not copied at all.
#[derive(Default)]
struct Plain {
    only: Option<Bytes>,
    buffer: Vec<u8>,
    expected: usize,
}

/// Decompressed bytes, up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
    /// Compressed bytes that have come.
    compressed: usize,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let most = self.max.min(RATIO_FREE.max(self.compressed * MAX_RATIO));
        if self.bytes.len() + data.len() > most {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn gzip(max: usize) -> Self {
        Sink::Gzip(Box::new(MultiGzDecoder::new(Bounded { bytes: Vec::new(), max, compressed: 0 })))
    }

    async fn take(&mut self, data: Bytes, max: usize, share: &mut Share<'_>) -> Result<(), Error> {
        match self {
            Sink::Plain(plain) => {
                let total = plain.buffer.len() + plain.only.as_ref().map_or(0, Bytes::len) + data.len();
                if total > max {
                    return Err(too_large(max));
                }
                share.cover(total, plain.expected).await?;
                if plain.only.is_none() && plain.buffer.is_empty() {
                    plain.only = Some(data);
                    return Ok(());
                }
                if plain.buffer.capacity() < total {
                    plain.buffer.reserve_exact(share.bytes().max(total) - plain.buffer.len());
                }
                if let Some(first) = plain.only.take() {
                    plain.buffer.extend_from_slice(&first);
                }
                plain.buffer.extend_from_slice(&data);
            }
            Sink::Gzip(decoder) => {
                for slice in data.chunks(GZIP_SLICE) {
                    decoder.get_mut().compressed += slice.len();
                    decoder.write_all(slice).map_err(|error| gzip_error(&error, max))?;
                    share.cover(decoder.get_ref().bytes.len(), 0).await?;
                    // A small piece can grow a thousandfold: let others run in between.
                    tokio::task::consume_budget().await;
                }
            }
        }
        Ok(())
    }

    fn finish(self, max: usize) -> Result<Bytes, Error> {
        match self {
            Sink::Plain(Plain { only: Some(only), .. }) => Ok(only),
            Sink::Plain(plain) => Ok(plain.buffer.into()),
            Sink::Gzip(decoder) => {
                let bounded = decoder.finish().map_err(|error| gzip_error(&error, max))?;
                Ok(bounded.bytes.into())
            }
        }
    }
}

fn gzip_error(error: &std::io::Error, max: usize) -> Error {
    if error.kind() == std::io::ErrorKind::FileTooLarge {
        return too_large(max);
    }
    Error::new(Code::MalformedBody, "The body is not valid gzip.")
}

/// Reads on, in the background and within bounds, what the sender of a refused body still sends. Closing the connection
/// instead would reset it, and many clients then never see the answer. One that waits for leave to send gets none.
pub(in crate::faces) fn discard(headers: &HeaderMap, mut body: Body) {
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(timeout(DISCARD_TIME, async move {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
        }
    }));
}

/// JSON in UTF-8. A missing type counts as JSON, because old clients forget it, but not from a browser: a page of another
/// origin may send a body without a type, and one of JSON only if the server agreed.
fn check_media_type(headers: &HeaderMap) -> Result<(), Error> {
    let refuse = || Err(Error::new(Code::UnsupportedMediaType, "The body must be application/json in UTF-8."));
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return if headers.contains_key(header::ORIGIN) { refuse() } else { Ok(()) };
    };
    let Ok(value) = value.to_str() else { return refuse() };
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    if !kind.is_empty() && kind != "application/json" && !kind.ends_with("+json") {
        return refuse();
    }
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let charset = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8))
        {
            return refuse();
        }
    }
    Ok(())
}

pub(super) fn is_gzip(headers: &HeaderMap) -> Result<bool, Error> {
    let mut gzip = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        match value.to_str().map(|value| value.trim().to_ascii_lowercase()).as_deref() {
            Ok("" | "identity") => {}
            Ok("gzip" | "x-gzip") if !gzip => gzip = true,
            _ => return Err(Error::new(Code::UnsupportedMediaType, "Content-Encoding must be gzip or absent.")),
        }
    }
    Ok(gzip)
}
