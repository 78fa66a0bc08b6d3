//! What is known of attachments; their content lies in files.

use super::rows;
use super::writer::Tx;
use crate::store::{Attached, NewAttachment, Scope, StoreError, StoredAttachment};
use docket_contract::job::Attachment;
use docket_contract::{JobId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Deserialize;

// All by the primary key.
const PUT: &str = "
    INSERT INTO attachment (seq, name, content_type, size, created_at, file)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (seq, name) DO UPDATE
    SET content_type = excluded.content_type, size = excluded.size, created_at = excluded.created_at,
        file = excluded.file";
const COUNT: &str = "
    SELECT count(*)
    FROM attachment
    WHERE seq = ?1";
const READ: &str = "
    SELECT name, content_type, size, created_at, file
    FROM attachment
    WHERE seq = ?1 AND name = ?2";
const FILES: &str = "
    SELECT file
    FROM attachment
    WHERE seq = ?1";
const DELETE: &str = "
    DELETE FROM attachment
    WHERE seq = ?1 AND name = ?2";
const DELETE_ALL: &str = "
    DELETE FROM attachment
    WHERE seq = ?1";

/// Names an attachment's file, in place of the one that has the name already.
pub(super) fn put(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: JobId,
    new: &NewAttachment,
    most: usize,
) -> Result<Attached, StoreError> {
    let Some(place) = rows::find(tx.connection, scope, id)? else { return Ok(Attached::NotFound) };
    let job = rows::read(tx.connection, place.seq)?;
    if !new.admits(&job.job) {
        return Ok(Attached::Refused(Box::new(job)));
    }
    let Attachment { name, content_type, size, created_at } = &new.attachment;
    let before = find(tx.connection, place.seq, name)?;
    let count: i64 = tx.connection.prepare_cached(COUNT)?.query_row(params![place.seq], |row| row.get(0))?;
    if before.is_none() && count.unsigned_abs() >= most as u64 {
        return Ok(Attached::TooMany);
    }
    let row = params![place.seq, name, content_type, size, created_at.as_millis(), new.file];
    tx.connection.prepare_cached(PUT)?.execute(row)?;
    Ok(Attached::Done { replaced: before.map(|before| before.file) })
}

/// One attachment of a job of the scope.
pub(super) fn read(
    connection: &Connection,
    scope: &Scope,
    id: JobId,
    name: &str,
) -> Result<Option<StoredAttachment>, StoreError> {
    let Some(place) = rows::find(connection, scope, id)? else { return Ok(None) };
    find(connection, place.seq, name)
}

/// Forgets an attachment; answers it as it was.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: JobId,
    name: &str,
) -> Result<Option<StoredAttachment>, StoreError> {
    let Some(place) = rows::find(tx.connection, scope, id)? else { return Ok(None) };
    let found = find(tx.connection, place.seq, name)?;
    tx.connection.prepare_cached(DELETE)?.execute(params![place.seq, name])?;
    Ok(found)
}

/// Forgets all attachments of a job.
pub(super) fn delete_all(tx: &mut Tx<'_>, seq: i64) -> Result<(), StoreError> {
    tx.connection.prepare_cached(DELETE_ALL)?.execute(params![seq])?;
    Ok(())
}

/// The files of a job's attachments.
pub(super) fn files(connection: &Connection, id: JobId) -> Result<Vec<String>, StoreError> {
    let Some(place) = rows::find(connection, &Scope::Everything, id)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(FILES)?;
    let files = statement.query_map(params![place.seq], |row| row.get(0))?;
    Ok(files.collect::<Result<_, _>>()?)
}

fn find(connection: &Connection, seq: i64, name: &str) -> Result<Option<StoredAttachment>, StoreError> {
    let mut statement = connection.prepare_cached(READ)?;
    let found = statement.query_row(params![seq, name], |row| {
        let created_at = Timestamp::from_millis(row.get(3)?);
        let attachment = Attachment { name: row.get(0)?, content_type: row.get(1)?, size: row.get(2)?, created_at };
        Ok(StoredAttachment { attachment, file: row.get(4)? })
    });
    Ok(found.optional()?)
}

/// The attachments in a column that a `stored!` statement gathers as JSON.
pub(super) fn gathered(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Attachment>> {
    /// Name, type, size, and milliseconds since 1970.
    #[derive(Deserialize)]
    struct Gathered(String, String, i64, i64);

    let text = row.get_ref(column)?.as_str()?;
    if text == "[]" {
        return Ok(Vec::new());
    }
    let wrong = |error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error));
    let gathered: Vec<Gathered> = serde_json::from_str(text).map_err(wrong)?;
    let attachment = |Gathered(name, content_type, size, created_at)| Attachment {
        name,
        content_type,
        size,
        created_at: Timestamp::from_millis(created_at),
    };
    Ok(gathered.into_iter().map(attachment).collect())
}
