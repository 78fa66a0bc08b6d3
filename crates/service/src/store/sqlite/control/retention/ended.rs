//! Walks of ended jobs, each by `job_ended` alone, which ends with `seq`.

use super::super::names;
use crate::store::{EndPosition, JobGroup, StoreError};
use docket_contract::{JobId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

/// The next type of a storage: a look at its first entry.
const NEXT_TYPE: &str = "
    SELECT ifnull(storage, ''), type, (SELECT text FROM name WHERE id = type)
    FROM job INDEXED BY job_ended
    WHERE organization = (SELECT id FROM name WHERE text = ?1) AND ifnull(storage, '') = ?2 AND type > ?3
        AND finished_at IS NOT NULL
    ORDER BY type
    LIMIT 1";
/// The next storage, with its first type: a look at its first entry.
const NEXT_STORAGE: &str = "
    SELECT ifnull(storage, ''), type, (SELECT text FROM name WHERE id = type)
    FROM job INDEXED BY job_ended
    WHERE organization = (SELECT id FROM name WHERE text = ?1) AND ifnull(storage, '') > ?2
        AND finished_at IS NOT NULL
    ORDER BY ifnull(storage, ''), type
    LIMIT 1";
const NEWEST: &str = "
    SELECT finished_at, seq
    FROM job INDEXED BY job_ended
    WHERE organization = (SELECT id FROM name WHERE text = ?1) AND ifnull(storage, '') = ?2 AND type = ?3
        AND finished_at IS NOT NULL AND (finished_at, seq) < (?4, ?5)
    ORDER BY finished_at DESC, seq DESC
    LIMIT 1 OFFSET ?6";
/// And the row of each for its id.
const JOBS: &str = "
    SELECT finished_at, seq, id
    FROM job INDEXED BY job_ended
    WHERE organization = (SELECT id FROM name WHERE text = ?1) AND ifnull(storage, '') = ?2 AND type = ?3
        AND finished_at IS NOT NULL AND (finished_at, seq) > (?4, ?5) AND (finished_at, seq) < (?6, ?7)
    ORDER BY finished_at, seq
    LIMIT ?8";
const COUNT: &str = "
    SELECT count(*)
    FROM (
        SELECT 1
        FROM job INDEXED BY job_ended
        WHERE organization = (SELECT id FROM name WHERE text = ?1) AND ifnull(storage, '') = ?2 AND type = ?3
            AND finished_at IS NOT NULL AND (finished_at, seq) < (?4, ?5)
        LIMIT ?6
    )";

/// How rows write the storage and type of a group; `None` if no job has the type.
fn key<'a>(connection: &Connection, group: &'a JobGroup) -> Result<Option<(&'a str, i64)>, StoreError> {
    let number = match &group.job_type {
        Some(job_type) => names::find(connection, job_type)?,
        None => Some(0),
    };
    Ok(number.map(|number| (group.storage_id.as_deref().unwrap_or_default(), number)))
}

fn place(position: EndPosition) -> i64 {
    i64::try_from(position.place).unwrap_or(i64::MAX)
}

fn position(row: &Row<'_>) -> rusqlite::Result<EndPosition> {
    let place: i64 = row.get(1)?;
    Ok(EndPosition { at: Timestamp::from_millis(row.get(0)?), place: place.unsigned_abs() })
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Pairs of storage and type behind one.
pub(super) fn groups(
    connection: &Connection,
    organization: &str,
    after: Option<&JobGroup>,
    limit: usize,
) -> Result<Vec<JobGroup>, StoreError> {
    let behind = after.map(|group| key(connection, group)).transpose()?.flatten();
    // Before the jobs that have neither.
    let (mut storage, mut number) =
        behind.map_or((String::new(), -1), |(storage, number)| (storage.to_owned(), number));
    let mut next_type = connection.prepare_cached(NEXT_TYPE)?;
    let mut next_storage = connection.prepare_cached(NEXT_STORAGE)?;
    let mut groups = Vec::new();
    while groups.len() < limit {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?));
        let mut next = next_type.query_row(params![organization, storage, number], pair).optional()?;
        if next.is_none() {
            next = next_storage.query_row(params![organization, storage], pair).optional()?;
        }
        let Some((reached, reached_number, job_type)) = next else { break };
        (storage, number) = (reached, reached_number);
        let storage_id = Some(storage.clone()).filter(|storage| !storage.is_empty());
        groups.push(JobGroup { organization: organization.to_owned(), storage_id, job_type });
    }
    Ok(groups)
}

/// The nth newest job before a position.
pub(super) fn newest(
    connection: &Connection,
    group: &JobGroup,
    before: Option<EndPosition>,
    nth: usize,
) -> Result<Option<EndPosition>, StoreError> {
    let Some((storage, job_type)) = key(connection, group)? else { return Ok(None) };
    let before = before.map_or((i64::MAX, i64::MAX), |before| (before.at.as_millis(), place(before)));
    let skipped = bound(nth.saturating_sub(1));
    let found = params![group.organization, storage, job_type, before.0, before.1, skipped];
    Ok(connection.prepare_cached(NEWEST)?.query_row(found, position).optional()?)
}

/// Jobs between two positions.
pub(super) fn jobs(
    connection: &Connection,
    group: &JobGroup,
    after: Option<EndPosition>,
    before: EndPosition,
    limit: usize,
) -> Result<Vec<(EndPosition, JobId)>, StoreError> {
    let Some((storage, job_type)) = key(connection, group)? else { return Ok(Vec::new()) };
    let after = after.map_or((i64::MIN, 0), |after| (after.at.as_millis(), place(after)));
    let (at, before) = (before.at.as_millis(), place(before));
    let found = params![group.organization, storage, job_type, after.0, after.1, at, before, bound(limit)];
    let mut statement = connection.prepare_cached(JOBS)?;
    let jobs = statement.query_map(found, |row| Ok((position(row)?, JobId(Uuid::from_bytes(row.get(2)?)))))?;
    Ok(jobs.collect::<Result<_, _>>()?)
}

/// How many jobs stand before a position, up to a limit.
pub(super) fn count(
    connection: &Connection,
    group: &JobGroup,
    before: EndPosition,
    limit: usize,
) -> Result<usize, StoreError> {
    let Some((storage, job_type)) = key(connection, group)? else { return Ok(0) };
    let found = params![group.organization, storage, job_type, before.at.as_millis(), place(before), bound(limit)];
    let count: i64 = connection.prepare_cached(COUNT)?.query_row(found, |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::control::SqliteControl;

    #[test]
    fn every_walk_begins_at_its_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.db");
        drop(SqliteControl::open(&path).expect("the file opens"));
        let connection = Connection::open(path).expect("a connection");
        for (statement, by) in [
            (NEXT_TYPE, "organization=? AND <expr>=? AND type>?"),
            (NEXT_STORAGE, "organization=? AND <expr>>?"),
            (NEWEST, "organization=? AND <expr>=? AND type=? AND finished_at>? AND finished_at<?"),
            (JOBS, "organization=? AND <expr>=? AND type=? AND finished_at>? AND finished_at<?"),
            (COUNT, "organization=? AND <expr>=? AND type=? AND finished_at>? AND finished_at<?"),
        ] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a plan");
            let mut rows = plan.raw_query();
            let mut steps = Vec::new();
            while let Some(row) = rows.next().expect("a step") {
                steps.push(row.get::<_, String>(3).expect("a text"));
            }
            assert!(steps.iter().any(|step| step.contains(&format!("job_ended ({by})"))), "{statement}: {steps:?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{statement}: {steps:?}");
        }
    }
}
