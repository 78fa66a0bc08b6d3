//! Single jobs: insert, read, change, delete, and the storages that they write to.

use super::attachments;
use super::counts::Owner;
use super::deliveries;
use super::events::{self, NewEvent};
use super::names;
use super::queue;
use super::rows::{self, Place};
use super::writer::Tx;
use crate::store::queue as turns;
use crate::store::{AttemptEnd, Changed, JobChange, NewJob, Scope, StoreError, StoredJob};
use docket_contract::history::Actor;
use docket_contract::job::JobSpec;
use docket_contract::{JobId, Status, Timestamp};
use rusqlite::{Connection, params};

const INSERT: &str = "
    INSERT INTO job (
        id, organization, user, type, storage, status, rank, created_at, modified_at, tagged, executor, ttl, schedule,
        slot
    )
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT (id) DO NOTHING";
const INSERT_BODY: &str = "
    INSERT INTO job_body (seq, spec, rerun_of, rerun_failed)
    VALUES (?1, ?2, ?3, ?4)";
const INSERT_TAG: &str = "
    INSERT OR IGNORE INTO job_tag (organization, tag, seq, user, type, status)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
/// By the primary key, as all of the following.
const CHANGE: &str = "
    UPDATE job
    SET modified_at = ?2, progress = coalesce(?3, progress), status_message = coalesce(?4, status_message)
    WHERE seq = ?1";
const CHANGE_RANK: &str = "
    UPDATE job
    SET rank = ?2
    WHERE seq = ?1";
const CHANGE_CANCEL: &str = "
    UPDATE job
    SET cancel_grace = ?2, cancel_reason = ?3
    WHERE seq = ?1";
const CHANGE_TAGGED: &str = "
    UPDATE job
    SET tagged = ?2
    WHERE seq = ?1";
const CHANGE_SPEC: &str = "
    UPDATE job_body
    SET spec = ?2
    WHERE seq = ?1";
const CHANGE_RESULT: &str = "
    UPDATE job_body
    SET result_data = ?2
    WHERE seq = ?1";
const DELETE: &str = "
    DELETE FROM job
    WHERE seq = ?1";
const DELETE_BODY: &str = "
    DELETE FROM job_body
    WHERE seq = ?1";
const DELETE_TAG: &str = "
    DELETE FROM job_tag
    WHERE organization = ?1 AND tag = ?2 AND seq = ?3";
const DELETE_STORAGES: &str = "
    DELETE FROM job_storage
    WHERE seq = ?1";
const NOTE_STORAGE: &str = "
    INSERT OR IGNORE INTO job_storage (seq, storage_id)
    VALUES (?1, ?2)";
const NOTED_STORAGES: &str = "
    SELECT storage_id
    FROM job_storage
    WHERE seq = ?1
    ORDER BY storage_id";

/// The spec as it is kept.
pub(super) fn encode(spec: &JobSpec) -> Result<String, StoreError> {
    serde_json::to_string(spec).map_err(|error| StoreError::Internal(format!("a spec can't be written: {error}")))
}

/// What became of a new job.
pub(super) enum Inserted {
    /// It is stored as it came.
    New,
    /// It is stored, or was already, and stands so.
    As(Box<StoredJob>),
    /// Nothing was stored: the dependency with this index is no job of the organization.
    NoDependency(usize),
}

/// Stores a job; `spec` is its encoded spec. A job that has the id already stays.
pub(super) fn insert(tx: &mut Tx<'_>, new: &NewJob, spec: &str) -> Result<Inserted, StoreError> {
    if !turns::is_held(new) {
        return match insert_row(tx, new, spec)? {
            Some(_) => Ok(Inserted::New),
            None => known(tx, new),
        };
    }
    if rows::find(tx.connection, &Scope::Everything, new.id)?.is_some() {
        return known(tx, new);
    }
    let dependencies = match turns::prepare(tx, new)? {
        Ok(dependencies) => dependencies,
        Err(index) => return Ok(Inserted::NoDependency(index)),
    };
    let Some(seq) = insert_row(tx, new, spec)? else { return known(tx, new) };
    turns::admit(tx, seq, new, dependencies)?;
    rows::read(tx.connection, seq).map(|stored| Inserted::As(Box::new(stored)))
}

