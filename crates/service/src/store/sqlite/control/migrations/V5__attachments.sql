-- A job that reruns another one, and whether only for the records that failed there.
ALTER TABLE job_body ADD COLUMN rerun_of BLOB CHECK (length(rerun_of) = 16);
ALTER TABLE job_body ADD COLUMN rerun_failed INTEGER NOT NULL DEFAULT 0 CHECK (rerun_failed IN (0, 1));
