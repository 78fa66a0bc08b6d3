//! From rows of a file to the bodies of inserts.

use crate::output::{self, say};
use crate::partners::{Partner, PartnerReader, RowError, Severity, Summary, Validation, validate};
use docket_contract::result::{JobResultDataUpsert, ResultStatus};
use std::io::Read;
use tokio::sync::mpsc::Sender;

/// Bad rows that are named in the log.
const NAMED_ROWS: u64 = 20;
/// The longest body: below what a server takes by default, also with 1000 long records.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// One request's worth of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The JSON body of the insert.
    pub body: Vec<u8>,
    /// How many records it holds.
    pub records: u64,
    /// Bytes of the file that are behind its last record.
    pub bytes_read: u64,
}

/// What was found in the whole file.
#[derive(Debug, Default)]
pub struct Ended {
    /// Counts of the records, unreadable rows included.
    pub summary: Summary,
    /// Rows that could not be read.
    pub unreadable_rows: u64,
    /// Why the file could not be read to its end.
    pub fatal: Option<RowError>,
}

/// Makes batches of a file.
pub struct Batches<R> {
    reader: PartnerReader<R>,
    size: usize,
    ended: Ended,
}

impl<R: Read> Batches<R> {
    /// Batches of at most `size` records.
    pub fn new(reader: PartnerReader<R>, size: usize) -> Self {
        Self { reader, size, ended: Ended::default() }
    }

    /// Reads the whole file and sends its batches; stops early when nobody takes them any more. Blocks.
    pub fn send_to(mut self, batches: &Sender<Batch>) -> Ended {
        while let Some(batch) = self.next_batch() {
            if batches.blocking_send(batch).is_err() {
                break;
            }
        }
        self.ended
    }

    /// The next batch; `None` at the end of the file.
    fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch { body: br#"{"results":["#.to_vec(), ..Batch::default() };
        while batch.records < self.size as u64 && batch.body.len() < MAX_BODY && self.ended.fatal.is_none() {
            let Some(row) = self.reader.next() else { break };
            let result = match row {
                Ok(partner) => self.checked(&partner),
                Err(error) if error.fatal => {
                    self.ended.fatal = Some(error);
                    break;
                }
                Err(error) => self.unreadable(&error),
            };
            if batch.records > 0 {
                batch.body.push(b',');
            }
            // Writing to memory does not fail, and the record has no keys that are no texts.
            if serde_json::to_writer(&mut batch.body, &result).is_ok() {
                batch.records += 1;
            }
        }
        if batch.records == 0 {
            return None;
        }
        batch.body.extend_from_slice(b"]}");
        batch.bytes_read = self.reader.bytes_read();
        Some(batch)
    }

    fn checked(&mut self, partner: &Partner) -> JobResultDataUpsert {
        let validation = validate(partner);
        self.ended.summary.add_validation(partner, &validation);
        let id = Some(partner.external_id.clone()).filter(|id| !id.trim().is_empty());
        // Without any id there is nothing to find the result by again but the line.
        let external_id = match (&id, &partner.business_partner_id) {
            (None, None) => Some(line_id(self.reader.line())),
            _ => id,
        };
        JobResultDataUpsert {
            data_source_id: partner.data_source_id.clone(),
            business_partner_id: partner.business_partner_id.clone(),
            external_id,
            country_short_name: partner.country_code().map(str::to_owned),
            ..result(&validation)
        }
    }

    fn unreadable(&mut self, error: &RowError) -> JobResultDataUpsert {
        let ended = &mut self.ended;
        ended.unreadable_rows += 1;
        if ended.unreadable_rows <= NAMED_ROWS {
            say!("unreadable: {}", output::cut(&error.to_string(), 200));
        }
        let validation = error.to_validation();
        ended.summary.add(None, validation.failed(), validation.rules());
        let external_id = error.external_id.clone().or_else(|| Some(line_id(error.line)));
        JobResultDataUpsert { external_id, ..result(&validation) }
    }
}

fn line_id(line: u64) -> String {
    format!("line-{line}")
}

/// The part of a result that the validation gives. The message is the first error, or the first warning.
fn result(validation: &Validation) -> JobResultDataUpsert {
    let errors = validation.defects.iter().filter(|defect| defect.severity == Severity::Error);
    let first = errors.chain(&validation.defects).next();
    JobResultDataUpsert {
        job_type: Some("DATA_VALIDATION_JOB".to_owned()),
        result_data: Some(validation.to_result_data()),
        status: Some(if validation.failed() { ResultStatus::Failed } else { ResultStatus::Ok }),
        message: first.map(|defect| format!("{}: {}", defect.rule, defect.message)),
        ..JobResultDataUpsert::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partners::{Generator, PartnerWriter};
    use docket_contract::result::ResultItem;
    use serde_json::Value;

    fn batches(csv: &[u8], size: usize) -> (Vec<Batch>, Ended) {
        let mut batches = Batches::new(PartnerReader::new(csv).expect("a header row"), size);
        let all = std::iter::from_fn(|| batches.next_batch()).collect();
        (all, batches.ended)
    }

    fn results(batch: &Batch) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&batch.body).expect("JSON");
        body["results"].as_array().expect("an array").clone()
    }

    #[test]
    fn every_row_becomes_a_result_that_the_api_takes() {
        let csv = b"externalId,name,country,businessPartnerId\nA,Acme AG,CH,\nB,too,many,fields,here\n,TEST,XX,\n";
        let (batches, ended) = batches(csv, 2);
        assert_eq!(batches.iter().map(|batch| batch.records).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(batches[1].bytes_read, csv.len() as u64);
        assert_eq!((ended.summary.records, ended.unreadable_rows), (3, 1));
        let results: Vec<_> = batches.iter().flat_map(results).collect();
        let ids: Vec<_> = results.iter().map(|result| result["externalId"].as_str().expect("an id")).collect();
        assert_eq!(ids, ["A", "B", "line-4"]);
        assert_eq!(results[0]["countryShortName"], "CH");
        assert_eq!((&results[1]["status"], &results[2]["status"]), (&Value::from("FAILED"), &Value::from("FAILED")));
        assert!(results[1]["message"].as_str().is_some_and(|message| message.contains("line 3")));
        for result in results {
            assert!(matches!(ResultItem::parse(&result.to_string()), ResultItem::Record(..)), "{result}");
        }
    }

    #[test]
    fn the_summary_is_what_was_planted_and_what_results_tell() {
        let mut writer = PartnerWriter::new(Vec::new()).expect("memory");
        let mut planted = Summary::default();
        for (partner, defects) in Generator::new(3, 3000) {
            writer.write(&partner).expect("memory");
            planted.add_planted(&partner, &defects);
        }
        let (batches, ended) = batches(&writer.finish().expect("memory"), 1000);
        assert_eq!(ended.summary.differences(&planted), Vec::<String>::new());
        let mut read_back = Summary::default();
        for result in batches.iter().flat_map(results) {
            let data = result["resultData"].as_str().expect("a text");
            read_back
                .add_result(result["countryShortName"].as_str(), result["status"] == "FAILED", data)
                .expect("ours");
        }
        assert_eq!(read_back.differences(&planted), Vec::<String>::new());
        assert!(planted.failed > 100);
    }
}
