-- A person may ask what an attempt would free, and that outlives the process that was asked.

ALTER TABLE attempts ADD COLUMN dry_run INTEGER NOT NULL DEFAULT 0; -- 1: nothing is to be deleted
