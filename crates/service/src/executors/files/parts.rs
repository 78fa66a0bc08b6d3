//! Reads the log files of an attempt as one log. Owns the joining of the parts and the visible mark where bytes were cut;
//! the supervisor writes the parts.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use super::LogFiles;
use crate::executors::log::{CHUNK_BYTES, LogRange, LogSource, TailStart};

/// How often to look again when a part was rotated away between listing and opening.
const LISTING_TRIES: usize = 5;

/// The log of an attempt as it was when it was opened.
pub struct Parts {
    pieces: Vec<Piece>,
    index: usize,
    offset: u64,
}

enum Piece {
    File {
        file: File,
        /// Where it begins in all that the process wrote.
        start: u64,
        length: u64,
    },
    Mark {
        text: Vec<u8>,
        /// Where the cut begins, and where it ends.
        start: u64,
        end: u64,
    },
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Piece::File { length, .. } => *length,
            Piece::Mark { text, .. } => text.len() as u64,
        }
    }

    /// The position of the byte at `offset`. A mark is one thing: whoever has seen its beginning is behind the cut.
    fn position(&self, offset: u64) -> u64 {
        match self {
            Piece::File { start, .. } => start + offset,
            Piece::Mark { start, .. } if offset == 0 => *start,
            Piece::Mark { end, .. } => *end,
        }
    }

    /// The position behind it.
    fn end(&self) -> u64 {
        match self {
            Piece::File { start, length, .. } => start + length,
            Piece::Mark { end, .. } => *end,
        }
    }

    /// Fills as much of `buffer` as this piece has from `offset` on.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Piece::File { file, length, .. } => {
                let room = length.saturating_sub(offset).min(buffer.len() as u64) as usize;
                let mut filled = 0;
                while filled < room {
                    match file.read_at(&mut buffer[filled..room], offset + filled as u64)? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        n => filled += n,
                    }
                }
                Ok(filled)
            }
            Piece::Mark { text, .. } => {
                let rest = text.get(offset as usize..).unwrap_or_default();
                let n = rest.len().min(buffer.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                Ok(n)
            }
        }
    }
}

impl Parts {
    /// Opens the log. A missing directory is `NotFound`; one without a file of this log is an empty log.
    pub fn open(files: &LogFiles, range: LogRange) -> io::Result<Parts> {
        let mut parts = Parts { pieces: pieces(files)?, index: 0, offset: 0 };
        match range {
            LogRange::Whole => {}
            LogRange::Tail { lines: 0 } => parts.index = parts.pieces.len(),
            LogRange::Tail { lines } => parts.seek_tail(lines)?,
            LogRange::From { position } => parts.seek(position),
        }
        Ok(parts)
    }

    /// Moves to a position: into a part, or to the mark of the cut that it lies in.
    fn seek(&mut self, position: u64) {
        self.index = self.pieces.iter().position(|piece| piece.end() > position).unwrap_or(self.pieces.len());
        if let Some(Piece::File { start, .. }) = self.pieces.get(self.index) {
            self.offset = position.saturating_sub(*start);
        }
    }

    /// Moves to where the last lines begin, reading from the end.
    fn seek_tail(&mut self, lines: u64) -> io::Result<()> {
        let mut scan = TailStart::new(lines);
        let mut block = vec![0; CHUNK_BYTES];
        for (index, piece) in self.pieces.iter().enumerate().rev() {
            let mut end = piece.len();
            while end > 0 {
                let begin = end.saturating_sub(CHUNK_BYTES as u64);
                let n = piece.read_at(&mut block[..(end - begin) as usize], begin)?;
                if let Some(position) = scan.scan(&block[..n]) {
                    self.index = index;
                    self.offset = begin + position as u64;
                    return Ok(());
                }
                end = begin;
            }
        }
        Ok(())
    }
}

impl LogSource for Parts {
    fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Some(piece) = self.pieces.get(self.index) {
            let n = piece.read_at(&mut chunk, self.offset)?;
            if n > 0 {
                self.offset += n as u64;
                chunk.truncate(n);
                return Ok(Some(chunk));
            }
            self.index += 1;
            self.offset = 0;
        }
        Ok(None)
    }

    fn position(&self) -> u64 {
        match self.pieces.get(self.index) {
            Some(piece) => piece.position(self.offset),
            None => self.pieces.last().map_or(0, Piece::end),
        }
    }
}

