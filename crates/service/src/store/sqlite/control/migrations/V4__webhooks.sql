-- The webhooks of jobs. `statuses` has the bit 1 << Status::number for each status that the webhook is told of.
CREATE TABLE webhook (
    seq      INTEGER NOT NULL,
    hook     INTEGER NOT NULL,
    statuses INTEGER NOT NULL,
    url      TEXT NOT NULL,
    PRIMARY KEY (seq, hook)
) STRICT, WITHOUT ROWID;

-- What webhooks are still to be told; written with the event, removed once it was taken. A row holds all that is sent,
-- so it outlives its job. `receiver` is host:port of the url. `next_at` is NULL when it was given up: such a row goes
-- with its job.
CREATE TABLE delivery (
    id           INTEGER PRIMARY KEY,
    event        INTEGER NOT NULL,
    hook         INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    job          BLOB NOT NULL CHECK (length(job) = 16),
    organization INTEGER NOT NULL,
    receiver     TEXT NOT NULL,
    url          TEXT NOT NULL,
    payload      TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER,
    last_error   TEXT
) STRICT;

CREATE UNIQUE INDEX delivery_by_event ON delivery (event, hook);
CREATE INDEX delivery_due ON delivery (receiver, next_at, event) WHERE next_at IS NOT NULL;
CREATE INDEX delivery_by_job ON delivery (seq);
