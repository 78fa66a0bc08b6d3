//! Checks a data directory, whether a server runs on it or not, or a backup: every page of every database, every body,
//! every counter against a recount, that the index finds every row, that files are there. Changes nothing.
//!
//! Beside a server each file is read as it is at one moment, like a backup does it. What only makes sense when nothing
//! changes is checked only when no server runs: leftovers, which are files that nothing names. They take room and harm
//! nobody, and the next start of a server removes most of them; so they are no damage.
//!
//! Everything here blocks: it is the work of a command, not of the server.

mod files;

use crate::backup::{self, BackupError, DATA, Manifest, Watcher};
use crate::data::{self, CONTROL_FILE, ClaimError, RESULTS_DIRECTORY};
use crate::store::sqlite::control_check;
use crate::store::sqlite::flaw::Part;
use crate::store::sqlite::results_backup::{self, StillStorage};
use crate::store::sqlite::snapshot::Snapshot;
use crate::store::{SetOwner, StoreError};
use serde::Serialize;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Findings that are named; further ones are only counted.
const NAMED: usize = 100;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something that was acknowledged is lost or wrong, or will be.
    Damage,
    /// A file that nothing names any more.
    Leftover,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind: `database`, `references`, `counters`, `bodies`, `rows`, `index`, `file`, `checksum`.
    pub kind: &'static str,
    /// The file or directory, in the directory that was checked.
    pub path: String,
    /// What is wrong, for people.
    pub what: String,
}

/// What was checked and found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing is damaged.
    pub sound: bool,
    /// Whether a server was using the directory, so that leftovers were not looked for.
    pub beside_server: bool,
    /// Jobs of the control plane.
    pub jobs: u64,
    /// Storages.
    pub storages: u64,
    /// Results in them.
    pub results: u64,
    /// Attachments.
    pub attachments: u64,
    /// Of everything found the first, damage and leftovers.
    pub findings: Vec<Finding>,
    /// Findings that are not named.
    pub more_findings: u64,
    /// How much is damaged, named or not.
    pub damaged: u64,
}

impl Report {
    fn find(&mut self, severity: Severity, kind: &'static str, path: &str, what: String) {
        self.damaged += u64::from(severity == Severity::Damage);
        if self.findings.len() < NAMED {
            self.findings.push(Finding { severity, kind, path: path.to_owned(), what });
        } else {
            self.more_findings += 1;
        }
    }
}

/// Why a check was not made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is nothing to check; nothing was read.
    #[error("{0}")]
    Refused(String),
    /// A file can't be read.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A database can't be read.
    #[error("{path}: {source}")]
    Store {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// A backup can't be read.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Who else may use the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    /// A server.
    Server,
    /// Nobody, as long as the check takes.
    Nobody,
    /// Nobody, as it is a backup: files of what was deleted while it was made may be missing.
    Backup,
}

struct Check<'a> {
    directory: &'a Path,
    company: Company,
    report: Report,
    watcher: &'a mut dyn Watcher,
}

/// Checks a data directory.
///
/// # Errors
/// What keeps the check from its work. Damage is no error: the report names it.
pub fn data_directory(directory: &Path, watcher: &mut dyn Watcher) -> Result<Report, CheckError> {
    let refused = |error: &dyn std::fmt::Display| CheckError::Refused(format!("data {}: {error}", directory.display()));
    match directory.join(CONTROL_FILE).try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(refused(&format!("there is no {CONTROL_FILE}: no server has used it"))),
        Err(error) => return Err(refused(&error)),
    }
    // As long as it is held no server starts.
    let (claimed, company) = match data::claim(directory) {
        Ok(lock) => (Some(lock), Company::Nobody),
        Err(ClaimError::InUse) => (None, Company::Server),
        Err(error) => return Err(refused(&error)),
    };
    let report = check(directory, company, watcher);
    drop(claimed);
    report
}

/// Checks a backup: the checksums of all its files, and then what a data directory restored from it would be.
///
/// # Errors
/// The directory is no backup, or what keeps the check from its work.
pub fn backup(directory: &Path, watcher: &mut dyn Watcher) -> Result<(Manifest, Report), CheckError> {
    let (manifest, wrong) = backup::verify(directory, watcher)?;
    let mut report = if wrong.is_empty() {
        check(&directory.join(DATA), Company::Backup, watcher)?
    } else {
        // What the files say makes no sense to look at.
        Report::default()
    };
    for what in wrong {
        report.find(Severity::Damage, "checksum", DATA, what);
    }
    for storage in &manifest.left_out {
        report.find(
            Severity::Damage,
            "file",
            &storage.directory,
            format!("left out of the backup: {}", storage.reason),
        );
    }
    report.sound = report.damaged == 0;
    Ok((manifest, report))
}

