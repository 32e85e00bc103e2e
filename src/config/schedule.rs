//! When cron runs something, as Debian's cron reads it.
//!
//! Crates that read such expressions read other ones too (seconds, `L`, `#`), or read the same one otherwise:
//! a day of the month and a day of the week are "or" to cron unless one of them begins with `*`. What is
//! taken here is what cron takes and means as well: `tests/backstop/schedules.txt` is held against the real one.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{
    Timestamp,
    civil::{Date, DateTime, date},
    tz::TimeZone,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::WithUnit;

const WANTED: &str = "write the five fields of a crontab, such as \"7 * * * *\", or @hourly, @daily, @weekly, \
     @monthly or @yearly";

const MINUTES_OF_A_DAY: u32 = 24 * 60;

/// A quarter: runs further back are not counted.
const MOST_MINUTES: i64 = 92 * 24 * 60;

/// What a field may hold.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// The names of its values, from the lowest on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of the month", low: 1, high: 31, names: &[] },
    Field {
        name: "month",
        low: 1,
        high: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // Sunday is 0 and 7.
    Field {
        name: "day of the week",
        low: 0,
        high: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// A cron expression that comes at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    /// A bit for each value that is meant.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day of the month or of the week is enough.
    either_day: bool,
}

/// The time between two runs. Daylight saving is left aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps {
    /// No two runs are nearer.
    pub shortest: Duration,
    /// No two runs that follow each other are farther apart.
    pub longest: Duration,
}

impl Schedule {
    /// As a crontab has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How far apart its runs are.
    pub fn gaps(&self) -> Gaps {
        let of_a_day: Vec<u32> = (0..24)
            .filter(|hour| has(self.hours, *hour))
            .flat_map(|hour| {
                (0..60).filter(|minute| has(self.minutes, *minute)).map(move |minute| hour * 60 + minute)
            })
            .collect();
        let (first, last) = (of_a_day.first().copied().unwrap_or(0), of_a_day.last().copied().unwrap_or(0));
        let within = of_a_day.windows(2).map(|pair| pair[1] - pair[0]);
        let days: Vec<u32> =
            (0..).zip(calendar()).filter(|(_, day)| self.is_on(*day)).map(|(at, _)| at).collect();
        let across = days.windows(2).map(|pair| (pair[1] - pair[0]) * MINUTES_OF_A_DAY + first - last);
        let (shortest, longest) = within
            .chain(across)
            .fold((u32::MAX, 0), |(shortest, longest), gap| (gap.min(shortest), gap.max(longest)));
        let minutes = |minutes: u32| Duration::from_secs(u64::from(minutes) * 60);
        Gaps { shortest: minutes(shortest), longest: minutes(longest) }
    }

    /// How many runs were due after `since` and up to `until`, by the clock of a place. None further back than a
    /// quarter is counted.
    pub fn runs(&self, since: Timestamp, until: Timestamp, zone: &TimeZone) -> usize {
        let (first, last) = (since.as_second().div_euclid(60) + 1, until.as_second().div_euclid(60));
        let minutes = first.max(last - MOST_MINUTES)..=last;
        let at = minutes.filter_map(|minute| Timestamp::from_second(minute * 60).ok());
        at.filter(|at| self.is_due(at.to_zoned_datetime(zone.clone()).datetime())).count()
    }

    fn is_due(&self, at: DateTime) -> bool {
        let bit = |value: i8| u32::from(value.unsigned_abs());
        has(self.minutes, bit(at.minute())) && has(self.hours, bit(at.hour())) && self.is_on(at.date())
    }

    fn is_on(&self, date: Date) -> bool {
        let bit = |value: i8| u32::from(value.unsigned_abs());
        let day = has(self.days, bit(date.day()));
        let weekday = has(self.weekdays, bit(date.weekday().to_sunday_zero_offset()));
        let fits = if self.either_day { day || weekday } else { day && weekday };
        fits && has(self.months, bit(date.month()))
    }
}

fn has(set: u64, value: u32) -> bool {
    set & (1 << value) != 0
}

/// Every day of a time in which every kind of day comes more than once: a 29th of February that is a Sunday
/// comes every 28 years.
fn calendar() -> impl Iterator<Item = Date> {
    let next = |day: &Date| day.tomorrow().ok();
    std::iter::successors(Some(date(2001, 1, 1)), next).take_while(|day| day.year() < 2100)
}

