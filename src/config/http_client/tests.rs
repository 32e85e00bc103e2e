use expect_test::{Expect, expect};

use super::*;

fn parse(text: &str) -> Result<HttpClient, ConfigError> {
    HttpClient::parse(Path::new("etc/client.yml"), text)
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&parse(text).unwrap_err().to_string());
}

#[test]
fn what_is_supported_is_read_and_paths_begin_at_the_files_folder() {
    assert_eq!(parse("").unwrap(), HttpClient::default());
    let text = "
basic_auth: { username: amy, password_file: password }
tls_config: { ca_file: ca.pem, cert_file: /keys/cert.pem, key_file: /keys/key.pem }
";
    let HttpClient { basic_auth, authorization, tls_config } = parse(text).unwrap();
    let basic = BasicAuth { username: "amy".to_owned(), password_file: "etc/password".into() };
    assert_eq!((basic_auth, authorization), (Some(basic), None));
    let [ca_file, cert_file, key_file] =
        ["etc/ca.pem", "/keys/cert.pem", "/keys/key.pem"].map(|path| Some(path.into()));
    assert_eq!(tls_config, Some(Tls { ca_file, cert_file, key_file }));
    let token = Authorization { r#type: TokenKind::Bearer, credentials_file: "etc/token".into() };
    for text in ["{ credentials_file: token }", "{ type: Bearer, credentials_file: token }"] {
        assert_eq!(parse(&format!("authorization: {text}")).unwrap().authorization.as_ref(), Some(&token));
    }
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    check(
        "proxy_url: http://proxy",
        expect![[
            r#"etc/client.yml: unknown key `proxy_url`; known keys: basic_auth, authorization, tls_config"#
        ]],
    );
    check(
        "tls_config: { insecure_skip_verify: true }",
        expect![
            "etc/client.yml: tls_config: unknown key `insecure_skip_verify`; known keys: ca_file, cert_file, key_file"
        ],
    );
    check(
        "basic_auth: { username: amy, password: secret }",
        expect!["etc/client.yml: basic_auth: unknown key `password`; known keys: username, password_file"],
    );
    check(
        "authorization: { type: Token, credentials_file: token }",
        expect![[r#"etc/client.yml: authorization.type: "Token" is not one of Bearer"#]],
    );
}

#[test]
fn what_cannot_be_meant_so_is_refused_all_in_one_go() {
    check(
        "
basic_auth: { username: 'a:b' }
authorization: { type: Bearer }
tls_config: { key_file: key.pem }
",
        expect![[r#"
            etc/client.yml: basic_auth.username: must not be empty and must hold no colon
            etc/client.yml: basic_auth.password_file: is missing
            etc/client.yml: authorization.credentials_file: is missing
            etc/client.yml: authorization: stands beside `basic_auth`: keep one of them
            etc/client.yml: tls_config.cert_file: is missing: it belongs to `key_file`"#]],
    );
    check(
        "tls_config: { cert_file: cert.pem }",
        expect!["etc/client.yml: tls_config.key_file: is missing: it belongs to `cert_file`"],
    );
}
