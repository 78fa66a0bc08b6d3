//! Rows of policies and of rounds.

use super::super::names;
use super::super::rows::time;
use super::super::writer::Tx;
use crate::store::{Made, StoreError};
use docket_contract::Timestamp;
use docket_contract::retention::{PolicyKey, PolicySource, RetentionPolicy, RetentionRound, RetentionRule};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// By the primary key, as all of the following.
const PUT: &str = "
    INSERT INTO retention_policy (
        organization, storage, type, keep_days, keep_runs, keep_log_days, user, modified_at
    )
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (organization, storage, type) DO UPDATE
    SET keep_days = excluded.keep_days, keep_runs = excluded.keep_runs, keep_log_days = excluded.keep_log_days,
        user = excluded.user, modified_at = excluded.modified_at";
const COUNT: &str = "
    SELECT count(*)
    FROM retention_policy
    WHERE organization = ?1";
const READ: &str = "
    SELECT p.storage, p.type, p.keep_days, p.keep_runs, p.keep_log_days, u.text, p.modified_at
    FROM retention_policy AS p
        JOIN name AS u ON u.id = p.user
    WHERE p.organization = ?1 AND p.storage = ?2 AND p.type = ?3";
const LIST: &str = "
    SELECT p.storage, p.type, p.keep_days, p.keep_runs, p.keep_log_days, u.text, p.modified_at
    FROM retention_policy AS p
        JOIN name AS u ON u.id = p.user
    WHERE p.organization = (SELECT id FROM name WHERE text = ?1)
    ORDER BY p.storage, p.type";
const DELETE: &str = "
    DELETE FROM retention_policy
    WHERE organization = ?1 AND storage = ?2 AND type = ?3";
const SAVE_ROUND: &str = "
    INSERT OR REPLACE INTO retention_round (organization, started_at, ended_at, jobs, results, log_entries, error)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const LAST_ROUND: &str = "
    SELECT started_at, ended_at, jobs, results, log_entries, error
    FROM retention_round
    WHERE organization = (SELECT id FROM name WHERE text = ?1)";
/// By the primary keys of `job_count` and `retention_policy`, from end to end, as all keys: there are few of each.
const ORGANIZATIONS: &str = "
    SELECT organization
    FROM (
        SELECT text AS organization
        FROM name
        WHERE id IN (SELECT organization FROM job_count UNION SELECT organization FROM retention_policy)
        UNION
        SELECT organization
        FROM key
    )
    WHERE organization > ?1
    ORDER BY organization
    LIMIT ?2";

/// How the rows write a key.
fn row_key(key: &PolicyKey) -> (&str, &str) {
    (key.0.as_deref().unwrap_or_default(), key.1.as_deref().unwrap_or_default())
}

/// Stores a policy, unless it is one too many.
pub(super) fn put(
    tx: &mut Tx<'_>,
    organization: &str,
    rule: &RetentionRule,
    made: &Made,
    most: usize,
) -> Result<Option<RetentionPolicy>, StoreError> {
    let number = tx.names.number(tx.connection, organization)?;
    let key = rule.key();
    let (storage, job_type) = row_key(&key);
    if read(tx.connection, number, &key)?.is_none() {
        let count: i64 = tx.connection.prepare_cached(COUNT)?.query_row(params![number], |row| row.get(0))?;
        if count >= i64::try_from(most).unwrap_or(i64::MAX) {
            return Ok(None);
        }
    }
    let user = tx.names.number(tx.connection, &made.user)?;
    let row = params![
        number,
        storage,
        job_type,
        rule.keep_days,
        rule.keep_runs,
        rule.keep_log_days,
        user,
        made.at.as_millis()
    ];
    tx.connection.prepare_cached(PUT)?.execute(row)?;
    read(tx.connection, number, &key)
}

/// Removes a policy.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    organization: &str,
    key: &PolicyKey,
) -> Result<Option<RetentionPolicy>, StoreError> {
    let Some(number) = names::find(tx.connection, organization)? else { return Ok(None) };
    let before = read(tx.connection, number, key)?;
    let (storage, job_type) = row_key(key);
    tx.connection.prepare_cached(DELETE)?.execute(params![number, storage, job_type])?;
    Ok(before)
}

fn read(connection: &Connection, organization: i64, key: &PolicyKey) -> Result<Option<RetentionPolicy>, StoreError> {
    let (storage, job_type) = row_key(key);
    let mut statement = connection.prepare_cached(READ)?;
    Ok(statement.query_row(params![organization, storage, job_type], policy).optional()?)
}

/// The policies of an organization.
pub(super) fn list(connection: &Connection, organization: &str) -> Result<Vec<RetentionPolicy>, StoreError> {
    let mut statement = connection.prepare_cached(LIST)?;
    let policies = statement.query_map(params![organization], policy)?;
    Ok(policies.collect::<Result<_, _>>()?)
}

/// Organizations behind a name.
pub(super) fn organizations(connection: &Connection, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(ORGANIZATIONS)?;
    let found = statement.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Stores how a round stands.
pub(super) fn save_round(tx: &mut Tx<'_>, organization: &str, round: &RetentionRound) -> Result<(), StoreError> {
    let number = tx.names.number(tx.connection, organization)?;
    let row = params![
        number,
        round.started_at.as_millis(),
        round.ended_at.map(Timestamp::as_millis),
        round.jobs,
        round.results,
        round.log_entries,
        round.error,
    ];
    tx.connection.prepare_cached(SAVE_ROUND)?.execute(row)?;
    Ok(())
}

/// The last round of an organization.
pub(super) fn last_round(connection: &Connection, organization: &str) -> Result<Option<RetentionRound>, StoreError> {
    let round = |row: &Row<'_>| {
        Ok(RetentionRound {
            started_at: Timestamp::from_millis(row.get(0)?),
            ended_at: time(row, 1)?,
            jobs: row.get(2)?,
            results: row.get(3)?,
            log_entries: row.get(4)?,
            error: row.get(5)?,
        })
    };
    Ok(connection.prepare_cached(LAST_ROUND)?.query_row(params![organization], round).optional()?)
}

fn policy(row: &Row<'_>) -> rusqlite::Result<RetentionPolicy> {
    let given = |column| row.get(column).map(|text: String| Some(text).filter(|text| !text.is_empty()));
    Ok(RetentionPolicy {
        rule: RetentionRule {
            storage_id: given(0)?,
            job_type: given(1)?,
            keep_days: row.get(2)?,
            keep_runs: row.get(3)?,
            keep_log_days: row.get(4)?,
        },
        source: PolicySource::Api,
        user: Some(row.get(5)?),
        modified_at: time(row, 6)?,
    })
}
