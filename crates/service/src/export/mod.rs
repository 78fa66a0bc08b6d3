//! A result set as a file: what a snapshot reads, in one of three forms, with constant memory.
//!
//! `ndjson`, `csv` and `parquet` encode; `row` is what the latter two have in common. `pipe` moves: it reads ahead, encodes
//! and hashes apart from the threads that serve connections, and waits for whoever takes the file. Nothing here decides what
//! is exported, or who may have it.

mod csv;
mod ndjson;
mod parquet;
mod pipe;
mod row;
#[cfg(test)]
mod tests;

pub use pipe::{Whole, pieces};

use crate::store::{SetKey, SnapshotChunk, StoreError};
use docket_contract::operations::ExportFormat;
use std::sync::Arc;

/// How results are shown.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// In which format.
    pub format: ExportFormat,
    /// The members of the JSON in `resultData` to keep; `None` for all.
    pub fields: Option<Arc<[String]>>,
    /// For CSV: keep spreadsheets from taking texts for formulas.
    pub escape_formulas: bool,
}

/// Writes the results of a set in one format. Everything is appended to `out`; it may come later than it was taken.
trait Encode: Send {
    /// What stands in front of the first result.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError>;

    /// Some results.
    fn take(&mut self, chunk: &SnapshotChunk, out: &mut Vec<u8>) -> Result<(), StoreError>;

    /// What is left, and what stands behind the last result.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError>;
}

/// The encoder of a form.
fn encoder(set: &SetKey, form: Form) -> Result<Box<dyn Encode>, StoreError> {
    Ok(match form.format {
        ExportFormat::Ndjson => Box::new(ndjson::Ndjson::new(set, form.fields)),
        ExportFormat::Csv => Box::new(csv::Csv::new(set, form.fields, form.escape_formulas)),
        ExportFormat::Parquet => Box::new(parquet::Parquet::new(set, form.fields)?),
    })
}
