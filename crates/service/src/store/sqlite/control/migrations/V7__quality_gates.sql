-- Quality gates: the largest share of FAILED results that a dependency accepts, in billionths; NULL without a gate.
ALTER TABLE dependency ADD COLUMN most_failed INTEGER CHECK (most_failed BETWEEN 0 AND 1000000000);

-- What the results of an ended job came to, once a gate has asked for it; `unmeasured` tells that one asks and that
-- nobody has counted yet: until then the job's dependents are left alone.
ALTER TABLE job ADD COLUMN unmeasured INTEGER NOT NULL DEFAULT 0 CHECK (unmeasured IN (0, 1));
ALTER TABLE job ADD COLUMN failed_results INTEGER;
ALTER TABLE job ADD COLUMN all_results INTEGER;

DROP INDEX job_followed;
CREATE INDEX job_followed ON job (followed) WHERE followed = 1 AND finished_at IS NOT NULL AND unmeasured = 0;
CREATE INDEX job_unmeasured ON job (unmeasured) WHERE unmeasured = 1;

-- Those without a gate come first: they wait for no figures.
DROP INDEX dependency_by_upstream;
CREATE INDEX dependency_by_upstream ON dependency (upstream, most_failed IS NOT NULL);
