//! A file for what does not fit into memory. It has no name: whoever dies leaves nothing behind.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the names of files that are not whole end in; a server that starts removes those.
pub const PART: &str = ".part";

/// A file that is only appended to, made when the first byte comes.
pub struct Scratch {
    directory: PathBuf,
    file: Option<File>,
    end: u64,
}

impl Scratch {
    /// In this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), file: None, end: 0 }
    }

    /// Appends bytes; answers where they stand.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless(&self.directory)?),
        };
        file.write_all_at(bytes, self.end)?;
        let at = self.end;
        self.end += bytes.len() as u64;
        Ok(at)
    }

    /// Reads what was appended.
    pub fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match &self.file {
            Some(file) => file.read_exact_at(into, at),
            None if into.is_empty() => Ok(()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A new file of a name that nobody has, readable by its owner only.
pub fn part(directory: &Path) -> io::Result<(File, PathBuf)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!("docket-{}-{number}-{:x}{PART}", std::process::id(), fastrand::u64(..)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((file, path))
}

/// A new file without a name.
pub fn nameless(directory: &Path) -> io::Result<File> {
    let (file, path) = part(directory)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_and_no_name_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut scratch = Scratch::new(directory.path());
        assert!(scratch.read(0, &mut [0]).is_err());
        assert_eq!((scratch.append(b"abc").expect("written"), scratch.append(b"de").expect("written")), (0, 3));
        let mut read = [0; 4];
        scratch.read(1, &mut read).expect("read");
        assert_eq!(&read, b"bcde");
        assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 0);
    }
}
