//! Who may call: whoever shows the bearer token or a user's password, or has shown a certificate of the
//! client CA when the connection began. Files are looked at for each request, so that a new token, user
//! or certificate needs no restart, and one that was taken away is gone.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;
use tracing::{error, warn};

use super::{
    Web,
    connections::Slot,
    refusal,
    users::Busy,
    web_file::{Current, Handshake},
    who::{Shown, Who},
};
use crate::{
    config::secret::{self, SecretError},
    responder::{journal::Journal, metrics::ByResult},
};

/// The token in a file, whatever time the disk takes.
pub async fn token(path: &Path) -> Result<String, SecretError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || secret::read(&path)).await;
    read.unwrap_or_else(|error| Err(SecretError::Read(error.into())))
}

/// What has to be shown, as the files stand now.
#[derive(Debug)]
pub struct Asked {
    token: Option<String>,
    file: Option<Arc<Current>>,
}

/// Why nobody can be let in. Not a caller's fault: 503 is sent again, 401 would be final.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The token's file.
    #[error("web.bearer_token_file: {path} {source}")]
    Token {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: SecretError,
    },
    /// The web configuration file.
    #[error("{0}")]
    File(Arc<str>),
    /// What kept others out has gone from the web configuration file.
    #[error("{0} is not loopback, and nothing is asked of callers any more")]
    OpenToAll(SocketAddr),
    /// The file could not be looked at.
    #[error("the files cannot be looked at")]
    Stopping,
}

impl Unusable {
    /// What everybody may know who reaches the address: paths and names of users are for those alone who
    /// are on this machine.
    pub(super) fn told_at(&self, address: SocketAddr) -> String {
        match self {
            Self::Token { .. } | Self::File(_) if !address.ip().is_loopback() => {
                "nobody can be let in; the log says why".to_owned()
            }
            other => other.to_string(),
        }
    }
}

/// Why a caller is not let in.
#[derive(Debug)]
enum Denied {
    /// What it showed is not right, or it showed nothing.
    Unauthorized(Asked),
    /// It has shown a certificate, but what certificates are held to has changed since.
    OldHandshake,
    /// Whether it is right cannot be found out now.
    Busy(Busy),
    Unusable(Unusable),
}

/// Who asks: what a request shows, and where it comes from.
struct Caller {
    shown: Option<HeaderValue>,
    handshake: Option<Handshake>,
    peer: Option<IpAddr>,
}

impl Caller {
    fn of(request: &Request) -> Self {
        Self {
            shown: request.headers().get(header::AUTHORIZATION).cloned(),
            handshake: request.extensions().get::<Handshake>().cloned(),
            peer: request.extensions().get::<Arc<Slot>>().map(|slot| slot.peer()),
        }
    }
}

impl<J: Journal> Web<J> {
    /// What callers have to show, as the files stand now.
    pub(super) async fn asked(&self) -> Result<Asked, Unusable> {
        let token_file = self.serving().bearer_token_file.clone();
        let token = match &token_file {
            None => None,
            Some(path) => Some(token(path).await.map_err(|source| {
                let path = path.display().to_string();
                Unusable::Token { path, source }
            })?),
        };
        let file = match self.file.clone() {
            None => None,
            Some(file) => {
                let looked = tokio::task::spawn_blocking(move || file.look()).await;
                Some(looked.map_err(|_| Unusable::Stopping)?.map_err(Unusable::File)?)
            }
        };
        let asked = Asked { token, file };
        if asked.is_nothing() && !self.address.ip().is_loopback() {
            Err(Unusable::OpenToAll(self.address))
        } else {
            Ok(asked)
        }
    }

    /// Whether whoever reaches the address may call. Where that cannot be found out, whether it may be so.
    pub(super) async fn is_open(&self) -> bool {
        self.asked().await.map_or(self.address.ip().is_loopback(), |asked| asked.is_nothing())
    }

    async fn admit(&self, caller: &Caller) -> Result<Who, Denied> {
        let asked = self.asked().await.map_err(Denied::Unusable)?;
        if let Some(file) = asked.file.as_ref().filter(|file| file.config.verifies_clients())
            && caller.handshake.as_ref().is_none_or(|handshake| handshake.generation != file.generation)
        {
            return Err(Denied::OldHandshake);
        }
        let shown = if asked.by_header() {
            let fits = self.fits(&asked, caller).await.map_err(Denied::Busy)?;
            let Some(shown) = fits else { return Err(Denied::Unauthorized(asked)) };
            Some(shown)
        } else {
            None
        };
        // What a certificate says that nobody has checked is anybody's.
        let checked = asked.file.as_ref().is_some_and(|file| file.config.verifies_clients());
        let handshake = caller.handshake.as_ref().filter(|_| checked);
        let subject = handshake.and_then(|handshake| handshake.subject.as_deref());
        Ok(Who::new(shown.as_ref(), subject, caller.peer))
    }

    /// What fits of what the caller shows; nothing where it does not.
    async fn fits(&self, asked: &Asked, caller: &Caller) -> Result<Option<Shown>, Busy> {
        let shown = caller.shown.as_ref().and_then(|shown| credential(shown.as_bytes()));
        let Some((scheme, shown)) = shown else { return Ok(None) };
        if scheme.eq_ignore_ascii_case(b"Bearer") {
            let fits = asked.token.as_ref().is_some_and(|token| shown.ct_eq(token.as_bytes()).into());
            return Ok(fits.then_some(Shown::Token));
        }
        let users = asked.file.as_ref().map(|file| &file.config.basic_auth_users);
        let Some(users) = users.filter(|users| !users.is_empty()) else { return Ok(None) };
        let basic = scheme.eq_ignore_ascii_case(b"Basic").then(|| user_and_password(shown)).flatten();
        let Some((user, password)) = basic else { return Ok(None) };
        let fits = self.passwords.fit(users, &user, &password, caller.peer).await?;
        Ok(fits.then_some(Shown::User(user)))
    }

