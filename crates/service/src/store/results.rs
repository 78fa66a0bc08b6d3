//! The data plane: result sets in storages.

use super::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use docket_contract::cursor::Position;
use docket_contract::result::{Record, ResultStatus};
use docket_contract::{JobId, Timestamp};
use std::sync::Arc;

/// A storage of an organization. Both names are the caller's own strings and never reach the file system as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageKey {
    /// Whose storage.
    pub organization: String,
    /// Its id.
    pub storage_id: String,
}

/// The results of one job in one storage. (A processing log will be another kind of set.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetKey {
    /// Where.
    pub storage: StorageKey,
    /// Whose.
    pub job: JobId,
}

/// What became of the records of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
    /// Identities that were new.
    pub created: u32,
    /// Identities that were known, or came twice in the request.
    pub updated: u32,
}

/// Which results of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultFilter {
    /// One of these business partners; empty for any.
    pub business_partner_ids: Vec<String>,
    /// One of these external ids; empty for any.
    pub external_ids: Vec<String>,
    /// This data source.
    pub data_source_id: Option<String>,
    /// This verdict.
    pub status: Option<ResultStatus>,
}

impl ResultFilter {
    /// Whether it names identities, which are found through an index instead of by walking the set.
    pub fn has_identities(&self) -> bool {
        !self.business_partner_ids.is_empty() || !self.external_ids.is_empty()
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
    /// The members of the JSON in `resultData` to keep; `None` for all.
    pub include_fields: Option<Arc<[String]>>,
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
    /// All results that match the filter, on this page or not.
    fn total(&self) -> u64;

    /// The next part, of about 256 KiB to 1 MiB (at least one result); `None` at the page's end.
    async fn next(&mut self) -> Result<Option<Chunk>, StoreError>;

    /// Once `next` has answered `None`: whether a result that matches stands behind the page's last one.
    fn has_more(&self) -> bool;
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
    async fn upsert_results(&self, set: &SetKey, records: Vec<Record>, now: Timestamp) -> Result<Upserted, StoreError>;

    /// Begins to read a page, by ascending id. An unknown storage or set reads as empty.
    async fn open_page(&self, set: &SetKey, query: PageQuery) -> Result<Box<dyn PageReader>, StoreError>;

    /// The counters of a set; empty when it is unknown.
    async fn statistics(&self, set: &SetKey) -> Result<Vec<Tally>, StoreError>;

    /// The newest result of a set: the one with the greatest id; none if the set is unknown. It costs one look.
    async fn last_result(&self, set: &SetKey) -> Result<Option<Position>, StoreError>;

    /// Removes a storage with all its sets: invisible at once, the space comes back behind. Answers how many results
    /// there were.
    async fn delete_storage(&self, storage: &StorageKey) -> Result<u64, StoreError>;

    /// Removes one set: invisible at once, the space comes back behind. Answers how many results there were.
    async fn delete_set(&self, set: &SetKey) -> Result<u64, StoreError>;

    /// Finishes what is in flight and closes every file.
    async fn close(&self);
}
