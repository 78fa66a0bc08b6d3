//! The statements that walk an index of jobs in order of creation, and test each job on the way.
//!
//! An index that begins with the columns of an equality holds the jobs of each value in order of creation: such a walk
//! needs no sort and stops at the limit. `status IN (…)` would collect and sort all; so there is one walk a value, and
//! the walks are merged.
//!
//! Parameters: ?1 organization, ?2 behind this position, ?3 limit, ?4 user, ?5 storage, ?6 statuses as bits, ?7 types
//! and ?8 tags as JSON arrays, ?9 how many of the tags; from ?10 on the rest of the index's key. ?4 to ?8 are NULL where
//! nothing needs testing; then the row itself is not even read.

/// Tests of the job's columns.
macro_rules! facts {
    () => {
        "(?4 IS NULL OR j.user = ?4)
        AND (?5 IS NULL OR j.storage = ?5)
        AND (?6 IS NULL OR (?6 >> j.status) & 1)
        AND (?7 IS NULL OR j.type IN (SELECT value FROM json_each(?7)))"
    };
}

/// The test for tags, on the alias of the table that is walked.
#[rustfmt::skip]
macro_rules! tags {
    ($job:literal) => {
        concat!("(?8 IS NULL OR ?9 <= (
            SELECT count(*)
            FROM job_tag AS x
            WHERE x.organization = ", $job, ".organization
                AND x.tag IN (SELECT value FROM json_each(?8))
                AND x.seq = ", $job, ".seq
        ))")
    };
}

/// A walk in both directions, and its count.
#[rustfmt::skip]
macro_rules! walk {
    ($source:literal, $job:literal, $tests:expr) => {
        Walk {
            ascending: concat!("
    SELECT ", $job, ".seq
    FROM ", $source, "
        AND ", $job, ".seq > ?2
        AND ", $tests, "
        AND ", tags!($job), "
    ORDER BY ", $job, ".seq
    LIMIT ?3"),
            descending: concat!("
    SELECT ", $job, ".seq
    FROM ", $source, "
        AND ", $job, ".seq < ?2
        AND ", $tests, "
        AND ", tags!($job), "
    ORDER BY ", $job, ".seq DESC
    LIMIT ?3"),
            count: concat!("
    SELECT count(*)
    FROM ", $source, "
        AND ", $job, ".seq > ?2
        AND ", $tests, "
        AND ", tags!($job), "
        AND ?3"),
        }
    };
}

/// The statements of one walk.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) ascending: &'static str,
    pub(super) descending: &'static str,
    /// Counts the whole walk; ?3 is 1.
    pub(super) count: &'static str,
}

/// All jobs, by the primary key.
pub(super) static EVERYTHING: Walk = walk!("job AS j WHERE TRUE", "j", facts!());
/// By `job_by_age`.
pub(super) static BY_AGE: Walk = walk!("job AS j INDEXED BY job_by_age WHERE j.organization = ?1", "j", facts!());
/// By `job_by_facet`: type ?10, status ?11.
pub(super) static BY_FACET: Walk = walk!(
    "job AS j INDEXED BY job_by_facet WHERE j.organization = ?1 AND j.type = ?10 AND j.status = ?11",
    "j",
    facts!()
);
/// By `job_by_user`: type ?10, status ?11, user ?12.
pub(super) static BY_USER: Walk = walk!(
    "job AS j INDEXED BY job_by_user
    WHERE j.organization = ?1 AND j.user = ?12 AND j.type = ?10 AND j.status = ?11",
    "j",
    facts!()
);
/// By `job_by_storage`: storage ?10.
pub(super) static BY_STORAGE: Walk =
    walk!("job AS j INDEXED BY job_by_storage WHERE j.organization = ?1 AND j.storage = ?10", "j", facts!());
/// By the primary key of `job_tag`: tag ?10.
pub(super) static BY_TAG: Walk = walk!(
    "job_tag AS t WHERE t.organization = ?1 AND t.tag = ?10",
    "t",
    "(?4 IS NULL OR t.user = ?4)
        AND (?6 IS NULL OR (?6 >> t.status) & 1)
        AND (?7 IS NULL OR t.type IN (SELECT value FROM json_each(?7)))
        AND (?5 IS NULL OR EXISTS (SELECT 1 FROM job AS j WHERE j.seq = t.seq AND j.storage = ?5))"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::control::SqliteControl;
    use rusqlite::Connection;

    /// How SQLite answers a statement.
    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
        let steps = statement.raw_query().mapped(|row| row.get(3));
        steps.collect::<Result<_, _>>().expect("a plan")
    }

    #[test]
    fn walks_seek_in_their_index_and_never_sort() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.db");
        drop(SqliteControl::open(&path).expect("the file opens"));
        let connection = Connection::open(&path).expect("the file opens");
        for (walk, search) in [
            (&EVERYTHING, "SEARCH j USING INTEGER PRIMARY KEY (rowid"),
            (&BY_AGE, "SEARCH j USING INDEX job_by_age (organization=? AND rowid"),
            (&BY_FACET, "SEARCH j USING INDEX job_by_facet (organization=? AND type=? AND status=? AND rowid"),
            (&BY_USER, "SEARCH j USING INDEX job_by_user (organization=? AND user=? AND type=? AND status=? AND rowid"),
            (&BY_STORAGE, "SEARCH j USING COVERING INDEX job_by_storage (organization=? AND storage=? AND seq"),
            (&BY_TAG, "SEARCH t USING PRIMARY KEY (organization=? AND tag=? AND seq"),
        ] {
            for sql in [walk.ascending, walk.descending, walk.count] {
                let steps = plan(&connection, sql);
                assert!(steps.first().is_some_and(|step| step.starts_with(search)), "{sql}: {steps:#?}");
                assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}: {steps:#?}");
            }
        }
    }
}
