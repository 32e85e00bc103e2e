use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// A file of the responder's with what it should hold, as it should be.
fn file(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, "a secret\n").unwrap();
    with_mode(&path, 0o600);
    path
}

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn configured(token: &Path, shown: &Path, key: &Path) -> ResponderConfig {
    let mut config =
        ResponderConfig { hosts: vec![HostEntry::at("ray-80", "10.0.0.80")], ..Default::default() };
    config.web.bearer_token_file = Some(token.to_owned());
    config.alertmanager.bearer_token_file = Some(shown.to_owned());
    config.ssh.identity_file = key.to_owned();
    config
}

async fn looked(config: &ResponderConfig, responder: &str) -> Secrets {
    let hosts: Vec<_> = config.hosts.iter().collect();
    Secrets::look(config, &hosts, responder).await
}

const HERE: &str = "http://127.0.0.1:9095";

type Break = fn(&Path);

fn put_away(path: &Path) {
    fs::rename(path, path.with_extension("away")).unwrap();
}

#[tokio::test]
async fn each_file_that_cannot_be_used_is_a_row_of_its_own_and_its_advice_names_it() {
    const NAMES: [&str; 3] = ["token", "shown", "key"];
    let breaks: [(&str, Break); 5] = [
        ("", |_| {}),
        ("is not there", put_away),
        ("is empty", |path| fs::write(path, " \n").unwrap()),
        ("is open to", |path| with_mode(path, 0o604)),
        ("is no file", |path| {
            put_away(path);
            fs::create_dir(path).unwrap();
        }),
    ];
    for (at, name) in NAMES.into_iter().enumerate() {
        for (seen, break_it) in breaks {
            let folder = tempfile::tempdir().unwrap();
            let files = NAMES.map(|name| file(&folder, name));
            let [token, shown, key] = &files;
            let config = configured(token, shown, key);
            break_it(&files[at]);
            let secrets = looked(&config, HERE).await;
            let checks = secrets.judge();
            assert_eq!(checks.len(), 1, "{name}: {checks:?}");
            if seen.is_empty() {
                let all = "web.bearer_token_file, alertmanager.bearer_token_file, ssh.identity_file";
                assert_eq!((checks[0].state, &*checks[0].seen), (State::Ok, &*format!("can be used: {all}")));
                continue;
            }
            assert_eq!(checks[0].state, State::Broken, "{name}: {checks:?}");
            assert!(checks[0].seen.contains(&format!("{} {seen}", files[at].display())), "{checks:?}");
            let advice = checks[0].advice.as_deref().unwrap();
            assert!(advice.contains(&*files[at].to_string_lossy()) || advice.contains("_file"), "{advice}");
            assert_eq!(secrets.token_is_broken(), name == "token");
            assert_eq!(secrets.broken_key(&config, &config.hosts[0]).is_some(), name == "key");
        }
    }
}

#[tokio::test]
async fn what_the_responder_alone_reads_is_looked_for_where_it_runs() {
    let nowhere = Path::new("/nonexistent/secret");
    let config = configured(nowhere, nowhere, nowhere);
    let keys = async |responder: &str| {
        let checks = looked(&config, responder).await.judge();
        checks.iter().map(|check| check.seen.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = ["web.bearer_token_file", "alertmanager.bearer_token_file", "ssh.identity_file"];
    for here in [HERE, "https://user@localhost/raysweep", "http://[::1]:9095"] {
        assert_eq!(keys(here).await, all, "{here}");
    }
    assert_eq!(keys("https://raysweep.example.com").await, ["ssh.identity_file"]);
}

#[tokio::test]
async fn a_pipe_that_nobody_writes_to_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_bits_truncate(0o600),
        0,
    )
    .unwrap();
    let config = configured(&pipe, &pipe, &pipe);
    let checks = looked(&config, HERE).await.judge();
    assert!(checks.iter().all(|check| check.seen.ends_with("is no file")), "{checks:?}");
}

#[test]
fn a_key_that_its_group_reads_is_none_to_its_owners_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "key");
    with_mode(&path, 0o640);
    let is_roots = fs::metadata(&path).unwrap().uid() == 0;
    let of = |kind| look_at(&Named { kind, key: "k", path: path.clone() }, None);
    assert_eq!(of(Kind::Token), Ok(()), "a token may be its group's");
    // Root's is the group's that reads it: to it, ssh does not look at the mode.
    assert_eq!(of(Kind::Key).is_ok(), is_roots);
}

#[test]
fn what_root_may_read_is_not_yet_the_responders() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "key");
    let account = Account::named("raysweep-responder:x:4000000:4000000::/:/bin/sh\n", "").unwrap();
    let named = Named { kind: Kind::Key, key: "ssh.identity_file", path };
    let Err(Trouble::Broken(seen, advice)) = look_at(&named, Some(&account)) else { panic!("{named:?}") };
    assert!(
        seen.contains("raysweep-responder") && advice.starts_with("chown raysweep-responder "),
        "{advice}"
    );
}

#[test]
fn alertmanagers_refusal_hangs_on_what_is_shown_to_it_and_its_silence_does_not() {
    let named = Named { kind: Kind::Alertmanager, key: "k", path: "/x".into() };
    let secrets = Secrets { bad: vec![(named, broken("is empty", String::new()))], ..Secrets::default() };
    let state = |secrets: &Secrets, seen: &str| {
        let mut checks = [Check::broken("alertmanager", seen, "")];
        secrets.excuse(&mut checks);
        checks[0].state
    };
    assert_eq!(state(&secrets, "http://a/api answers 401: no"), State::Skipped);
    assert_eq!(state(&secrets, "http://a/api does not answer: refused"), State::Broken);
    assert_eq!(state(&Secrets::default(), "http://a/api answers 401: no"), State::Broken);
}
