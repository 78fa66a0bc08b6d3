//! From records of a file to batches of records.

use super::report::Refused;
use super::source::{Source, SourceError};
use std::io::BufRead;
use tokio::sync::mpsc::Sender;

/// Bytes of records at which a batch is full: below what a server takes by default, also with 1000 long records.
const MAX_BYTES: usize = 8 << 20;
/// Records that can't be read, after which a batch is sent, be it empty.
const MAX_UNREADABLE: usize = 1000;

/// A record that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line at which it begins, from 1.
    pub line: u64,
    /// Its JSON.
    pub json: String,
}

/// Some records that follow each other in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Those that can be sent.
    pub records: Vec<Record>,
    /// Those that can't be read.
    pub unreadable: Vec<Refused>,
    /// The line at which the last of them begins.
    pub through: u64,
    /// Bytes of the file up to its end.
    pub bytes_read: u64,
}

/// Makes batches.
pub struct Batches<R> {
    source: Source<R>,
    size: usize,
    /// Records up to this line were done before.
    behind: u64,
}

impl<R: BufRead> Batches<R> {
    /// Of at most `size` records, of those behind a line.
    pub fn new(source: Source<R>, size: usize, behind: u64) -> Self {
        Self { source, size, behind }
    }

    /// Reads the whole file and sends its batches; stops when nobody takes them any more. Blocks.
    pub fn send_to(mut self, batches: &Sender<Batch>) -> Result<(), SourceError> {
        loop {
            let (batch, ended) = self.next();
            let empty = batch.records.is_empty() && batch.unreadable.is_empty();
            if !empty && batches.blocking_send(batch).is_err() {
                return Ok(());
            }
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// The next batch, and how the file ended if it did.
    fn next(&mut self) -> (Batch, Option<Result<(), SourceError>>) {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        let ended = loop {
            if batch.records.len() == self.size || bytes >= MAX_BYTES || batch.unreadable.len() >= MAX_UNREADABLE {
                break None;
            }
            let (line, record) = match self.source.next() {
                Ok(Some(record)) => record,
                Ok(None) => break Some(Ok(())),
                Err(error) => break Some(Err(error)),
            };
            if line <= self.behind {
                continue;
            }
            batch.through = line;
            match record {
                Ok(json) => {
                    bytes += json.len();
                    batch.records.push(Record { line, json });
                }
                Err(detail) => {
                    let code = "unreadable".to_owned();
                    batch.unreadable.push(Refused { line, code, detail, ..Refused::default() });
                }
            }
        };
        batch.bytes_read = self.source.bytes_read();
        (batch, ended)
    }
}
