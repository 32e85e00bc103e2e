//! Who asks, as log and journal tell of it: a name and an address, and never what was shown.

use std::{net::IpAddr, sync::Arc};

use axum::extract::Request;

use crate::domain::line::line;

/// What a caller was let in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The bearer token, which tells nobody's name.
    Token,
    /// A user's password.
    User(String),
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Who(Arc<str>);

impl Who {
    /// By what was shown, by the certificate that was checked, by the address. Names are somebody's own: they
    /// are made one line, which cannot begin another one in the log.
    pub fn new(shown: Option<&Shown>, certificate: Option<&str>, peer: Option<IpAddr>) -> Self {
        let shown = shown.map(|shown| match shown {
            Shown::Token => "bearer token".to_owned(),
            Shown::User(name) => format!("user {name}"),
        });
        let certificate = certificate.map(|subject| format!("certificate {subject}"));
        let names: Vec<_> = shown.into_iter().chain(certificate).collect();
        let address = peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
        let text =
            if names.is_empty() { address } else { format!("{} from {address}", line(&names.join(", "))) };
        Self(text.into())
    }

    /// Who was let in with this request.
    pub fn of(request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self::new(None, None, None))
    }

    /// The name and the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_is_told_by_name_and_address_on_one_line() {
        let peer = Some("10.0.0.7".parse().unwrap());
        let amy = Shown::User("amy".to_owned());
        for (shown, certificate, expected) in [
            (Some(&amy), None, "user amy from 10.0.0.7"),
            (Some(&Shown::Token), None, "bearer token from 10.0.0.7"),
            (None, Some("CN=am"), "certificate CN=am from 10.0.0.7"),
            (Some(&amy), Some("CN=am"), "user amy, certificate CN=am from 10.0.0.7"),
            (None, None, "10.0.0.7"),
        ] {
            assert_eq!(Who::new(shown, certificate, peer).as_str(), expected);
        }
        let hostile = Shown::User(format!("eve\n2026 INFO forged{}", "x".repeat(9999)));
        let hostile = Who::new(Some(&hostile), Some("CN=\u{1b}[2J"), peer);
        assert!(!hostile.as_str().contains(char::is_control) && hostile.as_str().len() < 400, "{hostile:?}");
    }
}
