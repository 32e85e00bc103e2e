//! What is written of incidents.

use jiff::Timestamp;
use rusqlite::params;

use super::{
    super::super::{JournalError, Stored},
    SqliteWork,
};
use crate::{
    domain::{
        attempt::Outcome,
        incident::{Closed, Incident, IncidentId, State, Timing},
        policy::Urgency,
    },
    responder::clock::microseconds,
};

/// An incident's columns that events change and no index has.
const SAVE: &str =
    "UPDATE incidents SET urgency = ?2, firing_since = ?3, attempts = ?4, failures_in_row = ?5,
     last_outcome = ?6, escalated_at = ?7, escalation = ?8, lowered_at = ?9, lowered_told_at = ?10,
     lowered_from = ?11 WHERE id = ?1";
/// Those that indexes have. Written only where they have changed: an alert that was received again
/// changes none of them, and each index would be a page more for the log.
const SAVE_STATE: &str =
    "UPDATE incidents SET state = ?2, due_at = ?3, closed_at = ?4, close_reason = ?5 WHERE id = ?1
     AND (state, due_at, closed_at, close_reason) IS NOT (?2, ?3, ?4, ?5)";
/// When time brings something. One that is still to come and too soon is left: it is asked then, and is
/// written then. Each alert that is received again puts it off.
const SAVE_TIME: &str = "UPDATE incidents SET time_event_at = ?2 WHERE id = ?1 AND time_event_at IS NOT ?2
     AND (time_event_at > ?3 AND time_event_at < ?2) IS NOT TRUE";

impl SqliteWork {
    pub(super) fn insert(
        &self,
        incident: &Incident,
        timing: &Timing,
        accepted_at: Timestamp,
    ) -> Result<IncidentId, JournalError> {
        const STATEMENT: &str =
            "INSERT INTO incidents (host, state, opened_at, accepted_at, due_at, attempts,
             failures_in_row, trouble_before) VALUES (?1, 'waiting', ?2, ?3, ?2, 0, 0, ?4)";
        let id = self.on(|connection| {
            connection.prepare_cached(STATEMENT)?.execute(params![
                incident.host.as_str(),
                incident.opened_at.as_microsecond(),
                accepted_at.as_microsecond(),
                microseconds(incident.trouble_before),
            ])?;
            Ok(IncidentId(connection.last_insert_rowid()))
        })?;
        self.save(&Stored { id, incident: incident.clone() }, timing, accepted_at)?;
        Ok(id)
    }

    pub(super) fn save(&self, stored: &Stored, timing: &Timing, now: Timestamp) -> Result<(), JournalError> {
        let incident = &stored.incident;
        let (state, due_at, closed) = match incident.state {
            State::Waiting { due_at } => ("waiting", Some(due_at), None),
            State::Sweeping => ("sweeping", None, None),
            State::Closed { at, reason } => ("closed", None, Some((at, reason))),
        };
        self.execute(
            SAVE,
            params![
                stored.id.0,
                incident.urgency().map(Urgency::as_str),
                incident.firing_since().map(Timestamp::as_microsecond),
                incident.attempts,
                incident.failures_in_row,
                incident.last_outcome.map(Outcome::as_str),
                incident.escalated.map(|escalated| escalated.at.as_microsecond()),
                incident.escalated.map(|escalated| escalated.reason.as_str()),
                incident.lowered.map(|lowered| lowered.at.as_microsecond()),
                incident.lowered.map(|lowered| lowered.told.at.as_microsecond()),
                incident.lowered.map(|lowered| lowered.told.reason.as_str()),
            ],
        )?;
        self.execute(
            SAVE_STATE,
            params![
                stored.id.0,
                state,
                due_at.map(Timestamp::as_microsecond),
                closed.map(|(at, _)| at.as_microsecond()),
                closed.map(|(_, reason): (_, Closed)| reason.as_str()),
            ],
        )?;
        let time_event_at = incident.time_event_at(timing).map(Timestamp::as_microsecond);
        self.execute(SAVE_TIME, params![stored.id.0, time_event_at, now.as_microsecond()])?;
        Ok(())
    }
}
