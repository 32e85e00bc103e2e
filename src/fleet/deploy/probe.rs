//! What a host is, by what it says of itself, and whether it can be one of ours.

use super::{
    Trouble,
    known_hosts::{Fingerprint, PublicKey},
    remote::{Password, Root},
    ssh::{Ended, last_words},
};

/// What the host part needs of the kernel: openat2, and setns by pidfd.
const KERNEL: (u32, u32) = (5, 8);

/// What a host says of itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    system: String,
    kernel: String,
    machine: String,
    glibc: String,
    account: String,
    root: String,
    /// The digest of the program that lies there, if one does.
    pub(super) program: Option<String>,
    keys: Vec<PublicKey>,
    host_key: Option<Fingerprint>,
}

/// The program that runs here, and what it needs.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
    glibc: (u32, u32),
}

impl Program {
    /// This very one.
    pub(super) fn of_this_process() -> std::io::Result<Self> {
        let bytes = std::fs::read("/proc/self/exe")?;
        let (digest, glibc) = (crate::fleet::sha256(&bytes), glibc_of(&bytes));
        Ok(Self { bytes, digest, glibc })
    }
}

impl Facts {
    /// From the answer to a probe.
    pub(super) fn of(ended: Ended) -> Result<Self, Trouble> {
        let text = String::from_utf8_lossy(&ended.stdout);
        let mut facts = Self { host_key: ended.host_key, ..Self::default() };
        let mut is_whole = false;
        for (name, value) in text.lines().filter_map(|line| line.split_once('\t')) {
            // It is shown to people.
            let value: String = value.chars().filter(|c| !c.is_control()).take(1000).collect();
            match name {
                "system" => facts.system = value,
                "kernel" => facts.kernel = value,
                "machine" => facts.machine = value,
                "glibc" => facts.glibc = value,
                "account" => facts.account = value,
                "root" => facts.root = value,
                "program" => facts.program = (value.len() == 64).then_some(value),
                "key" => facts.keys.extend(PublicKey::parse(&value)),
                "end" => is_whole = true,
                _ => {}
            }
        }
        if is_whole {
            Ok(facts)
        } else {
            Err(Trouble::Refused(format!("it runs no shell for you: {}", last_words(&ended.stderr))))
        }
    }

    /// Whether the program can do its work there.
    pub(super) fn fits(&self, program: &Program) -> Result<(), Trouble> {
        let unfit = |why: String| Err(Trouble::Refused(why));
        if self.system != "Linux" {
            return unfit(format!("it runs {:?}, and it takes Linux", self.system));
        }
        if version(&self.kernel).is_none_or(|version| version < KERNEL) {
            let (major, minor) = KERNEL;
            return unfit(format!("it runs Linux {}, and it takes {major}.{minor} or later", self.kernel));
        }
        if self.machine != std::env::consts::ARCH {
            let here = std::env::consts::ARCH;
            return unfit(format!("it is {}, and this program is for {here}", self.machine));
        }
        let (major, minor) = program.glibc;
        let has = self.glibc.strip_prefix("glibc ").and_then(version);
        if program.glibc != (0, 0) && has.is_none_or(|has| has < program.glibc) {
            let there = if self.glibc.is_empty() { "another C library" } else { &self.glibc };
            return unfit(format!("it has {there}, and this program takes glibc {major}.{minor} or later"));
        }
        Ok(())
    }

    /// Whether sudo there asks for a password.
    pub(super) fn asks_for_password(&self) -> bool {
        self.root == "locked"
    }

    /// How root is reached.
    pub(super) fn root(&self, password: Option<&Password>) -> Result<Root, Trouble> {
        let account = &self.account;
        let why = match self.root.as_str() {
            "already" => return Ok(Root::Already),
            "sudo" => return Ok(Root::Sudo),
            "password" => return Ok(Root::SudoWithPassword(password.cloned().unwrap_or_default())),
            "locked" => format!(
                "sudo asks {account} for a password, or gives it nothing: --ask-sudo-pass, or another --user"
            ),
            "none" => {
                format!("there is no sudo, and {account} is not root: install sudo, or use --user root")
            }
            other => format!(
                "sudo gives {account} nothing: {}",
                other.strip_prefix("denied").unwrap_or(other).trim()
            ),
        };
        Err(Trouble::Refused(why))
    }

    /// The key by which the operator's ssh has known the host: the fingerprint is ssh's own word, the host
    /// only adds the key that belongs to it.
    pub(super) fn host_key(&self) -> Result<&PublicKey, Trouble> {
        let shown = self.host_key.as_ref();
        let shown =
            shown.ok_or_else(|| Trouble::Failed("ssh did not say which host key it was shown".to_owned()))?;
        self.keys.iter().find(|key| key.fingerprint() == *shown).ok_or_else(|| {
            Trouble::Failed(format!(
                "its host key {shown} cannot be read there: install openssh-client, or pin it by hand"
            ))
        })
    }
}

