//! What the demonstration checks: a file of the caller's, or partners made up from a seed.

use super::Args;
use crate::failure::Failure;
use crate::output;
use crate::partners::{Compared, Generator, NextNight, PartnerWriter, Summary};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A file to check.
#[derive(Debug)]
pub struct Input {
    /// Where it is, from the root on: a job has a working directory of its own.
    pub path: PathBuf,
    /// What a validation has to find in it, where that is known.
    pub planted: Option<Summary>,
}

impl Input {
    /// What it is, for people.
    pub fn describe(&self) -> String {
        match &self.planted {
            None => self.path.display().to_string(),
            Some(planted) => {
                let (records, failed) = (output::count(planted.records), output::count(planted.failed));
                format!("{records} made-up business partners, {failed} of them with planted errors")
            }
        }
    }
}

/// Finds the caller's file, or makes one in `work`.
pub async fn prepare(args: &Args, work: &Path) -> Result<Input, Failure> {
    if let Some(path) = &args.input {
        let path = std::fs::canonicalize(path)
            .map_err(|error| Failure::usage(format!("--input {}: {error}", path.display())))?;
        return Ok(Input { path, planted: None });
    }
    let (path, seed, records) = (work.join("partners.csv"), args.seed, args.records);
    tokio::task::spawn_blocking(move || make(path, seed, records)).await.map_err(Failure::other)?
}

/// Makes the file of the next night in `work`; answers with it what a comparison of both nights has to find.
pub async fn prepare_next(args: &Args, work: &Path) -> Result<(PathBuf, Compared), Failure> {
    let (path, seed, records) = (work.join("partners-next-night.csv"), args.seed, args.records);
    tokio::task::spawn_blocking(move || make_next(path, seed, records)).await.map_err(Failure::other)?
}

fn make_next(path: PathBuf, seed: u64, records: u64) -> Result<(PathBuf, Compared), Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("can't write {}: {error}", path.display()));
    let mut writer = PartnerWriter::new(File::create(&path).map_err(failed)?).map_err(failed)?;
    let mut night = NextNight::of(&Generator::new(seed, records));
    for (partner, _) in night.by_ref() {
        writer.write(&partner).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok((path, night.compared()))
}

fn make(path: PathBuf, seed: u64, records: u64) -> Result<Input, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("can't write {}: {error}", path.display()));
    let mut writer = PartnerWriter::new(File::create(&path).map_err(failed)?).map_err(failed)?;
    let mut planted = Summary::default();
    for (partner, defects) in Generator::new(seed, records) {
        planted.add_planted(&partner, &defects);
        writer.write(&partner).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(Input { path, planted: Some(planted) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partners::PartnerReader;

    #[test]
    fn a_made_up_file_holds_its_records() {
        let directory = tempfile::tempdir().expect("a directory");
        let input = make(directory.path().join("partners.csv"), 7, 500).expect("a file");
        let rows: Vec<_> = PartnerReader::open(&input.path).expect("a header").collect();
        assert!(rows.len() == 500 && rows.iter().all(Result::is_ok));
        assert!(input.describe().starts_with("500 made-up business partners, "));
    }
}
