-- Removal of single rows. What is left of a removed row is told by its pack; these are the bytes of its texts that are still to
-- be overwritten.
CREATE TABLE wipes (
    offset INTEGER PRIMARY KEY,
    length INTEGER NOT NULL
) STRICT;

-- No row of the set before this sequence is left.
ALTER TABLE result_sets ADD COLUMN first_sequence INTEGER NOT NULL DEFAULT 0;
