//! The manifest of a backup: what it is, and what proves that the rest is what was written.

use super::list::Files;
use super::{BackupError, FILES, MANIFEST, at, sync_directory};
use crate::failpoint;
use docket_contract::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The format of the backups that this program writes and reads.
const FORMAT: u32 = 1;

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Of the backup; a program refuses what it does not know.
    pub format: u32,
    /// The program that made it.
    pub docket: String,
    /// Everything acknowledged before this is in it.
    pub started_at: Timestamp,
    /// When its last file was written.
    pub finished_at: Timestamp,
    /// How many jobs it knows.
    pub jobs: u64,
    /// How many storages it holds.
    pub storages: u64,
    /// How many results they hold.
    pub results: u64,
    /// How many files it holds.
    pub files: u64,
    /// Their length, holes included.
    pub bytes: u64,
    /// BLAKE3 of the list of the files.
    pub files_blake3: String,
    /// Storages that are not in it, because they can't be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// A storage that is not in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its directory.
    pub directory: String,
    /// Why.
    pub reason: String,
}

/// The file: the manifest and the checksum of its text.
#[derive(Serialize, Deserialize)]
struct Sealed {
    manifest: Box<RawValue>,
    blake3: String,
}

impl Manifest {
    /// The format that this program writes.
    pub const FORMAT: u32 = FORMAT;

    /// Writes it, durably: from now on the directory is a backup. Everything else must be durable.
    pub fn write(&self, backup: &Path) -> Result<(), BackupError> {
        let (path, aside) = (backup.join(MANIFEST), backup.join("manifest.json.new"));
        let text = |error: serde_json::Error| at(&path)(error.into());
        let manifest = RawValue::from_string(serde_json::to_string(self).map_err(text)?);
        let manifest = manifest.map_err(|error| at(&path)(error.into()))?;
        let blake3 = blake3::hash(manifest.get().as_bytes()).to_hex().to_string();
        let sealed = serde_json::to_vec(&Sealed { manifest, blake3 }).map_err(|error| at(&path)(error.into()))?;
        let mut file = File::create(&aside).map_err(at(&aside))?;
        file.write_all(&sealed).and_then(|()| file.write_all(b"\n")).map_err(at(&aside))?;
        file.sync_all().map_err(at(&aside))?;
        failpoint::pass("backup.manifest");
        std::fs::rename(&aside, &path).map_err(at(&path))?;
        sync_directory(backup)
    }

    /// Reads and checks it, and that the list of files is the one that it names.
    pub fn read(backup: &Path) -> Result<Self, BackupError> {
        let path = backup.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!("{}: is no whole backup: it has no {MANIFEST}", backup.display());
                return Err(BackupError::Refused(message));
            }
            Err(error) => return Err(at(&path)(error)),
        };
        let damaged = |reason: String| BackupError::Damaged(format!("{}: {reason}", path.display()));
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if blake3::hash(sealed.manifest.get().as_bytes()).to_hex().as_str() != sealed.blake3 {
            return Err(damaged("its checksum is wrong".to_owned()));
        }
        let manifest: Self = serde_json::from_str(sealed.manifest.get()).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != FORMAT {
            let message = format!(
                "{}: has format {}, made by docket {}; this one reads format {FORMAT}",
                backup.display(),
                manifest.format,
                manifest.docket
            );
            return Err(BackupError::Refused(message));
        }
        let list = backup.join(FILES);
        if super::copy::checksum(&list, &mut |_| Ok(()))?.hash.to_hex().as_str() != manifest.files_blake3 {
            return Err(BackupError::Damaged(format!("{}: its checksum is wrong", list.display())));
        }
        Ok(manifest)
    }

    /// What the backup holds.
    pub fn files(backup: &Path) -> Result<Files, BackupError> {
        Files::open(&backup.join(FILES))
    }
}