/// The job that has the id of a new one already.
fn known(tx: &Tx<'_>, new: &NewJob) -> Result<Inserted, StoreError> {
    let scope = Scope::Organization(new.organization.clone());
    let taken = || StoreError::Internal("the id is that of another organization's job".to_owned());
    read(tx.connection, &scope, new.id)?.ok_or_else(taken).map(|stored| Inserted::As(Box::new(stored)))
}

/// Answers the place of the new row; `None` if the id is taken.
fn insert_row(tx: &mut Tx<'_>, new: &NewJob, spec: &str) -> Result<Option<i64>, StoreError> {
    let owner = Owner {
        organization: tx.names.number(tx.connection, &new.organization)?,
        user: tx.names.number(tx.connection, &new.user)?,
        job_type: match &new.spec.job_type {
            Some(job_type) => tx.names.number(tx.connection, job_type)?,
            None => 0,
        },
    };
    let inserted = tx.connection.prepare_cached(INSERT)?.execute(params![
        new.id.0.as_bytes(),
        owner.organization,
        owner.user,
        owner.job_type,
        new.spec.result_storage_id,
        new.status.number(),
        turns::rank(new.created_at, new.spec.priority),
        new.created_at.as_millis(),
        !new.spec.tags.is_empty(),
        new.spec.executor.unwrap_or_default().number(),
        new.spec.ttl_seconds_after_finished,
        new.scheduled.as_ref().map(|scheduled| scheduled.by.0.as_bytes()),
        new.scheduled.map(|scheduled| scheduled.slot.as_millis()),
    ])?;
    if inserted == 0 {
        return Ok(None);
    }
    let seq = tx.connection.last_insert_rowid();
    let rerun_of = new.rerun.as_ref().map(|rerun| rerun.of.0.as_bytes());
    let only_failed = new.rerun.is_some_and(|rerun| rerun.only_failed);
    tx.connection.prepare_cached(INSERT_BODY)?.execute(params![seq, spec, rerun_of, only_failed])?;
    insert_tags(tx, Place { seq, owner, status: new.status }, &new.spec.tags)?;
    tx.counts.add(owner, new.status);
    deliveries::insert_webhooks(tx, seq, &new.spec.webhooks)?;
    if let Some(cause) = new.first_cause() {
        let event = NewEvent {
            seq,
            organization: owner.organization,
            at: new.created_at,
            attempt: 0,
            from: Status::Persisted,
            to: new.status,
            cause,
            actor: &Actor::user(&new.user),
            message: None,
            exit_code: None,
            end: AttemptEnd::default(),
        };
        events::insert(tx, &event)?;
    }
    Ok(Some(seq))
}

/// One job of a scope.
pub(super) fn read(connection: &Connection, scope: &Scope, id: JobId) -> Result<Option<StoredJob>, StoreError> {
    rows::find(connection, scope, id)?.map(|place| rows::read(connection, place.seq)).transpose()
}

/// Changes a job apart from its status.
pub(super) fn change(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: JobId,
    change: &JobChange,
    now: Timestamp,
) -> Result<Changed, StoreError> {
    let Some(place) = rows::find(tx.connection, scope, id)? else { return Ok(Changed::NotFound) };
    let before = rows::read(tx.connection, place.seq)?;
    if !change.admits(&before.job) {
        return Ok(Changed::Refused(Box::new(before)));
    }
    let seq = place.seq;
    let narrow = params![seq, now.as_millis(), change.progress, change.status_message];
    tx.connection.prepare_cached(CHANGE)?.execute(narrow)?;
    if let Some(priority) = change.priority {
        let rank = turns::rank(before.job.created_at, Some(priority));
        tx.connection.prepare_cached(CHANGE_RANK)?.execute(params![seq, rank])?;
        queue::change_rank(tx, seq, rank)?;
    }
    if let Some(cancel) = &change.cancel {
        let cancel = params![seq, cancel.grace_period_seconds, cancel.reason];
        tx.connection.prepare_cached(CHANGE_CANCEL)?.execute(cancel)?;
    }
    if let Some(result_data) = &change.result_data {
        tx.connection.prepare_cached(CHANGE_RESULT)?.execute(params![seq, result_data])?;
    }
    change_spec(tx, place, before.job.spec, change)?;
    Ok(Changed::Done(Box::new(rows::read(tx.connection, seq)?)))
}