impl Default for Schedule {
    /// Seven minutes past each hour.
    fn default() -> Self {
        let [_, hours, days, months, weekdays] = FIELDS.map(|field| field.all());
        let text = "7 * * * *".to_owned();
        Self { text, minutes: 1 << 7, hours, days, months, weekdays, either_day: false }
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_schedule = |why: &str| format!("{text:?} is no schedule: {why}");
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        let fields: Vec<_> = match words[..] {
            ["@reboot"] => return Err(no_schedule("the host's own sweep has to come again and again")),
            [name] => named(name).ok_or_else(|| no_schedule(WANTED))?.split(' ').collect(),
            _ => words.clone(),
        };
        let [minute, hour, day, month, weekday] = fields[..] else { return Err(no_schedule(WANTED)) };
        let [minutes, hours, days, months, weekdays] = FIELDS;
        let read = |field: Field, text| field.read(text).map_err(|why| no_schedule(&why));
        let weekdays = read(weekdays, weekday)?;
        let schedule = Self {
            text: words.join(" "),
            minutes: read(minutes, minute)?,
            hours: read(hours, hour)?,
            days: read(days, day)?,
            months: read(months, month)?,
            // Both Sundays are one.
            weekdays: weekdays | u64::from(has(weekdays, 7)),
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        if calendar().any(|day| schedule.is_on(day)) {
            Ok(schedule)
        } else {
            Err(no_schedule("no month has such a day"))
        }
    }
}

/// What cron knows by a name, which it reads in small letters only.
fn named(name: &str) -> Option<&'static str> {
    Some(match name {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return None,
    })
}

impl Field {
    fn all(&self) -> u64 {
        (self.low..=self.high).fold(0, |set, value| set | 1 << value)
    }

    fn read(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.part(part).ok_or_else(|| self.wrong(part))?))
    }

    /// `*`, a value or a range; a step follows a range or `*` only.
    fn part(&self, part: &str) -> Option<u64> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            None if range == "*" => (self.low, self.high),
            None if step.is_some() => return None,
            None => {
                let value = self.value(range)?;
                (value, value)
            }
        };
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        (from <= to).then(|| (from..=to).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let by_name = || (self.low..).zip(self.names).find(|(_, name)| name.eq_ignore_ascii_case(text));
        let value = number(text).or_else(|| by_name().map(|(value, _)| value))?;
        (self.low..=self.high).contains(&value).then_some(value)
    }

    fn wrong(&self, part: &str) -> String {
        let Self { name, low, high, names } = self;
        let examples = match names {
            [] => String::new(),
            [first, .., last] => format!(" or {first} to {last}"),
            [only] => format!(" or {only}"),
        };
        format!(
            "{part:?} is no {name}: write *, {low} to {high}{examples}, a list (1,5), a range from low to high (1-5), or a step over one (*/5, 1-5/2)"
        )
    }
}

