//! The filter of a list in the numbers of the dictionary.

use super::{names, rows};
use crate::store::{JobQuery, StoreError};
use rusqlite::Connection;
use rusqlite::types::Value;

/// Which jobs; `None` and empty for any.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) organization: Option<i64>,
    pub(super) user: Option<i64>,
    pub(super) storage: Option<String>,
    /// Sorted.
    pub(super) types: Option<Vec<i64>>,
    /// A bit for each status.
    pub(super) statuses: Option<i64>,
    /// Each once.
    pub(super) tags: Vec<String>,
    pub(super) all_tags: bool,
}

impl Filter {
    /// Looks the names up; `None` if no job can match because a name is unknown.
    pub(super) fn resolve(connection: &Connection, query: &JobQuery) -> Result<Option<Self>, StoreError> {
        let mut filter = Self { storage: query.storage_id.clone(), all_tags: query.all_tags, ..Self::default() };
        if let Some(organization) = rows::organization(&query.scope) {
            filter.organization = names::find(connection, organization)?;
            if filter.organization.is_none() {
                return Ok(None);
            }
        }
        if let Some(user) = &query.user {
            filter.user = names::find(connection, user)?;
            if filter.user.is_none() {
                return Ok(None);
            }
        }
        if !query.types.is_empty() {
            let mut types = Vec::new();
            for job_type in &query.types {
                types.extend(names::find(connection, job_type)?);
            }
            if types.is_empty() {
                return Ok(None);
            }
            types.sort_unstable();
            filter.types = Some(types);
        }
        if !query.statuses.is_empty() {
            filter.statuses = Some(query.statuses.iter().fold(0, |bits, status| bits | 1 << status.number()));
        }
        filter.tags.clone_from(&query.tags);
        filter.tags.sort_unstable();
        filter.tags.dedup();
        Ok(Some(filter))
    }

    /// Whether it names users, types or statuses, for which there are counters.
    pub(super) fn has_facets(&self) -> bool {
        self.user.is_some() || self.types.is_some() || self.statuses.is_some()
    }

    /// Whether jobs of this type and status can match.
    pub(super) fn admits(&self, job_type: i64, status: u8) -> bool {
        self.types.as_ref().is_none_or(|types| types.binary_search(&job_type).is_ok())
            && self.statuses.is_none_or(|bits| bits >> status & 1 == 1)
    }

    /// The parameters ?4 to ?9 of a walk.
    pub(super) fn parameters(&self) -> [Value; 6] {
        let types = self.types.as_ref().map(|types| serde_json::json!(types).to_string());
        let tags = (!self.tags.is_empty()).then(|| serde_json::json!(self.tags).to_string());
        let needed = if self.all_tags { i64::try_from(self.tags.len()).unwrap_or(i64::MAX) } else { 1 };
        [self.user.into(), self.storage.clone().into(), self.statuses.into(), types.into(), tags.into(), needed.into()]
    }
}
