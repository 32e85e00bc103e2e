-- What a person was told of a critical alert, and when none fired any more: the last time that this came to pass.

ALTER TABLE incidents ADD COLUMN lowered_at INTEGER;
ALTER TABLE incidents ADD COLUMN lowered_told_at INTEGER;
ALTER TABLE incidents ADD COLUMN lowered_from TEXT; -- the escalation's reason
