-- One storage: its sets, what is known of their rows, in the order of their ids, and the index runs. What the rows say
-- stands in the file "rows" beside this one.

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
    watermark INTEGER NOT NULL,
    -- What stands behind this in the file of bodies was never acknowledged.
    segment_end INTEGER NOT NULL
) STRICT;

CREATE TABLE result_sets (
    -- Never given twice.
    set_no INTEGER PRIMARY KEY AUTOINCREMENT,
    -- A job's UUID; of a processing log its number, and zeros.
    owner BLOB NOT NULL UNIQUE,
    last_sequence INTEGER NOT NULL
) STRICT;

-- Sets that are gone, whose packs and bodies are being removed.
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

CREATE TABLE packs (
    -- set_no << 40 | sequence of the first row: every set grows at its end.
    id INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL,
    -- Where the first body stands; the others follow it.
    offset INTEGER NOT NULL,
    -- Of each row: hash of the identity (16 bytes), tag (8), length of the body (4).
    heads BLOB NOT NULL
) STRICT;

-- Where in the file of bodies a set has written, revisions included.
CREATE TABLE regions (
    set_no INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (set_no, offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    level INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    -- How many of them lead to revisions.
    revisions INTEGER NOT NULL,
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

-- Index entries that packs do not tell, of revisions and of changed verdicts, until a run holds them.
CREATE TABLE pending_entries (
    no INTEGER PRIMARY KEY,
    -- As in a block of a run, in no order.
    entries BLOB NOT NULL
) STRICT;
