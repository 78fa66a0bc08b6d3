-- Strings that come in many rows: organizations, users and types of jobs.
CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- The narrow part of a job, which lists and transitions touch. `seq` is the order of creation and is never given twice.
-- `type` is 0 for a job without one. `status` is Status::number.
CREATE TABLE job (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization   INTEGER NOT NULL,
    user           INTEGER NOT NULL,
    type           INTEGER NOT NULL,
    status         INTEGER NOT NULL CHECK (status BETWEEN 0 AND 9),
    attempt        INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    claimed        INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
    priority       INTEGER NOT NULL,
    progress       INTEGER NOT NULL DEFAULT 0,
    tagged         INTEGER NOT NULL CHECK (tagged IN (0, 1)),
    created_at     INTEGER NOT NULL,
    modified_at    INTEGER NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    exit_code      INTEGER,
    cancel_grace   INTEGER,
    storage        TEXT,
    status_message TEXT,
    cancel_reason  TEXT,
    -- FINISHED, DIED, CANCELED, FAILED
    CHECK ((finished_at IS NOT NULL) = (status IN (6, 7, 8, 9))),
    -- UNKNOWN, SCHEDULED, RUNNING
    CHECK (claimed = 0 OR (attempt > 0 AND status IN (0, 3, 5))),
    CHECK (cancel_reason IS NULL OR cancel_grace IS NOT NULL)
) STRICT;

-- Each index ends with `seq`, the row's id, so that equal keys stand in order of creation. What stands behind `seq` is
-- there for filters to test without a look at the job's row.
CREATE INDEX job_by_age ON job (organization);
CREATE INDEX job_by_facet ON job (organization, type, status);
CREATE INDEX job_by_user ON job (organization, user, type, status);
CREATE INDEX job_by_storage ON job (organization, storage, seq, user, type, status) WHERE storage IS NOT NULL;
CREATE INDEX job_persisted ON job (status) WHERE status = 2;
CREATE INDEX job_ready ON job (priority DESC) WHERE status = 3 AND claimed = 0;
CREATE INDEX job_claimed ON job (claimed) WHERE claimed = 1;

-- The wide part of a job: a transition does not rewrite it.
CREATE TABLE job_body (
    seq         INTEGER PRIMARY KEY,
    spec        TEXT NOT NULL,
    result_data TEXT
) STRICT;

-- Tags, with what filters test: `status` moves with the job's.
CREATE TABLE job_tag (
    organization INTEGER NOT NULL,
    tag          TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    user         INTEGER NOT NULL,
    type         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    PRIMARY KEY (organization, tag, seq)
) STRICT, WITHOUT ROWID;

-- The storages that a job writes to, noted before it does.
CREATE TABLE job_storage (
    seq        INTEGER NOT NULL,
    storage_id TEXT NOT NULL,
    PRIMARY KEY (seq, storage_id)
) STRICT, WITHOUT ROWID;

-- Numbers of jobs; a row that would say 0 is removed.
CREATE TABLE job_count (
    organization INTEGER NOT NULL,
    type         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    count        INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (organization, type, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_user_count (
    organization INTEGER NOT NULL,
    user         INTEGER NOT NULL,
    type         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    count        INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (organization, user, type, status)
) STRICT, WITHOUT ROWID;

-- Requests with an idempotency key. In flight in `run` until there is a reply; `run` is NULL when the reply was too
-- large to keep.
CREATE TABLE request (
    organization TEXT NOT NULL,
    key          TEXT NOT NULL,
    hash         BLOB NOT NULL CHECK (length(hash) = 32),
    run          BLOB,
    job          BLOB NOT NULL CHECK (length(job) = 16),
    begun_at     INTEGER NOT NULL,
    status       INTEGER,
    media_type   TEXT,
    body         BLOB,
    CHECK ((status IS NULL) = (body IS NULL) AND (status IS NULL) = (media_type IS NULL))
) STRICT;

CREATE UNIQUE INDEX request_by_key ON request (organization, key);
CREATE INDEX request_by_age ON request (begun_at);

CREATE TABLE key (
    id           TEXT PRIMARY KEY NOT NULL,
    hash         BLOB NOT NULL CHECK (length(hash) = 32),
    organization TEXT NOT NULL,
    role         TEXT NOT NULL,
    user         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    revoked_at   INTEGER
) STRICT;
