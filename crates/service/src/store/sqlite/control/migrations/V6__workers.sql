-- Jobs of pull workers: who got the present attempt, and for how many seconds he may be silent.
ALTER TABLE job ADD COLUMN worker TEXT;
ALTER TABLE job ADD COLUMN lease INTEGER CHECK (lease > 0);

-- Ready jobs of an organization, of any type and of one. 3 is ExecutorKind::Worker.
CREATE INDEX job_ready_for_workers ON job (organization, rank)
    WHERE status = 3 AND claimed = 0 AND executor = 3;
CREATE INDEX job_ready_by_type ON job (organization, type, rank)
    WHERE status = 3 AND claimed = 0 AND executor = 3;
