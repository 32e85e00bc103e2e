//! What is removed from the container runtime after the workers. Never a volume, never a network.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    query_parameters::{
        ListContainersOptionsBuilder, PruneBuildOptions, PruneImagesOptionsBuilder,
        RemoveContainerOptionsBuilder,
    },
};
use jiff::Timestamp;

use crate::{
    config::sweep::{Prune, PruneMode, SweepSettings},
    domain::report::PruneReport,
    sweeper::discover::connect,
};

/// Prunes as root's setting says; `None` where it says `off`. A prune that another one excludes
/// (status 409) is left to that one.
pub(crate) async fn prune(settings: &SweepSettings, within: Duration) -> Option<PruneReport> {
    if settings.prune.mode == PruneMode::Off {
        return None;
    }
    let mut report = PruneReport { mode: settings.prune.mode.as_str().to_owned(), ..PruneReport::default() };
    // The newest version that we know is one that most runtimes refuse: `connect` agrees on theirs.
    match connect(&settings.containers.socket, within).await {
        Ok(docker) => {
            if tokio::time::timeout(within, all(&docker, &settings.prune, &mut report)).await.is_err() {
                report.errors.push("the deadline of the sweep ended the prune".to_owned());
            }
        }
        Err(error) => report.errors.push(error),
    }
    Some(report)
}

async fn all(docker: &Docker, settings: &Prune, report: &mut PruneReport) {
    if settings.mode == PruneMode::System {
        // Not the networks: they take no space, and the runtime counts one as unused whose containers
        // have all stopped. Those that are kept could then never be started again.
        stopped_containers(docker, settings, report).await;
    }
    let dangling = HashMap::from([("dangling", vec!["true"])]);
    match docker.prune_images(Some(PruneImagesOptionsBuilder::new().filters(&dangling).build())).await {
        Ok(pruned) => {
            report.removed += count(pruned.images_deleted);
            report.freed_bytes += bytes(pruned.space_reclaimed);
        }
        Err(error) => report.errors.push(format!("images: {error}")),
    }
    match docker.prune_build(None::<PruneBuildOptions>).await {
        Ok(pruned) => {
            report.removed += count(pruned.caches_deleted);
            report.freed_bytes += bytes(pruned.space_reclaimed);
        }
        // Podman has no build cache to prune.
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => report.errors.push(format!("build cache: {error}")),
    }
}

/// Containers that finished long ago and are not marked to be kept. The runtime's own filter compares
/// the time of creation: it would take a year-old container that stopped a minute ago.
async fn stopped_containers(docker: &Docker, settings: &Prune, report: &mut PruneReport) {
    let stopped = HashMap::from([("status", vec!["exited", "dead"])]);
    let options = ListContainersOptionsBuilder::new().all(true).size(true).filters(&stopped).build();
    let containers = match docker.list_containers(Some(options)).await {
        Ok(containers) => containers,
        Err(error) => return report.errors.push(format!("containers: {error}")),
    };
    for container in containers {
        let kept = container.labels.is_some_and(|labels| labels.contains_key(&settings.keep_label));
        let Some(id) = container.id.filter(|_| !kept) else { continue };
        if !finished_long_ago(docker, &id, settings.min_age.0).await {
            continue;
        }
        let plain = RemoveContainerOptionsBuilder::new().v(false).force(false).build();
        match docker.remove_container(&id, Some(plain)).await {
            Ok(()) => {
                report.removed += 1;
                report.freed_bytes += bytes(container.size_rw);
            }
            Err(error) => report.errors.push(format!("container {id:.12}: {error}")),
        }
    }
}

async fn finished_long_ago(docker: &Docker, id: &str, min_age: Duration) -> bool {
    let Ok(container) = docker.inspect_container(id, None).await else { return false };
    let finished = container.state.and_then(|state| state.finished_at);
    let Some(finished) = finished.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return false;
    };
    Duration::try_from(Timestamp::now().duration_since(finished)).is_ok_and(|age| age >= min_age)
}

fn count<T>(list: Option<Vec<T>>) -> u64 {
    list.map_or(0, |list| list.len() as u64)
}

fn bytes(reclaimed: Option<i64>) -> u64 {
    reclaimed.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}
