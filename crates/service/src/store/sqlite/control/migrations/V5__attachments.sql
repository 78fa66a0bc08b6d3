-- A job that reruns another one, and whether only for the records that failed there.
ALTER TABLE job_body ADD COLUMN rerun_of BLOB CHECK (length(rerun_of) = 16);
ALTER TABLE job_body ADD COLUMN rerun_failed INTEGER NOT NULL DEFAULT 0 CHECK (rerun_failed IN (0, 1));

-- What jobs attach; `file` is the name of the file that holds the content. Removed with the job.
CREATE TABLE attachment (
    seq          INTEGER NOT NULL,
    name         TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size         INTEGER NOT NULL CHECK (size >= 0),
    created_at   INTEGER NOT NULL,
    file         TEXT NOT NULL,
    PRIMARY KEY (seq, name)
) STRICT, WITHOUT ROWID;
