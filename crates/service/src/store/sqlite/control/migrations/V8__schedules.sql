-- Scheduled jobs. `decided` is the time up to which all slots are decided about; `slot_at` is the next slot and `due_at`
-- when it is to fire: both are NULL while it is paused, and when none is left. `revision` changes with each step, `runs`
-- counts the rows that its slots have got.
CREATE TABLE schedule (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization  INTEGER NOT NULL,
    user          INTEGER NOT NULL,
    revision      INTEGER NOT NULL DEFAULT 0,
    decided       INTEGER NOT NULL,
    slot_at       INTEGER,
    due_at        INTEGER,
    runs          INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    modified_at   INTEGER NOT NULL,
    paused_reason TEXT,
    CHECK ((slot_at IS NULL) = (due_at IS NULL)),
    CHECK (slot_at > decided)
) STRICT;

CREATE INDEX schedule_by_age ON schedule (organization);
CREATE INDEX schedule_due ON schedule (due_at) WHERE due_at IS NOT NULL;

-- The wide part: a slot does not rewrite it.
CREATE TABLE schedule_body (
    seq  INTEGER PRIMARY KEY,
    spec TEXT NOT NULL
) STRICT;

-- What became of slots; a slot has one row. `kind` is RunKind::number, `reason` SkipReason::number. `last_slot_at` and
-- `slots` tell skipped slots as one. Written in the transaction that writes the job.
CREATE TABLE schedule_run (
    schedule     INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    kind         INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    slot_at      INTEGER NOT NULL,
    last_slot_at INTEGER,
    slots        INTEGER,
    due_at       INTEGER,
    decided_at   INTEGER NOT NULL,
    job          BLOB CHECK (length(job) = 16),
    reason       INTEGER CHECK (reason BETWEEN 0 AND 5),
    message      TEXT,
    PRIMARY KEY (schedule, number),
    -- Skipped slots have a reason, the others a job.
    CHECK ((kind = 1) = (reason IS NOT NULL)),
    CHECK ((kind = 1) = (job IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX schedule_run_by_slot ON schedule_run (schedule, slot_at) WHERE kind <> 2;

-- The scheduled job that started a job, and the slot.
ALTER TABLE job ADD COLUMN schedule BLOB CHECK (length(schedule) = 16);
ALTER TABLE job ADD COLUMN slot INTEGER;

CREATE INDEX job_of_schedule ON job (schedule) WHERE schedule IS NOT NULL AND finished_at IS NULL;
