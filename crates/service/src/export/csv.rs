//! CSV by RFC 4180: UTF-8 without a byte order mark, CRLF, a header line, quotes only where they are needed.
//!
//! An absent value is nothing between the commas, an empty text is a pair of quotes: what is loaded again is the same.

use super::Encode;
use super::row::{Rows, Value};
use crate::store::{SetKey, SnapshotChunk, StoreError};
use csv_core::{Terminator, Writer, WriterBuilder};
use docket_contract::Timestamp;
use docket_contract::result::COLUMNS;
use std::io::Write;
use std::sync::Arc;

/// Writes rows.
pub struct Csv {
    rows: Rows,
    writer: Writer,
    escape_formulas: bool,
    /// The moments that were written last, as texts: the results of one request share them.
    times: [(Timestamp, Vec<u8>); 2],
    /// A number as a text, or a text that was escaped.
    scratch: Vec<u8>,
}

/// Begins what a spreadsheet takes for a formula (OWASP, CSV injection).
const FORMULA: [u8; 6] = [b'=', b'+', b'-', b'@', b'\t', b'\r'];

impl Csv {
    /// For the results of a set.
    pub fn new(set: &SetKey, fields: Option<Arc<[String]>>, escape_formulas: bool) -> Self {
        let time = || {
            let time = Timestamp::default();
            (time, time.to_string().into_bytes())
        };
        Self {
            rows: Rows::new(set, fields),
            writer: WriterBuilder::new().terminator(Terminator::CRLF).build(),
            escape_formulas,
            times: [time(), time()],
            scratch: Vec::new(),
        }
    }
}

/// Appends what `write` writes: at most `most` bytes.
fn put(out: &mut Vec<u8>, most: usize, write: impl FnOnce(&mut [u8]) -> usize) {
    let start = out.len();
    out.resize(start + most, 0);
    let written = write(&mut out[start..]);
    out.truncate(start + written);
}

fn field(writer: &mut Writer, text: &[u8], out: &mut Vec<u8>) {
    // With room for twice its bytes and two quotes a field is written at once.
    put(out, 2 * text.len() + 2, |room| writer.field(text, room).2);
}

fn text(writer: &mut Writer, text: &[u8], out: &mut Vec<u8>) {
    match text {
        // A writer that quotes only what it must writes nothing for it.
        [] => out.extend_from_slice(b"\"\""),
        text => field(writer, text, out),
    }
}

fn delimiter(writer: &mut Writer, out: &mut Vec<u8>) {
    put(out, 2, |room| writer.delimiter(room).1);
}

fn terminator(writer: &mut Writer, out: &mut Vec<u8>) {
    put(out, 3, |room| writer.terminator(room).1);
}

impl Encode for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        for (place, name) in COLUMNS.iter().enumerate() {
            if place > 0 {
                delimiter(&mut self.writer, out);
            }
            field(&mut self.writer, name.as_bytes(), out);
        }
        terminator(&mut self.writer, out);
        Ok(())
    }

    fn take(&mut self, chunk: &SnapshotChunk, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let Self { rows, writer, escape_formulas, times, scratch } = self;
        out.reserve(chunk.bytes.len() + chunk.bytes.len() / 4);
        for (row, body) in chunk.iter() {
            let stored = rows.read(row, body)?;
            let mut moments = times.iter_mut();
            for (place, value) in rows.values(row, &stored).into_iter().enumerate() {
                if place > 0 {
                    delimiter(writer, out);
                }
                match value {
                    Value::Absent => {}
                    Value::Text(told) if *escape_formulas && told.as_bytes().first().is_some_and(is_formula) => {
                        scratch.clear();
                        scratch.push(b'\'');
                        scratch.extend_from_slice(told.as_bytes());
                        field(writer, scratch, out);
                    }
                    Value::Text(told) => text(writer, told.as_bytes(), out),
                    Value::Id(id) => number(writer, scratch, id, out),
                    Value::Number(version) => number(writer, scratch, version, out),
                    // The first two moments of a row are when it was written.
                    Value::Time(time) => match moments.next() {
                        Some((known, told)) => {
                            if *known != time {
                                *known = time;
                                told.clear();
                                // Writing to memory does not fail.
                                let _ = write!(told, "{time}");
                            }
                            field(writer, told, out);
                        }
                        None => number(writer, scratch, time, out),
                    },
                }
            }
            terminator(writer, out);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }
}

fn is_formula(first: &u8) -> bool {
    FORMULA.contains(first)
}

/// Writes what is told in digits: it needs no quotes and is no formula.
fn number(writer: &mut Writer, scratch: &mut Vec<u8>, number: impl std::fmt::Display, out: &mut Vec<u8>) {
    scratch.clear();
    // Writing to memory does not fail.
    let _ = write!(scratch, "{number}");
    field(writer, scratch, out);
}
