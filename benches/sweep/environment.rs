//! What a run is told by its environment.

use std::{env, fmt, str::FromStr};

/// A set of words, each with a name.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($word),+ }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$word),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$word => $text),+ })
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|word| word.to_string() == text).ok_or_else(|| {
                    let all: Vec<_> = Self::ALL.iter().map(Self::to_string).collect();
                    format!("{text:?} is none of: {}", all.join(", "))
                })
            }
        }
    };
}
pub(crate) use words;

/// The words as they are written.
pub(crate) fn joined(words: &[impl fmt::Display], by: &str) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(by)
}

/// A number from 1 to the most.
pub(crate) fn number(name: &str, default: usize, most: usize) -> Result<usize, String> {
    let Ok(text) = env::var(name) else { return Ok(default) };
    let number = text.parse().map_err(|_| format!("{name}: {text:?} is no number"))?;
    if (1..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{name}: {number} is not from 1 to {most}"))
    }
}

/// Words, by what stands between them.
pub(crate) fn list<T: FromStr + Clone>(name: &str, by: &str, default: &[T]) -> Result<Vec<T>, String>
where
    T::Err: fmt::Display,
{
    let Ok(text) = env::var(name) else { return Ok(default.to_vec()) };
    let words = text.split(by).map(str::trim).filter(|word| !word.is_empty());
    let list: Vec<T> = words
        .map(|word| word.parse().map_err(|error| format!("{name}: {error}")))
        .collect::<Result<_, _>>()?;
    if list.is_empty() { Err(format!("{name} names nothing")) } else { Ok(list) }
}
