//! The newest result of each record, over all jobs of a storage: a scan.

use super::{Kept, Row};
use crate::store::encode::Encoder;
use crate::store::{Chunk, LastQuery, MOST_RECORDS, PageReader, SetKey, SetOwner, StorageKey, StoreError};
use async_trait::async_trait;
use docket_contract::cursor::Position;
use docket_contract::result::{Identity, Record};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// A row, with its id and whose it is.
type Found = (u64, SetOwner, Arc<Row>);

fn is_named(query: &LastQuery, record: &Record) -> bool {
    let identity = &record.identity;
    let one_of =
        |ids: &[String], id: Option<&str>| ids.is_empty() || id.is_some_and(|id| ids.iter().any(|wanted| wanted == id));
    one_of(&query.business_partner_ids, identity.business_partner_id())
        && one_of(&query.external_ids, identity.external_id())
}

fn is_wanted(query: &LastQuery, record: &Record) -> bool {
    let source = record.identity.data_source_id();
    query.status.is_none_or(|status| status == record.status)
        && (query.data_source_ids.is_empty()
            || source.is_some_and(|source| query.data_source_ids.iter().any(|wanted| wanted == source)))
}

impl Kept {
    /// Finds what a query asks for: how many, and those that are told.
    fn newest(&self, storage: &StorageKey, query: &LastQuery) -> Result<(u64, Vec<Found>), StoreError> {
        let counts = |owner: &SetOwner| match owner {
            SetOwner::Job(job) => query.jobs.as_ref().is_none_or(|jobs| jobs.contains(job)),
            SetOwner::Log(_) => false,
        };
        let mut newest: HashMap<&Identity, Found> = HashMap::new();
        for (owner, set) in self.storages.get(storage).into_iter().flatten().filter(|(owner, _)| counts(owner)) {
            for (id, row) in set.rows.iter().filter(|(_, row)| is_named(query, &row.record)) {
                match newest.entry(&row.record.identity) {
                    Entry::Occupied(mut known) => {
                        if known.get().2.written < row.written {
                            known.insert((*id, *owner, row.clone()));
                        }
                    }
                    Entry::Vacant(new) => drop(new.insert((*id, *owner, row.clone()))),
                }
                if newest.len() > MOST_RECORDS {
                    return Err(StoreError::TooMany);
                }
            }
        }
        let mut rows: Vec<Found> = newest.into_values().filter(|(_, _, row)| is_wanted(query, &row.record)).collect();
        let total = rows.len() as u64;
        rows.sort_unstable_by_key(|(_, _, row)| std::cmp::Reverse(row.written));
        rows.truncate(query.limit);
        rows.sort_unstable_by_key(|(id, ..)| *id);
        Ok((total, rows))
    }

    /// Reads them: rows are shared, so the answer holds no lock.
    pub(super) fn last_results(&self, storage: &StorageKey, query: LastQuery) -> Result<MemoryLast, StoreError> {
        let (total, rows) = self.newest(storage, &query)?;
        let (mut bytes, mut encoders) = (Vec::new(), HashMap::new());
        for (id, owner, row) in &rows {
            let encoder = encoders.entry(*owner).or_insert_with(|| {
                Encoder::new(&SetKey { storage: storage.clone(), owner: *owner }, query.include_fields.clone())
            });
            encoder.push(&mut bytes, *id, row.created_at, row.modified_at, row.record.json.as_bytes())?;
        }
        let chunk = rows.last().map(|(id, ..)| Chunk { bytes: bytes.into(), count: rows.len(), last: Position(*id) });
        Ok(MemoryLast { total, chunk })
    }
}

/// An answer, whole.
pub(super) struct MemoryLast {
    total: u64,
    chunk: Option<Chunk>,
}

#[async_trait]
impl PageReader for MemoryLast {
    fn total(&self) -> Option<u64> {
        Some(self.total)
    }

    async fn next(&mut self) -> Result<Option<Chunk>, StoreError> {
        Ok(self.chunk.take())
    }

    fn has_more(&self) -> bool {
        false
    }

    fn reached(&self) -> Position {
        Position::default()
    }
}
