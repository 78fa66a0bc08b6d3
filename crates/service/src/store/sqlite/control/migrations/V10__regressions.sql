-- Webhooks that are told of newly failed records only.
ALTER TABLE webhook ADD COLUMN only_regressions INTEGER NOT NULL DEFAULT 0 CHECK (only_regressions IN (0, 1));

-- Ends of jobs of which such webhooks may have to be told: written with the event, and removed in the transaction that
-- leaves a delivery or decides that there is nothing to tell. `payload` is the notice of the end.
CREATE TABLE regression_check (
    event        INTEGER NOT NULL,
    hook         INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    job          BLOB NOT NULL CHECK (length(job) = 16),
    organization INTEGER NOT NULL,
    url          TEXT NOT NULL,
    payload      TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL,
    PRIMARY KEY (event, hook)
) STRICT, WITHOUT ROWID;

CREATE INDEX regression_check_due ON regression_check (next_at);
