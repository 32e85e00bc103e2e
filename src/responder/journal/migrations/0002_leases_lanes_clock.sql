-- Claims carry a lease and a fence; hosts have a standing of their own; the clock is remembered.

-- From here on only what time brings by itself: expiry, or a person. `due_at` has its own index.
ALTER TABLE incidents RENAME COLUMN next_event_at TO time_event_at;
ALTER TABLE incidents ADD COLUMN trouble_before INTEGER NOT NULL DEFAULT 0; -- microseconds
CREATE INDEX incidents_by_due ON incidents (due_at) WHERE state = 'waiting';
CREATE INDEX incidents_by_host ON incidents (host, closed_at);

ALTER TABLE attempts ADD COLUMN fence INTEGER NOT NULL DEFAULT 0; -- of the host's claims, the greatest is the last
ALTER TABLE attempts ADD COLUMN lease_until INTEGER;              -- after it whoever claimed it has gone
ALTER TABLE attempts ADD COLUMN holds TEXT;                       -- JSON: what the report says still holds the space

CREATE TABLE hosts (
    host            TEXT PRIMARY KEY,
    lane            TEXT NOT NULL,
    last_outcome    TEXT,
    failures_in_row INTEGER NOT NULL,
    not_before      INTEGER           -- nothing is begun there before it
) STRICT, WITHOUT ROWID;

-- What the responder's time stood at. A clock that was set since is found by what it should show.
CREATE TABLE clock (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    boot     TEXT NOT NULL,           -- the machine's boot
    uptime   INTEGER NOT NULL,        -- microseconds since that boot
    at       INTEGER NOT NULL
) STRICT;
