//! The statements of the index. All tables here are found by their primary key.

pub const RUNS: &str = "SELECT run, level, revisions, fences FROM runs ORDER BY run";
pub const INSERT_RUN: &str = "
    INSERT INTO runs (run, level, entries, revisions, fences)
    VALUES (?1, ?2, ?3, ?4, ?5)";
pub const DELETE_RUN: &str = "DELETE FROM runs WHERE run = ?1";
pub const SET_WATERMARK: &str = "UPDATE progress SET watermark = ?1";
pub const DELETE_PENDING: &str = "DELETE FROM pending_entries WHERE no <= ?1";

pub const BLOCK: &str = "SELECT entries FROM run_blocks WHERE id = ?1";
pub const BLOCKS: &str = "
    SELECT entries
    FROM run_blocks
    WHERE id >= ?1 AND id < ?2
    ORDER BY id
    LIMIT ?3";
pub const INSERT_BLOCK: &str = "INSERT INTO run_blocks (id, entries) VALUES (?1, ?2)";
pub const DELETE_BLOCKS: &str = "
    DELETE FROM run_blocks
    WHERE id IN (SELECT id FROM run_blocks WHERE id >= ?1 AND id < ?2 LIMIT ?3)";
pub const NEXT_BLOCK: &str = "SELECT id FROM run_blocks WHERE id >= ?1 ORDER BY id LIMIT 1";

pub const FILTER: &str = "
    SELECT bits
    FROM run_filters
    WHERE id >= ?1 AND id < ?2
    ORDER BY id";
pub const INSERT_FILTER: &str = "INSERT INTO run_filters (id, bits) VALUES (?1, ?2)";
pub const DELETE_FILTER: &str = "
    DELETE FROM run_filters
    WHERE id IN (SELECT id FROM run_filters WHERE id >= ?1 AND id < ?2 LIMIT ?3)";
pub const NEXT_FILTER: &str = "SELECT id FROM run_filters WHERE id >= ?1 ORDER BY id LIMIT 1";

/// Sets with the sequence before which no row is left, and the first pack, by primary key each.
pub const LIVING: &str = "
    SELECT set_no, first_sequence, (
        SELECT min(id)
        FROM packs
        WHERE id >= result_sets.set_no << 40 AND id < (result_sets.set_no + 1) << 40
    )
    FROM result_sets
    ORDER BY set_no";

pub const WATERMARK: &str = "SELECT watermark FROM progress";
pub const SETS_BEHIND: &str = "SELECT set_no FROM result_sets WHERE last_sequence > ?1";
pub const PENDING: &str = "SELECT entries FROM pending_entries ORDER BY no";
/// The writer says which numbers are new.
pub const INSERT_PENDING: &str = "INSERT INTO pending_entries (no, entries) VALUES (?1, ?2)";
pub const LAST_PENDING: &str = "SELECT coalesce(max(no), 0) FROM pending_entries";
