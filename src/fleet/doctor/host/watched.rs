//! How a host is watched: its node_exporter, and what Prometheus has of it.

use super::{Check, Prometheus, Seen, State};
use crate::fleet::{
    doctor::prometheus::{NODE_JOB, Target},
    order::health::Exporter,
};

/// What node_exporter itself has to show for the rules.
const OF_NODE_EXPORTER: [&str; 3] =
    ["node_filesystem_avail_bytes", "node_filesystem_size_bytes", "node_textfile_mtime_seconds"];
/// What every host's figures have, for whoever could not look at them.
const OF_MEASURE: [&str; 4] =
    ["raysweep_measure_timestamp_seconds", "raysweep_host_mode", "raysweep_host_hold", "raysweep_host_info"];

pub(super) fn judge(host: &Seen, prometheus: Option<&Prometheus>, has_textfile: bool) -> Vec<Check> {
    let targets = match prometheus {
        None => Err("nobody said where Prometheus is".to_owned()),
        Some(prometheus) => prometheus.targets_of(&host.entry),
    };
    let exporter = node_exporter(host, targets.as_deref().unwrap_or_default(), targets.is_ok());
    let target = target(host, &targets, exporter.state == State::Broken);
    let is_read = has_textfile && exporter.state != State::Broken;
    let metrics = metrics(host, prometheus, &target, is_read);
    vec![exporter, target, metrics]
}

fn node_exporter(host: &Seen, targets: &[&Target], is_known: bool) -> Check {
    const LINK: &str = "node_exporter";
    let is_scraped = targets.iter().any(|target| target.job == NODE_JOB && target.is_up());
    let Some(inside) = host.inside() else {
        return if is_scraped {
            Check::ok(LINK, "Prometheus reaches it")
        } else {
            Check::skipped(LINK, "nothing was seen on the host")
        };
    };
    let exporters = &inside.health.exporters;
    let wanted = host.textfile_dir.as_path();
    let other = exporters
        .iter()
        .find_map(|Exporter { textfile_dir, .. }| textfile_dir.as_deref().filter(|folder| *folder != wanted));
    match exporters.first() {
        Some(Exporter { pid, .. }) => match other {
            Some(other) => Check::broken(
                LINK,
                format!(
                    "it reads {}, and raysweep's figures are put into {}",
                    other.display(),
                    wanted.display()
                ),
                format!(
                    "deploy.textfile_dir: {}, and `{}`; or node_exporter's --collector.textfile.directory",
                    other.display(),
                    host.deploy()
                ),
            ),
            None => Check::ok(LINK, format!("it runs (process {pid})")),
        },
        None if is_scraped => Check::ok(LINK, "Prometheus reaches it"),
        None if is_known => Check::broken(
            LINK,
            "none runs on the host",
            "start it: systemctl enable --now prometheus-node-exporter (or node_exporter)",
        ),
        None => Check::warn(
            LINK,
            "none is seen on the host",
            "if it runs in a container of its own network, --prometheus.url tells; else start it",
        ),
    }
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
    if let Some(down) = targets.iter().find(|target| target.is_down()) {
        if exporter_is_broken && down.job == NODE_JOB {
            return Check::skipped(LINK, "its node_exporter does not run");
        }
        return Check::broken(
            LINK,
            format!("{} of {} is down: {}", down.instance, down.job, down.trouble),
            "let Prometheus reach it: address and port of the target, a firewall, TLS",
        );
    }
    match of_node.iter().find(|target| !target.is_up()) {
        Some(target) => {
            Check::warn(LINK, format!("{} was not scraped yet", target.instance), "ask again in a minute")
        }
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
    Check::broken(
        LINK,
        format!("Prometheus does not have {}", missing.join(", ")),
        "see metric_relabel_configs of its job, node_exporter's collectors, and node_textfile_scrape_error",
    )
}
