//! A host as the operator reaches it: their own ssh, its configuration, agent and jump hosts.
//!
//! Each command is a text that stands here, with a digest of our own in it at most. All data goes by
//! standard input, a password too.

use std::{ffi::OsString, time::Duration};

use super::{
    Trouble,
    ssh::{Call, Ended, Failure},
};
use crate::{
    config::responder::{HostEntry, ResponderConfig},
    fleet::host_part::{ARGUMENT, PROGRAM, STAGED},
};

/// How root is reached there.
#[derive(Debug, Clone)]
pub(super) enum Root {
    /// The login is root's.
    Already,
    /// sudo asks for nothing.
    Sudo,
    /// sudo asks for the password.
    SudoWithPassword(Password),
}

impl Root {
    fn password(&self) -> Option<&Password> {
        match self {
            Self::Already | Self::Sudo => None,
            Self::SudoWithPassword(password) => Some(password),
        }
    }
}

/// What sudo asks for. It goes to the standard input of an ssh to a host whose sudo asks, and nowhere else.
#[derive(Clone, Default)]
pub struct Password(String);

impl Password {
    /// What was typed.
    pub fn new(typed: String) -> Self {
        Self(typed)
    }

    /// As sudo reads it.
    pub(in crate::fleet) fn line(&self) -> String {
        format!("{}\n", self.0)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A host that commands are run on.
#[derive(Debug)]
pub(in crate::fleet) struct Remote {
    ssh_config: String,
    arguments: Vec<OsString>,
    deadline: Duration,
}

impl Remote {
    pub(in crate::fleet) fn new(
        entry: &HostEntry,
        config: &ResponderConfig,
        user: Option<&str>,
        deadline: Duration,
    ) -> Self {
        let ssh_config = ssh_config(config.ssh.connect_timeout.0);
        Self { ssh_config, arguments: arguments(entry, config, user), deadline }
    }

    /// What there is, and whether root can be reached; with a password, where sudo asks for one.
    pub(super) async fn probe(&self, password: Option<&Password>) -> Result<Ended, Trouble> {
        self.harmless(&script(&[PROBE]), password, &[]).await
    }

    /// Brings the program along, whole or not at all.
    pub(super) async fn bring(&self, root: &Root, program: &[u8], digest: &str) -> Result<Ended, Trouble> {
        let bring = format!("{BRING} sh {} {digest}", staged(digest));
        self.harmless(&script(&[as_root(root), &format!("run {bring}")]), root.password(), program).await
    }

    /// Runs the program's part there, from where it was brought to or from where it lies.
    pub(super) async fn order(
        &self,
        root: &Root,
        staged_digest: Option<&str>,
        order: &[u8],
    ) -> Result<Ended, Trouble> {
        let program = staged_digest.map_or_else(|| PROGRAM.to_owned(), staged);
        let command = script(&[as_root(root), &format!("run {program} {ARGUMENT}")]);
        self.run(&command, root.password(), order).await.map_err(Trouble::from)
    }

    /// Takes away what was brought along and could not be run.
    pub(super) async fn discard(&self, root: &Root, digest: &str) -> Result<Ended, Trouble> {
        let discard = format!("run rm -f {}", staged(digest));
        self.harmless(&script(&[as_root(root), &discard]), root.password(), &[]).await
    }

    /// What changes nothing on the host: whether it has come to run there is all the same.
    async fn harmless(
        &self,
        command: &str,
        password: Option<&Password>,
        input: &[u8],
    ) -> Result<Ended, Trouble> {
        self.run(command, password, input).await.map_err(|failure| match failure {
            Failure::Lost(said) => Trouble::Unreachable(said),
            other => other.into(),
        })
    }

    async fn run(&self, command: &str, password: Option<&Password>, input: &[u8]) -> Result<Ended, Failure> {
        let password = password.map_or(&[][..], |password| password.0.as_bytes());
        self.call(command).run(password, input).await
    }

    /// How long any one command may take there.
    pub(in crate::fleet) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A command that is to be run there.
    pub(in crate::fleet) fn call<'a>(&'a self, command: &'a str) -> Call<'a> {
        let Self { ssh_config, arguments, deadline } = self;
        Call { config: ssh_config, arguments, command, has_agent: true, deadline: *deadline }
    }
}

/// What is not left to the operator's configuration, for the host and for every jump host before it: a
/// host that is not known is not spoken to, nothing is asked at the terminal, and nothing of ours is
/// forwarded. A connection that stands already would not show the host's key. What ssh would have read
/// without this file comes behind it: the first word on a thing counts.
fn ssh_config(connect_timeout: Duration) -> String {
    let secs = connect_timeout.as_secs().max(1);
    format!(
        "BatchMode yes
StrictHostKeyChecking yes
UpdateHostKeys no
ControlMaster no
ControlPath none
ForwardAgent no
ClearAllForwardings yes
PermitLocalCommand no
RemoteCommand none
ConnectionAttempts 1
ConnectTimeout {secs}
ServerAliveInterval 5
ServerAliveCountMax 3
EscapeChar none
Include ~/.ssh/config
Include /etc/ssh/ssh_config
"
    )
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::KeyChanged(None) => {
                Self::Refused("it shows another host key than the one that your ssh knows".to_owned())
            }
            Failure::KeyChanged(Some(jump)) => Self::Refused(format!(
                "the jump host {jump} shows another host key than the one that your ssh knows"
            )),
            Failure::KeyUnknown(None) => Self::Refused(
                "your ssh does not know its host key: connect once by hand, and compare the fingerprint"
                    .to_owned(),
            ),
            Failure::KeyUnknown(Some(jump)) => Self::Refused(format!(
                "your ssh does not know the jump host {jump}: connect to that once by hand, and compare the \
                 fingerprint"
            )),
            Failure::NotLetIn(said) => Self::Refused(format!("it does not let you in: {said}")),
            Failure::NotLetThrough(said) => Self::Refused(format!("a jump host does not let you in: {said}")),
            Failure::NoAnswer(said) => Self::Unreachable(said),
            Failure::Lost(said) => Self::Failed(format!(
                "the connection was lost after the order was sent, and the host may carry it out to its end: \
                 run it again ({said})"
            )),
            Failure::Local(error) => Self::Failed(format!("ssh cannot be run here: {error}")),
        }
    }
}