/// `6.1.0-13-amd64` → (6, 1).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The newest glibc that a program's symbols ask for, by their versions: `GLIBC_2.34`. Their names stand at
/// a program's beginning.
fn glibc_of(program: &[u8]) -> (u32, u32) {
    const MARK: &[u8] = b"GLIBC_2.";
    let program = &program[..program.len().min(4 << 20)];
    let minors = program.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    let minors = minors.filter_map(|(at, _)| {
        let digits = program[at + MARK.len()..].iter().take_while(|byte| byte.is_ascii_digit()).take(3);
        String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
    });
    minors.max().map_or((0, 0), |minor| (2, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlIGtpbmQgdG8gdGhlIG5leHQgcGVyc29uIGhlcmUh";

    fn facts(text: &str) -> Result<Facts, Trouble> {
        let host_key = Some(PublicKey::parse(KEY).unwrap().fingerprint());
        Facts::of(Ended { code: Some(0), stdout: text.into(), stderr: "no login\n".to_owned(), host_key })
    }

    fn said(result: Result<(), Trouble>) -> String {
        match result.unwrap_err() {
            Trouble::Refused(why) => why,
            other => panic!("{other:?}"),
        }
    }

    fn program() -> Program {
        Program { bytes: vec![], digest: String::new(), glibc: (2, 31) }
    }

    fn host(kernel: &str, machine: &str, glibc: &str) -> Facts {
        let text = format!("system\tLinux\nkernel\t{kernel}\nmachine\t{machine}\nglibc\t{glibc}\nend\tyes\n");
        facts(&text).unwrap()
    }

    #[test]
    fn kernel_machine_and_library_must_do() {
        let here = std::env::consts::ARCH;
        host("5.8.0", here, "glibc 2.31").fits(&program()).unwrap();
        host("6.12.1-arch", here, "glibc 3.0").fits(&program()).unwrap();
        for (kernel, machine, glibc, expected) in [
            ("5.4.0-150", here, "glibc 2.31", "it runs Linux 5.4.0-150, and it takes 5.8 or later"),
            ("x", here, "glibc 2.31", "it runs Linux x, and it takes 5.8 or later"),
            ("6.1.0", here, "glibc 2.28", "it has glibc 2.28, and this program takes glibc 2.31 or later"),
            ("6.1.0", here, "", "it has another C library, and this program takes glibc 2.31 or later"),
        ] {
            assert_eq!(said(host(kernel, machine, glibc).fits(&program())), expected);
        }
        assert!(said(host("6.1.0", "riscv64", "glibc 2.31").fits(&program())).starts_with("it is riscv64"));
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(said(facts("system\tLinux\n").map(drop)), "it runs no shell for you: no login");
    }

    #[test]
    fn how_root_is_reached_or_why_not() {
        let root = |root: &str| facts(&format!("account\tjo\nroot\t{root}\nend\tyes\n")).unwrap();
        assert!(matches!(root("already").root(None), Ok(Root::Already)));
        assert!(matches!(root("sudo").root(None), Ok(Root::Sudo)));
        assert!(matches!(root("password").root(None), Ok(Root::SudoWithPassword(_))));
        assert!(root("locked").asks_for_password());
        for (given, expected) in [
            ("locked", "--ask-sudo-pass"),
            ("none", "there is no sudo, and jo is not root"),
            (
                "denied jo is not in the sudoers file.",
                "sudo gives jo nothing: jo is not in the sudoers file.",
            ),
        ] {
            let why = said(root(given).root(None).map(drop));
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn only_the_key_that_ssh_was_shown_is_the_hosts() {
        let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlIGtpbmQgdG8gdGhlIG5leHQgcGVyc29uIGhlcmUi";
        let both = facts(&format!("key\t{other}\nkey\t{KEY}\nend\tyes\n")).unwrap();
        assert_eq!(both.host_key().unwrap().to_string(), KEY);
        assert!(facts(&format!("key\t{other}\nend\tyes\n")).unwrap().host_key().is_err());
    }

    #[test]
    fn what_a_program_asks_of_glibc_stands_in_it() {
        assert_eq!(glibc_of(b"x\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.\0GLIBC_2.17"), (2, 34));
        assert_eq!(glibc_of(b"static"), (0, 0));
        assert!(Program::of_this_process().unwrap().glibc > (2, 1));
    }
}
