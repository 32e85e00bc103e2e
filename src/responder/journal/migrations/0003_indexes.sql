-- What is asked for every attempt takes as long on a journal of 90 days as on one of today.

CREATE INDEX attempts_by_fence ON attempts (host, fence);
DROP INDEX attempts_by_incident;
CREATE INDEX attempts_by_incident ON attempts (incident, finished_at);
CREATE INDEX attempts_by_outcome ON attempts (incident, outcome);
CREATE INDEX attempts_by_end ON attempts (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ignored_by_last_seen ON ignored_alerts (last_seen);
