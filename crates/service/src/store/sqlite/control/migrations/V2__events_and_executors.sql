-- Every transition of every job, in the order of their commits: `id` is never given twice. `actor` is a name, if there is
-- one. Removed with the job.
CREATE TABLE event (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    seq          INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    from_status  INTEGER NOT NULL CHECK (from_status BETWEEN 0 AND 9),
    to_status    INTEGER NOT NULL CHECK (to_status BETWEEN 0 AND 9),
    cause        INTEGER NOT NULL,
    actor_kind   INTEGER NOT NULL,
    actor        INTEGER,
    message      TEXT,
    exit_code    INTEGER,
    signal       INTEGER,
    memory_peak  INTEGER,
    cpu_time     INTEGER
) STRICT;

CREATE INDEX event_by_job ON event (seq);

-- What runs a job: ExecutorKind::number. Each executor has a queue of its own.
ALTER TABLE job ADD COLUMN executor INTEGER NOT NULL DEFAULT 0;

DROP INDEX job_ready;
CREATE INDEX job_ready ON job (executor, priority DESC) WHERE status = 3 AND claimed = 0;
