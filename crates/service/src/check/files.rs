//! Files beside the databases: attachments that must be there, and what nothing names any more.

use super::{Check, CheckError, Company, Severity, at, failed};
use crate::data::{ATTACHMENTS_DIRECTORY, CONTROL_FILE, RESULTS_DIRECTORY};
use crate::executors::files::jobs_directory;
use crate::store::sqlite::control_check::{self, AttachedFile};
use crate::store::sqlite::results_backup;
use crate::store::sqlite::snapshot::Snapshot;
use docket_contract::JobId;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;
use uuid::Uuid;

/// The names in a directory, in order; none if it is not there.
pub fn names(directory: &Path) -> Result<Vec<String>, CheckError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(at(directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(at(directory))?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Where an attachment lies, in the data directory.
fn path_of(attached: &AttachedFile) -> String {
    format!("{ATTACHMENTS_DIRECTORY}/{}/{}", attached.job.0.simple(), attached.file)
}

impl Check<'_> {
    /// Every attachment has its file, of its size.
    pub(super) fn attachments(&mut self, control: &Option<Snapshot>) -> Result<(), CheckError> {
        let Some(control) = control else { return Ok(()) };
        let control_path = self.directory.join(CONTROL_FILE);
        let mut wrong = Vec::new();
        let mut count = 0;
        let directory = self.directory;
        control_check::each_attachment::<CheckFailed>(control.connection(), |attached| {
            count += 1;
            let path = path_of(&attached);
            match directory.join(&path).metadata() {
                Ok(file) if file.len() == attached.size => {}
                Ok(file) => {
                    let what = format!("has {} bytes and should have {}", file.len(), attached.size);
                    wrong.push((attached, path, what));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    wrong.push((attached, path, "the file is missing".to_owned()));
                }
                Err(error) => return Err(CheckFailed(at(&directory.join(&path))(error))),
            }
            Ok(())
        })
        .map_err(|CheckFailed(error)| error)?;
        self.report.attachments = count;
        for (attached, path, what) in wrong {
            // Beside a server it may have been deleted a moment ago.
            if self.company == Company::Server {
                let now = self.snapshot(&control_path).map_err(failed(&control_path))?;
                let known = control_check::has_attachment(now.connection(), &attached);
                if !known.map_err(failed(&control_path))? {
                    continue;
                }
            }
            let what = format!("attachment {:?} of job {}: {what}", attached.name, attached.job);
            let severity = if self.company == Company::Backup { Severity::Leftover } else { Severity::Damage };
            self.report.find(severity, "file", &path, what);
        }
        Ok(())
    }

    /// What nothing names any more. Only while nobody changes anything.
    pub(super) fn leftovers(&mut self, control: &Option<Snapshot>) -> Result<(), CheckError> {
        for name in names(&self.directory.join(RESULTS_DIRECTORY))? {
            let path = format!("{RESULTS_DIRECTORY}/{name}");
            if name == results_backup::TRASH {
                for deleted in names(&self.directory.join(&path))? {
                    self.leftover(&format!("{path}/{deleted}"), "a deleted storage; the next start removes it");
                }
            } else if name.starts_with(results_backup::NEW_PREFIX) {
                self.leftover(&path, "a storage that was never finished; the next start removes it");
            } else if !results_backup::is_storage(&name) && name != results_backup::IDS {
                self.leftover(&path, "is no part of the results");
            }
        }
        let Some(control) = control else { return Ok(()) };
        let mut known = HashSet::new();
        let each = |attached| {
            known.insert(path_of(&attached));
            Ok(())
        };
        control_check::each_attachment::<CheckFailed>(control.connection(), each)
            .map_err(|CheckFailed(error)| error)?;
        for name in names(&self.directory.join(ATTACHMENTS_DIRECTORY))? {
            let path = format!("{ATTACHMENTS_DIRECTORY}/{name}");
            if !self.is_of_a_job(control, &path, &name)? {
                continue;
            }
            for file in names(&self.directory.join(&path))? {
                let path = format!("{path}/{file}");
                if !known.contains(&path) {
                    self.leftover(&path, "no job has this attachment; the next start removes it");
                }
            }
        }
        let jobs = jobs_directory(Path::new(""));
        for name in names(&self.directory.join(&jobs))? {
            self.is_of_a_job(control, &format!("{}/{name}", jobs.display()), &name)?;
        }
        Ok(())
    }

    /// Whether a directory is that of a job that is there; it is left over otherwise.
    fn is_of_a_job(&mut self, control: &Snapshot, path: &str, name: &str) -> Result<bool, CheckError> {
        let Ok(id) = Uuid::try_parse(name) else {
            self.leftover(path, "has no job's name");
            return Ok(false);
        };
        if control_check::has_job(control.connection(), JobId(id)).map_err(failed(self.directory))? {
            return Ok(true);
        }
        self.leftover(path, "its job is gone");
        Ok(false)
    }

    fn leftover(&mut self, path: &str, what: &str) {
        self.report.find(Severity::Leftover, "file", path, what.to_owned());
    }
}

/// Lets errors of the store pass through a visit.
struct CheckFailed(CheckError);

impl From<crate::store::StoreError> for CheckFailed {
    fn from(source: crate::store::StoreError) -> Self {
        Self(CheckError::Store { path: CONTROL_FILE.into(), source })
    }
}
