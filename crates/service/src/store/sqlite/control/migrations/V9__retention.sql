-- Ended jobs of a storage and type by their ends; '' stands for no storage, which is no id of one.
CREATE INDEX job_ended ON job (organization, ifnull(storage, ''), type, finished_at) WHERE finished_at IS NOT NULL;

-- What organizations say is kept. '' stands for every storage and every type.
CREATE TABLE retention_policy (
    organization  INTEGER NOT NULL,
    storage       TEXT NOT NULL,
    type          TEXT NOT NULL,
    keep_days     INTEGER,
    keep_runs     INTEGER,
    keep_log_days INTEGER,
    user          INTEGER NOT NULL,
    modified_at   INTEGER NOT NULL,
    PRIMARY KEY (organization, storage, type),
    CHECK (keep_days IS NOT NULL OR keep_runs IS NOT NULL OR keep_log_days IS NOT NULL),
    CHECK (keep_log_days IS NULL OR type = '')
) STRICT, WITHOUT ROWID;

-- How the last round of an organization stands.
CREATE TABLE retention_round (
    organization INTEGER PRIMARY KEY,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    jobs         INTEGER NOT NULL,
    results      INTEGER NOT NULL,
    log_entries  INTEGER NOT NULL,
    error        TEXT
) STRICT;
