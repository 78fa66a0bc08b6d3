//! What can go wrong in a store, whichever driver it has.

use super::{MOST_ENTRIES, MOST_RECORDS};
use docket_contract::{Code, Error};

/// A failure of a store. What a caller asked for and is not there is no failure: it is a `None`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Nothing of the request was saved; reads go on.
    #[error("the disk is full")]
    Full,
    /// The file that holds the storage is damaged; only this storage is affected.
    #[error("the storage is damaged: {0}")]
    Damaged(String),
    /// The bounded queue of writes is full, or the write waited too long to begin. Nothing was saved.
    #[error("too many writes are waiting")]
    Overloaded,
    /// What was being read was deleted meanwhile.
    #[error("what was being read is gone")]
    Gone,
    /// A query for the newest results names more records, or would have to look at more results, than one may.
    #[error("the query names too many records or results")]
    TooMany,
    /// The store is being closed.
    #[error("the store is closing")]
    Closing,
    /// The new job depends on a job that is not there, or not the organization's; nothing was saved.
    #[error("dependency {0} is no job of the organization")]
    NoDependency(usize),
    /// Anything else; the text is for the log, not for clients.
    #[error("{0}")]
    Internal(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Error::new(Code::StorageFull, "The disk is full; nothing of this request was saved."),
            StoreError::Damaged(reason) => {
                tracing::error!(%reason, "storage damaged");
                Error::new(Code::StorageDamaged, "The file that holds this storage is damaged.")
            }
            StoreError::Overloaded => Error::new(Code::Overloaded, "Too many writes are waiting; nothing was saved."),
            StoreError::Gone => Error::new(Code::NotFound, "The results were deleted while they were read."),
            StoreError::TooMany => Error::new(
                Code::InvalidRequest,
                format!(
                    "The ids name more than {MOST_RECORDS} records, or more than {MOST_ENTRIES} results over all jobs: ask for \
                     fewer ids at a time."
                ),
            ),
            StoreError::Closing => Error::new(Code::ShuttingDown, "The server is stopping."),
            StoreError::NoDependency(index) => Error::field(
                format!("/jobDependencies/{index}/jobId"),
                "unknown_job",
                "is no job that can be waited for",
            ),
            StoreError::Internal(reason) => {
                tracing::error!(%reason, "store failed");
                Error::new(Code::Internal, "The server failed; its log has the reason.")
            }
        }
    }
}
