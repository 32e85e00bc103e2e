-- Who asked for an attempt, where a person did: a name and an address. NULL for alerts, and before this version.
ALTER TABLE attempts ADD COLUMN asked_by TEXT;
