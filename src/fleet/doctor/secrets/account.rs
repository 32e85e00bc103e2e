//! The account that the shipped unit runs the responder as, where this machine has it: what root may read, it may
//! not.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
};

/// `User=` of `deploy/raysweep.service`.
pub(super) const NAME: &str = "raysweep-responder";

/// An account, by its numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    user: u32,
    groups: Vec<u32>,
}

impl Account {
    /// The unit's, where this machine has it.
    pub(super) fn of_the_unit() -> Option<Self> {
        let group = fs::read_to_string("/etc/group").unwrap_or_default();
        Self::named(&fs::read_to_string("/etc/passwd").ok()?, &group)
    }

    /// As passwd and group have it.
    pub(super) fn named(passwd: &str, group: &str) -> Option<Self> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let entry =
            passwd.lines().map(fields).find(|entry| entry.first().is_some_and(|name| name == NAME))?;
        let mut groups = vec![entry.get(3)?.parse().ok()?];
        for line in group.lines().map(fields) {
            let has_it = line.get(3).is_some_and(|members| members.split(',').any(|member| member == NAME));
            groups.extend(line.get(2).filter(|_| has_it).and_then(|number| number.parse::<u32>().ok()));
        }
        Some(Self { user: entry.get(2)?.parse().ok()?, groups })
    }

    /// Whether a file's mode lets it read.
    pub(super) fn can_read(&self, metadata: &Metadata) -> bool {
        self.can_read_of(metadata.uid(), metadata.gid(), metadata.mode())
    }

    fn can_read_of(&self, owner: u32, group: u32, mode: u32) -> bool {
        let bit = match () {
            () if owner == self.user => 0o400,
            () if self.groups.contains(&group) => 0o040,
            () => 0o004,
        };
        mode & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_what_its_owner_its_groups_or_everybody_may() {
        let passwd = "root:x:0:0::/:/bin/sh\nraysweep-responder:x:990:991::/:/usr/sbin/nologin\n";
        let group = "root:x:0:\nssl:x:7:jo,raysweep-responder\nraysweep-responder-2:x:8:\n";
        let account = Account::named(passwd, group).unwrap();
        assert_eq!(account, Account { user: 990, groups: vec![991, 7] });
        for (owner, group, mode, expected) in [
            (990, 0, 0o600, true),
            (990, 991, 0o040, false),
            (0, 0, 0o600, false),
            (0, 991, 0o640, true),
            (0, 7, 0o640, true),
            (0, 8, 0o640, false),
            (0, 0, 0o604, true),
        ] {
            assert_eq!(account.can_read_of(owner, group, mode), expected, "{owner} {group} {mode:o}");
        }
        assert_eq!(Account::named("root:x:0:0::/:/bin/sh\n", group), None);
    }
}
