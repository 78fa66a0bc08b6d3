//! The bytes of one connection: a deadline for request heads on the way in, problems in place of bare refusals on the
//! way out.

use super::refusal;
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// How much of what a refused client still sends is read, so that it comes to read the refusal.
const LINGER_BYTES: usize = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// What happens on a connection, as far as its stream needs it.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Bytes have come.
    reading: AtomicBool,
    /// A request is being worked on; its answer has no head yet.
    busy: AtomicBool,
    /// An answer is not wholly encoded yet.
    answering: AtomicBool,
    /// Requests so far.
    served: AtomicUsize,
}

impl Activity {
    /// A request has come.
    pub(super) fn begin(&self) {
        self.busy.store(true, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer has a head.
    pub(super) fn answered(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    /// Whether anything was asked.
    pub(super) fn begun(&self) -> bool {
        self.reading.load(Ordering::Relaxed)
    }
}

/// The body of an answer; its end is noted.
pub(super) struct Answered {
    body: Body,
    activity: Arc<Activity>,
}

impl Answered {
    pub(super) fn new(body: Body, activity: Arc<Activity>) -> Self {
        Self { body, activity }
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.activity.answering.store(false, Ordering::Relaxed);
    }
}

/// A stream with a deadline for request heads: from their first byte until the service is called.
///
/// It also puts a problem in the place of a refusal that hyper writes by itself. Such bytes are known by this: since the
/// last flush, which leaves nothing of an earlier answer in hyper's buffer, no request has come, so nobody of ours can
/// have answered. A refusal that hyper appends to an answer before it flushes goes out as hyper wrote it.
pub(super) struct Stream {
    socket: TcpStream,
    activity: Arc<Activity>,
    limit: Duration,
    /// The number of requests when the present head began.
    served: usize,
    began: Option<Instant>,
    /// Made only for a head that doesn't come in one piece.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The number of requests at the last flush that left nothing behind.
    flushed: Option<usize>,
    refusal: Option<Refusal>,
}

/// A problem on its way out, and then the wait for the client to read it.
struct Refusal {
    bytes: Vec<u8>,
    sent: usize,
    shut: bool,
    discarded: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, activity: Arc<Activity>, limit: Duration) -> Self {
        Self { socket, activity, limit, served: 0, began: None, deadline: None, flushed: Some(0), refusal: None }
    }

    /// Takes bytes that are hyper's own refusal; a problem goes out instead.
    fn refuse(&mut self, bytes: &[u8]) -> bool {
        let served = self.activity.served.load(Ordering::Relaxed);
        if self.refusal.is_none() && self.flushed == Some(served) && !self.activity.answering.load(Ordering::Relaxed) {
            self.refusal = refusal::problem(bytes).map(|bytes| Refusal {
                bytes,
                sent: 0,
                shut: false,
                discarded: 0,
                deadline: Box::pin(sleep(LINGER_TIME)),
            });
        }
        self.refusal.is_some()
    }

    /// Sends what is left of a refusal.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while refusal.sent < refusal.bytes.len() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &refusal.bytes[refusal.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            refusal.sent += sent;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads on for a while behind a refusal: closing with bytes unread would take it away from the client.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        let mut space = [0; 8192];
        while refusal.discarded < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => refusal.discarded += buffer.filled().len(),
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(refusal.deadline.as_mut().poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buffer);
        let served = self.activity.served.load(Ordering::Relaxed);
        let busy = self.activity.busy.load(Ordering::Relaxed);
        if busy || served != self.served {
            self.served = served;
            self.began = None;
            self.deadline = None;
        }
        match result {
            Poll::Ready(done) => {
                if buffer.filled().len() > before && !busy && self.began.is_none() {
                    self.activity.reading.store(true, Ordering::Relaxed);
                    self.began = Some(Instant::now());
                }
                Poll::Ready(done)
            }
            Poll::Pending => {
                let Some(began) = self.began else { return Poll::Pending };
                let end = began + self.limit;
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(end)));
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.refuse(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.refuse(slices.first().map_or(&[], |first| &**first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        if !self.activity.answering.load(Ordering::Relaxed) {
            self.flushed = Some(self.activity.served.load(Ordering::Relaxed));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        if self.refusal.as_ref().is_none_or(|refusal| !refusal.shut) {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        }
        if let Some(refusal) = &mut self.refusal {
            refusal.shut = true;
        }
        self.poll_linger(cx)
    }
}