/// Digits alone: no sign.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WithUnit::wanting("a schedule as cron has it, such as \"7 * * * *\""))
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_debians_cron_reads_is_read_and_nothing_else() {
        let mut looked_at = 0;
        for line in include_str!("../../tests/backstop/schedules.txt").lines() {
            let Some((kind, text)) = line.split_once('\t') else { continue };
            assert_eq!(text.parse::<Schedule>().is_ok(), kind == "taken", "{line}");
            looked_at += 1;
        }
        assert!(looked_at > 60, "{looked_at}");
    }

    #[test]
    fn the_default_is_what_is_shipped_for_cron() {
        assert_eq!("7 * * * *".parse(), Ok(Schedule::default()));
        let shipped = include_str!("../../deploy/cron.d/raysweep");
        assert!(shipped.contains(&format!("\n{} root ", Schedule::default())));
    }

    #[test]
    fn a_refusal_names_the_field_and_what_would_be_right() {
        let why = |text: &str| text.parse::<Schedule>().unwrap_err();
        expect![[r#""* 24 * * *" is no schedule: "24" is no hour: write *, 0 to 23, a list (1,5), a range from low to high (1-5), or a step over one (*/5, 1-5/2)"#]].assert_eq(&why("* 24 * * *"));
        expect![[r#""* * * * sat-sun" is no schedule: "sat-sun" is no day of the week: write *, 0 to 7 or sun to sat, a list (1,5), a range from low to high (1-5), or a step over one (*/5, 1-5/2)"#]].assert_eq(&why("* * * * sat-sun"));
        expect![[r#""7 * * * * root id" is no schedule: write the five fields of a crontab, such as "7 * * * *", or @hourly, @daily, @weekly, @monthly or @yearly"#]].assert_eq(&why("7 * * * * root id"));
        expect![[r#""0 0 30 2 *" is no schedule: no month has such a day"#]].assert_eq(&why("0 0 30 2 *"));
        expect![[r#""@reboot" is no schedule: the host's own sweep has to come again and again"#]]
            .assert_eq(&why("@reboot"));
    }

    #[test]
    fn a_schedule_comes_on_the_days_on_which_cron_runs_it() {
        // 2026-11-01 is a Sunday.
        let days = |text: &str| -> Vec<i8> {
            let schedule: Schedule = text.parse().unwrap();
            (1..=30).filter(|day| schedule.is_on(date(2026, 11, *day))).collect()
        };
        assert_eq!(days("0 0 13 * fri"), [6, 13, 20, 27], "either is enough");
        assert!(days("0 0 */10 * fri").is_empty(), "unless one begins with a star");
        assert_eq!(days("0 0 */10 * sun"), [1]);
        assert_eq!(days("0 0 13-15 * *"), [13, 14, 15]);
        assert_eq!(days("0 0 * * 7"), days("0 0 * * 0"));
        assert_eq!(days("0 0 * * 6-7"), [1, 7, 8, 14, 15, 21, 22, 28, 29]);
        assert!(days("0 0 * JAN-oct *").is_empty());
    }

    #[test]
    fn runs_are_counted_as_cron_has_them() {
        let due = |schedule: &str, since: &str, until: &str| {
            let schedule: Schedule = schedule.parse().unwrap();
            schedule.runs(since.parse().unwrap(), until.parse().unwrap(), &TimeZone::UTC)
        };
        let (since, until) = ("2026-11-27T00:07:00Z", "2026-11-27T12:07:00Z");
        for (schedule, expected) in [
            ("7 * * * *", 12),
            ("*/15 * * * *", 48),
            ("0,30 1-3 * * *", 6),
            ("0 6 * * fri", 1),
            ("0 6 * * 5", 1),
            ("0 6 * * 1-4", 0),
            ("0 6 1 * 5", 1),
            ("0 6 1 * *", 0),
            ("0 6 27 nov *", 1),
            ("0 6 * 1-10 *", 0),
        ] {
            assert_eq!(due(schedule, since, until), expected, "{schedule}");
        }
        assert_eq!(due("0 0 * * 7", "2026-11-28T12:00:00Z", "2026-11-29T12:00:00Z"), 1, "a Sunday");
        assert_eq!(due("7 * * * *", until, since), 0, "a clock that was put back");
    }

    #[test]
    fn the_gaps_are_the_shortest_and_the_longest_way_to_the_next_run() {
        const HOUR: u64 = 60;
        const DAY: u64 = 24 * HOUR;
        let minutes = |text: &str| {
            let Gaps { shortest, longest } = text.parse::<Schedule>().unwrap().gaps();
            (shortest.as_secs() / 60, longest.as_secs() / 60)
        };
        assert_eq!(minutes("7 * * * *"), (HOUR, HOUR));
        assert_eq!(minutes("* * * * *"), (1, 1));
        assert_eq!(minutes("*/25 * * * *"), (10, 25));
        assert_eq!(minutes("*/90 * * * *"), (HOUR, HOUR), "a step beyond the hour is no step");
        assert_eq!(minutes("0,10 8-17 * * 1-5"), (10, 62 * HOUR + 50));
        assert_eq!(minutes("@weekly"), (7 * DAY, 7 * DAY));
        assert_eq!(minutes("@monthly"), (28 * DAY, 31 * DAY));
        assert_eq!(minutes("0 0 29 2 *"), (1461 * DAY, 1461 * DAY));
        assert_eq!(minutes("0 0 29 2 */7"), (28 * 1461 * DAY / 4, 28 * 1461 * DAY / 4));
    }

    #[test]
    fn what_is_written_into_a_crontab_is_one_line_of_these_words() {
        let schedule: Schedule = " 5\t4 *\n* mon-FRI ".parse().unwrap();
        assert_eq!(schedule.as_str(), "5 4 * * mon-FRI");
        assert_eq!("@daily".parse::<Schedule>().unwrap().as_str(), "@daily");
    }
}
