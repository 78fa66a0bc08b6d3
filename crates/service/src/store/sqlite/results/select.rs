//! What a filter selects: by tags, by times, and by ids that the index finds.

use super::file::StorageFile;
use super::keys::{Hasher, Kind, Tag, id_key};
use super::segment::Segment;
use super::sequences::Sequences;
use super::sql;
use super::walk::{self, Row};
use crate::store::{ResultFilter, Span, StoreError};
use docket_contract::result::ResultStatus;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// Which tags pass.
#[derive(Clone, Default)]
pub struct TagFilter {
    sources: Sources,
    status: Option<ResultStatus>,
}

/// Which data sources pass.
#[derive(Clone, Default)]
enum Sources {
    #[default]
    Any,
    One(u64),
    /// In ascending order.
    Some(Arc<[u64]>),
}

/// When rows must have been first and last written.
#[derive(Clone, Copy)]
pub struct TimeFilter {
    pub created: Span,
    pub modified: Span,
}

impl TimeFilter {
    /// What a filter says of times; `None` if nothing.
    pub fn of(filter: &ResultFilter) -> Option<Self> {
        filter.has_times().then_some(Self { created: filter.created, modified: filter.modified })
    }

    /// Drops the rows that do not pass.
    pub fn thin(self, segment: &Segment, rows: &mut Vec<Row>) -> Result<(), StoreError> {
        walk::keep_written_in(segment, (self.created, self.modified), rows)
    }
}

impl TagFilter {
    /// What a filter says of tags; `None` if no tag can pass.
    pub fn of(connection: &Connection, filter: &ResultFilter) -> Result<Option<Self>, StoreError> {
        let mut numbers = Vec::with_capacity(filter.data_source_ids.len());
        for name in &filter.data_source_ids {
            let mut statement = connection.prepare_cached(sql::SOURCE_NO)?;
            let no = statement.query_row([name], |row| row.get::<_, i64>(0)).optional()?;
            numbers.extend(no.map(|no| no as u64));
        }
        numbers.sort_unstable();
        let sources = match numbers.as_slice() {
            _ if filter.data_source_ids.is_empty() => Sources::Any,
            [] => return Ok(None),
            [one] => Sources::One(*one),
            some => Sources::Some(some.into()),
        };
        Ok(Some(Self { sources, status: filter.status }))
    }

    pub fn passes(&self, tag: Tag) -> bool {
        let source = match &self.sources {
            Sources::Any => true,
            Sources::One(source) => *source == tag.source(),
            Sources::Some(sources) => sources.binary_search(&tag.source()).is_ok(),
        };
        source && self.status.is_none_or(|status| status == tag.status())
    }
}

/// The sequences that may hold ids that a filter asks for.
pub fn candidates(
    connection: &Connection,
    file: &StorageFile,
    set_no: u64,
    filter: &ResultFilter,
) -> Result<Sequences, StoreError> {
    let mut hasher = file.hasher.clone();
    let mut look_up = |kind, ids: &[String]| -> Result<Option<Sequences>, StoreError> {
        if ids.is_empty() {
            return Ok(None);
        }
        look_up(connection, file, &mut hasher, kind, set_no, ids).map(Some)
    };
    let partners = look_up(Kind::BusinessPartner, &filter.business_partner_ids)?;
    let externals = look_up(Kind::ExternalId, &filter.external_ids)?;
    Ok(match (partners, externals) {
        (Some(one), Some(other)) => one.and(&other),
        (one, other) => one.or(other).unwrap_or_default(),
    })
}

/// The sequences that may hold one of the ids.
fn look_up(
    connection: &Connection,
    file: &StorageFile,
    hasher: &mut Hasher,
    kind: Kind,
    set_no: u64,
    ids: &[String],
) -> Result<Sequences, StoreError> {
    let mut keys: Vec<u64> = ids.iter().map(|id| id_key(hasher.head(kind, id), set_no)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut sequences = Sequences::default();
    file.index.find(connection, &keys, |_, sequence| sequences.push(sequence))?;
    Ok(sequences.sorted())
}
