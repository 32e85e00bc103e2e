//! The shipped examples: they load, they say the defaults where they say so, and nothing is left out.

use std::path::{Path, PathBuf};

use raysweep::config::{
    load_responder, load_sweep,
    responder::{Deploy, HostEntry, ResponderConfig},
    sweep::SweepSettings,
    web::WebConfig,
};
use raysweep::domain::attempt::Mode;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples").join(name)
}

/// The example with its commented-out settings (`#key:`, no space) switched on.
fn all_on(name: &str) -> (tempfile::TempDir, PathBuf) {
    let text = std::fs::read_to_string(example(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let on: Vec<_> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if line.contains(':') && !is_prose(setting) => setting.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    assert_ne!(on.join("\n"), text.trim_end(), "{name} has no commented-out setting");
    let on = on
        .join("\n")
        .replace("/etc/raysweep/ray-token", token.to_str().unwrap())
        .replace("/etc/raysweep/alertmanager-token", token.to_str().unwrap())
        .replace("/etc/raysweep/prometheus-token", token.to_str().unwrap())
        .replace("/etc/raysweep/token", token.to_str().unwrap());
    let path = folder.path().join(name);
    std::fs::write(&path, on).unwrap();
    std::fs::write(&token, "a token\n").unwrap();
    restrict(&token);
    (folder, path)
}

/// `# A sentence` has one space, `#  key:` an indent of two or none.
fn is_prose(after_hash: &str) -> bool {
    after_hash.starts_with(' ') && !after_hash.starts_with("  ")
}

fn restrict(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_example_of_a_host_is_the_defaults() {
    assert_eq!(load_sweep(&example("sweep.yml")).unwrap(), SweepSettings::default());
}

#[test]
fn the_example_of_a_responder_is_the_defaults_but_for_its_hosts() {
    let mut config = load_responder(&example("raysweep.yml")).unwrap();
    assert_eq!(config.hosts.len(), 2);
    config.hosts.clear();
    assert_eq!(config, ResponderConfig::default());
}

#[test]
fn the_commented_out_settings_of_the_examples_are_settings() {
    let (_folder, path) = all_on("sweep.yml");
    let settings = load_sweep(&path).unwrap();
    assert_eq!(settings.bare.unwrap().user_id, 1000);
    assert!(settings.activity.ray_api.is_some_and(|api| api.token_file.is_some()));

    let (_folder, path) = all_on("raysweep.yml");
    let config = load_responder(&path).unwrap();
    assert!(config.web.bearer_token_file.is_some() && !config.web.allowed_hosts.is_empty());
    assert!(config.alertmanager.url.is_some() && config.alertmanager.bearer_token_file.is_some());
    assert!(config.prometheus.url.is_some() && config.prometheus.bearer_token_file.is_some());
    let HostEntry { name: _, address: _, aliases, user, port, identity_file, jump, sweep } = &config.hosts[1];
    assert!(!aliases.is_empty());
    assert!(user.is_some() && port.is_some() && identity_file.is_some() && jump.is_some() && sweep.is_some());
    let Deploy { user, from: _, public_key_file, host_ca_file, textfile_dir: _, sweep } = &config.deploy;
    assert!(user.is_some() && public_key_file.is_some() && host_ca_file.is_some() && sweep.is_some());
    let settings = config.settings_of(&config.hosts[1]).unwrap();
    assert_eq!((settings.mode, settings.bare.is_some()), (Mode::Enforce, true));
}

#[test]
fn the_example_of_a_web_configuration_is_one_with_and_without_its_commented_out_settings() {
    let plain = std::fs::read_to_string(example("web.yml")).unwrap();
    let config = WebConfig::parse(&example("web.yml"), &plain).unwrap();
    assert!(!config.authenticates());
    let (_folder, path) = all_on("web.yml");
    let config = WebConfig::parse(&path, &std::fs::read_to_string(&path).unwrap()).unwrap();
    let tls = config.tls_server_config.as_ref().unwrap();
    assert!(config.verifies_clients() && tls.client_allowed_sans.is_some());
    assert!(!tls.cipher_suites.is_empty() && !tls.curve_preferences.is_empty());
    assert!(config.basic_auth_users.contains_key("alertmanager"));
    assert_eq!(config.http_server_config.headers.len(), 2);
}

/// A key that the example does not show is a key that nobody finds.
#[test]
fn the_examples_show_every_key() {
    let settings = serde_json::to_value(SweepSettings::default()).unwrap();
    let config = serde_json::to_value(ResponderConfig::default()).unwrap();
    for (name, value) in [("sweep.yml", settings), ("raysweep.yml", config)] {
        let text = std::fs::read_to_string(example(name)).unwrap();
        for key in keys(&value) {
            assert!(text.contains(&format!("{key}:")), "{name} does not show {key}");
        }
    }
}

fn keys(value: &serde_json::Value) -> Vec<String> {
    let serde_json::Value::Object(table) = value else { return vec![] };
    table.iter().flat_map(|(key, value)| [vec![key.clone()], keys(value)].concat()).collect()
}
