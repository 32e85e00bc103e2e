//! What is removed from the container runtime after the workers. Never a volume, never a network.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{
        InspectContainerOptionsBuilder, ListContainersOptionsBuilder, PruneBuildOptions,
        PruneImagesOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::{
    config::sweep::{Prune, PruneMode, SweepSettings},
    domain::report::PruneReport,
    sweeper::discover::{Runtime, connect, runtime},
};

/// With less than this nothing is begun.
const LEAST: Duration = Duration::from_secs(1);

/// Prunes as root's setting says; `None` where it says `off`.
pub(crate) async fn prune(settings: &SweepSettings, within: Duration) -> Option<PruneReport> {
    if settings.prune.mode == PruneMode::Off {
        return None;
    }
    let mut report = PruneReport { mode: settings.prune.mode.as_str().to_owned(), ..PruneReport::default() };
    if within < LEAST {
        // Not to answer in no time is no fault of the runtime's.
        report.errors.push("the deadline of the sweep left no time to prune".to_owned());
        return Some(report);
    }
    let deadline = Instant::now() + within;
    // To say that it is there a runtime takes no longer than any other call; what it removes may take
    // as long as the sweep has.
    let answering = settings.containers.timeout.0.min(within);
    match connect(&settings.containers.socket, answering).await {
        Ok(mut docker) => {
            docker.set_timeout(within.saturating_add(Duration::from_secs(1)));
            let run = Run { docker, settings: &settings.prune, answering, report: &mut report };
            if timeout_at(deadline, run.all()).await.is_err() {
                report.errors.push("the deadline of the sweep ended the prune".to_owned());
            }
        }
        Err(error) => report.errors.push(format!("the container runtime: {error}")),
    }
    Some(report)
}

struct Run<'a> {
    docker: Docker,
    settings: &'a Prune,
    answering: Duration,
    report: &'a mut PruneReport,
}

impl Run<'_> {
    async fn all(mut self) {
        if self.settings.mode == PruneMode::System {
            // Not the networks: they take no space, and the runtime counts one as unused whose containers
            // have all stopped. Those that are kept could then never be started again.
            self.stopped_containers().await;
        }
        // Whoever builds has images without a name between two steps. One that was pulled by its digest has none
        // either, and is as old as its making: the runtime does not tell when it came.
        let until = format!("{}s", self.settings.min_age.0.as_secs().max(1));
        let dangling = HashMap::from([("dangling", vec!["true".to_owned()]), ("until", vec![until])]);
        let options = PruneImagesOptionsBuilder::new().filters(&dangling).build();
        let pruned = self.docker.prune_images(Some(options)).await;
        if let Some(pruned) = self.done("images", pruned) {
            self.report.removed += count(pruned.images_deleted);
            self.report.freed_bytes += bytes(pruned.space_reclaimed);
        }
        let pruned = self.docker.prune_build(None::<PruneBuildOptions>).await;
        // Podman has no build cache to prune.
        if status(&pruned) == Some(404) {
            return;
        }
        if let Some(pruned) = self.done("build cache", pruned) {
            self.report.removed += count(pruned.caches_deleted);
            self.report.freed_bytes += bytes(pruned.space_reclaimed);
        }
    }

    /// Containers that finished long ago and are not marked to be kept. The runtime's own filter compares
    /// the time of creation: it would take a year-old container that stopped a minute ago.
    async fn stopped_containers(&mut self) {
        let runtime = match runtime(&self.docker, self.answering).await {
            Ok(runtime) => runtime,
            Err(error) => return self.report.errors.push(format!("containers: {error}")),
        };
        // Podman knows no dead ones, and calls the whole question invalid.
        let stopped = if runtime == Runtime::Podman { vec!["exited"] } else { vec!["exited", "dead"] };
        let filters = HashMap::from([("status", stopped)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = self.docker.list_containers(Some(options)).await;
        for container in self.done("containers", containers).unwrap_or_default() {
            let kept = container.labels.is_some_and(|labels| labels.contains_key(&self.settings.keep_label));
            if let Some(id) = container.id.filter(|_| !kept) {
                self.stopped_container(&id).await;
            }
        }
    }

    async fn stopped_container(&mut self, id: &str) {
        let what = format!("container {id:.12}");
        let sized = InspectContainerOptionsBuilder::new().size(true).build();
        let found = self.docker.inspect_container(id, Some(sized)).await;
        // It was removed meanwhile.
        if status(&found) == Some(404) {
            return;
        }
        let Some(found) = self.done(&what, found) else { return };
        if !finished_long_ago(found.state.and_then(|state| state.finished_at), self.settings.min_age.0) {
            return;
        }
        let plain = RemoveContainerOptionsBuilder::new().v(false).force(false).build();
        let removed = self.docker.remove_container(id, Some(plain)).await;
        if status(&removed) != Some(404) && self.done(&what, removed).is_some() {
            self.report.removed += 1;
            self.report.freed_bytes += bytes(found.size_rw);
        }
    }

    /// What a call came to. A conflict (409) means that another prune is at it, or that the container is
    /// on its way up or away: it is left to whoever that is.
    fn done<T>(&mut self, what: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(done) => return Some(done),
            Err(Error::DockerResponseServerError { status_code: 409, message }) => {
                self.report.busy.push(format!("{what}: {message}"));
            }
            Err(error) => self.report.errors.push(format!("{what}: {error}")),
        }
        None
    }
}

fn status<T>(result: &Result<T, Error>) -> Option<u16> {
    match result {
        Err(Error::DockerResponseServerError { status_code, .. }) => Some(*status_code),
        _ => None,
    }
}

/// What never ran has finished at the beginning of the calendar: that is no time at all.
fn finished_long_ago(finished: Option<String>, min_age: Duration) -> bool {
    let finished = finished.and_then(|text| text.parse::<Timestamp>().ok());
    let Some(finished) = finished.filter(|time| *time > Timestamp::UNIX_EPOCH) else { return false };
    Duration::try_from(Timestamp::now().duration_since(finished)).is_ok_and(|age| age >= min_age)
}

fn count<T>(list: Option<Vec<T>>) -> u64 {
    list.map_or(0, |list| list.len() as u64)
}

fn bytes(reclaimed: Option<i64>) -> u64 {
    reclaimed.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
