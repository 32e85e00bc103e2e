//! Hosts: the closed set of names that anything may ever be done to.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The name of an inventory entry.
///
/// Restricted to what is safe in a file name, a metric label and a log line. It still never reaches
/// a command line: connecting uses the entry's own address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Why a text is no host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host name: use 1 to 253 letters, digits, '.', '-' or '_', starting with a letter or digit"
)]
pub struct HostNameError(String);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let all_fit = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if starts_well && all_fit && text.len() <= 253 {
            Ok(Self(text.to_owned()))
        } else {
            Err(HostNameError(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which label values stand for which inventory entry.
///
/// A label only ever selects among these; a value that is not here selects nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    by_label_value: BTreeMap<String, HostName>,
}

/// Two inventory entries claim the same label value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{value:?} stands for both {first} and {second}: each name, address and alias may belong to one host"
)]
pub struct DirectoryClash {
    /// The label value that both claim.
    pub value: String,
    /// The entry that had it first.
    pub first: HostName,
    /// The entry that claims it as well.
    pub second: HostName,
}

impl Directory {
    /// Makes a directory from every entry and the label values that stand for it.
    pub fn new<I, V>(entries: I) -> Result<Self, DirectoryClash>
    where
        I: IntoIterator<Item = (HostName, V)>,
        V: IntoIterator<Item = String>,
    {
        let mut by_label_value = BTreeMap::new();
        for (host, values) in entries {
            let values = values.into_iter().chain([host.as_str().to_owned()]);
            for value in values {
                let before = by_label_value.insert(value.clone(), host.clone());
                if let Some(first) = before.filter(|first| *first != host) {
                    return Err(DirectoryClash { value, first, second: host });
                }
            }
        }
        Ok(Self { by_label_value })
    }

    /// The entry that a label value stands for: as it is, or with its port cut off.
    pub fn find(&self, value: &str) -> Option<&HostName> {
        self.by_label_value.get(value).or_else(|| self.by_label_value.get(without_port(value)?))
    }
}

/// `10.0.0.80:9100` → `10.0.0.80`, `[fd00::1]:9100` → `fd00::1`, `[fd00::1]` → `fd00::1`.
///
/// A bare IPv6 address has colons of its own and keeps them.
fn without_port(value: &str) -> Option<&str> {
    if let Some(rest) = value.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(address);
    }
    let (address, port) = value.split_once(':')?;
    is_port(port).then_some(address)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[test]
    fn a_host_name_that_could_be_an_option_or_a_path_is_refused() {
        for text in ["", "-oProxyCommand=x", "../..", "a b", "a@b", "$(id)", "ä", ".hidden", &"a".repeat(254)]
        {
            assert!(text.parse::<HostName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_port_is_cut_off_and_an_ipv6_address_keeps_its_colons() {
        for (value, expected) in [
            ("10.0.0.80:9100", Some("10.0.0.80")),
            ("[fd00::1]:9100", Some("fd00::1")),
            ("[fd00::1]", Some("fd00::1")),
            ("fd00::1", None),
            ("ray-80:9100", Some("ray-80")),
            ("ray-80:", None),
            ("ray-80:+91", None),
            ("[fd00::1]x", None),
        ] {
            assert_eq!(without_port(value), expected, "{value}");
        }
    }

    #[test]
    fn a_directory_finds_names_aliases_and_both_with_a_port() {
        let directory =
            Directory::new([(host("ray-80"), vec!["10.0.0.80".to_owned(), "fd00::80".to_owned()])]).unwrap();
        for value in ["ray-80", "ray-80:9100", "10.0.0.80:8080", "[fd00::80]:9100", "fd00::80"] {
            assert_eq!(directory.find(value), Some(&host("ray-80")), "{value}");
        }
        for value in ["ray-8", "RAY-80", "", ":9100", "ray-80:x", "ray-80 "] {
            assert_eq!(directory.find(value), None, "{value}");
        }
    }

    #[test]
    fn two_entries_cannot_claim_one_value() {
        let clash = Directory::new([
            (host("a"), vec!["10.0.0.1".to_owned()]),
            (host("b"), vec!["10.0.0.1".to_owned()]),
        ]);
        assert_eq!(clash.unwrap_err().value, "10.0.0.1");
    }
}
