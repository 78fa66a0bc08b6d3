//! The buffers that pages are written to: used again, because fresh memory costs a fault for every 4 KiB of it.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes at which a chunk ends. Each costs a change of threads, so a page of 5 MB is made of few.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Room for the row behind which a chunk is full.
const ROOM: usize = CHUNK_BYTES + (64 << 10);
/// A chunk smaller than this is not worth a large buffer.
const SMALL: usize = 32 << 10;
/// A buffer that has grown over this is not kept.
const LARGE: usize = 4 << 20;
/// Buffers kept.
const IDLE: usize = 8;

/// The buffers that nobody uses.
#[derive(Default)]
pub struct Buffers {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer with room for about `bytes`, or for a chunk.
    pub fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes <= SMALL {
            return Vec::with_capacity(bytes);
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Vec::with_capacity(ROOM))
    }

    /// Keeps a buffer for the next one.
    pub fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if (ROOM..=LARGE).contains(&buffer.capacity()) && idle.len() < IDLE {
            idle.push(buffer);
        }
    }

    /// The bytes of a buffer that is given back when they are no longer needed.
    pub fn lend(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < ROOM {
            return buffer.into();
        }
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let buffers = Arc::new(Buffers::default());
        let mut buffer = buffers.take(CHUNK_BYTES);
        buffer.extend_from_slice(b"text");
        let place = buffer.as_ptr();
        let bytes = buffers.lend(buffer);
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_eq!(&part[..], b"ex");
        drop(part);
        let again = buffers.take(CHUNK_BYTES);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        drop(buffers.lend(buffers.take(10)));
        assert_eq!(buffers.idle.lock().expect("no panic").len(), 0);
    }
}
