//! When cron would have run something: five fields of a crontab over the minutes of a host's own time.

use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};

/// No minute further back is counted: a quarter, in minutes.
const MOST_MINUTES: i64 = 92 * 24 * 60;

/// The minutes of each field at which it is due.
struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether each of the two says something: then one of them is enough.
    names_days: bool,
    names_weekdays: bool,
}

/// How many runs were due after `since` and up to `until`; `None` where the schedule is none.
pub(super) fn runs(schedule: &str, since: Timestamp, until: Timestamp, zone: &TimeZone) -> Option<u32> {
    let schedule = Schedule::parse(schedule)?;
    let first = since.as_second().div_euclid(60) + 1;
    let last = until.as_second().div_euclid(60);
    let minutes = first.max(last - MOST_MINUTES)..=last;
    let due = minutes
        .filter_map(|minute| Timestamp::from_second(minute * 60).ok())
        .filter(|at| schedule.is_due(&at.to_zoned_datetime(zone.clone())))
        .count();
    u32::try_from(due).ok()
}

impl Schedule {
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else { return None };
        let weekday_bits = field(weekdays, 0, 7, &WEEKDAYS)?;
        Some(Self {
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, &MONTHS)?,
            // Sunday is 0 and 7.
            weekdays: weekday_bits | (weekday_bits >> 7 & 1),
            names_days: !days.starts_with('*'),
            names_weekdays: !weekdays.starts_with('*'),
        })
    }

    fn is_due(&self, at: &ZonedDateTime) -> bool {
        let has = |bits: u64, value: i8| bits >> value & 1 == 1;
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        let is_day = if self.names_days && self.names_weekdays { day || weekday } else { day && weekday };
        has(self.minutes, at.minute()) && has(self.hours, at.hour()) && has(self.months, at.month()) && is_day
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A list of values, ranges and stars, each with a step or without, as bits.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Option<u64> {
    text.split(',').try_fold(0, |bits, part| {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse().ok().filter(|step: &usize| *step > 0)?)),
            None => (part, None),
        };
        let value = |text: &str| number(text, least, names).filter(|value| (least..=most).contains(value));
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (value(from)?, value(to)?),
            // cron takes `5/10` for `5-59/10`.
            None => (value(range)?, if step.is_some() { most } else { value(range)? }),
        };
        Some((from..=to).step_by(step.unwrap_or(1)).fold(bits, |bits, value| bits | 1 << value))
    })
}

fn number(text: &str, least: u32, names: &[&str]) -> Option<u32> {
    let at = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match at {
        Some(at) => Some(u32::try_from(at).ok()? + least),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(schedule: &str, since: &str, until: &str) -> Option<u32> {
        runs(schedule, since.parse().unwrap(), until.parse().unwrap(), &TimeZone::UTC)
    }

    #[test]
    fn runs_are_counted_as_cron_has_them() {
        let (since, until) = ("2026-11-27T00:07:00Z", "2026-11-27T12:07:00Z");
        for (schedule, expected) in [
            ("7 * * * *", 12),
            ("*/15 * * * *", 48),
            ("5/20 * * * *", 36),
            ("0,30 1-3 * * *", 6),
            ("0 6 * * fri", 1),
            ("0 6 * * 5", 1),
            ("0 6 * * 1-4", 0),
            ("0 6 1 * 5", 1),
            ("0 6 1 * *", 0),
            ("0 6 27 nov *", 1),
            ("0 6 * 1-10 *", 0),
            ("0 6 * * */7", 0),
        ] {
            assert_eq!(due(schedule, since, until), Some(expected), "{schedule}");
        }
        assert_eq!(due("0 0 * * 7", "2026-11-28T12:00:00Z", "2026-11-29T12:00:00Z"), Some(1), "a Sunday");
        assert_eq!(due("7 * * * *", until, since), Some(0), "a clock that was put back");
    }

    #[test]
    fn what_is_no_schedule_counts_nothing() {
        for schedule in ["", "* * * *", "60 * * * *", "*/0 * * * *", "x * * * *", "* * 0 * *", "1- * * * *"] {
            assert_eq!(due(schedule, "2026-11-27T00:00:00Z", "2026-11-27T01:00:00Z"), None, "{schedule}");
        }
    }
}
