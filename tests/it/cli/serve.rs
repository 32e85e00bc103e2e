//! `serve` before it serves: the same words and the same code as `check-config`.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{raysweep, said};

#[test]
fn a_wrong_configuration_ends_serve_as_it_ends_check_config() {
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "webb: 1\n",
        "ssh: { port: '22' }\n",
        "timing: { period: 10 }\n",
        "limits: { attempts_at_once: 0 }\n",
        "web: { listen_address: 0.0.0.0:0 }\n",
        "web: { bearer_token_file: /nonexistent/token }\n",
        "hosts: [{ name: a, address: -oProxyCommand=x }]\n",
        "hosts: [{ name: a, address: x }, { name: b, address: x }]\n",
        ": [\n",
    ] {
        fs::write(folder.path().join("a.yml"), text).unwrap();
        let checked = said(raysweep().current_dir(&folder).args(["check-config", "a.yml"]));
        let mut serve = raysweep();
        serve.current_dir(&folder).args(["serve", "--config.file", "a.yml", "--storage.path", "storage"]);
        assert_eq!(said(&mut serve), checked, "{text}");
        assert!(checked.starts_with("exit 3\n"), "{checked}");
        assert!(!folder.path().join("storage").exists(), "it began to work: {text}");
    }
}

#[test]
fn an_address_on_the_command_line_that_opens_it_to_all_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yml"), "").unwrap();
    let mut serve = raysweep();
    serve.current_dir(&folder).args(["serve", "--config.file", "a.yml", "--storage.path", "storage"]);
    let said = said(serve.args(["--web.listen-address", "0.0.0.0:0"]));
    assert!(
        said.starts_with("exit 3\nraysweep: a.yml: web.listen_address: 0.0.0.0:0 is not loopback"),
        "{said}"
    );
}

#[test]
fn a_wrong_web_configuration_ends_serve_as_it_ends_check_config() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yml"), "").unwrap();
    for (name, text) in [("cert.pem", "no certificate"), ("key.pem", "no key")] {
        fs::write(folder.path().join(name), text).unwrap();
        fs::set_permissions(folder.path().join(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    for (text, named) in [
        ("rate_limit: { interval: 1s, burst: 1 }\n", "web.yml: rate_limit: is not supported"),
        ("tls_server_config: { cert_file: a, key_file: b, cipher: c }\n", "unknown key `cipher`"),
        (
            "tls_server_config: { cert_file: a, key_file: key.pem }\n",
            "tls_server_config.cert_file: a cannot be read",
        ),
        (
            "tls_server_config: { cert_file: cert.pem, key_file: key.pem }\n",
            "cert_file: holds no certificate in PEM",
        ),
        ("basic_auth_users: { amy: s3cret }\n", "basic_auth_users.amy: must be the bcrypt hash"),
    ] {
        fs::write(folder.path().join("web.yml"), text).unwrap();
        let web = ["--web.config.file", "web.yml"];
        let checked = said(raysweep().current_dir(&folder).arg("check-config").args(web));
        let mut serve = raysweep();
        serve.current_dir(&folder).args(["serve", "--config.file", "a.yml", "--storage.path", "storage"]);
        assert_eq!(said(serve.args(web)), checked, "{text}");
        assert!(checked.starts_with("exit 3\nraysweep: web.yml: ") && checked.contains(named), "{checked}");
        assert!(!checked.contains("s3cret"), "{checked}");
        assert!(!folder.path().join("storage").exists(), "it began to work: {text}");
    }
    let missing =
        said(raysweep().current_dir(&folder).args(["check-config", "--web.config.file", "nothing.yml"]));
    assert!(missing.starts_with("exit 3\nraysweep: nothing.yml: cannot be read: "), "{missing}");
    assert!(missing.contains("--web.config.file"), "{missing}");
}
