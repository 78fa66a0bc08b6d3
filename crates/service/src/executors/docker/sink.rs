//! Where the log of a container goes on this host, so that it outlives the container. Owns the mark by which a later
//! server goes on without loss or repetition; gets the pieces from others. Its calls may block.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;

use super::notes::{self, Notes};
use crate::executors::AttemptKey;
use crate::executors::files::{LogFiles, LogWriter};

/// Docker splits lines into pieces of so many bytes; only the last one is shorter.
const SPLIT: usize = 16 * 1024;

/// A piece of log as the daemon keeps it: a line or a part of a long one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// When it was written, in the daemon's words.
    time: Bytes,
    /// The bytes.
    bytes: Bytes,
}

impl Piece {
    /// Takes apart what the daemon sends: the time, a space, the bytes. Of a line that it had to split, Docker 20's own
    /// format loses the newline: where `mend` says so it is put back.
    pub fn new(mut message: Bytes, mend: bool) -> Piece {
        let Some(space) = message.iter().position(|byte| *byte == b' ') else {
            return Piece { time: message, bytes: Bytes::new() };
        };
        let time = message.split_to(space);
        let mut bytes = message.slice(1..);
        if mend && bytes.len() < SPLIT && !bytes.ends_with(b"\n") {
            bytes = [&bytes, &b"\n"[..]].concat().into();
        }
        Piece { time, bytes }
    }
}

/// The last piece that was written: its time, how many pieces of this time were, and the position behind it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Mark {
    time: Bytes,
    count: u64,
    position: u64,
}

impl Mark {
    /// Always the same number of bytes, so that one write replaces it.
    fn line(&self) -> String {
        format!("{:<40} {:020} {:020}\n", String::from_utf8_lossy(&self.time), self.count, self.position)
    }

    fn parse(line: &str) -> Option<Mark> {
        let mut words = line.split_ascii_whitespace();
        let time = Bytes::copy_from_slice(words.next()?.as_bytes());
        Some(Mark { time, count: words.next()?.parse().ok()?, position: words.next()?.parse().ok()? })
    }
}

/// The log of one attempt and its mark.
pub struct Sink {
    writer: LogWriter,
    mark: Mark,
    file: File,
    skip: Option<Skip>,
}

/// What is left out at the start of a new stream: all to the mark, and the bytes behind it that are in the log already.
struct Skip {
    seen: u64,
    behind: u64,
    found: bool,
}

impl Sink {
    /// Opens the log, new or as an earlier server left it.
    pub fn open(data: &Path, key: AttemptKey, limit: u64) -> io::Result<Sink> {
        adopt(data, key)?;
        let files = LogFiles::of(data, key);
        let path = files.directory().join(format!("{}.log.mark", key.attempt));
        let mark = fs::read_to_string(&path).ok().and_then(|line| Mark::parse(&line)).unwrap_or_default();
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let writer = LogWriter::resume(files, limit, mark.position)?;
        Ok(Sink { writer, mark, file, skip: None })
    }

    /// The second of the last piece, since 1970; zero when there is none.
    pub fn since(&self) -> i32 {
        let time = std::str::from_utf8(&self.mark.time).ok().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.and_then(|time| i32::try_from(time.as_second()).ok()).unwrap_or_default()
    }

    /// A stream begins, from the start of what the daemon has or before the mark.
    pub fn begin(&mut self) {
        let behind = self.writer.position() - self.mark.position.min(self.writer.position());
        let found = self.mark.count == 0;
        self.skip = (!found || behind > 0).then_some(Skip { seen: 0, behind, found });
    }

    /// Takes the next pieces of the stream.
    pub fn write(&mut self, pieces: Vec<Piece>) {
        let before = self.mark.clone();
        for piece in pieces {
            let Some(bytes) = self.news(&piece) else { continue };
            self.writer.write(&bytes, Instant::now());
            if piece.time == self.mark.time {
                self.mark.count += 1;
            } else {
                self.mark = Mark { time: piece.time, count: 1, position: 0 };
            }
            let behind = self.skip.as_ref().map_or(0, |skip| skip.behind);
            self.mark.position = self.writer.position() - behind;
        }
        if self.mark != before
            && let Err(error) = self.file.write_all_at(self.mark.line().as_bytes(), 0)
        {
            tracing::warn!("marking how far a log was read: {error}");
        }
    }

    /// The container has ended and all was read.
    pub fn finish(&mut self) {
        self.writer.finish();
    }

