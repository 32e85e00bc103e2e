//! By which name we are called. Whoever owns a name can have it lead to this machine while a page of theirs is
//! open in a browser here (DNS rebinding); the browser then reads what is answered as that page's own. It says
//! which name it goes by, and an address is no name: so where callers have to show nothing, no strange name is
//! answered. A credential is no stranger's to have, so that whoever asks for one needs none of this.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::HOST, uri::Authority},
    middleware::Next,
    response::Response,
};
use tracing::warn;

use super::{Web, refusal};
use crate::{domain::line::line, responder::journal::Journal};

/// Lets a request through that calls us by a name of ours.
pub async fn by_a_known_name<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    request: Request,
    next: Next,
) -> Response {
    let strange = strange_name(&request, &web.serving().allowed_hosts);
    let Some(name) = strange else { return next.run(request).await };
    if !web.is_open().await {
        return next.run(request).await;
    }
    if let Some(suppressed) = web.told.now() {
        warn!(path = request.uri().path(), name, suppressed, "request by a name that is not ours");
    }
    let why = format!(
        "{name} is no name of this responder: call it by its address or as localhost, or name it in \
         web.allowed_hosts, or ask callers for a token or a user"
    );
    refusal::error(StatusCode::MISDIRECTED_REQUEST, &why)
}

/// The first name in the request that is none of ours. One that names nothing comes from no browser.
fn strange_name(request: &Request, allowed: &[String]) -> Option<String> {
    let in_address = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let in_headers = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let mut names = in_address.into_iter().chain(in_headers);
    names.find(|name| !is_known(name, allowed)).map(|name| line(&String::from_utf8_lossy(name)))
}

fn is_known(name: &[u8], allowed: &[String]) -> bool {
    if name.is_empty() {
        return true;
    }
    let Ok(authority) = Authority::try_from(name) else { return false };
    let host = authority.host();
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    // As a resolver writes it.
    let host = host.strip_suffix('.').unwrap_or(host);
    host.parse::<Ipv4Addr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|allowed| host.eq_ignore_ascii_case(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_our_own_names_are_known_and_no_others() {
        let allowed = ["raysweep.example.com".to_owned()];
        let known = |name: &str| is_known(name.as_bytes(), &allowed);
        for name in [
            "",
            "localhost",
            "LocalHost.:9095",
            "127.0.0.1",
            "127.0.0.1:9095",
            "10.0.0.84:80",
            "[::1]",
            "[::1]:9095",
            "[2001:db8::7]:443",
            "raysweep.example.com",
            "RAYSWEEP.example.com.:443",
        ] {
            assert!(known(name), "{name}");
        }
        for name in [
            "evil.example",
            "evil.example:9095",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "raysweep.example.com.evil.example",
            "xraysweep.example.com",
            "localhost..",
            "[::1",
            "[evil.example]",
            "::1",
            "localhost/",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "localhost@evil.example",
            "local\thost",
            "ölhost",
        ] {
            assert!(!known(name), "{name}");
        }
    }
}
