//! What a push has come to: which records were refused, and up to which line all is done.
//!
//! A file of JSON lines: first what is pushed where, then refused records in the order of their lines, and behind those of each
//! batch a mark. A push that goes on does so behind the last mark; what stands behind it was not answered and is cut off.

use crate::failure::Failure;
use memchr::memrchr;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

/// What is pushed where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The file.
    pub input: String,
    /// Its bytes.
    pub size: Option<u64>,
    /// The server.
    pub url: String,
    /// The storage.
    pub storage: String,
    /// The job or processing log.
    pub target: String,
}

/// A record that was not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The line at which it begins.
    pub line: u64,
    /// What is wrong, for programs: the server's code, or `unreadable`.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
    /// Its external id, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Its business partner, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_partner_id: Option<String>,
}

/// A mark: all records up to and with the one that begins at line `through` are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The line.
    pub through: u64,
    /// Records that were new.
    pub created: u64,
    /// Records that were known.
    pub updated: u64,
    /// Records that were refused.
    pub failed: u64,
}

/// A report being written.
pub struct Report {
    file: File,
    done: Counts,
}

impl Report {
    /// Begins a report; or goes on with one that is there, if it is about the same.
    pub fn open(path: &Path, subject: &Subject, resume: bool) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("report {}: {error}", path.display()));
        if resume && path.exists() {
            let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| wrong(&error))?;
            let (known, done, end) = read(&file).map_err(|error| wrong(&error))?;
            if known.is_some_and(|known| known != *subject) {
                return Err(wrong(&"it is about another file or target; push without --resume"));
            }
            if end > 0 {
                file.set_len(end)?;
                file.seek(SeekFrom::End(0))?;
                return Ok(Self { file, done });
            }
        }
        let mut file = File::create(path).map_err(|error| wrong(&error))?;
        file.write_all(&line(subject)?)?;
        Ok(Self { file, done: Counts::default() })
    }

    /// What was done before.
    pub fn done(&self) -> Counts {
        self.done
    }

    /// The refused records of a batch, and the mark behind them.
    pub fn write(&mut self, refused: &[Refused], counts: Counts) -> Result<(), Failure> {
        let mut text = Vec::new();
        for refused in refused {
            text.extend(line(refused)?);
        }
        text.extend(line(&counts)?);
        Ok(self.file.write_all(&text)?)
    }
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_vec(value).map_err(Failure::other)?;
    line.push(b'\n');
    Ok(line)
}

/// What a report is about, its last mark, and where that ends.
fn read(file: &File) -> std::io::Result<(Option<Subject>, Counts, u64)> {
    let (mut subject, mut done, mut end, mut place) = (None, Counts::default(), 0, 0);
    let mut input = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line)?;
        place += read as u64;
        // What has no end was being written when the push was killed.
        if read == 0 || memrchr(b'\n', &line).is_none() {
            return Ok((subject, done, end));
        }
        if subject.is_none() {
            subject = serde_json::from_slice(&line).ok();
            end = if subject.is_some() { place } else { return Ok((None, done, 0)) };
        } else if let Ok(mark) = serde_json::from_slice(&line) {
            (done, end) = (mark, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_goes_on_behind_its_last_mark() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("report");
        let subject = Subject {
            input: "f".to_owned(),
            size: Some(7),
            url: "u".to_owned(),
            storage: "s".to_owned(),
            target: "t".to_owned(),
        };
        let refused = |line| Refused { line, code: "c".to_owned(), detail: "d".to_owned(), ..Refused::default() };
        let mark = |through| Counts { through, created: through, updated: 0, failed: 1 };
        let mut report = Report::open(&path, &subject, true).expect("there is none: begun");
        report.write(&[refused(3)], mark(10)).expect("written");
        let whole = std::fs::read(&path).expect("read");
        report.write(&[refused(12)], mark(20)).expect("written");
        let longer = std::fs::read(&path).expect("read");
        for cut in whole.len()..longer.len() {
            std::fs::write(&path, &longer[..cut]).expect("cut");
            let mut report = Report::open(&path, &subject, true).expect("opened");
            assert_eq!(report.done(), mark(10));
            report.write(&[refused(12)], mark(20)).expect("written");
            assert_eq!(std::fs::read(&path).expect("read"), longer);
        }
        let other = Subject { size: Some(8), ..subject.clone() };
        assert_eq!(Report::open(&path, &other, true).err().map(|failure| failure.code), Some(2));
        assert_eq!(Report::open(&path, &subject, false).expect("begun anew").done(), Counts::default());
        std::fs::write(&path, "{\"inp").expect("killed at the first line");
        assert_eq!(Report::open(&path, &subject, true).expect("begun anew").done(), Counts::default());
    }
}