/// Where the host is. The inventory's jump host is gone through as the operator, not as the responder.
fn arguments(entry: &HostEntry, config: &ResponderConfig, user: Option<&str>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![];
    let port = entry.port.unwrap_or(config.ssh.port);
    if port != 22 {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(jump) = &entry.jump {
        let hops = jump.split(',').map(|hop| hop.rsplit_once('@').map_or(hop, |(_, host)| host));
        arguments.extend(["-J".into(), hops.collect::<Vec<_>>().join(",").into()]);
    }
    if let Some(user) = user.or(config.deploy.user.as_deref()) {
        arguments.extend(["-l".into(), user.into()]);
    }
    arguments.extend(["--".into(), (&entry.address).into()]);
    arguments
}

/// Where the program lies before it is in place: beside its place, where programs may be run.
fn staged(digest: &str) -> String {
    let start: String = digest.chars().take(16).collect();
    PROGRAM.replace("/raysweep", &format!("/{STAGED}{start}"))
}

/// For whatever shell the login has: one word in single quotes, on one line, without what csh and fish
/// would read in it.
pub(in crate::fleet) fn script(parts: &[&str]) -> String {
    let body = parts.join(" ").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    format!("exec /bin/sh -c '{PRELUDE} {body}'")
}

/// The first line of standard input is the password, or nothing.
const PRELUDE: &str =
    "LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH; IFS= read -r p;";

/// `run PROGRAM…`: as root, with the rest of standard input.
fn as_root(root: &Root) -> &'static str {
    match root {
        Root::Already => r#"run() { "$@"; };"#,
        Root::Sudo => r#"run() { sudo -n -- "$@"; };"#,
        // -k: a password that is remembered would not be read, and be taken for data.
        Root::SudoWithPassword(_) => r#"run() { { printf "%s\n" "$p"; cat; } | sudo -k -S -p "" -- "$@"; };"#,
    }
}

