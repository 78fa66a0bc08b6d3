//! Reads partners from CSV (RFC 4180) with bounded memory. A bad row is reported with its line and
//! never stops the run. Refuses to guess what a bad row meant.
//!
//! A quote that is not closed makes later rows part of one field, up to the next quote. So a row
//! that is too long, or that spans lines and has the wrong number of fields or text behind a closing
//! quote, costs only its first line: reading goes on with the next one.

mod source;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::{error, fmt};

use csv_core::ReadRecordResult;

use super::catalog::ROW_UNREADABLE;
use super::findings::{Findings, Validation};
use super::partner::{COLUMNS, Partner};
use source::Source;

/// The longest row, in bytes; a longer one is a bad row.
pub const MAX_ROW_BYTES: usize = 64 * 1024;

/// The most columns; a row with more is a bad row.
const MAX_COLUMNS: usize = 1024;

/// The columns that a file must have, as indexes of `COLUMNS`.
const MANDATORY: [usize; 3] = [0, 3, 7];

/// Why a file cannot be read at all.
#[derive(Debug)]
pub enum OpenError {
    /// The file cannot be opened or read.
    Io(io::Error),
    /// There is no header row.
    Empty,
    /// The header row is not UTF-8; a file in UTF-16 is told apart by its first bytes.
    NotUtf8,
    /// The header row is longer than 64 KiB or has more than 1024 columns.
    HeaderTooLong,
    /// These mandatory columns are missing.
    MissingColumns(Vec<&'static str>),
    /// This column stands twice in the header row.
    DuplicateColumn(&'static str),
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "cannot read the file: {error}"),
            Self::Empty => write!(formatter, "the file has no header row"),
            Self::NotUtf8 => write!(formatter, "the header row is not UTF-8"),
            Self::HeaderTooLong => write!(
                formatter,
                "the header row is longer than {MAX_ROW_BYTES} bytes or has more than {MAX_COLUMNS} columns"
            ),
            Self::MissingColumns(columns) => write!(
                formatter,
                "the header row lacks {}; known columns are {}",
                columns.join(", "),
                COLUMNS.join(", ")
            ),
            Self::DuplicateColumn(column) => {
                write!(formatter, "the header row has the column {column} twice")
            }
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// A row that is no partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The line on which the row starts, counted from 1, the header being line 1.
    pub line: u64,
    /// The external id, where it could still be read.
    pub external_id: Option<String>,
    /// What is wrong.
    pub message: String,
    /// True when the file itself could not be read on: nothing follows.
    pub fatal: bool,
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.message)
    }
}

impl error::Error for RowError {}

impl RowError {
    /// The failed validation to send for the row.
    pub fn to_validation(&self) -> Validation {
        let mut found = Findings::default();
        found.defect(&ROW_UNREADABLE, "row", self.to_string());
        found.finish()
    }
}

/// The partners of one CSV file, in its order.
#[derive(Debug)]
pub struct PartnerReader<R> {
    source: Source<R>,
    core: csv_core::Reader,
    delimiter: u8,
    /// Text of the current row's fields, one behind the other.
    text: Vec<u8>,
    /// Where each field of the current row ends in `text`.
    ends: Vec<usize>,
    /// For each column of the file, its index in `COLUMNS`.
    columns: Vec<Option<usize>>,
    unknown: Vec<String>,
    row_line: u64,
    done: bool,
}

impl PartnerReader<File> {
    /// Opens a file and reads its header row.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::new(File::open(path).map_err(OpenError::Io)?)
    }
}

