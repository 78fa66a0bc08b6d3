//! The data plane: result sets in storages.

use super::{
    DataSubject, Erased, RemovedStep, Snapshot, SnapshotChunk, SnapshotQuery, SnapshotReader, Storages, StoreError,
};
use async_trait::async_trait;
use bytes::Bytes;
use docket_contract::cursor::Position;
use docket_contract::result::{Record, ResultStatus};
use docket_contract::{JobId, ProcessingLogId, Timestamp};
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// A storage of an organization. Both names are the caller's own strings and never reach the file system as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageKey {
    /// Whose storage.
    pub organization: String,
    /// Its id.
    pub storage_id: String,
}

/// Whose results a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SetOwner {
    /// Those of a job.
    Job(JobId),
    /// Those of a processing log. Which job wrote a record stands in the record.
    Log(ProcessingLogId),
}

impl SetOwner {
    /// As drivers store it: of a job its UUID; of a log its number in the first byte, and zeros, which is no UUID of a
    /// job.
    pub fn to_bytes(self) -> [u8; 16] {
        match self {
            Self::Job(job) => job.0.into_bytes(),
            Self::Log(log) => std::array::from_fn(|place| if place == 0 { log.number() } else { 0 }),
        }
    }

    /// What was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let log = match bytes {
            [number, rest @ ..] if rest == [0; 15] => ProcessingLogId::from_number(number),
            _ => None,
        };
        log.map_or(Self::Job(JobId(Uuid::from_bytes(bytes))), Self::Log)
    }
}

/// One set of results in one storage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetKey {
    /// Where.
    pub storage: StorageKey,
    /// Whose.
    pub owner: SetOwner,
}

/// What became of the records of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
    /// Identities that were new.
    pub created: u32,
    /// Identities that were known, or came twice in the request.
    pub updated: u32,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first moment; `None` for no beginning.
    pub from: Option<Timestamp>,
    /// The first moment behind it; `None` for no end.
    pub to: Option<Timestamp>,
}

impl Span {
    /// Whether every moment lies in it.
    pub fn is_all(self) -> bool {
        self == Self::default()
    }

    /// Whether a moment lies in it.
    pub fn contains(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// Which results of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultFilter {
    /// One of these business partners; empty for any.
    pub business_partner_ids: Vec<String>,
    /// One of these external ids; empty for any.
    pub external_ids: Vec<String>,
    /// One of these data sources; empty for any.
    pub data_source_ids: Vec<String>,
    /// This verdict.
    pub status: Option<ResultStatus>,
    /// First written then.
    pub created: Span,
    /// Last written then.
    pub modified: Span,
}

impl ResultFilter {
    /// Whether it names identities, which are found through an index instead of by walking the set.
    pub fn has_identities(&self) -> bool {
        !self.business_partner_ids.is_empty() || !self.external_ids.is_empty()
    }

    /// Whether it asks for times, by which nothing is counted and nothing found through an index.
    pub fn has_times(&self) -> bool {
        !(self.created.is_all() && self.modified.is_all())
    }
}

/// A page to read.
#[derive(Clone, Debug)]
pub struct PageQuery {
    /// Which results.
    pub filter: ResultFilter,
    /// Only results behind this id.
    pub after: Position,
    /// At most this many.
    pub limit: usize,
    /// The members of the JSON in `resultData` to keep; `None` for all. Without a single one `resultData` is left out.
    pub include_fields: Option<Arc<[String]>>,
}

/// Records that a query for the newest results may name: more are refused.
pub const MOST_RECORDS: usize = 10_000;
/// Results, newest or not, that a query for the newest ones may have to look at: more are refused. The driver in memory
/// does not count them.
pub const MOST_ENTRIES: usize = 4_000_000;

/// Which newest results to read, over all jobs of a storage. Records of processing logs do not count.
///
/// A record is what the identity of a result says: all of it but the job. Of its results in all jobs the one that was
/// written last is its newest: the one that was saved last, which is the one with the latest `modifiedAt` unless requests
/// overtook each other. `jobs` says which results there are, the other filters which of the newest ones are wanted.
#[derive(Clone, Debug, Default)]
pub struct LastQuery {
    /// One of these business partners; empty for any, unless `external_ids` is empty as well.
    pub business_partner_ids: Vec<String>,
    /// One of these external ids.
    pub external_ids: Vec<String>,
    /// Results of these jobs only.
    pub jobs: Option<Arc<HashSet<JobId>>>,
    /// The newest result has one of these data sources; empty for any.
    pub data_source_ids: Vec<String>,
    /// The newest result has this verdict.
    pub status: Option<ResultStatus>,
    /// The members of the JSON in `resultData` to keep; `None` for all.
    pub include_fields: Option<Arc<[String]>>,
    /// At most so many, those that were written last.
    pub limit: usize,
}

/// A part of a page: results as they are sent, separated by commas, without the brackets of the array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The JSON.
    pub bytes: Bytes,
    /// How many results.
    pub count: usize,
    /// The id of the last of them.
    pub last: Position,
}

/// A page being read. It holds no transaction between chunks: a slow client holds up nobody.
#[async_trait]
pub trait PageReader: Send {
    /// All results that match the filter, on this page or not. `None` for a filter by times alone: telling would need
    /// a look at every row.
    fn total(&self) -> Option<u64>;

