-- Times are microseconds since 1970, by the responder's clock unless the name says otherwise.

CREATE TABLE incidents (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    host            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'sweeping', 'closed')),
    urgency         TEXT,             -- of its firing alerts; NULL once none fires
    firing_since    INTEGER,          -- the first alert's startsAt, by Prometheus' clock
    opened_at       INTEGER NOT NULL, -- when its first alert was received
    accepted_at     INTEGER NOT NULL, -- when it was written here
    due_at          INTEGER,
    next_event_at   INTEGER,          -- the earliest of due, expiry and escalation
    attempts        INTEGER NOT NULL,
    failures_in_row INTEGER NOT NULL,
    last_outcome    TEXT,
    escalated_at    INTEGER,
    escalation      TEXT,
    closed_at       INTEGER,
    close_reason    TEXT
) STRICT;

CREATE UNIQUE INDEX one_open_incident_a_host ON incidents (host) WHERE state <> 'closed';
CREATE INDEX incidents_by_next_event ON incidents (next_event_at) WHERE next_event_at IS NOT NULL;
CREATE INDEX incidents_by_end ON incidents (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE alerts (
    incident    INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    name        TEXT NOT NULL,
    urgency     TEXT NOT NULL,
    status      TEXT NOT NULL,
    starts_at   INTEGER NOT NULL,     -- by Prometheus' clock
    ends_at     INTEGER,              -- by Prometheus' clock
    received_at INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    labels      TEXT NOT NULL,        -- JSON, bounded
    PRIMARY KEY (incident, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TABLE ignored_alerts (
    fingerprint TEXT NOT NULL,
    reason      TEXT NOT NULL,
    name        TEXT NOT NULL,        -- bounded
    status      TEXT NOT NULL,
    labels      TEXT NOT NULL,        -- JSON, bounded
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    times       INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    id           TEXT PRIMARY KEY,
    host         TEXT NOT NULL,
    incident     INTEGER REFERENCES incidents (id) ON DELETE CASCADE,
    replay       TEXT,                -- the replay that asked for it, where no incident did
    trigger      TEXT NOT NULL,
    queued_at    INTEGER NOT NULL,
    started_at   INTEGER,
    connected_at INTEGER,
    finished_at  INTEGER,
    outcome      TEXT,
    reason       TEXT,
    freed_bytes  INTEGER,
    report       TEXT                 -- the report's one line, as it came
) STRICT;

CREATE UNIQUE INDEX one_running_attempt_a_host ON attempts (host)
    WHERE started_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX queued_attempts ON attempts (queued_at) WHERE started_at IS NULL AND finished_at IS NULL;
CREATE INDEX attempts_by_host ON attempts (host, started_at);
CREATE INDEX attempts_by_time ON attempts (queued_at);
CREATE INDEX attempts_by_incident ON attempts (incident);

-- Written by the readiness check: a journal that can only be read is not ready.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