    fn denied(&self, denied: &Denied, path: &str) -> Response {
        // What else is asked for is no notification.
        let count = |result| {
            if path == "/webhook" {
                self.metrics.notifications.get_or_create(&ByResult::new(result)).inc();
            }
        };
        match denied {
            Denied::Unauthorized(asked) => {
                count("unauthorized");
                if let Some(suppressed) = self.told.now() {
                    warn!(path, suppressed, "request without the right token or password");
                }
                let refused =
                    refusal::error(StatusCode::UNAUTHORIZED, "show the token, or a user and its password");
                (asked.schemes(), refused).into_response()
            }
            Denied::OldHandshake => {
                count("unavailable");
                let close = [(header::CONNECTION, "close")];
                let why = "the certificates changed: connect again";
                (close, refusal::error(StatusCode::SERVICE_UNAVAILABLE, why)).into_response()
            }
            Denied::Busy(busy) => {
                count("unavailable");
                if let Some(suppressed) = self.told.now() {
                    warn!(path, reason = %busy, suppressed, "request given up");
                }
                refusal::error(StatusCode::SERVICE_UNAVAILABLE, &busy.to_string())
            }
            Denied::Unusable(reason) => {
                count("unavailable");
                if let Some(suppressed) = self.told.now() {
                    error!(error = %reason, suppressed, "nobody can be let in");
                }
                let why = "nobody can be let in; the log says why";
                refusal::error(StatusCode::SERVICE_UNAVAILABLE, why)
            }
        }
    }
}

impl Asked {
    /// Whether callers have to show nothing at all.
    fn is_nothing(&self) -> bool {
        self.token.is_none() && !self.file.as_ref().is_some_and(|file| file.config.authenticates())
    }

    /// Whether a request has to show something.
    fn by_header(&self) -> bool {
        self.token.is_some() || self.has_users()
    }

    fn has_users(&self) -> bool {
        self.file.as_ref().is_some_and(|file| !file.config.basic_auth_users.is_empty())
    }

    /// What could have been shown.
    fn schemes(&self) -> HeaderMap {
        let schemes = [
            ("Bearer", self.token.is_some()),
            ("Basic realm=\"raysweep\", charset=\"UTF-8\"", self.has_users()),
        ];
        let asked = schemes.into_iter().filter(|(_, asked)| *asked);
        asked.map(|(scheme, _)| (header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme))).collect()
    }
}

/// The scheme of an Authorization header, and what is shown under it.
fn credential(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = header.iter().position(|byte| *byte == b' ')?;
    let (scheme, shown) = header.split_at(space);
    Some((scheme, shown.trim_ascii()))
}

/// User and password of a Basic credential.
fn user_and_password(shown: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut decoded = STANDARD.decode(shown).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let password = decoded.split_off(colon + 1);
    decoded.pop();
    Some((String::from_utf8(decoded).ok()?, password))
}

/// Lets a request through that shows what is asked for.
pub async fn require<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    mut request: Request,
    next: Next,
) -> Response {
    // A browser sends its login along for whatever site asks it to, and says which site that was. Nobody who
    // may ask for something to be done is a web page.
    if !request.method().is_safe() && request.headers().contains_key(header::ORIGIN) {
        return refusal::error(StatusCode::FORBIDDEN, "a web page may not ask for this");
    }
    match web.admit(&Caller::of(&request)).await {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(denied) => web.denied(&denied, request.uri().path()),
    }
}

/// As `require`, where users are kept: their file guards metrics too, as in every exporter.
pub async fn require_of_users<J: Journal>(
    state: State<Arc<Web<J>>>,
    request: Request,
    next: Next,
) -> Response {
    // Where the file cannot be used or looked at now, the last one that could be says whether there are
    // users.
    let current = match state.file.clone() {
        None => None,
        Some(file) => {
            let look = Arc::clone(&file);
            let looked = tokio::task::spawn_blocking(move || look.look()).await;
            Some(looked.ok().and_then(Result::ok).unwrap_or_else(|| file.last()))
        }
    };
    let has_users = current.is_some_and(|current| !current.config.basic_auth_users.is_empty());
    if has_users { require(state, request, next).await } else { next.run(request).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_scheme_and_what_follows_the_space() {
        assert_eq!(credential(b"Bearer  s3cret "), Some((&b"Bearer"[..], &b"s3cret"[..])));
        assert_eq!(credential(b"Bearers3cret"), None);
        assert_eq!(credential(b""), None);
    }

    #[test]
    fn a_user_is_what_stands_before_the_first_colon() {
        let read = |text: &str| user_and_password(STANDARD.encode(text).as_bytes());
        assert_eq!(read("amy:pass:word"), Some(("amy".to_owned(), b"pass:word".to_vec())));
        assert_eq!(read(":"), Some((String::new(), vec![])));
        assert_eq!(read("amy"), None);
        assert_eq!(user_and_password(b"!!"), None);
    }
}