    /// The next part, of about 256 KiB to 1 MiB (at least one result); `None` at the page's end.
    async fn next(&mut self) -> Result<Option<Chunk>, StoreError>;

    /// Once `next` has answered `None`: whether a result that matches stands behind the page's last one. A page of a
    /// filter by times alone may end early, with few results or none, when it has looked at very many rows; then this
    /// says that there may be one.
    fn has_more(&self) -> bool;

    /// Once `next` has answered `None`, and there is more: where the next page begins.
    fn reached(&self) -> Position;
}

/// Number of results that share data source, country and verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// The data source.
    pub data_source_id: Option<String>,
    /// The country, in capitals.
    pub country: Option<[u8; 2]>,
    /// The verdict.
    pub status: ResultStatus,
    /// How many; never 0.
    pub count: u64,
}

/// The data plane.
#[async_trait]
pub trait ResultStore: Send + Sync + 'static {
    /// Writes records; creates storage and set when they are new. All of the request is saved, or nothing.
    ///
    /// Ids grow with every record created within a storage and are never given twice, also after a deletion. An
    /// identity that the set knows keeps its id and `createdAt`. Of an identity that comes twice the last one counts.
    async fn upsert_results(&self, set: &SetKey, records: Vec<Record>, now: Timestamp) -> Result<Upserted, StoreError> {
        self.upsert_mirrored(set, None, records, now).await
    }

    /// As [`upsert_results`](ResultStore::upsert_results), and the same records into a processing log of the storage: in
    /// both or in neither. The log's records name the job whose set it is. What is told is what became of the set.
    async fn upsert_mirrored(
        &self,
        set: &SetKey,
        mirror: Option<ProcessingLogId>,
        records: Vec<Record>,
        now: Timestamp,
    ) -> Result<Upserted, StoreError>;

    /// Begins to read a page, by ascending id. An unknown storage or set reads as empty.
    async fn open_page(&self, set: &SetKey, query: PageQuery) -> Result<Box<dyn PageReader>, StoreError>;

    /// Begins to read a set, by ascending id, as it is now or was at an earlier moment. An unknown storage or set reads as
    /// empty now, and is gone at an earlier moment at which it was there.
    async fn open_snapshot(&self, set: &SetKey, query: SnapshotQuery) -> Result<Box<dyn SnapshotReader>, StoreError>;

    /// Results of a set as they were at a moment; `ids` ascend, and those that the set did not have are left out. To be
    /// asked for some hundred at a time.
    async fn read_at(&self, set: &SetKey, at: Snapshot, ids: Vec<Position>) -> Result<SnapshotChunk, StoreError>;

    /// The counters of a set; empty when it is unknown.
    async fn statistics(&self, set: &SetKey) -> Result<Vec<Tally>, StoreError>;

    /// The newest result of each record that a query names, by ascending id; `total` of the answer counts those beyond
    /// the limit as well. [`StoreError::TooMany`] when the query names too much.
    async fn last_results(&self, storage: &StorageKey, query: LastQuery) -> Result<Box<dyn PageReader>, StoreError>;

    /// The jobs that have results in a storage, at most `limit`; those that began to write last.
    async fn newest_jobs(&self, storage: &StorageKey, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// The newest result of a set: the one with the greatest id; none if the set is unknown. It costs one look.
    async fn last_result(&self, set: &SetKey) -> Result<Option<Position>, StoreError>;

    /// Removes the sets of all jobs of a storage: invisible at once, the space comes back behind. Processing logs stay,
    /// unless the storage is damaged, which is removed as a whole. Answers how many results there were.
    async fn delete_job_sets(&self, storage: &StorageKey) -> Result<u64, StoreError>;

    /// Removes one set: invisible at once, the space comes back behind. Answers how many results there were.
    async fn delete_set(&self, set: &SetKey) -> Result<u64, StoreError>;

    /// The storages of an organization. It looks at every storage of the server; one that can't be read does not keep the
    /// others from being told.
    async fn storages(&self, organization: &str) -> Result<Storages, StoreError>;

    /// Removes the results of a data subject from all sets of a storage, those of earlier moments included. Once it has
    /// answered, nobody reads them, also after a crash; the bytes of their texts are overwritten behind, as soon as no
    /// backup is copying them. A record that is written again afterwards is a new one. Answers the sets that had any, by
    /// ascending owner.
    async fn erase(&self, storage: &StorageKey, subject: &DataSubject) -> Result<Vec<Erased>, StoreError>;

    /// Removes, from a set, results behind `after` that were last written before a moment: one short step, so that
    /// writers go on in between. As [`erase`](ResultStore::erase) otherwise.
    async fn remove_older(&self, set: &SetKey, before: Timestamp, after: Position) -> Result<RemovedStep, StoreError>;

    /// Finishes what is in flight and closes every file.
    async fn close(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_come_back() {
        let jobs = [JobId::NONE, JobId(Uuid::from_u128(1)), JobId(Uuid::now_v7()), JobId(Uuid::from_u128(9 << 120))];
        let logs = ProcessingLogId::ALL.into_iter().map(SetOwner::Log);
        for owner in jobs.into_iter().map(SetOwner::Job).chain(logs) {
            assert_eq!(SetOwner::from_bytes(owner.to_bytes()), owner);
        }
    }
}
