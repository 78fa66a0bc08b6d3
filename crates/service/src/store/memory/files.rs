//! Files in memory.

use crate::store::disk::too_large;
use crate::store::files::{Content, FileStore, Written};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use docket_contract::{Code, Error, JobId};
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most bytes of all files.
const MOST_BYTES: usize = 256 << 20;

/// The files of jobs in memory.
#[derive(Default)]
pub struct MemoryFiles {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    files: BTreeMap<(JobId, String), Bytes>,
    bytes: usize,
    last: u64,
}

impl MemoryFiles {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it holds the lock half way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retain(&self, keep: impl Fn(&JobId, &str) -> bool) {
        let kept = &mut *self.lock();
        kept.files.retain(|(job, file), _| keep(job, file));
        kept.bytes = kept.files.values().map(Bytes::len).sum();
    }
}

#[async_trait]
impl FileStore for MemoryFiles {
    async fn write(&self, job: JobId, mut content: Content, most: u64) -> Result<Written, Error> {
        let full = || Error::new(Code::StorageFull, "There is no memory for more attachments.");
        let mut bytes = BytesMut::new();
        while let Some(piece) = content.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 > most {
                return Err(too_large(most));
            }
            if bytes.len() > MOST_BYTES {
                return Err(full());
            }
        }
        let mut kept = self.lock();
        if kept.bytes + bytes.len() > MOST_BYTES {
            return Err(full());
        }
        kept.bytes += bytes.len();
        kept.last += 1;
        let written = Written { file: kept.last.to_string(), size: bytes.len() as u64 };
        kept.files.insert((job, written.file.clone()), bytes.freeze());
        Ok(written)
    }

    async fn open(&self, job: JobId, file: &str) -> Result<Option<Content>, Error> {
        let found = self.lock().files.get(&(job, file.to_owned())).cloned();
        Ok(found.map(|bytes| stream::iter([Ok(bytes)]).boxed()))
    }

    async fn remove(&self, job: JobId, file: &str) -> Result<(), Error> {
        self.retain(|owner, name| (*owner, name) != (job, file));
        Ok(())
    }

    async fn remove_all(&self, job: JobId) -> Result<(), Error> {
        self.retain(|owner, _| *owner != job);
        Ok(())
    }

    async fn jobs(&self) -> Result<Vec<JobId>, Error> {
        let mut jobs: Vec<_> = self.lock().files.keys().map(|(job, _)| *job).collect();
        jobs.dedup();
        Ok(jobs)
    }

    async fn earlier(&self, _: JobId) -> Result<Vec<String>, Error> {
        // Nothing outlives the process.
        Ok(Vec::new())
    }
}
