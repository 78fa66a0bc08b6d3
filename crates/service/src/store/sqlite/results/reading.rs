//! What a caller holds while it reads: a page or a snapshot, whose file may be closed and opened between two chunks.

use super::page::Reading;
use super::read;
use super::scan::Scan;
use super::slots::Slots;
use crate::store::{Chunk, PageReader, Snapshot, SnapshotChunk, SnapshotReader, StorageKey, StoreError};
use async_trait::async_trait;
use docket_contract::cursor::Position;
use std::sync::Arc;

/// A page being read.
pub struct SqlitePage<R> {
    pub slots: Arc<Slots>,
    pub storage: StorageKey,
    pub total: Option<u64>,
    /// `None` once the page has ended.
    pub page: Option<R>,
    /// What was read ahead.
    pub chunk: Option<Chunk>,
    pub more: bool,
    pub reached: Position,
}

#[async_trait]
impl<R: Reading> PageReader for SqlitePage<R> {
    fn total(&self) -> Option<u64> {
        self.total
    }

    async fn next(&mut self) -> Result<Option<Chunk>, StoreError> {
        if let Some(chunk) = self.chunk.take() {
            return Ok(Some(chunk));
        }
        let Some(mut page) = self.page.take() else { return Ok(None) };
        (self.more, self.reached) = (page.has_more(), page.reached());
        if page.has_ended() {
            return Ok(None);
        }
        let Some(file) = self.slots.existing(&self.storage).await? else { return Ok(None) };
        if file.base != page.base() {
            // The storage was deleted and made anew.
            return Ok(None);
        }
        let (page, chunk) = read(&self.slots, file, move |reader, file| {
            let chunk = page.read(reader, file)?;
            Ok((page, chunk))
        })
        .await?;
        (self.more, self.reached) = (page.has_more(), page.reached());
        self.page = chunk.is_some().then_some(page);
        Ok(chunk)
    }

    fn has_more(&self) -> bool {
        self.more
    }

    fn reached(&self) -> Position {
        self.reached
    }
}

/// A snapshot of a set that is not there.
pub struct Nothing;

#[async_trait]
impl SnapshotReader for Nothing {
    fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    fn total(&self) -> Option<u64> {
        Some(0)
    }

    async fn next(&mut self) -> Result<Option<SnapshotChunk>, StoreError> {
        Ok(None)
    }
}

/// A snapshot being read.
pub struct SqliteScan {
    pub slots: Arc<Slots>,
    pub storage: StorageKey,
    pub snapshot: Snapshot,
    pub total: Option<u64>,
    /// `None` once a part could not be read.
    pub scan: Option<Scan>,
}

#[async_trait]
impl SnapshotReader for SqliteScan {
    fn snapshot(&self) -> Snapshot {
        self.snapshot
    }

    fn total(&self) -> Option<u64> {
        self.total
    }

    async fn next(&mut self) -> Result<Option<SnapshotChunk>, StoreError> {
        loop {
            let Some(mut scan) = self.scan.take() else { return Err(StoreError::Gone) };
            if scan.ended {
                self.scan = Some(scan);
                return Ok(None);
            }
            let file = self.slots.existing(&self.storage).await?.ok_or(StoreError::Gone)?;
            if file.base != self.snapshot.storage {
                // The storage was deleted and made anew.
                return Err(StoreError::Gone);
            }
            let (scan, chunk) = read(&self.slots, file, move |reader, file| {
                let chunk = scan.read(reader, file)?;
                Ok((scan, chunk))
            })
            .await?;
            self.scan = Some(scan);
            // Nothing was found in many rows: a new turn, so that others have theirs.
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
    }
}
