//! The list of what a backup holds: a line of JSON for each directory and file, read and written line by line, because
//! there may be very many.

use super::{BackupError, at};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

/// The longest line that is read: a path of the longest length, every character of it escaped.
const LINE: usize = 32 << 10;

/// A directory or a file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryOrFile {
    /// Its path in the data directory.
    pub path: String,
    /// Its mode.
    pub mode: u32,
    /// Of a file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub file: Option<Sum>,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Its length, holes included.
    pub bytes: u64,
    /// BLAKE3 of its content, as hexadecimal digits.
    pub blake3: String,
}

/// A list that is being written.
pub struct NewList {
    path: PathBuf,
    output: BufWriter<File>,
    hasher: blake3::Hasher,
    /// How many files it names.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl NewList {
    /// A new list in this file.
    pub fn create(path: &Path) -> Result<Self, BackupError> {
        let file = File::create_new(path).map_err(at(path))?;
        let (output, hasher) = (BufWriter::new(file), blake3::Hasher::new());
        Ok(Self { path: path.to_owned(), output, hasher, files: 0, bytes: 0 })
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &DirectoryOrFile) -> Result<(), BackupError> {
        let mut line = serde_json::to_vec(entry).map_err(|error| at(&self.path)(error.into()))?;
        line.push(b'\n');
        self.hasher.update(&line);
        if let Some(file) = &entry.file {
            self.files += 1;
            self.bytes += file.bytes;
        }
        self.output.write_all(&line).map_err(at(&self.path))
    }

    /// Writes the rest; answers the checksum of the list.
    pub fn finish(self) -> Result<blake3::Hash, BackupError> {
        let file = self.output.into_inner().map_err(|error| at(&self.path)(error.into_error()))?;
        file.sync_all().map_err(at(&self.path))?;
        Ok(self.hasher.finalize())
    }
}

/// The entries of a list, in its order: a directory before what lies in it.
pub struct Files {
    path: PathBuf,
    input: BufReader<File>,
    line: Vec<u8>,
}

impl Files {
    /// Opens a list.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let input = BufReader::new(File::open(path).map_err(at(path))?);
        Ok(Self { path: path.to_owned(), input, line: Vec::new() })
    }

    fn read(&mut self) -> Result<Option<DirectoryOrFile>, BackupError> {
        self.line.clear();
        let mut limited = std::io::Read::take(&mut self.input, LINE as u64);
        if limited.read_until(b'\n', &mut self.line).map_err(at(&self.path))? == 0 {
            return Ok(None);
        }
        let wrong = |reason: &str| BackupError::Damaged(format!("{}: {reason}", self.path.display()));
        let entry: DirectoryOrFile = serde_json::from_slice(&self.line).map_err(|error| wrong(&error.to_string()))?;
        let is_plain = Path::new(&entry.path).components().all(|part| matches!(part, Component::Normal(_)));
        if entry.path.is_empty() || !is_plain {
            return Err(wrong(&format!("{:?} is no path in a data directory", entry.path)));
        }
        Ok(Some(entry))
    }
}

impl Iterator for Files {
    type Item = Result<DirectoryOrFile, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
