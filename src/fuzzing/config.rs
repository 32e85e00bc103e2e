//! What can stand in the configuration files and in variables.

use std::{collections::HashMap, fmt::Debug, path::Path};

use serde::{Serialize, de::DeserializeOwned};

use super::names;
use crate::{
    config::{
        load::{Overrides, parse},
        responder::ResponderConfig,
        sweep::SweepSettings,
    },
    responder::{self, ssh::Target},
};

const FILE: &str = "raysweep.yml";

/// A file that is read says the same when it is written again; one that is refused is named.
pub(super) fn any_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(config) = read_twice::<ResponderConfig>(text) {
        told_to_ssh(&config);
    }
    read_twice::<SweepSettings>(text);
}

fn read_twice<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &str) -> Option<T> {
    match parse::<T>(Path::new(FILE), text, Overrides::Given(HashMap::new())) {
        Ok(config) => {
            // Every JSON is YAML.
            let written = serde_json::to_string(&config).expect("a configuration can be written");
            let again = parse::<T>(Path::new(FILE), &written, Overrides::Given(HashMap::new()));
            assert_eq!(again.expect("what we wrote can be read"), config, "{written}");
            Some(config)
        }
        Err(error) => {
            assert!(error.to_string().starts_with(FILE), "{error}");
            None
        }
    }
}

/// Each host is one word behind the end of the options, and no word before it is one of its own making.
fn told_to_ssh(config: &ResponderConfig) {
    let Ok(checked) = responder::check(config) else { return };
    for (host, target) in &checked.targets {
        let words = Target::words(target);
        let options = words.iter().position(|word| word == "--").expect("options end");
        assert_eq!(words.len(), options + 2, "{host}: {words:?}");
        for word in words.iter().filter(|word| !matches!(word.as_str(), "-l" | "-p" | "-J" | "--")) {
            assert!(!word.starts_with('-') && !word.contains(char::is_whitespace), "{host}: {words:?}");
        }
    }
}

/// A variable says what it would say in the file, or is refused; it never says anything of another key.
pub(super) fn variables(data: &[u8]) {
    let text = names(data).next().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let variables = HashMap::from([("SSH__USER".to_owned(), text)]);
    match parse::<ResponderConfig>(Path::new(FILE), "", Overrides::Given(variables)) {
        Ok(mut config) => {
            config.ssh.user = ResponderConfig::default().ssh.user;
            assert_eq!(config, ResponderConfig::default());
        }
        Err(error) => assert!(error.to_string().contains("ssh"), "{error}"),
    }
}
