//! Compares a backup with what its manifest says.

use super::copy::checksum;
use super::manifest::Manifest;
use super::{BackupError, DATA, Watcher};
use std::path::Path;

/// Findings that are named; further ones are only counted.
const NAMED: usize = 20;

/// Reads every file of a backup; answers its manifest, and what is not as it says: nothing for a whole backup.
///
/// # Errors
/// When the directory is no backup, or its manifest or list of files is damaged.
pub fn verify(backup: &Path, watcher: &mut dyn Watcher) -> Result<(Manifest, Vec<String>), BackupError> {
    let manifest = Manifest::read(backup)?;
    watcher.begin("verifying", manifest.bytes);
    let data = backup.join(DATA);
    let (mut findings, mut more) = (Vec::new(), 0);
    let mut find = |finding: String| if findings.len() < NAMED { findings.push(finding) } else { more += 1 };
    for entry in Manifest::files(backup)? {
        let entry = entry?;
        let path = data.join(&entry.path);
        let Some(sum) = entry.file else {
            if !path.is_dir() {
                find(format!("{}: the directory is missing", entry.path));
            }
            continue;
        };
        let mut moved = |bytes| {
            watcher.advance(bytes);
            Ok(())
        };
        match checksum(&path, &mut moved) {
            Ok(content) if content.bytes != sum.bytes => {
                find(format!("{}: has {} bytes and should have {}", entry.path, content.bytes, sum.bytes));
            }
            Ok(content) if content.hash.to_hex().as_str() != sum.blake3 => {
                find(format!("{}: its checksum is wrong", entry.path));
            }
            Ok(_) => {}
            Err(BackupError::Io { source, .. }) => find(format!("{}: {source}", entry.path)),
            Err(error) => return Err(error),
        }
    }
    if more > 0 {
        findings.push(format!("and {more} more"));
    }
    Ok((manifest, findings))
}