fn change_spec(tx: &mut Tx<'_>, place: Place, mut spec: JobSpec, change: &JobChange) -> Result<(), StoreError> {
    if !change.touches_spec() {
        return Ok(());
    }
    if let Some(tags) = &change.tags {
        delete_tags(tx, place, &spec.tags)?;
        insert_tags(tx, place, tags)?;
        tx.connection.prepare_cached(CHANGE_TAGGED)?.execute(params![place.seq, !tags.is_empty()])?;
    }
    change.apply(&mut spec);
    tx.connection.prepare_cached(CHANGE_SPEC)?.execute(params![place.seq, encode(&spec)?])?;
    Ok(())
}

/// Removes a job that has ended, and whose end is known to all that depended on it.
pub(super) fn delete(tx: &mut Tx<'_>, scope: &Scope, id: JobId) -> Result<Changed, StoreError> {
    let Some(place) = rows::find(tx.connection, scope, id)? else { return Ok(Changed::NotFound) };
    let Place { seq, owner, status } = place;
    let job = Box::new(rows::read(tx.connection, seq)?);
    if !status.is_terminal() || job.followed {
        return Ok(Changed::Refused(job));
    }
    for statement in [DELETE, DELETE_BODY, DELETE_STORAGES] {
        tx.connection.prepare_cached(statement)?.execute(params![seq])?;
    }
    delete_tags(tx, place, &job.job.spec.tags)?;
    events::delete(tx, seq)?;
    attachments::delete_all(tx, seq)?;
    deliveries::delete(tx, seq)?;
    tx.counts.remove(owner, status);
    Ok(Changed::Done(job))
}

fn insert_tags(tx: &Tx<'_>, place: Place, tags: &[String]) -> Result<(), StoreError> {
    let Place { seq, owner, status } = place;
    for tag in tags {
        let row = params![owner.organization, tag, seq, owner.user, owner.job_type, status.number()];
        tx.connection.prepare_cached(INSERT_TAG)?.execute(row)?;
    }
    Ok(())
}

fn delete_tags(tx: &Tx<'_>, place: Place, tags: &[String]) -> Result<(), StoreError> {
    for tag in tags {
        let row = params![place.owner.organization, tag, place.seq];
        tx.connection.prepare_cached(DELETE_TAG)?.execute(row)?;
    }
    Ok(())
}

/// Notes that a job writes to a storage; false if there is no such job.
pub(super) fn note_storage(tx: &mut Tx<'_>, id: JobId, storage_id: &str) -> Result<bool, StoreError> {
    let Some(place) = rows::find(tx.connection, &Scope::Everything, id)? else { return Ok(false) };
    tx.connection.prepare_cached(NOTE_STORAGE)?.execute(params![place.seq, storage_id])?;
    Ok(true)
}

/// The storages that a job has written to.
pub(super) fn noted_storages(connection: &Connection, id: JobId) -> Result<Vec<String>, StoreError> {
    let Some(place) = rows::find(connection, &Scope::Everything, id)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(NOTED_STORAGES)?;
    let storages = statement.query_map(params![place.seq], |row| row.get(0))?;
    Ok(storages.collect::<Result<_, _>>()?)
}

/// Those of some jobs that have a type: a look at each.
pub(super) fn of_type(
    connection: &Connection,
    scope: &Scope,
    mut ids: Vec<JobId>,
    job_type: &str,
) -> Result<Vec<JobId>, StoreError> {
    let Some(job_type) = names::find(connection, job_type)? else { return Ok(Vec::new()) };
    let mut failed = None;
    ids.retain(|id| match rows::find(connection, scope, *id) {
        Ok(place) => failed.is_none() && place.is_some_and(|place| place.owner.job_type == job_type),
        Err(error) => {
            failed.get_or_insert(error);
            false
        }
    });
    failed.map_or(Ok(ids), Err)
}
