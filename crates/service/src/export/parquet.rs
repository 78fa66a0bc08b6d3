//! Parquet: typed columns, Zstandard. Rows wait by column until they make a row group, so memory does not grow with the set
//! (but for the list of groups, which is the file's end).

use super::Encode;
use super::row::{Rows, Value, WIDTH};
use crate::store::{SetKey, SnapshotChunk, StoreError};
use bytes::Bytes;
use docket_contract::result::COLUMNS;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// Most rows of a group.
const GROUP_ROWS: usize = 65_536;
/// Bytes of text at which a group is written: what an export holds.
const GROUP_BYTES: usize = 8 << 20;
/// Values that are handed to a column at a time.
const BATCH: usize = 4096;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Ids of results: they ascend.
    Id,
    Time,
    Number,
    /// Texts of which many are equal.
    Word,
    /// Texts that are all different.
    Unique,
    /// Long texts: nobody asks for the least of them.
    Content,
}

/// The columns, in the order of [`COLUMNS`], and whether each result has a value.
const KINDS: [(Kind, bool); WIDTH] = [
    (Kind::Id, true),
    (Kind::Word, true),
    (Kind::Word, false),
    (Kind::Time, true),
    (Kind::Time, true),
    (Kind::Word, false),
    (Kind::Unique, false),
    (Kind::Unique, false),
    (Kind::Unique, false),
    (Kind::Unique, false),
    (Kind::Word, false),
    (Kind::Word, false),
    (Kind::Word, false),
    (Kind::Content, false),
    (Kind::Word, true),
    (Kind::Content, false),
    (Kind::Word, false),
    (Kind::Word, false),
    (Kind::Time, false),
    (Kind::Word, false),
    (Kind::Number, false),
];

/// Writes row groups.
pub struct Parquet {
    rows: Rows,
    file: SerializedFileWriter<Vec<u8>>,
    columns: [Column; WIDTH],
    /// Rows that wait.
    waiting: usize,
    /// Their texts' bytes.
    bytes: usize,
}

impl Parquet {
    /// For the results of a set.
    pub fn new(set: &SetKey, fields: Option<Arc<[String]>>) -> Result<Self, StoreError> {
        let schema = Arc::new(parse_message_type(&message()).map_err(failed)?);
        let file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties()?)).map_err(failed)?;
        let columns = KINDS.map(|(kind, required)| Column::new(kind, required));
        Ok(Self { rows: Rows::new(set, fields), file, columns, waiting: 0, bytes: 0 })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            column.write(writer.untyped())?;
            writer.close()?;
            column.forget();
        }
        group.close()?;
        (self.waiting, self.bytes) = (0, 0);
        Ok(())
    }

    /// Hands over what the file has so far. (It keeps count of its bytes itself.)
    fn drain(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.file.flush().map_err(|error| StoreError::Internal(error.to_string()))?;
        let written = std::mem::take(self.file.inner_mut());
        if out.is_empty() {
            *out = written
        } else {
            out.extend_from_slice(&written)
        }
        Ok(())
    }
}

/// The schema.
fn message() -> String {
    let mut message = String::from("message results {\n");
    for (name, (kind, required)) in COLUMNS.iter().zip(KINDS) {
        let presence = if required { "REQUIRED" } else { "OPTIONAL" };
        let (physical, logical) = match kind {
            Kind::Id => ("INT64", ""),
            Kind::Time => ("INT64", " (TIMESTAMP(MILLIS,true))"),
            Kind::Number => ("INT32", ""),
            Kind::Word | Kind::Unique | Kind::Content => ("BYTE_ARRAY", " (STRING)"),
        };
        message.push_str(&format!("{presence} {physical} {name}{logical};\n"));
    }
    message.push('}');
    message
}

fn properties() -> Result<WriterProperties, StoreError> {
    let level = ZstdLevel::try_new(1).map_err(failed)?;
    let mut properties: WriterPropertiesBuilder = WriterProperties::builder()
        .set_created_by(concat!("docket version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for (name, (kind, _)) in COLUMNS.iter().zip(KINDS) {
        let column = || ColumnPath::from(*name);
        if matches!(kind, Kind::Id | Kind::Unique | Kind::Content) {
            properties = properties.set_column_dictionary_enabled(column(), false);
        }
        if kind == Kind::Id {
            properties = properties.set_column_encoding(column(), Encoding::DELTA_BINARY_PACKED);
        }
        if kind == Kind::Content {
            properties = properties.set_column_statistics_enabled(column(), EnabledStatistics::None);
        }
    }
    Ok(properties.build())
}

fn failed(error: ParquetError) -> StoreError {
    StoreError::Internal(error.to_string())
}

impl Encode for Parquet {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.drain(out)
    }

    fn take(&mut self, chunk: &SnapshotChunk, out: &mut Vec<u8>) -> Result<(), StoreError> {
        for (row, body) in chunk.iter() {
            let stored = self.rows.read(row, body)?;
            for (column, value) in self.columns.iter_mut().zip(self.rows.values(row, &stored)) {
                self.bytes += column.push(value);
            }
            self.waiting += 1;
            if self.waiting >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
                self.write_group().map_err(failed)?;
            }
        }
        self.drain(out)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        if self.waiting > 0 {
            self.write_group().map_err(failed)?;
        }
        self.file.finish().map_err(failed)?;
        self.drain(out)
    }
}

