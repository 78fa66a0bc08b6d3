//! Writes what a process says into files: the first half of the limit into the head, the newest bytes into a few parts
//! that rotate within the other half. Owns the bound and the counting of what was cut; the reader of the parts adds the
//! marks. Never fails: bytes that can't be written are dropped, and the next part begins behind them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::LogFiles;

/// Parts that share the second half of the limit.
const PARTS: u64 = 4;
/// The smallest limit that is kept to.
const LEAST_LIMIT: u64 = 1024;
/// After a failed write, bytes are dropped for this long.
const RETRY: Duration = Duration::from_secs(1);

/// The log of an attempt, while it is written.
pub struct LogWriter {
    files: LogFiles,
    head_limit: u64,
    part_limit: u64,
    /// Bytes that the process has written so far.
    position: u64,
    current: Option<Current>,
    /// Positions of the parts on disk, oldest first, the current one included.
    parts: VecDeque<u64>,
    head_open: bool,
    dropping_until: Option<Instant>,
    /// Bytes were dropped since the last byte that was written.
    gap: bool,
}

struct Current {
    file: File,
    room: u64,
}

impl LogWriter {
    /// A log in these files. Makes no file before there is something to write.
    pub fn new(files: LogFiles, limit: u64) -> LogWriter {
        let limit = limit.max(LEAST_LIMIT);
        LogWriter {
            files,
            head_limit: limit / 2,
            part_limit: limit / 2 / PARTS,
            position: 0,
            current: None,
            parts: VecDeque::new(),
            head_open: true,
            dropping_until: None,
            gap: false,
        }
    }

    /// The log in these files as an earlier writer left it, of which at least so many bytes had come. What of them is
    /// not there counts as cut.
    pub fn resume(files: LogFiles, limit: u64, at_least: u64) -> io::Result<LogWriter> {
        let mut log = LogWriter::new(files, limit);
        let mut lengths = BTreeMap::new();
        for entry in fs::read_dir(log.files.directory())? {
            let entry = entry?;
            if let Some(position) = entry.file_name().to_str().and_then(|name| log.files.position(name)) {
                lengths.insert(position, entry.metadata()?.len());
            }
        }
        log.parts = lengths.keys().copied().filter(|position| *position > 0).collect();
        if let Some((&position, &length)) = lengths.last_key_value() {
            log.position = position + length;
            let (path, limit) = match position {
                0 => (log.files.head(), log.head_limit),
                _ => (log.files.part(position), log.part_limit),
            };
            log.current = Some(Current { file: create(&path)?, room: limit.saturating_sub(length) });
            log.head_open = position == 0;
        }
        if log.position < at_least {
            let missing = usize::try_from(at_least - log.position).unwrap_or(usize::MAX);
            log.drop_bytes(missing);
        }
        Ok(log)
    }

