//! Keys.

use super::rows::{organization, time};
use super::writer::Tx;
use crate::store::{Scope, StoreError, StoredKey};
use docket_contract::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

const INSERT: &str = "
    INSERT INTO key (id, hash, organization, role, user, created_at, revoked_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// By the primary key.
const READ: &str = "
    SELECT id, hash, organization, role, user, created_at, revoked_at
    FROM key
    WHERE id = ?1";
/// Reads the table: keys are few.
const LIST: &str = "
    SELECT id, hash, organization, role, user, created_at, revoked_at
    FROM key
    WHERE ?1 IS NULL OR organization = ?1
    ORDER BY created_at, id";
/// By the primary key.
const REVOKE: &str = "
    UPDATE key
    SET revoked_at = coalesce(revoked_at, ?3)
    WHERE id = ?2 AND (?1 IS NULL OR organization = ?1)";
/// Reads the table up to the first one.
const ANY: &str = "
    SELECT EXISTS (
        SELECT 1
        FROM key
    )";

/// Stores a key.
pub(super) fn insert(tx: &mut Tx<'_>, key: &StoredKey) -> Result<(), StoreError> {
    tx.connection.prepare_cached(INSERT)?.execute(params![
        key.id,
        key.hash,
        key.organization,
        key.role.name(),
        key.user,
        key.created_at.as_millis(),
        key.revoked_at.map(Timestamp::as_millis),
    ])?;
    Ok(())
}

/// One key.
pub(super) fn read(connection: &Connection, id: &str) -> Result<Option<StoredKey>, StoreError> {
    Ok(connection.prepare_cached(READ)?.query_row(params![id], key).optional()?)
}

/// The keys of a scope, oldest first.
pub(super) fn list(connection: &Connection, scope: &Scope) -> Result<Vec<StoredKey>, StoreError> {
    let mut statement = connection.prepare_cached(LIST)?;
    let keys = statement.query_map(params![organization(scope)], key)?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Revokes a key; one that is revoked keeps its time.
pub(super) fn revoke(tx: &mut Tx<'_>, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let row = params![organization(scope), id, now.as_millis()];
    Ok(tx.connection.prepare_cached(REVOKE)?.execute(row)? == 1)
}

/// Whether any key is valid.
pub(super) fn any(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(ANY)?.query_row([], |row| row.get(0))?)
}

fn key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let role = row.get_ref(3)?.as_str()?.parse().map_err(|error: String| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(StoredKey {
        id: row.get(0)?,
        hash: row.get(1)?,
        organization: row.get(2)?,
        role,
        user: row.get(4)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        revoked_at: time(row, 6)?,
    })
}