    /// What of a piece is not in the log yet.
    fn news(&mut self, piece: &Piece) -> Option<Bytes> {
        let Some(skip) = &mut self.skip else { return Some(piece.bytes.clone()) };
        if !skip.found {
            if piece.time == self.mark.time {
                skip.seen += 1;
                skip.found = skip.seen == self.mark.count;
                return None;
            }
            // The daemon has dropped what was marked: all that it still has came later.
            let dropped = skip.seen == 0 && piece.time > self.mark.time;
            if !dropped {
                return None;
            }
            self.skip = None;
            return Some(piece.bytes.clone());
        }
        let known = usize::try_from(skip.behind).unwrap_or(usize::MAX).min(piece.bytes.len());
        skip.behind -= known as u64;
        if skip.behind == 0 {
            self.skip = None;
        }
        Some(piece.bytes.slice(known..))
    }
}

/// Prepares the directory of an attempt that is new here.
pub fn prepare(data: &Path, key: AttemptKey) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(LogFiles::of(data, key).directory())?;
    notes::write(&notes::path(data, key), &Notes::default())
}

/// Prepares the directory of an attempt of an earlier server, unless it is there.
fn adopt(data: &Path, key: AttemptKey) -> io::Result<()> {
    if notes::path(data, key).exists() { Ok(()) } else { prepare(data, key) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::LogRange;
    use crate::executors::files::Parts;
    use crate::executors::log::LogSource;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn read(data: &Path, key: AttemptKey) -> Vec<u8> {
        let mut parts = Parts::open(&LogFiles::of(data, key), LogRange::Whole).unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = parts.next_chunk().unwrap() {
            all.extend(chunk);
        }
        all
    }

    fn place() -> (tempfile::TempDir, AttemptKey) {
        let key = AttemptKey { job_id: Uuid::now_v7(), attempt: 1 };
        let data = tempfile::tempdir().unwrap();
        prepare(data.path(), key).unwrap();
        (data, key)
    }

    proptest! {
        /// Pieces share times, a reader is cut off anywhere, also between the log and its mark: nothing is lost or told twice.
        #[test]
        fn a_log_goes_on_where_it_stopped(
            lines in proptest::collection::vec((0u32..4, 0usize..20), 1..40),
            cuts in proptest::collection::vec((0usize..40, any::<bool>()), 0..5),
        ) {
            let mut second = 0;
            let pieces: Vec<Piece> = lines.iter().enumerate().map(|(number, (later, length))| {
                second += later / 3;
                let text = format!("2026-11-23T10:00:{second:02}.000000000Z {number} {}\n", "x".repeat(*length));
                Piece::new(Bytes::from(text), true)
            }).collect();
            let (data, key) = place();
            let mark = LogFiles::of(data.path(), key).directory().join("1.log.mark");
            for (cut, lose_mark) in cuts {
                let before = fs::read(&mark).unwrap_or_default();
                let mut sink = Sink::open(data.path(), key, 1 << 20).unwrap();
                sink.begin();
                for piece in pieces.iter().take(cut) {
                    sink.write(vec![piece.clone()]);
                }
                if lose_mark {
                    fs::write(&mark, before).unwrap();
                }
            }
            let mut sink = Sink::open(data.path(), key, 1 << 20).unwrap();
            sink.begin();
            sink.write(pieces.clone());
            sink.finish();
            let expected: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
            prop_assert_eq!(read(data.path(), key), expected);
        }
    }

    #[test]
    fn the_newline_of_a_split_line_is_put_back() {
        let bytes = |text: &str, mend| Piece::new(Bytes::from(format!("2026 {text}")), mend).bytes;
        assert_eq!(bytes("end", true), "end\n");
        assert_eq!(bytes("end\n", true), "end\n");
        assert_eq!(bytes("end", false), "end");
        let full = "x".repeat(SPLIT);
        assert_eq!(bytes(&full, true), full);
    }

    #[test]
    fn what_the_daemon_dropped_meanwhile_does_not_stop_the_rest() {
        let (data, key) = place();
        let piece = |text: &str| Piece::new(Bytes::copy_from_slice(text.as_bytes()), false);
        let mut sink = Sink::open(data.path(), key, 1 << 20).unwrap();
        sink.begin();
        sink.write(vec![piece("2026-01-01T00:00:01.000000000Z one\n")]);
        let mut sink = Sink::open(data.path(), key, 1 << 20).unwrap();
        sink.begin();
        sink.write(vec![piece("2026-01-01T00:00:03.000000000Z three\n")]);
        assert_eq!(read(data.path(), key), b"one\nthree\n");
        assert_eq!(sink.since(), 1_767_225_603);
    }
}
