//! Checks the control plane as it is at one moment: the pages of its file, that what belongs to jobs belongs to jobs that
//! are there, and the counters against a recount.

use crate::store::StoreError;
use crate::store::sqlite::flaw::{Find, Part};
use crate::store::sqlite::snapshot::integrity;
use docket_contract::JobId;
use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

/// Tables whose rows belong to a job, by its `seq`.
const OF_JOBS: [&str; 9] = [
    "job_body",
    "job_tag",
    "job_storage",
    "event",
    "webhook",
    "attachment",
    "dependency",
    "gate_holder",
    "gate_waiter",
];

/// What each answers is wrong.
const CONTRADICTIONS: [(Part, &str); 4] = [
    (
        Part::References,
        "SELECT 'job ' || lower(hex(id)) || ' has no body'
        FROM job
        WHERE seq NOT IN (SELECT seq FROM job_body)",
    ),
    (
        Part::References,
        "SELECT 'a tag of job ' || lower(hex(job.id)) || ' stands under another status, user, type or organization'
        FROM job_tag JOIN job USING (seq)
        WHERE (job_tag.status, job_tag.user, job_tag.type, job_tag.organization)
            IS NOT (job.status, job.user, job.type, job.organization)",
    ),
    (
        Part::Counters,
        "WITH counted AS (
            SELECT organization, type, status, count(*) AS n FROM job GROUP BY organization, type, status
        )
        SELECT 'jobs of organization ' || organization || ' (' || coalesce(name.text, '') || '), type ' || type
            || ', status ' || status || ' are counted as ' || coalesce(job_count.count, 0) || ' and are '
            || coalesce(counted.n, 0)
        FROM counted FULL JOIN job_count USING (organization, type, status)
            LEFT JOIN name ON name.id = organization
        WHERE counted.n IS NOT job_count.count",
    ),
    (
        Part::Counters,
        "WITH counted AS (
            SELECT organization, user, type, status, count(*) AS n
            FROM job
            GROUP BY organization, user, type, status
        )
        SELECT 'jobs of user ' || user || ' of organization ' || organization || ', type ' || type || ', status '
            || status || ' are counted as ' || coalesce(job_user_count.count, 0) || ' and are '
            || coalesce(counted.n, 0)
        FROM counted FULL JOIN job_user_count USING (organization, user, type, status)
        WHERE counted.n IS NOT job_user_count.count",
    ),
];

const JOBS: &str = "SELECT count(*) FROM job";
/// By the unique index of `id`.
const JOB: &str = "SELECT 1 FROM job WHERE id = ?1";
/// By primary keys.
const ATTACHMENTS: &str = "
    SELECT job.id, attachment.name, attachment.size, attachment.file
    FROM attachment JOIN job USING (seq)
    ORDER BY seq, name";

/// What is known of a file that a job attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedFile {
    /// Whose it is.
    pub job: JobId,
    /// As the job calls it.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// The name of the file.
    pub file: String,
}

/// Checks the file; answers how many jobs it holds.
///
/// # Errors
/// What keeps the check from reading.
pub fn check(connection: &Connection, find: Find<'_>) -> Result<u64, StoreError> {
    for what in integrity(connection)? {
        find(Part::Database, what);
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        find(Part::References, format!("a row of {table} names one of {parent} that is not there"));
    }
    for table in OF_JOBS {
        let count = format!("SELECT count(*) FROM {table} WHERE seq NOT IN (SELECT seq FROM job)");
        let count: i64 = connection.query_row(&count, [], |row| row.get(0))?;
        if count > 0 {
            find(Part::References, format!("{count} rows of {table} belong to no job"));
        }
    }
    for (part, query) in CONTRADICTIONS {
        let mut statement = connection.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            find(part, row.get(0)?);
        }
    }
    let jobs: i64 = connection.query_row(JOBS, [], |row| row.get(0))?;
    Ok(jobs.unsigned_abs())
}

/// Whether a job is there.
pub fn has_job(connection: &Connection, job: JobId) -> Result<bool, StoreError> {
    let found = connection.prepare_cached(JOB)?.query_row([job.0.as_bytes()], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

/// Calls `visit` with every attachment.
pub fn each_attachment<E: From<StoreError>>(
    connection: &Connection,
    mut visit: impl FnMut(AttachedFile) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = connection.prepare(ATTACHMENTS).map_err(StoreError::from)?;
    let mut rows = statement.query([]).map_err(StoreError::from)?;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        let read = || -> Result<AttachedFile, rusqlite::Error> {
            let size: i64 = row.get(2)?;
            let job = JobId(Uuid::from_bytes(row.get(0)?));
            Ok(AttachedFile { job, name: row.get(1)?, size: size.unsigned_abs(), file: row.get(3)? })
        };
        visit(read().map_err(StoreError::from)?)?;
    }
    Ok(())
}

/// Whether an attachment is still known.
pub fn has_attachment(connection: &Connection, attached: &AttachedFile) -> Result<bool, StoreError> {
    let query = "SELECT file FROM attachment WHERE seq = (SELECT seq FROM job WHERE id = ?1) AND name = ?2";
    let mut statement = connection.prepare_cached(query)?;
    let file: Option<String> =
        statement.query_row((attached.job.0.as_bytes(), &attached.name), |row| row.get(0)).optional()?;
    Ok(file.as_ref() == Some(&attached.file))
}
