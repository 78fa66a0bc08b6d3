//! The statements of the queue, each with the index that serves it.

/// By the primary key of `dependency`.
pub(super) const DEPENDENCIES: &str = "
    SELECT j.id, d.condition, d.most_failed
    FROM dependency AS d
        JOIN job AS j ON j.seq = d.upstream
    WHERE d.seq = ?1
    ORDER BY d.upstream, d.condition";
/// By the primary key.
pub(super) const GATE_OF: &str = "
    SELECT o.text, w.kind, w.name
    FROM gate_waiter AS w
        JOIN name AS o ON o.id = w.organization
    WHERE w.seq = ?1";
/// By the primary key of `gate_holder`.
pub(super) const HOLDER: &str = "
    SELECT j.id
    FROM name AS o
        JOIN gate_holder AS h ON h.organization = o.id
        JOIN job AS j ON j.seq = h.seq
    WHERE o.text = ?1 AND h.kind = ?2 AND h.name = ?3
    LIMIT 1";
/// By `job_ready`.
pub(super) const READY: &str = "
    SELECT seq, wait
    FROM job INDEXED BY job_ready
    WHERE status = 3 AND claimed = 0 AND executor = ?1
    ORDER BY rank, seq
    LIMIT ?2";
/// By the primary key.
pub(super) const CLAIM: &str = "
    UPDATE job
    SET claimed = 1, attempt = ?2, modified_at = ?3, started_at = NULL, exit_code = NULL, progress = 0, wait = 0,
        holds = ?4
    WHERE seq = ?1";
/// By the primary key.
pub(super) const PUT: &str = "
    UPDATE job
    SET status = ?2, wait = ?3, due_at = ?4, modified_at = ?5, finished_at = ?6, expires_at = ?6 + 1000 * ttl,
        status_message = ?7
    WHERE seq = ?1
    RETURNING seq, organization, user, type, tagged, attempt";
/// By the primary key.
pub(super) const CLEAR_WAIT: &str = "
    UPDATE job
    SET wait = 0, due_at = NULL
    WHERE seq = ?1";
/// By the primary key.
pub(super) const RETRY: &str = "
    UPDATE job
    SET wait = 4, due_at = ?2
    WHERE seq = ?1";
/// By the primary key of `gate_holder`.
pub(super) const HOLDERS: &str = "
    SELECT count(*)
    FROM (
        SELECT 1
        FROM gate_holder
        WHERE organization = ?1 AND kind = ?2 AND name = ?3
        LIMIT ?4
    )";
/// By `job_claimed`.
pub(super) const CLAIMED: &str = "
    SELECT seq
    FROM job INDEXED BY job_claimed
    WHERE claimed = 1";
/// By the primary key.
pub(super) const SET_HOLDS: &str = "
    UPDATE job
    SET holds = 1
    WHERE seq = ?1";
pub(super) const HOLD: &str = "
    INSERT OR IGNORE INTO gate_holder (organization, kind, name, seq)
    VALUES (?1, ?2, ?3, ?4)";
/// By `gate_holder_by_job`.
pub(super) const HELD: &str = "
    SELECT o.text, h.kind, h.name
    FROM gate_holder AS h INDEXED BY gate_holder_by_job
        JOIN name AS o ON o.id = h.organization
    WHERE h.seq = ?1
    ORDER BY h.kind, h.name";
/// By `gate_holder_by_job`.
pub(super) const RELEASE: &str = "
    DELETE FROM gate_holder
    WHERE seq = ?1";
/// By the primary key.
pub(super) const RELEASED: &str = "
    UPDATE job
    SET holds = 0
    WHERE seq = ?1";
pub(super) const WAIT_AT: &str = "
    INSERT INTO gate_waiter (seq, organization, kind, name, called, executor, rank)
    VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)";
/// By `gate_waiter_by_turn`.
pub(super) const NEXT_AT: &str = "
    SELECT seq
    FROM gate_waiter INDEXED BY gate_waiter_by_turn
    WHERE organization = ?1 AND kind = ?2 AND name = ?3 AND called = 0 AND executor = ?4
    ORDER BY rank, seq
    LIMIT 1";
/// By the primary key.
pub(super) const CALL: &str = "
    UPDATE gate_waiter
    SET called = 1
    WHERE seq = ?1";
/// By `gate_waiter_by_turn`.
pub(super) const CALLED_TO: &str = "
    SELECT count(*)
    FROM (
        SELECT 1
        FROM gate_waiter INDEXED BY gate_waiter_by_turn
        WHERE organization = ?1 AND kind = ?2 AND name = ?3 AND called = 1 AND executor = ?5
        LIMIT ?4
    )";