/// A program that comes in half has another digest.
const BRING: &str = r#"/bin/sh -c "umask 022; rm -f \$1.part~; cat >\$1.part~ && chmod 755 \$1.part~ && [ \$(sha256sum <\$1.part~ | cut -c1-64) = \$2 ] && mv -f \$1.part~ \$1 || { rm -f \$1.part~; exit 74; }""#;

/// A fact a line: its name, a tab, and what it is. A host's keys are those that the very sshd shows that
/// we came in by.
const PROBE: &str = r#"
say() { printf "%s\t%s\n" "$1" "$2"; };
say system "$(uname -s)";
say kernel "$(uname -r)";
say machine "$(uname -m)";
say glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null)";
say program "$(sha256sum /usr/local/bin/raysweep 2>/dev/null | cut -c1-64)";
say account "$(id -un)";
if [ "$(id -u)" = 0 ]; then say root already;
elif command -v sudo >/dev/null 2>&1; then
if sudo -n true 2>/dev/null; then say root sudo;
elif [ -z "$p" ]; then say root locked;
elif e=$(printf "%s\n" "$p" | sudo -k -S -p "" true 2>&1); then say root password;
else say root "denied $(printf "%s" "$e" | tr "\n" " ")"; fi;
else say root none; fi;
for k in /etc/ssh/ssh_host_*_key.pub; do [ -r "$k" ] && say key "$(cut -d" " -f1,2 "$k")"; done;
set -- $SSH_CONNECTION;
if [ $# = 4 ] && command -v ssh-keyscan >/dev/null 2>&1; then
ssh-keyscan -T 5 -p "$4" "$3" 2>/dev/null | while read -r h k; do say key "$k"; done; fi;
say end yes;
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shell_reads_anything_into_a_command_but_sh() {
        let digest = "ab".repeat(32);
        for root in [Root::Already, Root::Sudo, Root::SudoWithPassword(Password::default())] {
            let bring = format!("run {BRING} sh {} {digest}", staged(&digest));
            for command in [script(&[PROBE]), script(&[as_root(&root), &bring])] {
                let body = command.strip_prefix("exec /bin/sh -c '").unwrap().strip_suffix('\'').unwrap();
                assert!(!body.contains(['\'', '!', '\n']), "{body}");
                let parsed = std::process::Command::new("/bin/sh").args(["-n", "-c", body]).output().unwrap();
                assert!(parsed.status.success(), "{parsed:?}");
            }
        }
    }

    #[test]
    fn a_host_is_reached_as_the_operator_and_not_as_the_responder() {
        let entry = HostEntry {
            user: Some("raysweep".to_owned()),
            port: Some(2222),
            jump: Some("raysweep@bastion:2200".to_owned()),
            ..HostEntry::at("ray-80", "10.0.0.80")
        };
        let words = |user| {
            let arguments = arguments(&entry, &ResponderConfig::default(), user);
            arguments.iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(None), "-p 2222 -J bastion:2200 -- 10.0.0.80");
        assert_eq!(words(Some("jo")), "-p 2222 -J bastion:2200 -l jo -- 10.0.0.80");
    }

    #[test]
    fn an_order_of_which_nobody_knows_how_far_it_got_is_not_one_that_was_never_begun() {
        let Trouble::Failed(why) = Trouble::from(Failure::Lost("timeout".to_owned())) else { panic!() };
        assert!(why.contains("run it again (timeout)"), "{why}");
        let never = Trouble::from(Failure::NoAnswer("no route".to_owned()));
        assert_eq!(never, Trouble::Unreachable("no route".to_owned()));
    }

    #[test]
    fn a_password_shows_in_no_debug_output() {
        assert_eq!(format!("{:?}", Password::new("secret".to_owned())), "Password(…)");
    }
}
