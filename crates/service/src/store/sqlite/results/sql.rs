//! The statements on rows, sets and counters, with the index that serves each.

/// By primary key.
pub const STORAGE: &str = "SELECT organization, storage_id, hash_key, base, layout FROM storage";
pub const INSERT_STORAGE: &str = "
    INSERT INTO storage (one, organization, storage_id, hash_key, base, layout)
    VALUES (1, ?1, ?2, ?3, ?4, ?5)";
pub const INSERT_PROGRESS: &str = "
    INSERT INTO progress (one, next_sequence, watermark, segment_end)
    VALUES (1, 1, 0, 0)";

/// By primary key.
pub const NEXT_SEQUENCE: &str = "SELECT next_sequence FROM progress";
/// By primary key.
pub const SEGMENT_END: &str = "SELECT segment_end FROM progress";
/// By primary key.
pub const SET_PROGRESS: &str = "UPDATE progress SET next_sequence = ?1, segment_end = ?2";

/// By the unique index of `owner`.
pub const SET_NO: &str = "SELECT set_no FROM result_sets WHERE owner = ?1";
/// By the unique index of `owner`.
pub const LAST_SEQUENCE: &str = "SELECT last_sequence FROM result_sets WHERE owner = ?1";
pub const INSERT_SET: &str = "INSERT INTO result_sets (owner, last_sequence) VALUES (?1, 0) RETURNING set_no";
/// By the unique index of `owner`; the parameters are the owners of all processing logs.
pub const HAS_LOGS: &str = "
    SELECT EXISTS (SELECT 1 FROM result_sets WHERE owner IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))";
/// All sets of the file but those of processing logs, whose owners are the parameters.
pub const PURGE_JOB_SETS: &str = "
    INSERT INTO purges (set_no)
    SELECT set_no
    FROM result_sets
    WHERE owner NOT IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// Counters of sets that have gone, by primary key; the other sets are few.
pub const TOTAL_OF_PURGES: &str = "
    SELECT coalesce(sum(n), 0)
    FROM counters
    WHERE set_no NOT IN (SELECT set_no FROM result_sets)";
/// As above.
pub const DELETE_COUNTERS_OF_PURGES: &str = "
    DELETE FROM counters
    WHERE set_no NOT IN (SELECT set_no FROM result_sets)";
/// All sets of the file but those of processing logs.
pub const DELETE_JOB_SETS: &str = "
    DELETE FROM result_sets
    WHERE owner NOT IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// By primary key.
pub const SET_LAST_SEQUENCE: &str = "UPDATE result_sets SET last_sequence = ?2 WHERE set_no = ?1";
/// By primary key.
pub const SET_LAST_REVISED: &str = "UPDATE result_sets SET last_revised = ?2 WHERE set_no = ?1";
/// By primary key.
pub const SET_OWNER: &str = "SELECT owner, last_revised FROM result_sets WHERE set_no = ?1";
/// By the unique index of `owner`.
pub const SET_BOUNDS: &str = "SELECT first_sequence, last_sequence FROM result_sets WHERE owner = ?1";
/// By primary key.
pub const FIRST_SEQUENCE: &str = "SELECT first_sequence FROM result_sets WHERE set_no = ?1";
/// By primary key.
pub const RAISE_FIRST_SEQUENCE: &str = "
    UPDATE result_sets
    SET first_sequence = max(first_sequence, ?2)
    WHERE set_no = ?1";
/// By primary key, from its end.
pub const NEWEST_OWNERS: &str = "SELECT owner FROM result_sets ORDER BY set_no DESC";
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
/// By primary key, its last row: where a set has written last.
pub const SET_END: &str = "
    SELECT offset + length
    FROM regions
    WHERE set_no = ?1
    ORDER BY offset DESC
    LIMIT 1";
/// By primary key.
pub const DELETE_REGIONS: &str = "DELETE FROM regions WHERE set_no = ?1 AND offset <= ?2";

pub const INSERT_WIPE: &str = "INSERT INTO wipes (offset, length) VALUES (?1, ?2)";
/// By primary key.
pub const WIPES: &str = "SELECT offset, length FROM wipes ORDER BY offset LIMIT ?1";
/// By primary key.
pub const DELETE_WIPE: &str = "DELETE FROM wipes WHERE offset = ?1";
/// By primary key: whether the bytes from ?1 to ?2 are to be overwritten.
pub const IS_WIPED: &str = "
    SELECT coalesce(
        (SELECT offset + length FROM wipes WHERE offset <= ?1 ORDER BY offset DESC LIMIT 1), 0
    ) >= ?2";

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
pub const UPDATE_PACK: &str = "UPDATE packs SET heads = ?2 WHERE id = ?1";
/// By primary key.
pub const DELETE_PACKS: &str = "
    DELETE FROM packs
    WHERE id IN (SELECT id FROM packs WHERE id >= ?1 AND id < ?2 LIMIT ?3)";
