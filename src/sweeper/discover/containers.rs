//! The Docker-compatible API, as much of it as discovery needs.

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker, models::ContainerInspectResponse};
use jiff::Timestamp;

use super::{DiscoverError, Runtime};
use crate::config::sweep::Containers;

/// A running container.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) runtime: Runtime,
    /// Its first process, as the host numbers it.
    pub(super) pid: i32,
    /// What its processes start with, as `NAME=value`.
    pub(super) environment: Vec<String>,
    /// Where its own layer lies, where the runtime keeps layers by overlayfs and says so.
    pub(super) upper_layer: Option<PathBuf>,
    /// When it was started, by the clock as it stood then.
    pub(super) started_at: Option<Timestamp>,
}

/// Every running container; none where no runtime has a socket.
pub(super) async fn running(settings: &Containers) -> Result<Vec<Container>, DiscoverError> {
    let failed =
        |message: String| DiscoverError::Runtime { socket: settings.socket.display().to_string(), message };
    match std::fs::metadata(&settings.socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(failed(error.to_string())),
        Ok(_) => {}
    }
    list(&settings.socket, settings.timeout.0).await.map_err(failed)
}

async fn list(socket: &Path, timeout: Duration) -> Result<Vec<Container>, String> {
    let docker = connect(socket, timeout).await?;
    let runtime = runtime(&docker, timeout).await?;
    let mut containers = vec![];
    for summary in bounded(timeout, docker.list_containers(None)).await?.map_err(text)? {
        let id = summary.id.ok_or("a container without an id")?;
        match bounded(timeout, docker.inspect_container(&id, None)).await? {
            Ok(found) => containers.extend(container(id, runtime, found)),
            // It was removed meanwhile.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(text(error)),
        }
    }
    Ok(containers)
}

/// A connection that speaks a version that the server knows.
pub(crate) async fn connect(socket: &Path, timeout: Duration) -> Result<Docker, String> {
    let path = socket.to_str().ok_or("the socket's path is not UTF-8")?;
    // Of two bounds over one call the one that says how long it waited comes first.
    let longer = timeout.as_secs().saturating_add(1);
    let docker = Docker::connect_with_unix(path, longer, API_DEFAULT_VERSION).map_err(text)?;
    bounded(timeout, docker.negotiate_version()).await?.map_err(text)
}

/// Podman answers as Docker does, and says its own name among the components.
pub(crate) async fn runtime(docker: &Docker, timeout: Duration) -> Result<Runtime, String> {
    let version = bounded(timeout, docker.version()).await?.map_err(text)?;
    let is_podman = version
        .components
        .unwrap_or_default()
        .iter()
        .any(|component| component.name.to_ascii_lowercase().contains("podman"));
    Ok(if is_podman { Runtime::Podman } else { Runtime::Docker })
}

/// `None` where it stopped meanwhile.
fn container(id: String, runtime: Runtime, found: ContainerInspectResponse) -> Option<Container> {
    let state = found.state?;
    let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0)?;
    let started_at = state.started_at.and_then(|text| text.parse().ok());
    let name = found.name.unwrap_or_default();
    let name = name.strip_prefix('/').unwrap_or(&name);
    let name = if name.is_empty() { id.clone() } else { name.to_owned() };
    let environment = found.config.and_then(|config| config.env).unwrap_or_default();
    let upper_layer = found.graph_driver.and_then(|driver| driver.data.get("UpperDir").map(PathBuf::from));
    Some(Container { id, name, runtime, pid, environment, upper_layer, started_at })
}

/// One call. The client's own timeout ends with the answer's head; this one covers all of it.
async fn bounded<T>(timeout: Duration, call: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(timeout, call)
        .await
        .map_err(|_| format!("no answer within {}", humantime::format_duration(timeout)))
}

// The signature that `map_err` asks for.
#[allow(clippy::needless_pass_by_value)]
fn text(error: bollard::errors::Error) -> String {
    error.to_string()
}
