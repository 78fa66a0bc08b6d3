-- How a job's turn comes. `rank` is its place in the queue: created_at less 36,000 for each step of priority.
-- `wait` is Wait::number: 0 nothing, 1 its start, 2 a gate, 3 called to a gate, 4 a retry delay.
-- `holds` tells that it holds gates, `followed` that other jobs depend on it: without them its end has nothing to do.
ALTER TABLE job ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN wait INTEGER NOT NULL DEFAULT 0 CHECK (wait BETWEEN 0 AND 4);
ALTER TABLE job ADD COLUMN holds INTEGER NOT NULL DEFAULT 0 CHECK (holds IN (0, 1));
ALTER TABLE job ADD COLUMN followed INTEGER NOT NULL DEFAULT 0 CHECK (followed IN (0, 1));
ALTER TABLE job ADD COLUMN due_at INTEGER;
-- Seconds that the job is kept after its end, and the time that follows from it.
ALTER TABLE job ADD COLUMN ttl INTEGER;
ALTER TABLE job ADD COLUMN expires_at INTEGER;

UPDATE job
SET rank = created_at - priority * 36000;

DROP INDEX job_ready;
ALTER TABLE job DROP COLUMN priority;

CREATE INDEX job_ready ON job (executor, rank) WHERE status = 3 AND claimed = 0;
CREATE INDEX job_due ON job (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX job_followed ON job (followed) WHERE followed = 1 AND finished_at IS NOT NULL;
CREATE INDEX job_expiring ON job (expires_at) WHERE expires_at IS NOT NULL;

-- Jobs that hold gates. `kind` is GateKind::number: 0 a lock, 1 the organization, 2 a type; `name` is the lock or type.
CREATE TABLE gate_holder (
    organization INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    name         TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    PRIMARY KEY (organization, kind, name, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX gate_holder_by_job ON gate_holder (seq);

-- Jobs that wait at a gate, or were called to it and have not come yet: at one at a time.
CREATE TABLE gate_waiter (
    seq          INTEGER PRIMARY KEY,
    organization INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    name         TEXT NOT NULL,
    called       INTEGER NOT NULL CHECK (called IN (0, 1)),
    executor     INTEGER NOT NULL,
    rank         INTEGER NOT NULL
) STRICT;

CREATE INDEX gate_waiter_by_turn ON gate_waiter (organization, kind, name, called, executor, rank);

-- Open dependencies: `seq` waits for `upstream`. A resolved one is removed. `condition` is condition_number.
CREATE TABLE dependency (
    seq       INTEGER NOT NULL,
    upstream  INTEGER NOT NULL,
    condition INTEGER NOT NULL CHECK (condition BETWEEN 0 AND 2),
    PRIMARY KEY (seq, upstream, condition)
) STRICT, WITHOUT ROWID;

CREATE INDEX dependency_by_upstream ON dependency (upstream);
