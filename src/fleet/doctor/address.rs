//! Whether a host's address is one.

use std::time::Duration;

use tokio::{net::lookup_host, time::timeout};

use crate::config::responder::HostEntry;

/// How long a name may take to be resolved.
const RESOLVING: Duration = Duration::from_secs(10);

/// What it stands for, or why it stands for nothing; `None` where only a jump host could say.
pub(super) async fn resolve(entry: &HostEntry) -> Option<Result<String, String>> {
    if entry.jump.is_some() {
        return None;
    }
    // Whatever the port, the address is the same.
    let found = match timeout(RESOLVING, lookup_host((entry.address.as_str(), 0))).await {
        Ok(Ok(mut addresses)) => addresses.next().ok_or_else(|| "no address".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", RESOLVING.as_secs())),
    };
    Some(found.map(|address| address.ip().to_string()))
}
