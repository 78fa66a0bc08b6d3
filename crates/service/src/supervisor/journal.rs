//! The supervisor's memory on disk: which attempts were accepted and started, and how they ended. Owns the file, its
//! format and its bound; knows nothing of processes.
//!
//! A line a record: JSON, a tab, a checksum of the JSON. A line that was torn or damaged is left out when reading. After a
//! write that failed nothing is appended: the next attempt writes a whole new file from what is known.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::executors::process::layout;
use crate::executors::{AttemptKey, State};

/// A fact about the attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// All that follows happened in this boot of the machine and this process-id space.
    Boot(String),
    /// Accepted; durable before the launch is acknowledged and before the start.
    Accepted(AttemptKey),
    /// About to be started; written (not necessarily durable) before the start.
    Starting(AttemptKey),
    Started(AttemptKey, Birth),
    /// Ended or refused; durable before it is reported.
    Final(AttemptKey, State),
    Forgotten(Vec<AttemptKey>),
}

/// The main process of an attempt, told apart from a later one with the same number by when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Birth {
    pub pid: i32,
    /// The process was made not before and not after these moments, milliseconds since boot.
    pub not_before_ms: u64,
    pub not_after_ms: u64,
    pub started_at_ms: i64,
    /// The user that no other attempt has.
    #[serde(default)]
    pub sole_uid: Option<u32>,
}

/// A file shorter than this is not worth rewriting.
const REWRITE_LINES: usize = 1024;
/// A file is rewritten when it has so many times the lines that it needs.
const REWRITE_FACTOR: usize = 4;

pub struct Journal {
    path: PathBuf,
    directory: File,
    file: File,
    buffer: Vec<u8>,
    lines: usize,
    unsynced: bool,
    broken: bool,
}

impl Journal {
    /// Reads what an earlier supervisor wrote. No file is an empty one.
    pub fn read(directory: &Path) -> io::Result<Vec<Record>> {
        let bytes = match fs::read(directory.join(layout::JOURNAL)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut damaged = 0_usize;
        let records = lines.filter_map(|line| {
            let record = decode(line);
            damaged += usize::from(record.is_none());
            record
        });
        let records = records.collect();
        if damaged > 0 {
            tracing::warn!(damaged, "lines of the journal were left out");
        }
        Ok(records)
    }

    /// Puts a new file with these records in place of the old one, durably.
    pub fn create(directory: &Path, records: &[Record]) -> io::Result<Journal> {
        let path = directory.join(layout::JOURNAL);
        let opened = File::open(directory)?;
        let (file, lines) = replace(&path, &opened, records)?;
        Ok(Journal { path, directory: opened, file, buffer: Vec::new(), lines, unsynced: false, broken: false })
    }

    /// Adds a record to those that the next [`Journal::flush`] writes.
    pub fn append(&mut self, record: &Record) {
        encode(record, &mut self.buffer);
        self.lines += 1;
        self.unsynced = true;
    }

    /// Writes what was appended, so that it survives the end of this process.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to the journal failed"));
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        self.broken = written.is_err();
        self.buffer.clear();
        written
    }

    /// Writes what was appended, so that it survives the end of the machine.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.unsynced {
            let synced = self.file.sync_data();
            self.broken = synced.is_err();
            synced?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Whether the last write failed: then only [`Journal::rewrite`] helps.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Takes the file for one that can't be appended to.
    pub fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// Whether the file is much longer than what `needed` records take.
    pub fn is_long(&self, needed: usize) -> bool {
        self.lines > REWRITE_LINES && self.lines > needed.saturating_mul(REWRITE_FACTOR)
    }

    /// Replaces the file by one with these records only, which tell all that is known now.
    pub fn rewrite(&mut self, records: &[Record]) -> io::Result<()> {
        let (file, lines) = replace(&self.path, &self.directory, records)?;
        self.file = file;
        self.lines = lines;
        self.buffer.clear();
        self.unsynced = false;
        self.broken = false;
        Ok(())
    }
}

fn replace(path: &Path, directory: &File, records: &[Record]) -> io::Result<(File, usize)> {
    let temporary = path.with_extension("new");
    let mut bytes = Vec::new();
    for record in records {
        encode(record, &mut bytes);
    }
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    fs::rename(&temporary, path)?;
    directory.sync_all()?;
    Ok((file, records.len()))
}

fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    if let Err(e) = serde_json::to_writer(&mut *out, record) {
        // Strings, numbers and lists always have a JSON form.
        unreachable!("a journal record has no JSON form: {e}");
    }
    let sum = checksum(&out[start..]);
    out.extend_from_slice(format!("\t{sum:08x}\n").as_bytes());
}

fn decode(line: &[u8]) -> Option<Record> {
    let tab = line.iter().rposition(|byte| *byte == b'\t')?;
    let sum = u32::from_str_radix(std::str::from_utf8(&line[tab + 1..]).ok()?, 16).ok()?;
    if sum != checksum(&line[..tab]) {
        return None;
    }
    serde_json::from_slice(&line[..tab]).ok()
}

/// FNV-1a: tells a torn line from a whole one.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn key(n: u32) -> AttemptKey {
        AttemptKey { job_id: Uuid::from_u128(u128::from(n)), attempt: n }
    }

    fn records(n: u32) -> Vec<Record> {
        (0..n)
            .map(|n| match n % 3 {
                0 => Record::Accepted(key(n)),
                1 => Record::Final(key(n), State::Refused { reason: "two\nlines\tand a tab".into(), at_ms: 5 }),
                _ => Record::Forgotten(vec![key(n), key(n + 1)]),
            })
            .collect()
    }

    #[test]
    fn what_is_synced_is_read_and_a_rewrite_replaces_it() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Journal::read(directory.path()).unwrap(), []);
        let mut journal = Journal::create(directory.path(), &records(2)).unwrap();
        journal.append(&Record::Starting(key(9)));
        assert_eq!(Journal::read(directory.path()).unwrap(), records(2));
        journal.sync().unwrap();
        let mut expected = records(2);
        expected.push(Record::Starting(key(9)));
        assert_eq!(Journal::read(directory.path()).unwrap(), expected);
        journal.rewrite(&records(1)).unwrap();
        journal.append(&Record::Starting(key(1)));
        journal.flush().unwrap();
        assert_eq!(Journal::read(directory.path()).unwrap(), [Record::Accepted(key(0)), Record::Starting(key(1))]);
    }

    #[test]
    fn a_failed_write_asks_for_a_rewrite() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(directory.path(), &[]).unwrap();
        journal.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        journal.append(&Record::Starting(key(1)));
        assert!(journal.sync().is_err());
        assert!(journal.is_broken());
        assert!(journal.flush().is_err());
        journal.rewrite(&[Record::Starting(key(1))]).unwrap();
        assert!(!journal.is_broken());
        assert_eq!(Journal::read(directory.path()).unwrap(), [Record::Starting(key(1))]);
    }

    proptest! {
        #[test]
        fn a_cut_file_gives_a_prefix(n in 1u32..20, cut in 0.0f64..1.0) {
            let directory = tempfile::tempdir().unwrap();
            let all = records(n);
            Journal::create(directory.path(), &all).unwrap();
            let path = directory.path().join(layout::JOURNAL);
            let bytes = fs::read(&path).unwrap();
            let keep = (bytes.len() as f64 * cut) as usize;
            fs::write(&path, &bytes[..keep]).unwrap();
            let read = Journal::read(directory.path()).unwrap();
            let whole = bytes[..keep].iter().filter(|b| **b == b'\n').count();
            prop_assert!(read.len() == whole || read.len() == whole + 1);
            prop_assert_eq!(&read[..], &all[..read.len()]);
        }

        #[test]
        fn a_damaged_byte_costs_no_more_than_its_lines(n in 1u32..20, at in 0.0f64..1.0, change in 1u8..255) {
            let directory = tempfile::tempdir().unwrap();
            let all = records(n);
            Journal::create(directory.path(), &all).unwrap();
            let path = directory.path().join(layout::JOURNAL);
            let mut bytes = fs::read(&path).unwrap();
            let at = ((bytes.len() - 1) as f64 * at) as usize;
            bytes[at] ^= change;
            fs::write(&path, &bytes).unwrap();
            let read = Journal::read(directory.path()).unwrap();
            prop_assert!(read.len() + 2 >= all.len());
            prop_assert!(read.iter().all(|record| all.contains(record)));
        }
    }
}
