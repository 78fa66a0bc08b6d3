//! CSV (RFC 4180) with the columns of an export, as records.
//!
//! Nothing between two commas is absent. A pair of quotes is an empty text, where the API knows such: in `resultData` and
//! `message`; elsewhere it is absent, too.

use super::source::{GIVEN, MAX_ROW, Parsed, SourceError};
use csv_core::{ReadFieldResult, Reader};
use docket_contract::result::COLUMNS;
use serde_json::{Map, Value, json};
use std::io::BufRead;

/// Most columns.
const MAX_COLUMNS: usize = 1024;
/// Columns in which an empty text is something.
const MAY_BE_EMPTY: [&str; 2] = ["resultData", "message"];

/// The rows of a CSV file.
pub struct Table<R> {
    input: R,
    core: Reader,
    /// For each column of the file its name, if it is known and wanted.
    columns: Vec<Option<&'static str>>,
    unknown: Vec<String>,
    row: Row,
    line: u64,
    bytes_read: u64,
}

/// A row.
#[derive(Default)]
struct Row {
    /// The fields one behind the other, with room behind them.
    text: Vec<u8>,
    used: usize,
    /// Where each ends, and whether it stood in quotes.
    fields: Vec<(usize, bool)>,
}

impl Row {
    fn field(&self, index: usize) -> (&[u8], bool) {
        let start = if index == 0 { 0 } else { self.fields[index - 1].0 };
        let (end, quoted) = self.fields[index];
        (&self.text[start..end], quoted)
    }
}

impl<R: BufRead> Table<R> {
    /// Reads the header line.
    pub fn new(mut input: R, names_jobs: bool) -> Result<Self, SourceError> {
        let mark = input.fill_buf()?.starts_with(b"\xef\xbb\xbf");
        let bytes_read = if mark { 3 } else { 0 };
        input.consume(bytes_read);
        let mut table = Self {
            input,
            core: Reader::new(),
            columns: Vec::new(),
            unknown: Vec::new(),
            row: Row::default(),
            line: 1,
            bytes_read: bytes_read as u64,
        };
        if table.read_row()?.is_none() {
            return Err(SourceError::Form("the file has no header line".to_owned()));
        }
        for index in 0..table.row.fields.len() {
            let name = String::from_utf8_lossy(table.row.field(index).0).into_owned();
            let known = COLUMNS.into_iter().find(|column| *column == name);
            match known {
                None => table.unknown.push(name),
                Some(known) if table.columns.contains(&Some(known)) => {
                    return Err(SourceError::Form(format!("the column {known} stands twice in the header line")));
                }
                Some(_) => {}
            }
            let wanted = known.filter(|name| !GIVEN.contains(name) && (names_jobs || *name != "jobId"));
            table.columns.push(wanted);
        }
        let ids = ["businessPartnerId", "externalId", "addressId", "addressExternalId"];
        if !ids.iter().any(|id| table.columns.contains(&Some(id))) {
            let (ids, known) = (ids.join(", "), COLUMNS.join(", "));
            let message = format!("the header line has none of {ids}; columns are {known}");
            return Err(SourceError::Form(message));
        }
        Ok(table)
    }

    /// The columns that are left out because they are not known.
    pub fn unknown_columns(&self) -> &[String] {
        &self.unknown
    }

    /// Bytes behind the row given last.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next record and the line at which it begins.
    pub fn next(&mut self) -> Result<Option<(u64, Parsed)>, SourceError> {
        Ok(self.read_row()?.map(|line| (line, self.record())))
    }

    /// Reads a row; answers the line at which it begins.
    fn read_row(&mut self) -> Result<Option<u64>, SourceError> {
        self.row.fields.clear();
        self.row.used = 0;
        self.skip_line_ends()?;
        let begins = self.line;
        loop {
            // The first byte of a field tells whether it stands in quotes.
            let mut quoted = None;
            let record_end = loop {
                let Row { text, used, .. } = &mut self.row;
                if text.len() - *used < 1024 {
                    let grown = (text.len() * 2).max(4096);
                    text.resize(grown, 0);
                }
                let input = self.input.fill_buf()?;
                quoted = quoted.or_else(|| input.first().map(|byte| *byte == b'"'));
                let (result, read, written) = self.core.read_field(input, &mut text[*used..]);
                self.line += memchr::memchr_iter(b'\n', &input[..read]).count() as u64;
                self.input.consume(read);
                self.bytes_read += read as u64;
                *used += written;
                if *used > MAX_ROW {
                    let hint = "perhaps a quote is not closed";
                    return Err(SourceError::Form(format!(
                        "line {begins}: a row has more than {MAX_ROW} bytes; {hint}"
                    )));
                }
                match result {
                    ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                    ReadFieldResult::Field { record_end } => break record_end,
                    ReadFieldResult::End => return Ok(None),
                }
            };
            self.row.fields.push((self.row.used, quoted == Some(true)));
            if self.row.fields.len() > MAX_COLUMNS {
                return Err(SourceError::Form(format!("line {begins}: a row has more than {MAX_COLUMNS} columns")));
            }
            if record_end {
                return Ok(Some(begins));
            }
        }
    }

