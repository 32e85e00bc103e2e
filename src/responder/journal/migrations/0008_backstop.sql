-- What a host tells of its own sweeps by cron, with its last report.

ALTER TABLE last_reports ADD COLUMN backstop TEXT; -- JSON; its instants are seconds before `reported_at`
