//! Which walks answer a list: the fewest jobs to look at.

use super::filter::Filter;
use super::walks::{self, Walk};
use crate::store::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, params};

/// By the primary key, as the following.
const ORGANIZATIONS: &str = "
    SELECT DISTINCT organization
    FROM job_count";
const FACETS: &str = "
    SELECT type, status, count
    FROM job_count
    WHERE organization = ?1";
const FACETS_OF_USER: &str = "
    SELECT type, status, count
    FROM job_user_count
    WHERE organization = ?1 AND user = ?2";
/// By `job_by_storage`.
const PROBE_STORAGE: &str = "
    SELECT count(*), min(seq), max(seq)
    FROM (
        SELECT seq
        FROM job INDEXED BY job_by_storage
        WHERE organization = ?1 AND storage = ?2
        ORDER BY seq DESC
        LIMIT ?3
    )";
/// By the primary key.
const PROBE_TAG: &str = "
    SELECT count(*), min(seq), max(seq)
    FROM (
        SELECT seq
        FROM job_tag
        WHERE organization = ?1 AND tag = ?2
        ORDER BY seq DESC
        LIMIT ?3
    )";
const LAST: &str = "
    SELECT coalesce(max(seq), 0)
    FROM job";

/// Entries that all probes of a list look at together.
const PROBED: i64 = 10_000;
/// A test that reads elsewhere costs about as much as this many steps within an index.
const LOOK_ELSEWHERE: i64 = 8;
/// From this number of walks on, walking all jobs of the organization is considered.
const MANY_WALKS: usize = 256;

/// One walk and what it tests on the way.
#[derive(Clone, Debug)]
pub(super) struct Arm {
    pub(super) walk: &'static Walk,
    pub(super) organization: i64,
    /// The rest of the index's key.
    pub(super) key: Vec<Value>,
}

/// The walks, and the tests that their indexes leave.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) arms: Vec<Arm>,
    pub(super) rest: Filter,
    /// How many jobs match, where the counters tell.
    pub(super) total: Option<i64>,
    /// Whether a job can stand in more than one walk.
    pub(super) overlap: bool,
}

/// Chooses the walks.
pub(super) fn choose(connection: &Connection, filter: Filter) -> Result<Plan, StoreError> {
    let organizations = match filter.organization {
        Some(organization) => vec![organization],
        None => organizations(connection)?,
    };
    let exact = filter.storage.is_none() && filter.tags.is_empty();
    let by_facet = by_facet(connection, &organizations, &filter)?;
    let facets = by_facet.count;
    let total = exact.then_some(facets);
    let all = !filter.has_facets();
    let mut best = if all { everything(&organizations, filter.organization.is_none(), facets) } else { by_facet };
    if best.arms.len() >= MANY_WALKS && facets.saturating_mul(20) >= jobs(connection, &organizations)? {
        best = everything(&organizations, filter.organization.is_none(), facets);
    }
    let last: i64 = connection.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
    let probes = (usize::from(filter.storage.is_some()) + filter.tags.len()) * organizations.len();
    let limit = (PROBED / i64::try_from(probes.max(1)).unwrap_or(PROBED)).max(100);
    let prober = Prober { connection, last, limit };
    best = best.with_tests(&filter);
    if let Some(storage) = &filter.storage {
        let storage = prober.candidate(&organizations, storage, PROBE_STORAGE, &walks::BY_STORAGE, Drives::Storage)?;
        best = best.or(storage.with_tests(&filter));
    }
    if filter.all_tags {
        for tag in &filter.tags {
            let drives = Drives::Tag(tag.clone());
            let tag = prober.candidate(&organizations, tag, PROBE_TAG, &walks::BY_TAG, drives)?;
            best = best.or(tag.with_tests(&filter));
        }
    } else if !filter.tags.is_empty() {
        let mut tags = Candidate { arms: Vec::new(), count: 0, cost: 0, drives: Drives::AnyTag };
        for tag in &filter.tags {
            let one = prober.candidate(&organizations, tag, PROBE_TAG, &walks::BY_TAG, Drives::AnyTag)?;
            tags.count = tags.count.saturating_add(one.count);
            tags.arms.extend(one.arms);
        }
        best = best.or(tags.with_tests(&filter));
    }
    let overlap = matches!(best.drives, Drives::AnyTag) && filter.tags.len() > 1;
    Ok(Plan { arms: best.arms, rest: best.drives.rest_of(filter), total, overlap })
}

/// What the index of a walk has tested already.
#[derive(Debug)]
enum Drives {
    Nothing,
    Facets,
    Storage,
    Tag(String),
    AnyTag,
}

