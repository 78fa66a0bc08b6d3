-- One storage: its sets, their rows in the order of their ids, and the index runs.

CREATE TABLE storage (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    organization TEXT NOT NULL,
    storage_id TEXT NOT NULL,
    -- Keys the hashes of this file.
    hash_key BLOB NOT NULL,
    -- A result's id as clients see it is base + sequence.
    base INTEGER NOT NULL
) STRICT;

CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    next_sequence INTEGER NOT NULL,
    -- Rows up to this sequence stand in the index runs; those behind it are read again when the file is opened.
    watermark INTEGER NOT NULL
) STRICT;

CREATE TABLE result_sets (
    -- Never given twice.
    set_no INTEGER PRIMARY KEY AUTOINCREMENT,
    job BLOB NOT NULL UNIQUE,
    last_sequence INTEGER NOT NULL
) STRICT;

-- Sets that are gone, whose rows are being removed.
CREATE TABLE purges (
    set_no INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE data_sources (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE counters (
    set_no INTEGER NOT NULL,
    -- Data source, country and verdict, packed.
    tag INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (set_no, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE results (
    -- set_no << 40 | sequence: every set grows at its end.
    id INTEGER PRIMARY KEY,
    identity BLOB NOT NULL,
    tag INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    level INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    -- The first entry of every block.
    fences BLOB NOT NULL
) STRICT;

CREATE TABLE run_blocks (
    -- run << 24 | block
    id INTEGER PRIMARY KEY,
    entries BLOB NOT NULL
) STRICT;

CREATE TABLE run_filters (
    -- run << 24 | part
    id INTEGER PRIMARY KEY,
    bits BLOB NOT NULL
) STRICT;

-- Index entries of rows before the watermark whose verdict changed, until a run holds them.
CREATE TABLE changed_tags (
    no INTEGER PRIMARY KEY,
    key INTEGER NOT NULL,
    sequence INTEGER NOT NULL
) STRICT;