/// The values of a column that wait.
struct Column {
    values: Values,
    /// For each row whether it has one: 1 or 0, as Parquet counts levels; `None` if each has.
    levels: Option<Vec<i16>>,
}

enum Values {
    /// Texts one behind the other, and where each ends.
    Texts {
        bytes: Vec<u8>,
        ends: Vec<usize>,
        /// The bytes of the last group, whose room is taken again: the allocator would keep what is given back.
        written: Bytes,
    },
    Longs(Vec<i64>),
    Ints(Vec<i32>),
}

impl Column {
    fn new(kind: Kind, required: bool) -> Self {
        let values = match kind {
            Kind::Id | Kind::Time => Values::Longs(Vec::new()),
            Kind::Number => Values::Ints(Vec::new()),
            Kind::Word | Kind::Unique | Kind::Content => {
                Values::Texts { bytes: Vec::new(), ends: Vec::new(), written: Bytes::new() }
            }
        };
        Self { values, levels: (!required).then(Vec::new) }
    }

    /// Adds the value of a row; answers how many bytes of text it has.
    fn push(&mut self, value: Value<'_>) -> usize {
        if let Some(levels) = &mut self.levels {
            levels.push(i16::from(value != Value::Absent));
        }
        match (&mut self.values, value) {
            (Values::Texts { bytes, ends, .. }, Value::Text(text)) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
                return text.len();
            }
            // Ids are below 2^63: times in microseconds, and sequences behind them.
            (Values::Longs(longs), Value::Id(id)) => longs.push(i64::try_from(id).unwrap_or(i64::MAX)),
            (Values::Longs(longs), Value::Time(time)) => longs.push(time.as_millis()),
            (Values::Ints(ints), Value::Number(number)) => ints.push(number),
            // Nothing is absent where a value is required, and kinds fit: both tables stand in the order of the columns.
            _ => {}
        }
        0
    }

    /// Writes the values that wait.
    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = self.levels.as_deref();
        match (&mut self.values, writer) {
            (Values::Texts { bytes, ends, written }, ColumnWriter::ByteArrayColumnWriter(writer)) => {
                *written = Bytes::from(std::mem::take(bytes));
                let mut start = 0;
                let mut batch = Vec::with_capacity(BATCH);
                stretches(ends.len(), levels, |values, levels| {
                    batch.clear();
                    batch.extend(ends[values].iter().map(|&end| {
                        let text = written.slice(start..end);
                        start = end;
                        ByteArray::from(text)
                    }));
                    writer.write_batch(&batch, levels, None).map(drop)
                })?;
            }
            (Values::Longs(longs), ColumnWriter::Int64ColumnWriter(writer)) => {
                stretches(longs.len(), levels, |values, levels| {
                    writer.write_batch(&longs[values], levels, None).map(drop)
                })?;
            }
            (Values::Ints(ints), ColumnWriter::Int32ColumnWriter(writer)) => {
                stretches(ints.len(), levels, |values, levels| {
                    writer.write_batch(&ints[values], levels, None).map(drop)
                })?;
            }
            _ => return Err(ParquetError::General("a column has another type than its schema".to_owned())),
        }
        Ok(())
    }

    /// Forgets the values that were written.
    fn forget(&mut self) {
        match &mut self.values {
            Values::Texts { bytes, ends, written } => {
                let written = std::mem::take(written);
                // Some of it may be kept for the file's end: the least and the greatest.
                if written.is_unique() {
                    *bytes = written.into();
                    bytes.clear();
                }
                ends.clear();
            }
            Values::Longs(longs) => longs.clear(),
            Values::Ints(ints) => ints.clear(),
        }
        if let Some(levels) = &mut self.levels {
            levels.clear();
        }
    }
}

/// Calls `write` for each stretch of rows: with the places of its values, and its levels.
fn stretches(
    values: usize,
    levels: Option<&[i16]>,
    mut write: impl FnMut(std::ops::Range<usize>, Option<&[i16]>) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    let mut start = 0;
    match levels {
        None => {
            while start < values {
                let end = values.min(start + BATCH);
                write(start..end, None)?;
                start = end;
            }
        }
        Some(levels) => {
            for levels in levels.chunks(BATCH) {
                let end = start + levels.iter().filter(|level| **level > 0).count();
                write(start..end, Some(levels))?;
                start = end;
            }
        }
    }
    Ok(())
}