    /// How many bytes have come so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes the next bytes of the process.
    pub fn write(&mut self, mut bytes: &[u8], now: Instant) {
        if self.dropping_until.is_some_and(|until| now < until) {
            self.drop_bytes(bytes.len());
            return;
        }
        self.dropping_until = None;
        while !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(n) => {
                    self.position += n as u64;
                    self.gap = false;
                    bytes = &bytes[n..];
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    tracing::warn!(log = %self.files.head().display(), "writing a log: {e}");
                    self.dropping_until = Some(now + RETRY);
                    self.drop_bytes(bytes.len());
                    return;
                }
            }
        }
    }

    /// The process has ended. When its last bytes were dropped, an empty part behind them shows it.
    pub fn finish(&mut self) {
        self.current = None;
        if self.gap
            && let Err(e) = self.open_part()
        {
            tracing::warn!(log = %self.files.head().display(), "marking the end of a cut log: {e}");
        }
        self.current = None;
    }

    fn drop_bytes(&mut self, n: usize) {
        self.position += n as u64;
        self.gap = true;
        self.head_open = false;
        self.current = None;
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let current = match &mut self.current {
            Some(current) if current.room > 0 => current,
            _ => self.open_next()?,
        };
        let n = bytes.len().min(usize::try_from(current.room).unwrap_or(usize::MAX));
        let n = current.file.write(&bytes[..n])?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        current.room -= n as u64;
        Ok(n)
    }

    fn open_next(&mut self) -> io::Result<&mut Current> {
        if self.position == 0 && self.head_open {
            let file = create(&self.files.head())?;
            return Ok(self.current.insert(Current { file, room: self.head_limit }));
        }
        self.head_open = false;
        self.open_part()
    }

    fn open_part(&mut self) -> io::Result<&mut Current> {
        while self.parts.len() as u64 >= PARTS
            && let Some(oldest) = self.parts.pop_front()
        {
            fs::remove_file(self.files.part(oldest))?;
        }
        let file = create(&self.files.part(self.position))?;
        self.parts.push_back(self.position);
        Ok(self.current.insert(Current { file, room: self.part_limit }))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::AttemptKey;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;
    use uuid::Uuid;

    fn files(data: &Path) -> LogFiles {
        let job_id = Uuid::nil();
        let files = LogFiles::of(data, AttemptKey { job_id, attempt: 1 });
        fs::create_dir_all(files.directory()).unwrap();
        files
    }

    fn parts(files: &LogFiles) -> BTreeMap<u64, Vec<u8>> {
        let entries = fs::read_dir(files.directory()).unwrap().map(|entry| entry.unwrap());
        let named = entries.filter_map(|entry| {
            let position = files.position(entry.file_name().to_str()?)?;
            entry.file_type().unwrap().is_file().then(|| (position, fs::read(entry.path()).unwrap()))
        });
        named.collect()
    }

    proptest! {
        #[test]
        fn head_and_newest_bytes_are_kept_within_the_limit(
            sizes in proptest::collection::vec(1usize..700, 0..40),
        ) {
            let data = tempfile::tempdir().unwrap();
        let files = files(data.path());
            let limit = 2048;
            let mut log = LogWriter::new(files.clone(), limit);
            let mut all = Vec::new();
            for size in sizes {
                let bytes: Vec<u8> = (0..size).map(|n| ((all.len() + n) % 251) as u8).collect();
                log.write(&bytes, Instant::now());
                all.extend(bytes);
            }
            log.finish();
            let parts = parts(&files);
            let kept: usize = parts.values().map(Vec::len).sum();
            prop_assert!(kept as u64 <= limit);
            for (position, bytes) in &parts {
                let position = *position as usize;
                prop_assert_eq!(bytes, &all[position..position + bytes.len()]);
            }
            if all.len() as u64 <= limit / 2 + limit / 2 / PARTS * (PARTS - 1) {
                prop_assert_eq!(kept, all.len());
            }
            if let Some((position, bytes)) = parts.last_key_value() {
                prop_assert_eq!(*position as usize + bytes.len(), all.len());
                prop_assert_eq!(parts[&0].len(), all.len().min(limit as usize / 2));
            }
        }
    }

    proptest! {
        #[test]
        fn a_writer_goes_on_where_another_stopped(
            sizes in proptest::collection::vec((1usize..700, any::<bool>()), 0..40),
        ) {
            let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (files, whole_files) = (files(data.path()), files(other.path()));
            let mut log = LogWriter::new(files.clone(), 2048);
            let mut whole = LogWriter::new(whole_files.clone(), 2048);
            for (number, (size, restart)) in sizes.into_iter().enumerate() {
                if restart {
                    drop(log);
                    log = LogWriter::resume(files.clone(), 2048, whole.position()).unwrap();
                    prop_assert_eq!(log.position(), whole.position());
                }
                let bytes = vec![u8::try_from(number).unwrap(); size];
                log.write(&bytes, Instant::now());
                whole.write(&bytes, Instant::now());
            }
            prop_assert_eq!(parts(&files), parts(&whole_files));
        }
    }

    #[test]
    fn what_an_earlier_writer_dropped_shows_as_cut() {
        let data = tempfile::tempdir().unwrap();
        let files = files(data.path());
        LogWriter::new(files.clone(), 2048).write(b"kept", Instant::now());
        let mut log = LogWriter::resume(files.clone(), 2048, 10).unwrap();
        log.write(b"more", Instant::now());
        log.finish();
        assert_eq!(parts(&files), BTreeMap::from([(0, b"kept".to_vec()), (10, b"more".to_vec())]));
    }

    #[test]
    fn bytes_that_the_disk_refuses_are_skipped() {
        let data = tempfile::tempdir().unwrap();
        let files = files(data.path());
        symlink("/dev/full", files.head()).unwrap();
        let mut log = LogWriter::new(files.clone(), 2048);
        let start = Instant::now();
        log.write(b"lost", start);
        log.write(b"lost too", start + RETRY / 2);
        log.write(b"kept", start + RETRY);
        symlink("/dev/full", files.part(16)).unwrap();
        log.current = None;
        log.write(b"end", start + RETRY);
        log.finish();
        let expected = BTreeMap::from([(12, b"kept".to_vec()), (19, Vec::new())]);
        assert_eq!(parts(&files), expected);
    }
}
