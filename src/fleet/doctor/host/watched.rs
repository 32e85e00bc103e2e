//! How a host is watched: its node_exporter, and what Prometheus has of it.

use jiff::Timestamp;

use super::{Check, Prometheus, Seen, State};
use crate::fleet::{
    doctor::prometheus::{NODE_JOB, Target, not_yet_scraped},
    order::health::{Exporter, Textfile},
};

/// What node_exporter itself has to show for the rules.
const OF_NODE_EXPORTER: [&str; 3] =
    ["node_filesystem_avail_bytes", "node_filesystem_size_bytes", "node_textfile_mtime_seconds"];
/// What of that does not hang on any figures.
const ALWAYS_THERE: [&str; 2] = ["node_filesystem_avail_bytes", "node_filesystem_size_bytes"];
/// What every host's figures have, for whoever could not look at them.
const OF_MEASURE: [&str; 4] =
    ["raysweep_measure_timestamp_seconds", "raysweep_host_mode", "raysweep_host_hold", "raysweep_host_info"];

/// So much younger than what was scraped last figures may be.
const SCRAPED_WITHIN_SECS: i64 = 180;

pub(super) fn judge(host: &Seen, prometheus: Option<&Prometheus>, has_textfile: bool) -> Vec<Check> {
    let targets = match prometheus {
        None => Err("nobody said where Prometheus is".to_owned()),
        Some(prometheus) => prometheus.targets_of(&host.entry),
    };
    let there = prometheus.and_then(|prometheus| prometheus.metrics_of(&host.entry).ok()).unwrap_or_default();
    let exporter = match host.inside() {
        Some(inside) => {
            let its_targets = targets.as_deref().ok();
            node_exporter(host, &inside.health.exporters, its_targets, there.contains(OF_MEASURE[0]))
        }
        None if is_scraped(targets.as_deref().unwrap_or_default()) => {
            Check::ok("node_exporter", "Prometheus reaches it")
        }
        None => Check::skipped("node_exporter", "nothing was seen on the host"),
    };
    let target = target(host, &targets, exporter.state == State::Broken);
    let is_read = has_textfile && exporter.state != State::Broken;
    let metrics = metrics(host, prometheus, &target, is_read);
    vec![exporter, target, metrics]
}

fn is_scraped(targets: &[&Target]) -> bool {
    targets.iter().any(|target| target.job == NODE_JOB && target.is_up())
}

/// Where Prometheus has the figures somebody reads them, whatever the arguments say.
fn node_exporter(
    host: &Seen,
    exporters: &[Exporter],
    targets: Option<&[&Target]>,
    has_figures: bool,
) -> Check {
    const LINK: &str = "node_exporter";
    let is_scraped = is_scraped(targets.unwrap_or_default());
    match exporters {
        [] if is_scraped => Check::ok(LINK, "Prometheus reaches it"),
        [] if targets.is_some() => Check::broken(
            LINK,
            "none runs on the host",
            "start it: systemctl enable --now prometheus-node-exporter (or node_exporter)",
        ),
        [] => Check::warn(
            LINK,
            "none is seen on the host",
            "if it runs in a container of its own network, --prometheus.url tells; else start it",
        ),
        [first, ..] if !has_figures && exporters.iter().all(|exporter| exporter.reads == Some(false)) => {
            reads_elsewhere(LINK, host, first)
        }
        [first, ..] => {
            let reading = exporters.iter().find(|exporter| exporter.reads == Some(true)).unwrap_or(first);
            Check::ok(LINK, format!("it runs (process {})", reading.pid))
        }
    }
}

fn reads_elsewhere(link: &'static str, host: &Seen, exporter: &Exporter) -> Check {
    let wanted = host.textfile_dir.display();
    let folders: Vec<_> = exporter.folders.iter().map(|folder| folder.display().to_string()).collect();
    let folders = folders.join(", ");
    if exporter.has_own_mounts {
        return Check::broken(
            link,
            format!(
                "it reads {folders} of its own (process {}), which is not {wanted} of the host",
                exporter.pid
            ),
            format!(
                "mount the host's {wanted} there, or name in deploy.textfile_dir the host's folder that is, and `{}`",
                host.deploy()
            ),
        );
    }
    Check::broken(
        link,
        format!("it reads {folders}, and raysweep's figures are put into {wanted}"),
        format!(
            "deploy.textfile_dir: {folders}, and `{}`; or node_exporter's --collector.textfile.directory",
            host.deploy()
        ),
    )
}

