-- How hashes and index entries are made. Since 2 the hash of a record or id is the same in every set, and the keys of ids end
-- with the set.
ALTER TABLE storage ADD COLUMN layout INTEGER NOT NULL DEFAULT 1;

-- The sequence that was to be given next when a row of the set was last written again; 0 if none was.
ALTER TABLE result_sets ADD COLUMN last_revised INTEGER NOT NULL DEFAULT 0;
