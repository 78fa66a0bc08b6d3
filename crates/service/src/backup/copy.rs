//! Files piece by piece: copied, and with their checksum. Holes stay holes.

use super::BackupError;
use super::at;
use rustix::fs::{Advice, SeekFrom, fadvise, ioctl_ficlone, seek};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// Bytes that are written before they are made durable, so that no server beside waits long for its own.
const SYNC_BYTES: u64 = 32 << 20;

/// What was read of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its length, holes included.
    pub bytes: u64,
    /// BLAKE3 of all of it.
    pub hash: blake3::Hash,
}

/// How a file is made.
#[derive(Clone, Copy, Debug)]
pub struct Making {
    /// Its mode.
    pub mode: u32,
    /// Its user and group, if not this process's own.
    pub owner: Option<(u32, u32)>,
}

/// Told the bytes of each piece; may break the work off.
pub type Moved<'a> = &'a mut dyn FnMut(u64) -> Result<(), BackupError>;

/// Copies the first `length` bytes of a file, or all that it has if it has fewer, to a new one. Not durable in the end,
/// but nearly.
pub fn copy(
    (source, from): (&File, &Path),
    length: u64,
    target: &Path,
    making: Making,
    moved: Moved<'_>,
) -> Result<Content, BackupError> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(making.mode).open(target).map_err(at(target))?;
    if let Some((user, group)) = making.owner {
        fchown(&file, Some(user), Some(group)).map_err(at(target))?;
    }
    if ioctl_ficlone(&file, source).is_ok() {
        let longer = file.metadata().map_err(at(target))?.len() > length;
        if longer {
            file.set_len(length).map_err(at(target))?;
        }
        return read((&file, target), length, |_, _| Ok(()), moved);
    }
    let (mut unsynced, mut end) = (0, 0);
    let write = |offset: u64, piece: &[u8]| {
        file.write_all_at(piece, offset).map_err(at(target))?;
        unsynced += piece.len() as u64;
        end = offset + piece.len() as u64;
        if unsynced >= SYNC_BYTES {
            unsynced = 0;
            file.sync_data().map_err(at(target))?;
            // Nobody reads it soon, and others need the memory. Only advice: a failure does not matter.
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
        Ok(())
    };
    let content = read((source, from), length, write, moved)?;
    if content.bytes > end {
        file.set_len(content.bytes).map_err(at(target))?;
    }
    Ok(content)
}

/// The checksum of a whole file.
pub fn checksum(path: &Path, moved: Moved<'_>) -> Result<Content, BackupError> {
    let file = File::open(path).map_err(at(path))?;
    read((&file, path), u64::MAX, |_, _| Ok(()), moved)
}

/// Reads up to `length` bytes; `take` gets what is no hole. Holes count for the checksum.
fn read(
    (file, path): (&File, &Path),
    length: u64,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), BackupError>,
    moved: Moved<'_>,
) -> Result<Content, BackupError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE];
    let length = file.metadata().map_err(at(path))?.len().min(length);
    let mut offset = 0;
    while offset < length {
        let (begin, end) = data(file, offset, length).map_err(at(path))?;
        hash_zeros(&mut hasher, begin - offset);
        offset = begin;
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE);
            let piece = match file.read_at(&mut buffer[..wanted], offset) {
                // It has become shorter: what there was is taken.
                Ok(0) => return Ok(Content { bytes: offset, hash: hasher.finalize() }),
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(path)(error)),
            };
            hasher.update(piece);
            take(offset, piece)?;
            offset += piece.len() as u64;
            moved(piece.len() as u64)?;
        }
    }
    Ok(Content { bytes: length, hash: hasher.finalize() })
}

/// The next stretch from `offset` on that is no hole, within `length`.
fn data(file: &File, offset: u64, length: u64) -> io::Result<(u64, u64)> {
    let begin = match seek(file, SeekFrom::Data(offset)) {
        Ok(begin) => begin.min(length),
        // A hole up to the end.
        Err(Errno::NXIO) => return Ok((length, length)),
        // A file system that does not tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((offset, length)),
        Err(error) => return Err(error.into()),
    };
    let end = seek(file, SeekFrom::Hole(begin)).map_or(length, |end| end.min(length));
    Ok((begin, end.max(begin)))
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while count > 0 {
        let part = usize::try_from(count).unwrap_or(ZEROS.len()).min(ZEROS.len());
        hasher.update(&ZEROS[..part]);
        count -= part as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn holes_stay_holes_and_count_as_zeros() {
        let directory = tempfile::tempdir().expect("a directory");
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        let source = File::options().read(true).write(true).create_new(true).open(&from).expect("made");
        source.write_all_at(&[7; 5000], 1 << 20).expect("written");
        source.set_len(64 << 20).expect("longer");
        for length in [0, 10, (1 << 20) + 17, 63 << 20, u64::MAX] {
            let mut bytes = 0;
            let mut moved = |more| {
                bytes += more;
                Ok(())
            };
            let making = Making { mode: 0o640, owner: None };
            let content = copy((&source, &from), length, &to, making, &mut moved).expect("copied");
            let whole = std::fs::read(&from).expect("read");
            let expected = &whole[..usize::try_from(length.min(64 << 20)).expect("small")];
            assert_eq!(content, Content { bytes: expected.len() as u64, hash: blake3::hash(expected) });
            assert!(std::fs::read(&to).expect("read") == expected);
            assert_eq!(checksum(&to, &mut |_| Ok(())).expect("read"), content);
            let metadata = std::fs::metadata(&to).expect("a file");
            assert!(metadata.blocks() * 512 <= 1 << 20 && bytes <= 1 << 20, "{bytes}, {}", metadata.blocks());
            assert_eq!(metadata.mode() & 0o777, 0o640);
            std::fs::remove_file(&to).expect("removed");
        }
    }
}
