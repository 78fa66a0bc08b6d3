//! A file that is not whole yet: `FILE.part`, and for NDJSON beside it `FILE.part.json`, which says of what it is a part.
//!
//! What it says is written before the first line, and the file gets its name after its last: a command that is killed at any
//! point leaves either a part that can be gone on with, or one that is begun again.

use crate::failure::Failure;
use docket_client::last_id;
use memchr::memchr_iter;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are looked at a time.
const BLOCK: usize = 1 << 20;

/// Of what a file is a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The server.
    pub url: String,
    /// The fields of the request.
    pub request: Map<String, Value>,
    /// The moment.
    pub snapshot: String,
    /// Results in all, where that was known.
    pub total: Option<u64>,
}

/// A file on its way.
pub struct Part {
    name: PathBuf,
    part: PathBuf,
    state: PathBuf,
    file: Option<File>,
    /// Whole lines in it.
    pub lines: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// The id of its last line, when it was gone on with.
    pub last_id: Option<String>,
}

fn beside(name: &Path, ending: &str) -> PathBuf {
    let mut path = OsString::from(name);
    path.push(ending);
    path.into()
}

impl Part {
    /// A part of this file. Touches nothing yet.
    pub fn new(name: &Path) -> Self {
        let (part, state) = (beside(name, ".part"), beside(name, ".part.json"));
        Self { name: name.to_owned(), part, state, file: None, lines: 0, bytes: 0, last_id: None }
    }

    /// Goes on with what an earlier command left, if there is something; it must have been asked for the same.
    pub fn resume(&mut self, url: &str, request: &Map<String, Value>) -> Result<Option<State>, Failure> {
        let text = match fs::read(&self.state) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| self.wrong(&error))?,
        };
        let state: State = serde_json::from_slice(&text).map_err(|error| self.wrong(&error))?;
        if state.url != url || state.request != *request {
            let message = format!("{} is a part of something else; pull without --resume", self.part.display());
            return Err(Failure::usage(message));
        }
        let mut file = match OpenOptions::new().read(true).write(true).open(&self.part) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| self.wrong(&error))?,
        };
        let (lines, last_line, end) = measure(&mut file)?;
        file.set_len(end)?;
        let mut line = Vec::new();
        file.seek(SeekFrom::Start(last_line))?;
        (&mut file).take(end - last_line).read_to_end(&mut line)?;
        file.seek(SeekFrom::End(0))?;
        self.last_id = last_id(&line).map(str::to_owned);
        if lines > 0 && self.last_id.is_none() {
            return Err(self.wrong(&"its last line does not begin with an id"));
        }
        (self.lines, self.bytes, self.file) = (lines, end, Some(file));
        Ok(Some(state))
    }

    /// Begins anew. With a state it can be gone on with.
    pub fn begin(&mut self, state: Option<&State>) -> Result<(), Failure> {
        match fs::remove_file(&self.state) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.wrong(&error)),
            _ => {}
        }
        let file = File::create(&self.part).map_err(|error| self.wrong(&error))?;
        (self.lines, self.bytes, self.file) = (0, 0, Some(file));
        if let Some(state) = state {
            let aside = beside(&self.state, ".new");
            fs::write(&aside, serde_json::to_vec(state).map_err(Failure::other)?)?;
            fs::rename(&aside, &self.state)?;
        }
        Ok(())
    }

    /// Appends.
    pub fn write(&mut self, bytes: &[u8], lines: u64) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("the file was not begun")) };
        file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        self.lines += lines;
        Ok(())
    }

    /// The file is whole: it gets its name.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.sync_all()?;
        }
        fs::rename(&self.part, &self.name)?;
        match fs::remove_file(&self.state) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn wrong(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::usage(format!("{}: {error}", self.part.display()))
    }
}

/// How many whole lines a file has, where the last of them begins, and where it ends.
fn measure(file: &mut File) -> io::Result<(u64, u64, u64)> {
    let (mut block, mut place) = (vec![0; BLOCK], 0);
    let (mut lines, mut last_line, mut end) = (0, 0, 0);
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok((lines, last_line, end));
        }
        for newline in memchr_iter(b'\n', &block[..read]) {
            lines += 1;
            (last_line, end) = (end, place + newline as u64 + 1);
        }
        place += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_gone_on_with_behind_its_last_whole_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let name = directory.path().join("r.ndjson");
        let request = Map::from_iter([("storageId".to_owned(), Value::from("s"))]);
        let state =
            State { url: "u".to_owned(), request: request.clone(), snapshot: "mark".to_owned(), total: Some(3) };
        assert_eq!(Part::new(&name).resume("u", &request), Ok(None), "there is nothing");
        let mut part = Part::new(&name);
        part.begin(Some(&state)).expect("begun");
        part.write(b"{\"id\":\"7\"}\n{\"id\":\"12\"}\n{\"id\":\"1", 2).expect("written");
        drop(part);
        let mut part = Part::new(&name);
        assert_eq!(part.resume("u", &request), Ok(Some(state.clone())));
        assert_eq!((part.lines, part.last_id.as_deref(), part.bytes), (2, Some("12"), 23));
        part.write(b"{\"id\":\"13\"}\n", 1).expect("written");
        part.finish().expect("named");
        assert_eq!(fs::read(&name).expect("read"), b"{\"id\":\"7\"}\n{\"id\":\"12\"}\n{\"id\":\"13\"}\n");
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);

        let mut part = Part::new(&name);
        part.begin(Some(&state)).expect("begun");
        drop(part);
        let mut part = Part::new(&name);
        assert_eq!(part.resume("u", &request), Ok(Some(state)), "also before the first line");
        assert_eq!((part.lines, part.last_id.clone()), (0, None));
        assert_eq!(Part::new(&name).resume("other", &request).expect_err("another server").code, 2);
    }
}
