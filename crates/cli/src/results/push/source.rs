//! Records of a file, each as the JSON that an insert takes, with the line at which it begins.

use super::table::Table;
use docket_contract::operations::ExportFormat;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

/// Longest line or row, in bytes: two texts of 65,535 characters fit, also as escapes.
pub const MAX_ROW: usize = 4 << 20;

/// What an export tells of a result and an insert does not take.
pub const GIVEN: [&str; 4] = ["id", "storageId", "createdAt", "modifiedAt"];

/// Why a file can't be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Reading failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is not what it should be.
    #[error("{0}")]
    Form(String),
}

/// A record's JSON, or why there is none.
pub type Parsed = Result<String, String>;

/// The records of a file.
pub enum Source<R> {
    /// NDJSON.
    Lines(Lines<R>),
    /// CSV.
    Table(Box<Table<R>>),
}

impl<R: BufRead> Source<R> {
    /// Begins to read. `names_jobs` keeps the job that a record names.
    pub fn new(input: R, format: ExportFormat, names_jobs: bool) -> Result<Self, SourceError> {
        Ok(match format {
            ExportFormat::Csv => Self::Table(Box::new(Table::new(input, names_jobs)?)),
            _ => Self::Lines(Lines { input, line: 0, bytes_read: 0, names_jobs }),
        })
    }

    /// The next record and its line; `None` at the end.
    pub fn next(&mut self) -> Result<Option<(u64, Parsed)>, SourceError> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Table(table) => table.next(),
        }
    }

    /// Bytes that are behind the record given last.
    pub fn bytes_read(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.bytes_read,
            Self::Table(table) => table.bytes_read(),
        }
    }

    /// Columns that are left out.
    pub fn unknown_columns(&self) -> &[String] {
        match self {
            Self::Lines(_) => &[],
            Self::Table(table) => table.unknown_columns(),
        }
    }
}

/// NDJSON.
pub struct Lines<R> {
    input: R,
    line: u64,
    bytes_read: u64,
    names_jobs: bool,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<(u64, Parsed)>, SourceError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut self.input).take(MAX_ROW as u64 + 1).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.bytes_read += read as u64;
            if line.len() > MAX_ROW {
                return Err(SourceError::Form(format!("line {} has more than {MAX_ROW} bytes", self.line)));
            }
            let text = line.trim_ascii();
            // A byte order mark says nothing (RFC 8259, 8.1).
            let text = if self.line == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) } else { text };
            if !text.is_empty() {
                return Ok(Some((self.line, self.record(text))));
            }
        }
    }

    /// The record of a line, its values as they stand there.
    fn record(&self, text: &[u8]) -> Parsed {
        let text = str::from_utf8(text).map_err(|_| "the line is not UTF-8".to_owned())?;
        let members: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(text);
        let mut members = members.map_err(|error| format!("the line is no JSON object: {error}"))?;
        for name in GIVEN {
            members.remove(name);
        }
        if !self.names_jobs {
            members.remove("jobId");
        }
        serde_json::to_string(&members).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_records() {
        let text = concat!(
            "\u{feff}{\"id\":\"1\",\"storageId\":\"s\",\"jobId\":\"j\",\"createdAt\":\"x\",\"modifiedAt\":\"y\",",
            "\"externalId\":\"e\",\"resultData\":\"\\u0041\"}\r\n\n  \nno JSON\n[1]\n{\"status\":\"OK\"}",
        );
        let read = |names_jobs| {
            let mut source = Source::new(text.as_bytes(), ExportFormat::Ndjson, names_jobs).expect("begun");
            let mut records = Vec::new();
            while let Some((line, record)) = source.next().expect("readable") {
                records.push((line, record.ok()));
            }
            assert_eq!(source.bytes_read(), text.len() as u64);
            records
        };
        let record = |text: &str| Some(text.to_owned());
        let found = read(false);
        let first = record(r#"{"externalId":"e","resultData":"\u0041"}"#);
        assert_eq!(found, [(1, first), (4, None), (5, None), (6, record(r#"{"status":"OK"}"#))]);
        let first = record(r#"{"externalId":"e","jobId":"j","resultData":"\u0041"}"#);
        assert_eq!(read(true)[0], (1, first));
    }

    #[test]
    fn a_line_has_a_bound() {
        let text = vec![b'x'; MAX_ROW + 2];
        let mut source = Source::new(&text[..], ExportFormat::Ndjson, false).expect("begun");
        assert!(matches!(source.next(), Err(SourceError::Form(_))));
    }
}
