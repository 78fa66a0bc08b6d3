//! Reading a job's log.

use super::{Service, follow};
use crate::executors::{ExecutorError, LogRange, LogReader};
use crate::handler::Encoded;
use bytes::Bytes;
use docket_contract::operations::{LogPlace, ReadJobLogInput};
use docket_contract::{Caller, Code, Error};
use futures_util::stream;

pub(super) async fn read(service: &Service, caller: &Caller, input: ReadJobLogInput) -> Result<Encoded, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let place = input.place()?;
    let present = u32::try_from(stored.job.attempt).unwrap_or_default();
    let named = input.attempt.map(|attempt| u32::try_from(attempt).unwrap_or_default());
    let attempt = place.map(|place| place.attempt).or(named).unwrap_or(present);
    if attempt > present {
        return Err(Error::not_found());
    }
    let range = match (place, input.tail) {
        (Some(LogPlace { position, .. }), _) => LogRange::From { position },
        (None, Some(lines)) => LogRange::Tail { lines: u64::try_from(lines).unwrap_or_default() },
        (None, None) => LogRange::Whole,
    };
    if input.follows() {
        let position = place.map(|place| place.position).unwrap_or_default();
        return follow::begin(service, caller, stored, &input, LogPlace { attempt, position }, range);
    }
    match service.engine.read_log(&stored, attempt, range).await {
        Ok(reader) => Ok(Encoded::new(text(reader))),
        // Not started yet, or it never wrote a byte.
        Err(ExecutorError::NoLog(_)) => Ok(Encoded { length: Some(0), ..Encoded::new(stream::empty()) }),
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
                let text = take_text(&mut rest, false, false);
                Ok(Some((Bytes::from(text), (reader, rest))))
            }
            None if rest.is_empty() => Ok(None),
            None => Ok(Some((Bytes::from(take_text(&mut rest, true, false)), (reader, rest)))),
        }
    })
}

/// Takes the text out of bytes that were read. Unless they are `all`, the beginning of a character at their end stays,
/// and so does a carriage return where `lines` count: another byte may belong to it.
pub(super) fn take_text(bytes: &mut Vec<u8>, all: bool, lines: bool) -> String {
    let held = match bytes.last() {
        _ if all => 0,
        Some(b'\r') if lines => 1,
        _ => unfinished(bytes),
    };
    let whole = bytes.len() - held;
    let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
    bytes.drain(..whole);
    text
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
