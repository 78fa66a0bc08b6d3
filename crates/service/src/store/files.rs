//! Files: what jobs attach. A file is written once, under a name that the store gives it, and never changed; the control
//! plane knows which files there are. One that it does not name was left by a crash, and is swept.

use async_trait::async_trait;
use bytes::Bytes;
use docket_contract::{Error, JobId};
use futures_util::stream::BoxStream;

/// The content of a file, piece by piece, as fast as it is taken.
pub type Content = BoxStream<'static, Result<Bytes, Error>>;

/// A file that has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The name that the store gave it; unique within the job, and safe as a file name.
    pub file: String,
    /// Its bytes.
    pub size: u64,
}

/// The files of jobs.
#[async_trait]
pub trait FileStore: Send + Sync + 'static {
    /// Writes a new file of a job; it is durable when its name is answered. Nothing is left of one that fails or whose
    /// writing is given up.
    ///
    /// # Errors
    /// `body_too_large` for more than `most` bytes, `storage_full`, and those of the content.
    async fn write(&self, job: JobId, content: Content, most: u64) -> Result<Written, Error>;

    /// Begins to read a file; none if it is not there. One that is removed meanwhile is read to its end.
    async fn open(&self, job: JobId, file: &str) -> Result<Option<Content>, Error>;

    /// Removes a file. Removing twice is no error.
    async fn remove(&self, job: JobId, file: &str) -> Result<(), Error>;

    /// Removes all files of a job.
    async fn remove_all(&self, job: JobId) -> Result<(), Error>;

    /// The jobs that have files.
    async fn jobs(&self) -> Result<Vec<JobId>, Error>;

    /// The files of a job that were written before this store was opened: those of a crash are among them.
    async fn earlier(&self, job: JobId) -> Result<Vec<String>, Error>;
}
