-- What all reports hold together is bounded: which of them are kept, how long each is, and that one is not any more.

-- In the order in which they came, which no clock changes. It is asked instead of the attempts, each of which would
-- have to be read for it.
CREATE TABLE kept_reports (
    number   INTEGER PRIMARY KEY,
    attempt  TEXT NOT NULL UNIQUE REFERENCES attempts (id) ON DELETE CASCADE,
    incident INTEGER,
    bytes    INTEGER NOT NULL
) STRICT;
INSERT INTO kept_reports (attempt, incident, bytes)
SELECT id, incident, OCTET_LENGTH(report) FROM attempts WHERE report IS NOT NULL ORDER BY finished_at, id;
CREATE INDEX kept_reports_of_incident ON kept_reports (incident, number);

ALTER TABLE attempts ADD COLUMN report_dropped_bytes INTEGER; -- how long the report was that was dropped for room