fn check(directory: &Path, company: Company, watcher: &mut dyn Watcher) -> Result<Report, CheckError> {
    let report = Report { beside_server: company == Company::Server, ..Report::default() };
    let mut check = Check { directory, company, report, watcher };
    let control = check.control()?;
    check.storages(&control)?;
    check.attachments(&control)?;
    check.secret()?;
    if company == Company::Nobody {
        check.leftovers(&control)?;
    }
    let mut report = check.report;
    report.sound = report.damaged == 0;
    Ok(report)
}

fn failed(path: &Path) -> impl FnOnce(StoreError) -> CheckError + '_ {
    |source| CheckError::Store { path: path.to_owned(), source }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CheckError + '_ {
    |source| CheckError::Io { path: path.to_owned(), source }
}

impl Check<'_> {
    fn snapshot(&self, path: &Path) -> Result<Snapshot, StoreError> {
        if self.company == Company::Server { Snapshot::take(path) } else { Snapshot::alone(path) }
    }

    /// Checks the control plane; `None` if it can't be read.
    fn control(&mut self) -> Result<Option<Snapshot>, CheckError> {
        let path = self.directory.join(CONTROL_FILE);
        let report = &mut self.report;
        let checked = if self.company == Company::Server { Snapshot::take(&path) } else { Snapshot::alone(&path) };
        let checked = checked.and_then(|snapshot| {
            let mut find = |part: Part, what| report.find(Severity::Damage, part.name(), CONTROL_FILE, what);
            let jobs = control_check::check(snapshot.connection(), &mut find)?;
            Ok((snapshot, jobs))
        });
        match checked {
            Ok((snapshot, jobs)) => {
                self.report.jobs = jobs;
                Ok(Some(snapshot))
            }
            Err(StoreError::Damaged(reason)) => {
                self.report.find(Severity::Damage, Part::Database.name(), CONTROL_FILE, reason);
                Ok(None)
            }
            Err(error) => Err(failed(&path)(error)),
        }
    }

    fn storages(&mut self, control: &Option<Snapshot>) -> Result<(), CheckError> {
        let root = self.directory.join(RESULTS_DIRECTORY);
        let names: Vec<String> =
            files::names(&root)?.into_iter().filter(|name| results_backup::is_storage(name)).collect();
        let bodies =
            |name: &String| root.join(name).join(results_backup::BODIES).metadata().map_or(0, |file| file.len());
        self.watcher.begin("checking", names.iter().map(bodies).sum());
        for name in names {
            let directory = root.join(&name);
            let path = format!("{RESULTS_DIRECTORY}/{name}");
            let (report, watcher) = (&mut self.report, &mut *self.watcher);
            let mut find = |part: Part, what| report.find(Severity::Damage, part.name(), &path, what);
            let mut moved = |bytes| watcher.advance(bytes);
            let taken = match self.company {
                Company::Server => StillStorage::take(&directory),
                _ => StillStorage::alone(&directory).map(Some),
            };
            let checked = taken.and_then(|storage| match storage {
                // It was deleted meanwhile.
                None => Ok(None),
                Some(storage) => results_backup::check(&directory, &storage, &mut moved, &mut find),
            });
            match checked {
                Ok(None) => {}
                Ok(Some(storage)) => {
                    self.report.storages += 1;
                    self.report.results += storage.results;
                    if let (Company::Nobody, Some(control)) = (self.company, control) {
                        self.orphaned_sets(control, &path, &storage.owners)?;
                    }
                }
                Err(StoreError::Damaged(reason)) => find(Part::Database, reason),
                Err(error) => return Err(failed(&directory)(error)),
            }
        }
        Ok(())
    }

    /// Results of jobs that are gone. A restored backup may hold some: see `backup`.
    fn orphaned_sets(&mut self, control: &Snapshot, path: &str, owners: &[SetOwner]) -> Result<(), CheckError> {
        for owner in owners {
            if let SetOwner::Job(job) = owner
                && !control_check::has_job(control.connection(), *job).map_err(failed(self.directory))?
            {
                self.report.find(
                    Severity::Leftover,
                    "rows",
                    path,
                    format!("holds results of job {job}, which is gone"),
                );
            }
        }
        Ok(())
    }

    /// The secret's file, unless the configuration holds the secret.
    fn secret(&mut self) -> Result<(), CheckError> {
        let path = self.directory.join(crate::secrets::SECRET_FILE);
        match File::open(&path).and_then(|file| file.metadata()) {
            Ok(file) if file.len() >= 32 => {}
            Ok(_) => {
                let what = "is too short to be the secret".to_owned();
                self.report.find(Severity::Damage, "file", crate::secrets::SECRET_FILE, what);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
        Ok(())
    }
}
