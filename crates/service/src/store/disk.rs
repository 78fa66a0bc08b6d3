//! Files in a directory: one directory a job, named by its id; in it the files, named by the run of the server that wrote
//! them and a number. What a client calls a file never reaches the file system.
//!
//! A file is synced, and the directories that name it, before its name is answered. It has its name from the beginning:
//! nobody looks at it before the control plane names it, and that comes last.

use super::files::{Content, FileStore, Written};
use async_trait::async_trait;
use bytes::BytesMut;
use docket_contract::{Code, Error, JobId};
use futures_util::{StreamExt, stream};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// How often a job's directory is made anew when it is removed under a file.
const TRIES: usize = 3;

/// Files in a directory.
pub struct DiskFiles {
    root: Arc<Path>,
    /// Tells the files of this run from those of earlier ones.
    run: String,
    next: AtomicU64,
}

impl DiskFiles {
    /// The files in `root`, which is made when it is missing (mode 0700). Blocks.
    pub fn open(root: &Path, run: Uuid) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        root.parent().map_or(Ok(()), sync)?;
        Ok(Self { root: root.into(), run: run.simple().to_string(), next: AtomicU64::new(0) })
    }

    fn directory(&self, job: JobId) -> PathBuf {
        self.root.join(job.0.simple().to_string())
    }
}

/// Makes a directory's entries durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a file in a job's directory, and the directory when it is missing.
fn create(root: &Path, directory: &Path, path: &Path) -> io::Result<File> {
    let mut tries = 0;
    loop {
        match DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => sync(root)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        tries += 1;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
            done => return done,
        }
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::new(Code::StorageFull, "The disk is full; nothing of this request was saved.")
        }
        _ => {
            tracing::error!(%error, "{what} failed");
            Error::new(Code::Internal, "The server failed; its log has the reason.")
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// A file that is being written. It is removed unless it is kept, also when its writer is given up.
struct Begun {
    path: Option<PathBuf>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // Not on this thread, which serves others. What is left all the same is swept at the next start.
            tokio::task::spawn_blocking(move || std::fs::remove_file(path));
        }
    }
}

#[async_trait]
impl FileStore for DiskFiles {
    async fn write(&self, job: JobId, mut content: Content, most: u64) -> Result<Written, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{number}", self.run);
        let directory = self.directory(job);
        let path = directory.join(&name);
        let mut begun = Begun { path: Some(path.clone()) };
        let (root, parent) = (Arc::clone(&self.root), directory.clone());
        let file = blocking(move || create(&root, &parent, &path)).await.map_err(failed("making an attachment"))?;
        let mut file = tokio::fs::File::from_std(file);
        let mut size = 0;
        while let Some(piece) = content.next().await {
            let piece = piece?;
            size += piece.len() as u64;
            if size > most {
                return Err(too_large(most));
            }
            file.write_all(&piece).await.map_err(failed("writing an attachment"))?;
        }
        file.flush().await.map_err(failed("writing an attachment"))?;
        file.sync_all().await.map_err(failed("syncing an attachment"))?;
        blocking(move || sync(&directory)).await.map_err(failed("syncing an attachment"))?;
        begun.path = None;
        Ok(Written { file: name, size })
    }

    async fn open(&self, job: JobId, file: &str) -> Result<Option<Content>, Error> {
        let file = match tokio::fs::File::open(self.directory(job).join(file)).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("opening an attachment")(error)),
        };
        let pieces = stream::try_unfold(file, |mut file| async move {
            let mut piece = BytesMut::with_capacity(PIECE);
            let read = file.read_buf(&mut piece).await.map_err(failed("reading an attachment"))?;
            Ok((read > 0).then(|| (piece.freeze(), file)))
        });
        Ok(Some(pieces.boxed()))
    }

    async fn remove(&self, job: JobId, file: &str) -> Result<(), Error> {
        let directory = self.directory(job);
        gone(tokio::fs::remove_file(directory.join(file)).await)?;
        // One that is not empty stays, and one that a new file needs is made again.
        let _ = tokio::fs::remove_dir(directory).await;
        Ok(())
    }

    async fn remove_all(&self, job: JobId) -> Result<(), Error> {
        gone(tokio::fs::remove_dir_all(self.directory(job)).await)
    }

    async fn jobs(&self) -> Result<Vec<JobId>, Error> {
        let root = Arc::clone(&self.root);
        let read = move || {
            let entries = std::fs::read_dir(root)?;
            let id = |entry: io::Result<std::fs::DirEntry>| -> io::Result<Option<JobId>> {
                let name = entry?.file_name();
                Ok(name.to_str().and_then(|name| Uuid::try_parse(name).ok()).map(JobId))
            };
            entries.filter_map(|entry| id(entry).transpose()).collect()
        };
        blocking(read).await.map_err(failed("listing attachments"))
    }

    async fn earlier(&self, job: JobId) -> Result<Vec<String>, Error> {
        let (directory, run) = (self.directory(job), format!("{}.", self.run));
        let read = move || {
            let mut names = Vec::new();
            let entries = match std::fs::read_dir(directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
                Err(error) => return Err(error),
            };
            for entry in entries {
                names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with(&run)));
            }
            Ok(names)
        };
        blocking(read).await.map_err(failed("listing attachments"))
    }
}

/// The answer to more bytes than there may be.
pub(super) fn too_large(most: u64) -> Error {
    Error::new(Code::BodyTooLarge, format!("The attachment must have at most {most} bytes."))
}

fn gone(removed: io::Result<()>) -> Result<(), Error> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("removing an attachment")(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::files::content;
    use std::time::Duration;
    use tempfile::TempDir;

    async fn open() -> (Arc<dyn FileStore>, TempDir) {
        let root = tempfile::tempdir().expect("a directory");
        let files = DiskFiles::open(&root.path().join("files"), Uuid::now_v7()).expect("opened");
        (Arc::new(files), root)
    }

    crate::files_suite!(open);

    fn names(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }

    #[tokio::test]
    async fn another_run_knows_what_is_not_its_own() {
        let root = tempfile::tempdir().expect("a directory");
        let open = || DiskFiles::open(root.path(), Uuid::now_v7()).expect("opened");
        let (job, first) = (JobId(Uuid::from_u128(1)), open());
        let file = first.write(job, content(&["x"]), 7).await.expect("written").file;
        let second = open();
        let own = second.write(job, content(&["y"]), 7).await.expect("written").file;
        assert_eq!(second.earlier(job).await, Ok(vec![file]));
        assert_eq!(first.earlier(job).await, Ok(vec![own]));
        assert_eq!(second.earlier(JobId(Uuid::from_u128(2))).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_file_that_is_given_up_is_removed() {
        let root = tempfile::tempdir().expect("a directory");
        let files = DiskFiles::open(root.path(), Uuid::now_v7()).expect("opened");
        let job = JobId(Uuid::from_u128(1));
        let endless = content(&["1234"]).chain(stream::pending()).boxed();
        let directory = files.directory(job);
        let wait_for = async |count: usize| {
            while names(&directory).len() != count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = files.write(job, endless, 7) => panic!("it never ends"),
            () = wait_for(1) => {}
        }
        wait_for(0).await;
    }
}