    /// What is left of the line before, and empty lines: so that a row's first byte is known.
    fn skip_line_ends(&mut self) -> Result<(), SourceError> {
        loop {
            let input = self.input.fill_buf()?;
            let ends = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if ends == 0 {
                return Ok(());
            }
            self.line += memchr::memchr_iter(b'\n', &input[..ends]).count() as u64;
            self.input.consume(ends);
            self.bytes_read += ends as u64;
        }
    }

    fn record(&self) -> Parsed {
        let (found, expected) = (self.row.fields.len(), self.columns.len());
        if found != expected {
            return Err(format!("the row has {found} columns, the header line has {expected}"));
        }
        let mut record = Map::new();
        for (index, name) in self.columns.iter().enumerate() {
            let Some(name) = *name else { continue };
            let (text, quoted) = self.row.field(index);
            if text.is_empty() && !(quoted && MAY_BE_EMPTY.contains(&name)) {
                continue;
            }
            let text = str::from_utf8(text).map_err(|_| format!("{name} is not UTF-8"))?;
            put(&mut record, name, text);
        }
        Ok(Value::Object(record).to_string())
    }
}

/// Puts what stands in a column where a record has it. Numbers may be quoted in a record.
fn put(record: &mut Map<String, Value>, column: &str, text: &str) {
    let (outer, inner, value) = match column {
        "addressVersionCharacterSet" => ("addressVersion", "characterSet", json!({"technicalKey": text})),
        "addressVersionLanguage" => ("addressVersion", "language", json!({"technicalKey": text})),
        "processingStatus" => ("processingStatus", "technicalKey", text.into()),
        "processingStatusModifiedAt" => ("processingStatus", "modifiedAt", text.into()),
        "configurationId" => ("configuration", "id", text.into()),
        "configurationVersion" => ("configuration", "version", text.into()),
        name => {
            record.insert(name.to_owned(), text.into());
            return;
        }
    };
    let outer = record.entry(outer).or_insert_with(|| json!({}));
    outer[inner] = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::result::ResultItem;
    use std::io::BufReader;

    fn records(csv: &str, room: usize) -> Vec<(u64, Result<Value, String>)> {
        let input = BufReader::with_capacity(room, csv.as_bytes());
        let mut table = Table::new(input, false).unwrap_or_else(|error| panic!("{error}"));
        let mut records = Vec::new();
        while let Some((line, record)) = table.next().unwrap_or_else(|error| panic!("{error}")) {
            records.push((line, record.map(|json| serde_json::from_str(&json).expect("JSON"))));
        }
        assert_eq!(table.bytes_read(), csv.len() as u64);
        records
    }

    #[test]
    fn rows_become_records_however_they_are_cut() {
        let csv = "\u{feff}id,jobId,externalId,colour,message,resultData,configurationId,configurationVersion,\
                   addressVersionLanguage,processingStatus\r\n\
                   7,j,\"a,\"\"b\"\"\",red,\"two\r\nlines\",\"\",c,3,DE,DONE\r\n\r\n\
                   8,j,\"\",red,,,,,,\n\
                   9,j,e\n\
                   10,,é,,\"\",\"{\"\"a\"\":1}\",,,,";
        for room in [1, 2, 3, 7, 64, 4096] {
            let found = records(csv, room.max(3));
            let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
            assert_eq!(lines, [2, 5, 6, 7], "{room}");
            let full = json!({
                "externalId": "a,\"b\"", "message": "two\r\nlines", "resultData": "",
                "configuration": {"id": "c", "version": "3"}, "addressVersion": {"language": {"technicalKey": "DE"}},
                "processingStatus": {"technicalKey": "DONE"},
            });
            assert_eq!(found[0].1, Ok(full.clone()));
            assert_eq!(found[1].1, Ok(json!({})), "an id is never empty");
            assert!(found[2].1.as_ref().is_err_and(|reason| reason.contains("3 columns")));
            assert_eq!(found[3].1, Ok(json!({"externalId": "é", "message": "", "resultData": "{\"a\":1}"})));
            assert!(matches!(ResultItem::parse(&full.to_string()), ResultItem::Record(..)));
        }
    }

    #[test]
    fn headers_are_checked() {
        for (csv, sign) in [("", "no header"), ("id,message\n", "has none of"), ("externalId,externalId\n", "twice")] {
            let error = Table::new(csv.as_bytes(), false).err().expect("refused").to_string();
            assert!(error.contains(sign), "{error}");
        }
        let open = format!("externalId\n\"{}", "x".repeat(MAX_ROW + 10));
        let mut table = Table::new(open.as_bytes(), false).expect("a header");
        assert!(table.next().is_err_and(|error| error.to_string().contains("line 2")));
    }
}
