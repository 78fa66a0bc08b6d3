//! Reading a log as bounded chunks. Owns the reader that every executor hands out; knows nothing of where the bytes lie.

use std::io;

use super::ExecutorError;

/// Which part of a log is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogRange {
    /// All of it.
    Whole,
    /// The last so many lines. A last line without its newline counts as one.
    Tail {
        /// How many.
        lines: u64,
    },
    /// What stands behind a position, which a [`LogReader`] told. Nothing if the log has not come so far.
    From {
        /// Counted in all the bytes that the attempt wrote, those that were cut as well.
        position: u64,
    },
}

/// A source of log bytes. It may block: the reader calls it on a thread where that is allowed.
pub trait LogSource: Send + 'static {
    /// The next bytes, or nothing at the end.
    fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Where the next chunk begins, counted in all the bytes that the attempt wrote, those that were cut as well. At the
    /// end: how many it had written when the log was opened.
    fn position(&self) -> u64;
}

/// The most bytes in one chunk of a log.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// A log being read: what was there when it was opened, in chunks of at most [`CHUNK_BYTES`].
pub struct LogReader {
    source: Option<Box<dyn LogSource>>,
    position: u64,
}

impl LogReader {
    /// A reader of this source.
    pub fn new(source: impl LogSource) -> LogReader {
        LogReader { position: source.position(), source: Some(Box::new(source)) }
    }

    /// Where the next chunk begins: what [`LogRange::From`] takes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next chunk, `None` at the end. No thread is held between two calls. After an error the log is at its end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ExecutorError> {
        let Some(mut source) = self.source.take() else {
            return Ok(None);
        };
        let (source, chunk) = tokio::task::spawn_blocking(move || {
            let chunk = source.next_chunk();
            (source, chunk)
        })
        .await
        .map_err(|e| ExecutorError::Io(format!("reading the log: {e}")))?;
        self.position = source.position();
        match chunk {
            Ok(Some(bytes)) => {
                self.source = Some(source);
                Ok(Some(bytes))
            }
            Ok(None) => Ok(None),
            Err(e) => Err(ExecutorError::Io(format!("reading the log: {e}"))),
        }
    }

    /// The rest of the log in one piece, at most `limit` bytes of it.
    pub async fn collect(mut self, limit: usize) -> Result<Vec<u8>, ExecutorError> {
        let mut all = Vec::new();
        while all.len() < limit
            && let Some(chunk) = self.chunk().await?
        {
            let room = limit - all.len();
            all.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Ok(all)
    }
}

/// Bytes in memory as a log source.
pub struct Bytes {
    position: u64,
    rest: Vec<u8>,
}

impl Bytes {
    /// The wanted part of a log that is held in memory.
    pub fn new(log: &[u8], range: LogRange) -> Bytes {
        let start = match range {
            LogRange::Whole => 0,
            LogRange::Tail { lines } => {
                let mut tail = TailStart::new(lines);
                tail.scan(log).unwrap_or(0)
            }
            LogRange::From { position } => usize::try_from(position).map_or(log.len(), |start| start.min(log.len())),
        };
        Bytes { position: start as u64, rest: log[start..].to_vec() }
    }
}

impl LogSource for Bytes {
    fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let rest = self.rest.split_off(self.rest.len().min(CHUNK_BYTES));
        let chunk = std::mem::replace(&mut self.rest, rest);
        self.position += chunk.len() as u64;
        Ok(Some(chunk))
    }

    fn position(&self) -> u64 {
        self.position
    }
}

/// Finds where the last lines begin, reading blocks from the end of a log towards its start.
pub struct TailStart {
    lines: u64,
    seen: u64,
    at_end: bool,
}

impl TailStart {
    /// A reader of this source.
    pub fn new(lines: u64) -> TailStart {
        TailStart { lines, seen: 0, at_end: true }
    }

    /// Takes the block that lies before all blocks given so far. Answers the position within this block where the
    /// wanted lines begin, or nothing when they begin further ahead.
    pub fn scan(&mut self, block: &[u8]) -> Option<usize> {
        if self.lines == 0 {
            return Some(block.len());
        }
        for (position, byte) in block.iter().enumerate().rev() {
            // The newline that ends the last line begins no further line.
            if *byte == b'\n' && !self.at_end {
                self.seen += 1;
                if self.seen == self.lines {
                    return Some(position + 1);
                }
            }
            self.at_end = false;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail(log: &[u8], lines: u64) -> Vec<u8> {
        Bytes::new(log, LogRange::Tail { lines }).rest
    }

    #[test]
    fn tail_counts_a_last_line_without_newline() {
        assert_eq!(tail(b"a\nb\nc", 2), b"b\nc");
        assert_eq!(tail(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(tail(b"a\n\n", 1), b"\n");
        assert_eq!(tail(b"a\nb", 9), b"a\nb");
        assert_eq!(tail(b"a\nb", 0), b"");
        assert_eq!(tail(b"", 3), b"");
    }

    proptest! {
        #[test]
        fn tail_in_blocks_is_the_tail_of_the_whole(
            log in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x')], 0..200),
            lines in 0u64..20,
            block in 1usize..30,
        ) {
            let expected: Vec<u8> = {
                let all: Vec<&[u8]> = log.split_inclusive(|b| *b == b'\n').collect();
                let skip = all.len().saturating_sub(usize::try_from(lines).unwrap());
                all[skip..].concat()
            };
            let mut scan = TailStart::new(lines);
            let mut end = log.len();
            let mut start = 0;
            while end > 0 {
                let begin = end.saturating_sub(block);
                if let Some(position) = scan.scan(&log[begin..end]) {
                    start = begin + position;
                    break;
                }
                end = begin;
            }
            prop_assert_eq!(&log[start..], &expected[..]);
        }
    }
}
