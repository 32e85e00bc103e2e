//! Between what is stored and the domain. What is stored has its own names and never changes with
//! the domain by accident.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::de::{DeserializeOwned, IntoDeserializer};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::super::{Asked, JournalError, Stored};
use crate::domain::{
    alert::Fingerprint,
    host::HostName,
    incident::{Closed, Escalated, Escalation, Incident, IncidentId, Member, State},
    standing::Lane,
};

pub(super) fn corrupt(what: impl std::fmt::Display) -> JournalError {
    JournalError::Corrupt(what.to_string())
}

pub(super) fn time(microseconds: i64) -> Result<Timestamp, JournalError> {
    Timestamp::from_microsecond(microseconds).map_err(corrupt)
}

pub(super) fn maybe_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, JournalError> {
    row.try_get::<Option<i64>, _>(column)?.map(time).transpose()
}

pub(super) fn time_of(row: &SqliteRow, column: &str) -> Result<Timestamp, JournalError> {
    time(row.try_get(column)?)
}

pub(super) fn host(text: String) -> Result<HostName, JournalError> {
    HostName::try_from(text).map_err(corrupt)
}

/// A value of one of the domain's enums by its word.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, JournalError> {
    let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        text.into_deserializer();
    T::deserialize(deserializer).map_err(corrupt)
}

pub(super) fn stored(
    row: &SqliteRow,
    members: BTreeMap<Fingerprint, Member>,
) -> Result<Stored, JournalError> {
    let incident = Incident {
        host: host(row.try_get("host")?)?,
        members,
        opened_at: time_of(row, "opened_at")?,
        state: state(row)?,
        attempts: row.try_get("attempts")?,
        failures_in_row: row.try_get("failures_in_row")?,
        trouble_before: Duration::from_micros(row.try_get::<i64, _>("trouble_before")?.unsigned_abs()),
        last_outcome: row.try_get::<Option<String>, _>("last_outcome")?.map(|w| word(&w)).transpose()?,
        escalated: escalated(row)?,
    };
    Ok(Stored { id: IncidentId(row.try_get("id")?), incident })
}

fn state(row: &SqliteRow) -> Result<State, JournalError> {
    match row.try_get::<&str, _>("state")? {
        "waiting" => Ok(State::Waiting { due_at: time_of(row, "due_at")? }),
        "sweeping" => Ok(State::Sweeping),
        _ => {
            let reason: &str = row.try_get("close_reason")?;
            let reason = Closed::ALL.into_iter().find(|r| r.as_str() == reason);
            Ok(State::Closed {
                at: time_of(row, "closed_at")?,
                reason: reason.ok_or_else(|| corrupt("a close reason that is not known"))?,
            })
        }
    }
}

fn escalated(row: &SqliteRow) -> Result<Option<Escalated>, JournalError> {
    let Some(at) = maybe_time(row, "escalated_at")? else { return Ok(None) };
    let reason: &str = row.try_get("escalation")?;
    let reason = Escalation::ALL.into_iter().find(|r| r.as_str() == reason);
    Ok(Some(Escalated { at, reason: reason.ok_or_else(|| corrupt("an escalation that is not known"))? }))
}

pub(super) fn member(row: &SqliteRow) -> Result<(Fingerprint, Member), JournalError> {
    let fingerprint = Fingerprint::try_from(row.try_get::<String, _>("fingerprint")?).map_err(corrupt)?;
    Ok((
        fingerprint,
        Member {
            name: row.try_get("name")?,
            urgency: word(row.try_get("urgency")?)?,
            status: word(row.try_get("status")?)?,
            starts_at: time_of(row, "starts_at")?,
            ends_at: maybe_time(row, "ends_at")?,
            received_at: time_of(row, "received_at")?,
            last_seen: time_of(row, "last_seen")?,
        },
    ))
}

pub(super) fn lane(row: &SqliteRow) -> Result<Lane, JournalError> {
    let word: &str = row.try_get("lane")?;
    Lane::ALL
        .into_iter()
        .find(|lane| lane.as_str() == word)
        .ok_or_else(|| corrupt("a lane that is not known"))
}

pub(super) fn asked(row: &SqliteRow) -> Result<Asked, JournalError> {
    Ok(Asked {
        id: row.try_get::<&str, _>("id")?.parse().map_err(corrupt)?,
        host: host(row.try_get("host")?)?,
        incident: row.try_get::<Option<i64>, _>("incident")?.map(IncidentId),
        replay: row
            .try_get::<Option<&str>, _>("replay")?
            .map(Uuid::parse_str)
            .transpose()
            .map_err(corrupt)?,
        trigger: word(row.try_get("trigger")?)?,
        dry_run: row.try_get("dry_run")?,
    })
}