impl Drives {
    fn rest_of(self, mut filter: Filter) -> Filter {
        match self {
            Drives::Nothing => {}
            Drives::Facets => {
                filter.user = None;
                filter.types = None;
                filter.statuses = None;
            }
            Drives::Storage => filter.storage = None,
            Drives::Tag(driving) => filter.tags.retain(|tag| *tag != driving),
            Drives::AnyTag => filter.tags.clear(),
        }
        filter
    }
}

#[derive(Debug)]
struct Candidate {
    arms: Vec<Arm>,
    /// Jobs in the walks, about.
    count: i64,
    /// Steps that walking them takes, about.
    cost: i64,
    drives: Drives,
}

impl Candidate {
    /// Weighs the jobs by what their tests cost.
    fn with_tests(mut self, filter: &Filter) -> Self {
        let (storage, tags) = (filter.storage.is_some(), !filter.tags.is_empty());
        let elsewhere = match &self.drives {
            Drives::Nothing | Drives::Storage => tags,
            Drives::Facets => storage || tags,
            Drives::Tag(_) => storage || filter.tags.len() > 1,
            Drives::AnyTag => storage,
        };
        self.cost = self.count.saturating_mul(if elsewhere { LOOK_ELSEWHERE } else { 1 });
        self
    }

    fn or(self, other: Self) -> Self {
        if other.cost < self.cost { other } else { self }
    }
}

fn everything(organizations: &[i64], unscoped: bool, count: i64) -> Candidate {
    let arm = |walk, organization| Arm { walk, organization, key: Vec::new() };
    let arms = if unscoped {
        vec![arm(&walks::EVERYTHING, 0)]
    } else {
        organizations.iter().map(|organization| arm(&walks::BY_AGE, *organization)).collect()
    };
    Candidate { arms, count, cost: count, drives: Drives::Nothing }
}

/// A walk for each user, type and status that the filter admits and that has jobs.
fn by_facet(connection: &Connection, organizations: &[i64], filter: &Filter) -> Result<Candidate, StoreError> {
    let mut arms = Vec::new();
    let mut total = 0;
    for organization in organizations {
        let mut statement = connection.prepare_cached(if filter.user.is_some() { FACETS_OF_USER } else { FACETS })?;
        let mut rows = match filter.user {
            Some(user) => statement.query(params![organization, user])?,
            None => statement.query(params![organization])?,
        };
        while let Some(row) = rows.next()? {
            let (job_type, status, count): (i64, u8, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if !filter.admits(job_type, status) {
                continue;
            }
            let mut key = vec![Value::from(job_type), Value::from(i64::from(status))];
            key.extend(filter.user.map(Value::from));
            let walk = if filter.user.is_some() { &walks::BY_USER } else { &walks::BY_FACET };
            arms.push(Arm { walk, organization: *organization, key });
            total += count;
        }
    }
    Ok(Candidate { arms, count: total, cost: total, drives: Drives::Facets })
}

fn organizations(connection: &Connection) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(ORGANIZATIONS)?;
    let organizations = statement.query_map([], |row| row.get(0))?;
    Ok(organizations.collect::<Result<_, _>>()?)
}

fn jobs(connection: &Connection, organizations: &[i64]) -> Result<i64, StoreError> {
    Ok(by_facet(connection, organizations, &Filter::default())?.count)
}

/// Finds out how many entries an index has for a value, by a look at the newest ones.
struct Prober<'a> {
    connection: &'a Connection,
    last: i64,
    limit: i64,
}

impl Prober<'_> {
    fn candidate(
        &self,
        organizations: &[i64],
        value: &str,
        probe: &'static str,
        walk: &'static Walk,
        drives: Drives,
    ) -> Result<Candidate, StoreError> {
        let mut candidate = Candidate { arms: Vec::new(), count: 0, cost: 0, drives };
        for organization in organizations {
            let mut statement = self.connection.prepare_cached(probe)?;
            let (count, first, last): (i64, Option<i64>, Option<i64>) = statement
                .query_row(params![organization, value, self.limit], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
            let (Some(first), Some(last)) = (first, last) else { continue };
            let whole = count < self.limit;
            candidate.count += if whole { count } else { self.extrapolate(count, last - first) };
            let key = vec![Value::from(value.to_owned())];
            candidate.arms.push(Arm { walk, organization: *organization, key });
        }
        Ok(candidate)
    }

    /// As if the older jobs had the value as often as the newest.
    fn extrapolate(&self, count: i64, span: i64) -> i64 {
        count.saturating_mul((self.last / (span + 1)).max(1))
    }
}
