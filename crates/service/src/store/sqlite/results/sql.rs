//! The statements on rows, sets and counters, with the index that serves each.

/// By primary key.
pub const STORAGE: &str = "SELECT organization, storage_id, hash_key, base FROM storage";
pub const INSERT_STORAGE: &str = "
    INSERT INTO storage (one, organization, storage_id, hash_key, base)
    VALUES (1, ?1, ?2, ?3, ?4)";
pub const INSERT_PROGRESS: &str = "
    INSERT INTO progress (one, next_sequence, watermark, segment_end)
    VALUES (1, 1, 0, 0)";

/// By primary key.
pub const NEXT_SEQUENCE: &str = "SELECT next_sequence FROM progress";
/// By primary key.
pub const SEGMENT_END: &str = "SELECT segment_end FROM progress";
/// By primary key.
pub const SET_PROGRESS: &str = "UPDATE progress SET next_sequence = ?1, segment_end = ?2";

/// By the unique index of `job`.
pub const SET_NO: &str = "SELECT set_no FROM result_sets WHERE job = ?1";
/// By the unique index of `job`.
pub const LAST_SEQUENCE: &str = "SELECT last_sequence FROM result_sets WHERE job = ?1";
pub const INSERT_SET: &str = "INSERT INTO result_sets (job, last_sequence) VALUES (?1, 0) RETURNING set_no";
/// By primary key.
pub const SET_LAST_SEQUENCE: &str = "UPDATE result_sets SET last_sequence = ?2 WHERE set_no = ?1";
/// By primary key.
pub const DELETE_SET: &str = "DELETE FROM result_sets WHERE set_no = ?1";

pub const INSERT_PURGE: &str = "INSERT INTO purges (set_no) VALUES (?1)";
/// By primary key.
pub const NEXT_PURGE: &str = "SELECT set_no FROM purges ORDER BY set_no LIMIT 1";
/// By primary key.
pub const DELETE_PURGE: &str = "DELETE FROM purges WHERE set_no = ?1";

/// By primary key.
pub const LENGTHEN_REGION: &str = "UPDATE regions SET length = length + ?3 WHERE set_no = ?1 AND offset = ?2";
pub const INSERT_REGION: &str = "INSERT INTO regions (set_no, offset, length) VALUES (?1, ?2, ?3)";
/// By primary key.
pub const REGIONS: &str = "
    SELECT offset, length
    FROM regions
    WHERE set_no = ?1
    ORDER BY offset
    LIMIT ?2";
/// By primary key.
pub const DELETE_REGIONS: &str = "DELETE FROM regions WHERE set_no = ?1 AND offset <= ?2";

/// By the unique index of `name`.
pub const SOURCE_NO: &str = "SELECT no FROM data_sources WHERE name = ?1";
pub const INSERT_SOURCE: &str = "INSERT INTO data_sources (name) VALUES (?1) RETURNING no";

/// By primary key.
pub const COUNT: &str = "
    INSERT INTO counters (set_no, tag, n)
    VALUES (?1, ?2, ?3)
    ON CONFLICT (set_no, tag) DO UPDATE SET n = n + excluded.n";
/// By primary key.
pub const COUNTERS: &str = "SELECT tag, n FROM counters WHERE set_no = ?1 AND n <> 0";
/// Counters by primary key, data sources by theirs.
pub const TALLIES: &str = "
    SELECT counters.tag, counters.n, data_sources.name
    FROM counters
    LEFT JOIN data_sources ON data_sources.no = counters.tag >> 17
    WHERE counters.set_no = ?1 AND counters.n <> 0
    ORDER BY counters.tag";
/// By primary key.
pub const TOTAL_OF_SET: &str = "SELECT coalesce(sum(n), 0) FROM counters WHERE set_no = ?1";
/// All counters of the file.
pub const TOTAL: &str = "SELECT coalesce(sum(n), 0) FROM counters";
/// By primary key.
pub const DELETE_COUNTERS: &str = "DELETE FROM counters WHERE set_no = ?1";

pub const INSERT_PACK: &str = "INSERT INTO packs (id, created_at, offset, heads) VALUES (?1, ?2, ?3, ?4)";
/// By primary key: the pack that holds the row ?1, or the last one before it, of a set that begins at ?2.
pub const PACK_BEFORE: &str = "
    SELECT id, created_at, offset, heads
    FROM packs
    WHERE id <= ?1 AND id >= ?2
    ORDER BY id DESC
    LIMIT 1";
/// By primary key: from the pack that holds the row ?1 to the row ?3, in a set that begins at ?2.
pub const PACKS: &str = "
    SELECT id, created_at, offset, heads
    FROM packs
    WHERE id >= coalesce((SELECT max(id) FROM packs WHERE id <= ?1 AND id >= ?2), ?1) AND id <= ?3
    ORDER BY id";
/// By primary key.
pub const DELETE_PACKS: &str = "
    DELETE FROM packs
    WHERE id IN (SELECT id FROM packs WHERE id >= ?1 AND id < ?2 LIMIT ?3)";