impl<R: Read> PartnerReader<R> {
    /// Reads the header row of `input`. Column names are matched without regard to case, `_`, `-`
    /// and spaces; the delimiter is the comma, semicolon or tab that the header row holds most of.
    /// There is no need to buffer `input`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn new(input: R) -> Result<Self, OpenError> {
        let mut source = Source::new(input);
        source.fill().map_err(OpenError::Io)?;
        match source.available() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(OpenError::NotUtf8),
            [0xef, 0xbb, 0xbf, ..] => source.consume(3),
            _ => {}
        }
        source.skip_line_ends().map_err(OpenError::Io)?;
        let delimiter = delimiter(source.available());
        let core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let mut reader = Self {
            source,
            core,
            delimiter,
            text: vec![0; MAX_ROW_BYTES],
            ends: vec![0; MAX_COLUMNS],
            columns: Vec::new(),
            unknown: Vec::new(),
            row_line: 1,
            done: false,
        };
        let fields = match reader.parse().map_err(OpenError::Io)? {
            Parsed::Row { bytes, fields } => {
                reader.source.consume(bytes);
                fields
            }
            Parsed::End => return Err(OpenError::Empty),
            Parsed::TooLong | Parsed::TooManyFields => return Err(OpenError::HeaderTooLong),
        };
        reader.take_header(fields)?;
        Ok(reader)
    }

    fn take_header(&mut self, fields: usize) -> Result<(), OpenError> {
        for index in 0..fields {
            let name = str::from_utf8(self.field(index)).map_err(|_| OpenError::NotUtf8)?;
            let folded = fold(name);
            let column = COLUMNS.iter().position(|column| fold(column) == folded);
            match column {
                None => self.unknown.push(name.to_owned()),
                Some(known) if self.columns.contains(&column) => {
                    return Err(OpenError::DuplicateColumn(COLUMNS[known]));
                }
                Some(_) => {}
            }
            self.columns.push(column);
        }
        let missing: Vec<_> = MANDATORY
            .into_iter()
            .filter(|&column| !self.columns.contains(&Some(column)))
            .map(|column| COLUMNS[column])
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(OpenError::MissingColumns(missing)) }
    }

    /// The columns of the file that are ignored, as they stand in its header row.
    pub fn unknown_columns(&self) -> &[String] {
        &self.unknown
    }

    /// The line on which the row given last starts, counted from 1.
    pub fn line(&self) -> u64 {
        self.row_line
    }

    /// How many bytes of the input are behind the row given last; for progress.
    pub fn bytes_read(&self) -> u64 {
        self.source.consumed
    }

    fn field(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    /// Parses the row at the start of what is available, reading more as needed.
    fn parse(&mut self) -> io::Result<Parsed> {
        loop {
            self.source.skip_line_ends()?;
            let input = self.source.available();
            if input.is_empty() {
                return Ok(Parsed::End);
            }
            let input = &input[..input.len().min(MAX_ROW_BYTES)];
            self.core.reset();
            let (result, mut bytes, text, mut fields) = self.core.read_record(input, &mut self.text, &mut self.ends);
            let result = match result {
                ReadRecordResult::InputEmpty if input.len() == MAX_ROW_BYTES => {
                    return Ok(Parsed::TooLong);
                }
                ReadRecordResult::InputEmpty if !self.source.ended => {
                    self.source.fill()?;
                    continue;
                }
                // No input left tells the parser that the last row has no line end.
                ReadRecordResult::InputEmpty => {
                    let (result, more_bytes, _, more_fields) =
                        self.core.read_record(&[], &mut self.text[text..], &mut self.ends[fields..]);
                    bytes += more_bytes;
                    fields += more_fields;
                    result
                }
                result => result,
            };
            return Ok(match result {
                ReadRecordResult::Record => Parsed::Row { bytes, fields },
                ReadRecordResult::End => Parsed::End,
                ReadRecordResult::OutputEndsFull => Parsed::TooManyFields,
                ReadRecordResult::InputEmpty | ReadRecordResult::OutputFull => Parsed::TooLong,
            });
        }
    }

    fn next_row(&mut self) -> io::Result<Option<Result<Partner, RowError>>> {
        self.source.skip_line_ends()?;
        self.row_line = self.source.line;
        let (bytes, fields) = match self.parse()? {
            Parsed::End => return Ok(None),
            Parsed::Row { bytes, fields } => (bytes, fields),
            Parsed::TooLong => {
                let message = format!("the row is longer than {MAX_ROW_BYTES} bytes, or a quote is not closed");
                return self.bad_line(message).map(Some);
            }
            Parsed::TooManyFields => {
                let message = format!("the row has more than {MAX_COLUMNS} fields");
                return self.bad_line(message).map(Some);
            }
        };
        let row = &self.source.available()[..bytes];
        let spans_lines = row.trim_ascii_end().iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        if spans_lines && !well_quoted(row, self.delimiter) {
            let message = "the row has a quote that is not closed, or text behind a closing quote";
            return self.bad_line(message.to_owned()).map(Some);
        }
        if fields == self.columns.len() {
            self.source.consume(bytes);
            return Ok(Some(self.partner()));
        }
        let mut message = format!("the row has {fields} fields, the header row has {}", self.columns.len());
        if spans_lines {
            message.push_str("; perhaps a quote is not closed");
            return self.bad_line(message).map(Some);
        }
        self.source.consume(bytes);
        let external_id = self.external_id(fields);
        Ok(Some(Err(self.row_error(message, external_id))))
    }

    /// Gives up the line at which the row starts.
    fn bad_line(&mut self, message: String) -> io::Result<Result<Partner, RowError>> {
        self.source.skip_line()?;
        Ok(Err(self.row_error(message, None)))
    }

    fn row_error(&self, message: String, external_id: Option<String>) -> RowError {
        RowError { line: self.row_line, external_id, message, fatal: false }
    }

    fn external_id(&self, fields: usize) -> Option<String> {
        let index = self.columns.iter().position(|column| *column == Some(0))?;
        let id = (index < fields).then(|| self.field(index))?;
        let id = str::from_utf8(id).ok()?.trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    fn partner(&self) -> Result<Partner, RowError> {
        let mut partner = Partner::default();
        for (index, column) in self.columns.iter().enumerate() {
            let Some(column) = *column else { continue };
            let Ok(value) = str::from_utf8(self.field(index)) else {
                let message = format!("{} is not UTF-8", COLUMNS[column]);
                return Err(self.row_error(message, self.external_id(self.columns.len())));
            };
            partner.set(column, value);
        }
        Ok(partner)
    }
}

impl<R: Read> Iterator for PartnerReader<R> {
    type Item = Result<Partner, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.next_row() {
            Ok(Some(row)) => Some(row),
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                let error = RowError {
                    line: self.source.line,
                    external_id: None,
                    message: format!("cannot read on: {error}"),
                    fatal: true,
                };
                Some(Err(error))
            }
        }
    }
}

