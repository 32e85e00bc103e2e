//! `docs/configuration.md` is made from the doc comments of `src/config` and from the defaults, so that
//! it cannot say anything else than the code. `UPDATE_EXPECT=1 cargo test --test it` writes it anew.

use std::{fmt::Write, fs, path::Path};

use raysweep::config::{responder::ResponderConfig, sweep::SweepSettings};
use serde_json::{Value, json};

/// A struct of settings: its name, its doc, and its fields as (name, type, doc).
struct Section {
    name: String,
    doc: String,
    fields: Vec<(String, String, String)>,
}

fn sections(source: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = vec![];
    let mut doc = String::new();
    let mut inside = false;
    for line in source.lines() {
        let text = line.trim();
        if let Some(comment) = text.strip_prefix("///") {
            doc.push_str(comment);
        } else if let Some(name) = text.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            let doc = std::mem::take(&mut doc).trim().to_owned();
            sections.push(Section { name: name.to_owned(), doc, fields: vec![] });
            inside = true;
        } else if text == "}" {
            inside = false;
        } else if let (true, Some(field)) = (inside, text.strip_prefix("pub ")) {
            let (name, kind) = field.trim_end_matches(',').split_once(": ").unwrap();
            let doc = std::mem::take(&mut doc).trim().to_owned();
            let name = name.trim_start_matches("r#");
            sections.last_mut().unwrap().fields.push((name.to_owned(), kind.to_owned(), doc));
        } else if !text.starts_with("#[") {
            doc.clear();
        }
    }
    sections
}

/// The doc without its last words on the default, which has a column of its own.
fn without_default(doc: &str) -> String {
    let doc = match doc.split_once(" Default ") {
        Some((before, default)) if !default.contains([':', ';']) => before,
        _ => doc,
    };
    doc.replace('|', "\\|")
}

/// The innermost type of `Option<T>` and `Vec<T>`.
fn inner(kind: &str) -> &str {
    let within = |outer: &str| kind.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>'));
    within("Option<").or_else(|| within("Vec<")).unwrap_or(kind)
}

fn shown(default: Option<&Value>) -> String {
    match default {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(Value::Array(list)) if list.is_empty() => "–".to_owned(),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            format!("`[{}]`", list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        Some(Value::Array(_)) => "see below".to_owned(),
        Some(other) => format!("`{other}`"),
    }
}

fn render(file: &str, top: &str, defaults: &Value) -> String {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let sections = sections(&source);
    let section = |name: &str| sections.iter().find(|section| section.name == name);
    let mut text = String::new();
    let mut waiting = vec![(String::new(), section(top).unwrap(), Some(defaults))];
    while !waiting.is_empty() {
        let (path, at, defaults) = waiting.remove(0);
        if !path.is_empty() {
            writeln!(text, "\n### `{path}`\n\n{}", at.doc).unwrap();
        }
        text.push_str("\n| key | default | what it is |\n|---|---|---|\n");
        for (name, kind, doc) in &at.fields {
            let default = defaults.and_then(|defaults| defaults.get(name));
            let below = section(inner(kind));
            let is_list = kind.starts_with("Vec<");
            let told = if below.is_some() && !is_list { "see below".to_owned() } else { shown(default) };
            writeln!(text, "| `{name}` | {told} | {} |", without_default(doc)).unwrap();
            if let Some(below) = below {
                let dot = if path.is_empty() { "" } else { "." };
                let list = if is_list { "[]" } else { "" };
                waiting.push((format!("{path}{dot}{name}{list}"), below, default));
            }
        }
    }
    text
}

#[test]
fn the_reference_is_what_the_code_says() {
    let responder = serde_json::to_value(ResponderConfig::default()).unwrap();
    let sweep = serde_json::to_value(SweepSettings::default()).unwrap();
    // Where these are missing, exporter-toolkit's defaults are no value at all.
    let web = json!({
        "tls_server_config": {
            "client_auth_type": "NoClientCert", "min_version": "TLS12", "max_version": "TLS13",
            "prefer_server_cipher_suites": true,
        },
        "http_server_config": { "http2": false },
    });
    let client = json!({ "authorization": { "type": "Bearer" } });
    let text = format!(
        "# Configuration\n\n\
         Made from the code by `tests/it/reference.rs`. Durations and sizes are written with their unit \
         (`90s`, `10m`, `5000MB`); an unknown key, a wrong type or a missing unit is an error that names \
         file and key. `raysweep check-config` checks all of them.\n\n\
         ## `/etc/raysweep/raysweep.yml`: the responder and the inventory\n\n\
         A variable overrides a key: `RAYSWEEP__SSH__PORT=2222`.\n{}\n\
         ## `/etc/raysweep/sweep.yml`: what root lets a sweep do on a host\n\n\
         The file alone decides: no variable overrides it, and only root may be able to write it.\n{}\n\
         ## `--web.config.file`: TLS and users\n\n\
         In the format of Prometheus' exporter-toolkit. Relative paths begin at the file's folder. It is read \
         anew for each connection and request. What is not supported is refused by its name.\n{}\n\
         ## `--http.config.file`: who asks a responder\n\n\
         For `status`, `history` and `replay --url`, in the format of Prometheus' HTTP clients. Relative paths begin \
         at the file's folder. What is not supported is refused by its name.\n{}",
        render("src/config/responder.rs", "ResponderConfig", &responder),
        render("src/config/sweep.rs", "SweepSettings", &sweep),
        render("src/config/web.rs", "WebConfig", &web),
        render("src/config/http_client.rs", "HttpClient", &client),
    );
    expect_test::expect_file!["../../docs/configuration.md"].assert_eq(&text);
}