/// The parts in order, with a mark wherever one does not begin at the end of the one before.
fn pieces(files: &LogFiles) -> io::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut end = 0;
    let mut ends_line = true;
    for (position, file) in open_parts(files)? {
        let length = file.metadata()?.len();
        if position > end {
            let cut = position - end;
            let break_line = if ends_line { "" } else { "\n" };
            let mark = format!("{break_line}[docket: {cut} bytes of log were cut here]\n");
            pieces.push(Piece::Mark { text: mark.into_bytes(), start: end, end: position });
            ends_line = true;
        }
        end = position + length;
        if length > 0 {
            let mut last = [0];
            file.read_exact_at(&mut last, length - 1)?;
            ends_line = last == *b"\n";
            pieces.push(Piece::File { file, start: position, length });
        }
    }
    Ok(pieces)
}

/// All parts, ordered by position. The writer may take the oldest away meanwhile, so a part that has gone means to look again;
/// when that does not settle, what has gone shows as cut.
fn open_parts(files: &LogFiles) -> io::Result<Vec<(u64, File)>> {
    for last_try in (0..LISTING_TRIES).map(|n| n + 1 == LISTING_TRIES) {
        let mut names = Vec::new();
        for entry in fs::read_dir(files.directory())? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str()
                && let Some(position) = files.position(name)
            {
                names.push((position, files.directory().join(name)));
            }
        }
        names.sort();
        let mut parts = Vec::with_capacity(names.len());
        let mut settled = true;
        for (position, path) in names {
            match File::open(path) {
                Ok(file) => parts.push((position, file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => settled = false,
                Err(e) => return Err(e),
            }
        }
        if settled || last_try {
            return Ok(parts);
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::AttemptKey;
    use std::path::Path;
    use uuid::Uuid;

    fn read(files: &LogFiles, range: LogRange) -> String {
        let mut parts = Parts::open(files, range).unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = parts.next_chunk().unwrap() {
            all.extend(chunk);
        }
        String::from_utf8(all).unwrap()
    }

    fn files(data: &Path) -> LogFiles {
        let job_id = Uuid::nil();
        LogFiles::of(data, AttemptKey { job_id, attempt: 1 })
    }

    #[test]
    fn parts_are_joined_and_cuts_are_marked() {
        let data = tempfile::tempdir().unwrap();
        let files = files(data.path());
        fs::create_dir_all(files.directory()).unwrap();
        assert_eq!(read(&files, LogRange::Whole), "");
        fs::write(files.head(), "one\ntw").unwrap();
        fs::write(files.part(6), "o\n").unwrap();
        assert_eq!(read(&files, LogRange::Whole), "one\ntwo\n");
        fs::write(files.part(20), "x\nlast").unwrap();
        let mark = "[docket: 12 bytes of log were cut here]\n";
        assert_eq!(read(&files, LogRange::Whole), format!("one\ntwo\n{mark}x\nlast"));
        assert_eq!(read(&files, LogRange::Tail { lines: 1 }), "last");
        assert_eq!(read(&files, LogRange::Tail { lines: 4 }), format!("two\n{mark}x\nlast"));
        fs::write(files.part(30), "").unwrap();
        let end = "last\n[docket: 4 bytes of log were cut here]\n";
        assert!(read(&files, LogRange::Whole).ends_with(end));
    }

    #[test]
    fn a_position_is_found_again_also_in_a_cut() {
        let data = tempfile::tempdir().unwrap();
        let files = files(data.path());
        fs::create_dir_all(files.directory()).unwrap();
        fs::write(files.head(), "one\ntw").unwrap();
        fs::write(files.part(6), "o\n").unwrap();
        fs::write(files.part(20), "x\nlast").unwrap();
        let mark = "[docket: 12 bytes of log were cut here]\n";
        for (position, expected) in [
            (0, format!("one\ntwo\n{mark}x\nlast")),
            (5, format!("wo\n{mark}x\nlast")),
            (6, format!("o\n{mark}x\nlast")),
            (8, format!("{mark}x\nlast")),
            (12, format!("{mark}x\nlast")),
            (20, "x\nlast".to_owned()),
            (26, String::new()),
            (99, String::new()),
        ] {
            assert_eq!(read(&files, LogRange::From { position }), expected, "{position}");
        }
        // A reader may leave off between any two chunks.
        let mut parts = Parts::open(&files, LogRange::Whole).unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = parts.next_chunk().unwrap() {
            all.extend(chunk);
            parts = Parts::open(&files, LogRange::From { position: parts.position() }).unwrap();
        }
        assert_eq!(String::from_utf8(all).unwrap(), read(&files, LogRange::Whole));
        assert_eq!(Parts::open(&files, LogRange::Tail { lines: 0 }).unwrap().position(), 26);
        assert_eq!(Parts::open(&files, LogRange::Tail { lines: 1 }).unwrap().position(), 22);
    }

    #[test]
    fn a_job_that_never_was_has_no_log() {
        let data = tempfile::tempdir().unwrap();
        let missing = Parts::open(&files(data.path()), LogRange::Whole);
        assert_eq!(missing.err().map(|e| e.kind()), Some(io::ErrorKind::NotFound));
    }
}
