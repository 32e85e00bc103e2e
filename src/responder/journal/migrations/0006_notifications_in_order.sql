-- Notifications in the order in which they were stored, each at the end of the table: with the identity as the
-- key of the table itself, each would write three pages more.

CREATE TABLE notifications_in_order (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE, -- of UUID's version 7: ordered by time
    received_at INTEGER NOT NULL,     -- by the responder's clock of that moment
    bytes       INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT;
INSERT INTO notifications_in_order (id, received_at, bytes, body)
SELECT id, received_at, bytes, body FROM notifications ORDER BY id;
DROP TABLE notifications;
ALTER TABLE notifications_in_order RENAME TO notifications;