fn target(host: &Seen, targets: &Result<Vec<&Target>, String>, exporter_is_broken: bool) -> Check {
    const LINK: &str = "target";
    let targets = match targets {
        Ok(targets) => targets,
        Err(why) => return Check::skipped(LINK, why),
    };
    let name = &host.entry.name;
    let of_node: Vec<_> = targets.iter().filter(|target| target.job == NODE_JOB).collect();
    if of_node.is_empty() {
        let seen = if targets.is_empty() {
            format!("Prometheus has no target with the label host=\"{name}\"")
        } else {
            format!("Prometheus has no target of {name} in the job {NODE_JOB}")
        };
        return Check::broken(
            LINK,
            seen,
            format!(
                "scrape its node_exporter in the job {NODE_JOB}, with the label host: {name} (rules/README.md)"
            ),
        );
    }
    // What else of the host is scraped is nobody's business here.
    if let Some(down) = of_node.iter().find(|target| target.is_down()) {
        if exporter_is_broken {
            return Check::skipped(LINK, "its node_exporter does not run");
        }
        return Check::broken(
            LINK,
            format!("{} of {} is down: {}", down.instance, down.job, down.trouble),
            "let Prometheus reach it: address and port of the target, a firewall, TLS",
        );
    }
    match of_node.iter().find(|target| !target.is_up()) {
        Some(target) => not_yet_scraped(LINK, target),
        None => Check::ok(LINK, format!("{} is scraped", of_node[0].instance)),
    }
}

fn metrics(host: &Seen, prometheus: Option<&Prometheus>, target: &Check, is_read: bool) -> Check {
    const LINK: &str = "metrics";
    let Some(prometheus) = prometheus else {
        return Check::skipped(LINK, "nobody said where Prometheus is");
    };
    if let Some(why) = prometheus.silent() {
        return Check::skipped(LINK, why);
    }
    if target.state != State::Ok {
        return Check::skipped(LINK, "its target is not scraped");
    }
    if !is_read {
        return Check::skipped(LINK, "its figures are not written, or not where node_exporter reads");
    }
    let there = match prometheus.metrics_of(&host.entry) {
        Ok(there) => there,
        Err(why) => return Check::warn(LINK, why, "look at Prometheus' log"),
    };
    let written = host
        .inside()
        .map(|inside| inside.health.textfile.metrics.iter().map(String::as_str).collect::<Vec<_>>());
    let written = written.unwrap_or_else(|| OF_MEASURE.to_vec());
    let wanted: Vec<_> = OF_NODE_EXPORTER.into_iter().chain(written).collect();
    let missing: Vec<_> = wanted.iter().copied().filter(|name| !there.contains(name)).collect();
    if missing.is_empty() {
        return Check::ok(LINK, format!("Prometheus has all {}", wanted.len()));
    }
    let seen = format!("Prometheus does not have {}", missing.join(", "));
    let textfile = host.inside().map(|inside| &inside.health.textfile);
    let are_of_the_host = missing.iter().all(|name| !ALWAYS_THERE.contains(name));
    let are_younger =
        textfile.is_some_and(|textfile| are_younger(textfile, prometheus.written_of(&host.entry)));
    if are_of_the_host && are_younger {
        let seen = format!("{seen}; what it has is older than the host's figures");
        return Check::warn(LINK, seen, "ask again once it has scraped the host: in a minute");
    }
    Check::broken(
        LINK,
        seen,
        "see metric_relabel_configs of its job, node_exporter's collectors, and node_textfile_scrape_error",
    )
}

/// Whether figures were written, or put where node_exporter reads, after the last scrape; not by so much that
/// the time itself is not to be believed.
fn are_younger(textfile: &Textfile, scraped: Option<Timestamp>) -> bool {
    let Textfile { written_at: Some(written_at), linked_at, .. } = textfile else { return false };
    match (scraped, linked_at) {
        (Some(scraped), _) => {
            (1..=SCRAPED_WITHIN_SECS).contains(&(written_at.as_second() - scraped.as_second()))
        }
        (None, Some(linked_at)) => written_at.as_second() - linked_at.as_second() <= SCRAPED_WITHIN_SECS,
        (None, None) => false,
    }
}
