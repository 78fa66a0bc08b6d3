//! Reading a job's log.

use super::Service;
use crate::executors::{ExecutorError, LogRange, LogReader};
use crate::handler::Encoded;
use bytes::Bytes;
use docket_contract::operations::ReadJobLogInput;
use docket_contract::{Caller, Code, Error};
use futures_util::StreamExt;
use futures_util::stream;

pub(super) async fn read(service: &Service, caller: &Caller, input: ReadJobLogInput) -> Result<Encoded, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let present = stored.job.attempt;
    let attempt = input.attempt.unwrap_or(present);
    if attempt > present {
        return Err(Error::not_found());
    }
    let range = match input.tail {
        Some(lines) => LogRange::Tail { lines: u64::try_from(lines).unwrap_or_default() },
        None => LogRange::Whole,
    };
    match service.engine.read_log(&stored, u32::try_from(attempt).unwrap_or_default(), range).await {
        Ok(reader) => Ok(Encoded { stream: text(reader).boxed(), length: None }),
        // Not started yet, or it never wrote a byte.
        Err(ExecutorError::NoLog(_)) => Ok(Encoded { stream: stream::empty().boxed(), length: Some(0) }),
        Err(error) => Err(internal(&error)),
    }
}

pub(super) fn internal(error: &ExecutorError) -> Error {
    tracing::error!(%error, "reading a log failed");
    Error::new(Code::Internal, "The log can't be read; the server's log has the reason.")
}

/// The log as UTF-8: what is not, is shown as the replacement character. A character that two chunks share is kept.
fn text(reader: LogReader) -> impl stream::Stream<Item = Result<Bytes, Error>> + Send {
    stream::try_unfold((reader, Vec::new()), |(mut reader, mut rest)| async move {
        match reader.chunk().await.map_err(|error| internal(&error))? {
            Some(chunk) => {
                rest.extend_from_slice(&chunk);
                let whole = rest.len() - unfinished(&rest);
                let text = String::from_utf8_lossy(&rest[..whole]).into_owned();
                rest.drain(..whole);
                Ok(Some((Bytes::from(text), (reader, rest))))
            }
            None if rest.is_empty() => Ok(None),
            None => {
                let text = String::from_utf8_lossy(&rest).into_owned();
                Ok(Some((Bytes::from(text), (reader, Vec::new()))))
            }
        }
    })
}

/// How many bytes at the end are the beginning of a character that goes on.
fn unfinished(bytes: &[u8]) -> usize {
    match std::str::from_utf8(&bytes[bytes.len().saturating_sub(4)..]) {
        Ok(_) => 0,
        Err(_) => (1..=bytes.len().min(3))
            .find(|&count| {
                let first = bytes[bytes.len() - count];
                let needed = match first {
                    0xC0..=0xDF => 2,
                    0xE0..=0xEF => 3,
                    0xF0..=0xF7 => 4,
                    _ => 0,
                };
                needed > count
            })
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::log::LogSource;
    use futures_util::TryStreamExt;

    struct Pieces(std::vec::IntoIter<Vec<u8>>);

    impl LogSource for Pieces {
        fn next_chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
            Ok(self.0.next())
        }

        fn position(&self) -> u64 {
            0
        }
    }

    #[tokio::test]
    async fn characters_survive_every_cut() {
        let log = "aüb€c😀d".as_bytes();
        for cut in 0..=log.len() {
            let pieces = vec![log[..cut].to_vec(), log[cut..].to_vec()];
            let reader = LogReader::new(Pieces(pieces.into_iter()));
            let read: Vec<Bytes> = text(reader).try_collect().await.expect("readable");
            assert_eq!(read.concat(), log, "cut at {cut}");
        }
        let reader = LogReader::new(Pieces(vec![vec![b'a', 0xFF, b'b', 0xC3]].into_iter()));
        let read: Vec<Bytes> = text(reader).try_collect().await.expect("readable");
        assert_eq!(read.concat(), "a\u{FFFD}b\u{FFFD}".as_bytes());
    }
}
