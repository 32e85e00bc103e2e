-- What is asked of history is found without reading through it, and what was received is kept for a while.

-- Notifications as they were received, the last ones. The identity tells the order: there is no other index,
-- since a row is written for each request. Nothing refers to them that has to hold: they go first.
CREATE TABLE notifications (
    id          TEXT PRIMARY KEY,     -- of UUID's version 7: ordered by time
    received_at INTEGER NOT NULL,     -- by the responder's clock of that moment
    bytes       INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE alerts ADD COLUMN first_notification TEXT; -- the one that it came with; NULL before this version
ALTER TABLE alerts ADD COLUMN last_notification TEXT;

-- Why the next attempt is not sooner: it counts as long as `due_at` is the same.
ALTER TABLE incidents ADD COLUMN deferred_until INTEGER;
ALTER TABLE incidents ADD COLUMN deferred_for TEXT;

CREATE INDEX incidents_of_host ON incidents (host); -- and by identity
CREATE INDEX attempts_in_order ON attempts (queued_at, id);
CREATE INDEX attempts_of_host ON attempts (host, queued_at, id, outcome, trigger);
CREATE INDEX attempts_of_incident ON attempts (incident, queued_at, id, outcome, trigger);
CREATE INDEX attempts_of_outcome ON attempts (outcome, queued_at, id, trigger);
CREATE INDEX attempts_of_trigger ON attempts (trigger, queued_at, id);
DROP INDEX attempts_by_time;

-- What each host reported last, at a glance: a whole report may be long.
CREATE TABLE last_reports (
    host        TEXT PRIMARY KEY,
    attempt     TEXT NOT NULL,
    reported_at INTEGER NOT NULL,
    mode        TEXT NOT NULL,
    version     TEXT NOT NULL,
    measured_at INTEGER,              -- the last time that it had looked at its workers
    disks       TEXT,                 -- JSON, of that time
    tmp_bytes   INTEGER,
    holds       TEXT                  -- JSON
) STRICT, WITHOUT ROWID;

INSERT INTO last_reports (host, attempt, reported_at, mode, version, measured_at, disks, tmp_bytes, holds)
SELECT host, id, MAX(finished_at), report ->> '$.mode', report ->> '$.version', finished_at, report -> '$.disks',
    (SELECT COALESCE(SUM(value ->> '$.tmp_after_bytes'), 0) FROM json_each(report, '$.workers')), holds
FROM attempts
WHERE json_valid(report) AND report ->> '$.mode' IS NOT NULL AND report ->> '$.version' IS NOT NULL
    AND json_array_length(report, '$.workers') > 0
GROUP BY host;
