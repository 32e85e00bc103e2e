//! Values that are written with their unit.

use std::{fmt, marker::PhantomData, str::FromStr, time::Duration};

use bytesize::ByteSize;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

/// Nothing is waited for longer, and sums of so long a time are times that can be told.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// A length of time, written with its unit: `90s`, `10m`, `1h 30m`, `90d`. At most a hundred years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// So many minutes.
    pub const fn mins(mins: u64) -> Self {
        Self::secs(mins * 60)
    }

    /// So many hours.
    pub const fn hours(hours: u64) -> Self {
        Self::mins(hours * 60)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let span = humantime::parse_duration(text).map_err(|_| {
            format!("{text:?} is no duration: write a number with its unit, such as 90s, 10m or 24h")
        })?;
        if span > LONGEST {
            return Err(format!("{text:?} is longer than 100 years: write a time that somebody waits for"));
        }
        Ok(Self(span))
    }
}

impl fmt::Display for Span {
    /// In the unit that people would write it in: `24h` and `90d`, which humantime calls `1day` and
    /// `2months 29days …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        let secs = self.0.as_secs();
        let whole = |unit| self.0.subsec_nanos() == 0 && secs >= unit && secs.is_multiple_of(unit);
        if whole(DAY) && secs > DAY {
            write!(f, "{}d", secs / DAY)
        } else if whole(HOUR) {
            write!(f, "{}h", secs / HOUR)
        } else {
            humantime::format_duration(self.0).fmt(f)
        }
    }
}

/// A number of bytes, written with its unit: `5000MB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = || format!("{text:?} is no size: write a number with its unit, such as 5000MB or 1GiB");
        if text.bytes().all(|b| b.is_ascii_digit()) && text != "0" {
            return Err(wanted());
        }
        text.parse::<ByteSize>().map(|size| Self(size.as_u64())).map_err(|_| wanted())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ByteSize(self.0).display().si().fmt(f)
    }
}

/// What stands in a file is text; a bare number is told what it lacks.
pub(super) struct WithUnit<T> {
    wanted: &'static str,
    read: PhantomData<T>,
}

impl<T> WithUnit<T> {
    /// Text of this kind.
    pub(super) fn wanting(wanted: &'static str) -> Self {
        Self { wanted, read: PhantomData }
    }
}

impl<T: FromStr<Err = String>> Visitor<'_> for WithUnit<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WithUnit::wanting("a duration with its unit, such as 90s, 10m or 24h"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WithUnit::wanting("a size with its unit, such as 5000MB or 1GiB"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    /// To the byte: what people are shown is rounded.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const UNITS: [(&str, u64); 6] = [
            ("GB", 1_000_000_000),
            ("GiB", 1 << 30),
            ("MB", 1_000_000),
            ("MiB", 1 << 20),
            ("kB", 1_000),
            ("KiB", 1 << 10),
        ];
        let fits = |(_, unit): &(&str, u64)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (name, unit) = UNITS.into_iter().find(fits).unwrap_or(("B", 1));
        serializer.collect_str(&format_args!("{}{name}", self.0 / unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_neither_a_duration_nor_a_size() {
        assert!("10".parse::<Span>().is_err());
        assert!("5000".parse::<Size>().is_err());
        assert_eq!("10m".parse::<Span>(), Ok(Span::mins(10)));
        for text in ["90d", "24h", "36h", "10m", "1h 30m", "5s", "250ms"] {
            assert_eq!(text.parse::<Span>().map(|span| span.to_string()).as_deref(), Ok(text));
        }
        for text in ["101y", "500000000000y", "99999999999d", "18446744073709551615s"] {
            let refused = text.parse::<Span>().unwrap_err();
            assert!(refused.contains("is longer than 100 years"), "{refused}");
        }
        assert_eq!("100y".parse::<Span>().map(|span| span.0.as_secs() / 86_400), Ok(36_525));
        assert_eq!("5000MB".parse::<Size>(), Ok(Size(5_000_000_000)));
        assert_eq!("1GiB".parse::<Size>(), Ok(Size(1 << 30)));
        for size in [0, 1, 999, 1024, 5_000_000_000, 1 << 30, (1 << 30) + 1, 1_234_000] {
            let written = serde_json::to_string(&Size(size)).unwrap();
            assert_eq!(serde_json::from_str::<Size>(&written).unwrap(), Size(size), "{written}");
        }
    }
}
