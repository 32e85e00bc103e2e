//! Between what is stored and the domain. What is stored has its own names and never changes with
//! the domain by accident.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use rusqlite::Row;
use serde::de::{DeserializeOwned, IntoDeserializer};
use uuid::Uuid;

use super::super::{Asked, JournalError, Stored};
use crate::domain::{
    alert::Fingerprint,
    attempt::AttemptId,
    host::HostName,
    incident::{Closed, Escalated, Escalation, Incident, IncidentId, Lowered, Member, State},
    standing::Lane,
};

pub(super) fn corrupt(what: impl std::fmt::Display) -> JournalError {
    JournalError::Corrupt(what.to_string())
}

pub(super) fn time(microseconds: i64) -> Result<Timestamp, JournalError> {
    Timestamp::from_microsecond(microseconds).map_err(corrupt)
}

pub(super) fn maybe_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, JournalError> {
    row.get::<_, Option<i64>>(column)?.map(time).transpose()
}

pub(super) fn time_of(row: &Row<'_>, column: &str) -> Result<Timestamp, JournalError> {
    time(row.get(column)?)
}

fn text<'r>(row: &'r Row<'_>, column: &str) -> Result<&'r str, JournalError> {
    row.get_ref(column)?.as_str().map_err(corrupt)
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

pub(super) fn stored(row: &Row<'_>, members: BTreeMap<Fingerprint, Member>) -> Result<Stored, JournalError> {
    let incident = Incident {
        host: host(row.get("host")?)?,
        members,
        opened_at: time_of(row, "opened_at")?,
        state: state(row)?,
        attempts: row.get("attempts")?,
        failures_in_row: row.get("failures_in_row")?,
        trouble_before: Duration::from_micros(row.get::<_, i64>("trouble_before")?.unsigned_abs()),
        last_outcome: row.get::<_, Option<String>>("last_outcome")?.map(|w| word(&w)).transpose()?,
        escalated: escalated(row, "escalated_at", "escalation")?,
        lowered: lowered(row)?,
    };
    Ok(Stored { id: IncidentId(row.get("id")?), incident })
}

fn state(row: &Row<'_>) -> Result<State, JournalError> {
    match text(row, "state")? {
        "waiting" => Ok(State::Waiting { due_at: time_of(row, "due_at")? }),
        "sweeping" => Ok(State::Sweeping),
        _ => {
            let reason = text(row, "close_reason")?;
            let reason = Closed::ALL.into_iter().find(|r| r.as_str() == reason);
            Ok(State::Closed {
                at: time_of(row, "closed_at")?,
                reason: reason.ok_or_else(|| corrupt("a close reason that is not known"))?,
            })
        }
    }
}

fn escalated(row: &Row<'_>, at: &str, reason: &str) -> Result<Option<Escalated>, JournalError> {
    let Some(at) = maybe_time(row, at)? else { return Ok(None) };
    let reason = text(row, reason)?;
    let reason = Escalation::ALL.into_iter().find(|r| r.as_str() == reason);
    Ok(Some(Escalated { at, reason: reason.ok_or_else(|| corrupt("an escalation that is not known"))? }))
}

fn lowered(row: &Row<'_>) -> Result<Option<Lowered>, JournalError> {
    let told = escalated(row, "lowered_told_at", "lowered_from")?;
    Ok(told.zip(maybe_time(row, "lowered_at")?).map(|(told, at)| Lowered { told, at }))
}

/// What is read of an alert, in this order: all but the labels. A host may have a thousand alerts.
macro_rules! member_columns {
    () => {
        "fingerprint, name, urgency, status, starts_at, ends_at, received_at, last_seen"
    };
}
pub(super) use member_columns;

pub(super) fn member(row: &Row<'_>) -> Result<(Fingerprint, Member), JournalError> {
    let at = |column: usize| time(row.get(column)?);
    let word_at = |column: usize| row.get_ref(column)?.as_str().map_err(corrupt);
    Ok((
        Fingerprint::try_from(row.get::<_, String>(0)?).map_err(corrupt)?,
        Member {
            name: row.get(1)?,
            urgency: word(word_at(2)?)?,
            status: word(word_at(3)?)?,
            starts_at: at(4)?,
            ends_at: row.get::<_, Option<i64>>(5)?.map(time).transpose()?,
            received_at: at(6)?,
            last_seen: at(7)?,
        },
    ))
}

pub(super) fn lane(row: &Row<'_>) -> Result<Lane, JournalError> {
    let word = text(row, "lane")?;
    Lane::ALL
        .into_iter()
        .find(|lane| lane.as_str() == word)
        .ok_or_else(|| corrupt("a lane that is not known"))
}

/// An attempt that waits on a host.
pub(super) fn waiting(row: &Row<'_>) -> Result<(HostName, AttemptId), JournalError> {
    Ok((host(row.get("host")?)?, text(row, "id")?.parse().map_err(corrupt)?))
}

pub(super) fn asked(row: &Row<'_>) -> Result<Asked, JournalError> {
    Ok(Asked {
        id: text(row, "id")?.parse().map_err(corrupt)?,
        host: host(row.get("host")?)?,
        incident: row.get::<_, Option<i64>>("incident")?.map(IncidentId),
        replay: row
            .get::<_, Option<String>>("replay")?
            .map(|text| Uuid::parse_str(&text))
            .transpose()
            .map_err(corrupt)?,
        trigger: word(text(row, "trigger")?)?,
        dry_run: row.get("dry_run")?,
        asked_by: row.get("asked_by")?,
    })
}
