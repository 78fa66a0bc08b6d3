//! A plain list of jobs that filters as the trait says, to compare stores with.

use crate::store::{JobQuery, Scope, StoredJob};

/// Every job of a scope, newest first, with the total.
pub fn query(scope: Scope) -> JobQuery {
    JobQuery {
        scope,
        user: None,
        storage_id: None,
        types: Vec::new(),
        statuses: Vec::new(),
        tags: Vec::new(),
        all_tags: false,
        descending: true,
        after: None,
        limit: 100,
        with_total: true,
    }
}

/// Whether a query, apart from its page, asks for a job.
pub fn matches(query: &JobQuery, stored: &StoredJob) -> bool {
    let job = &stored.job;
    let has = |tag: &String| job.spec.tags.contains(tag);
    (match &query.scope {
        Scope::Organization(organization) => stored.organization == *organization,
        Scope::Everything => true,
    }) && query.user.as_ref().is_none_or(|user| job.user == *user)
        && query.storage_id.is_none() | (query.storage_id == job.spec.result_storage_id)
        && (query.types.is_empty() || job.spec.job_type.as_ref().is_some_and(|name| query.types.contains(name)))
        && (query.statuses.is_empty() || query.statuses.contains(&job.status))
        && match (query.tags.is_empty(), query.all_tags) {
            (true, _) => true,
            (false, true) => query.tags.iter().all(has),
            (false, false) => query.tags.iter().any(has),
        }
}