/// By the primary key.
pub(super) const LEAVE: &str = "
    DELETE FROM gate_waiter
    WHERE seq = ?1
    RETURNING organization, kind, name, called, executor";
/// By the primary key.
pub(super) const NAME: &str = "
    SELECT text
    FROM name
    WHERE id = ?1";
/// By the primary key.
pub(super) const CHANGE_RANK: &str = "
    UPDATE gate_waiter
    SET rank = ?2
    WHERE seq = ?1";
/// Along `gate_waiter_by_turn`; only when limits change.
pub(super) const GATES_WITH_WAITERS: &str = "
    SELECT o.text, w.kind, w.name
    FROM (
        SELECT DISTINCT organization, kind, name
        FROM gate_waiter INDEXED BY gate_waiter_by_turn
        WHERE called = 0 AND (organization, kind, name) > (?1, ?2, ?3)
        ORDER BY organization, kind, name
        LIMIT ?4
    ) AS w
        JOIN name AS o ON o.id = w.organization
    ORDER BY w.organization, w.kind, w.name";
pub(super) const DEPEND: &str = "
    INSERT INTO dependency (seq, upstream, condition, most_failed)
    VALUES (?1, ?2, ?3, ?4)";
/// By the primary key.
pub(super) const FOLLOW: &str = "
    UPDATE job
    SET followed = 1
    WHERE seq = ?1";
/// By `dependency_by_upstream`.
pub(super) const DEPENDENTS: &str = "
    SELECT seq, condition, most_failed
    FROM dependency INDEXED BY dependency_by_upstream
    WHERE upstream = ?1
    ORDER BY most_failed IS NOT NULL, seq, condition
    LIMIT ?2";
/// By the primary key, as the two that follow.
pub(super) const FULFIL: &str = "
    DELETE FROM dependency
    WHERE seq = ?1 AND upstream = ?2 AND condition = ?3";
pub(super) const DEPENDS: &str = "
    SELECT 1
    FROM dependency
    WHERE seq = ?1";
pub(super) const DROP_DEPENDENCIES: &str = "
    DELETE FROM dependency
    WHERE seq = ?1";
/// By `job_followed`.
pub(super) const ENDED_UPSTREAM: &str = "
    SELECT seq, id, status, failed_results, all_results
    FROM job INDEXED BY job_followed
    WHERE followed = 1 AND finished_at IS NOT NULL AND unmeasured = 0
    LIMIT 1";
/// By the primary key.
pub(super) const FIGURES: &str = "
    SELECT failed_results, all_results
    FROM job
    WHERE seq = ?1";
/// By the primary key.
pub(super) const AWAIT_FIGURES: &str = "
    UPDATE job
    SET unmeasured = 1
    WHERE seq = ?1";
/// By `job_unmeasured`.
pub(super) const UNMEASURED: &str = "
    SELECT j.seq, o.text, j.id
    FROM job AS j INDEXED BY job_unmeasured
        JOIN name AS o ON o.id = j.organization
    WHERE j.unmeasured = 1 AND j.seq > ?1
    ORDER BY j.seq
    LIMIT ?2";
/// By the unique index of `id`. What was counted first stays.
pub(super) const MEASURE: &str = "
    UPDATE job
    SET unmeasured = 0, failed_results = coalesce(failed_results, ?2), all_results = coalesce(all_results, ?3)
    WHERE id = ?1 AND finished_at IS NOT NULL";
/// By the primary key.
pub(super) const CLEAR_FOLLOWED: &str = "
    UPDATE job
    SET followed = 0
    WHERE seq = ?1";
/// By the primary key.
pub(super) const DUE_AT: &str = "
    SELECT due_at
    FROM job
    WHERE seq = ?1";
/// By `job_due`.
pub(super) const DUE: &str = "
    SELECT seq, wait
    FROM job INDEXED BY job_due
    WHERE due_at IS NOT NULL AND due_at <= ?1
    ORDER BY due_at
    LIMIT ?2";
/// By `job_due`.
pub(super) const NEXT_DUE: &str = "
    SELECT due_at
    FROM job INDEXED BY job_due
    WHERE due_at IS NOT NULL
    ORDER BY due_at
    LIMIT 1";
/// By the primary key.
pub(super) const CLEAR_DUE: &str = "
    UPDATE job
    SET due_at = NULL
    WHERE seq = ?1";
/// By `job_expiring`.
pub(super) const EXPIRED: &str = "
    SELECT seq
    FROM job INDEXED BY job_expiring
    WHERE expires_at IS NOT NULL AND expires_at <= ?1
    ORDER BY expires_at
    LIMIT ?2";
