//! NDJSON: a line a result, exactly as a listing shows it. Nothing is parsed.

use super::Encode;
use crate::store::encode::Encoder;
use crate::store::{SetKey, SnapshotChunk, StoreError};
use std::sync::Arc;

/// Bytes that a result takes beside its body, about.
const LINE_BYTES: usize = 192;

/// Writes lines.
pub struct Ndjson(Encoder);

impl Ndjson {
    /// For the results of a set.
    pub fn new(set: &SetKey, fields: Option<Arc<[String]>>) -> Self {
        Self(Encoder::new(set, fields))
    }
}

impl Encode for Ndjson {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }

    fn take(&mut self, chunk: &SnapshotChunk, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.reserve(chunk.bytes.len() + chunk.rows.len() * LINE_BYTES);
        for (row, body) in chunk.iter() {
            self.0.object(out, row.id.0, row.created_at, row.modified_at, body)?;
            out.push(b'\n');
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }
}