/// What stands at the start of the input.
enum Parsed {
    Row { bytes: usize, fields: usize },
    TooLong,
    TooManyFields,
    End,
}

/// The most frequent of comma, semicolon and tab in the first line; the comma when none is there.
fn delimiter(input: &[u8]) -> u8 {
    let line = input.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let count = |delimiter: u8| line.iter().filter(|&&byte| byte == delimiter).count();
    b"\t;,".iter().copied().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

/// Whether each quote that opens a field is closed in front of a delimiter or the end, as RFC 4180
/// wants it; the parser itself is more lenient.
fn well_quoted(row: &[u8], delimiter: u8) -> bool {
    let mut rest = row;
    loop {
        if let Some(mut quoted) = rest.strip_prefix(b"\"") {
            loop {
                let Some(quote) = quoted.iter().position(|&byte| byte == b'"') else {
                    return false;
                };
                quoted = &quoted[quote + 1..];
                match quoted.strip_prefix(b"\"") {
                    Some(behind) => quoted = behind,
                    None => break,
                }
            }
            rest = quoted;
            if !matches!(rest.first(), None | Some(b'\r' | b'\n')) && rest[0] != delimiter {
                return false;
            }
        }
        match rest.iter().position(|&byte| byte == delimiter) {
            Some(place) => rest = &rest[place + 1..],
            None => return true,
        }
    }
}

/// A column name without what its spelling may vary in.
fn fold(name: &str) -> String {
    name.chars()
        .filter(|char| !char.is_whitespace() && !matches!(char, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests;
