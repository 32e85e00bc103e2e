//! The figures for the alerts.

use std::fs;

use crate::{
    stage::{PLAIN, at_rest, disk_usage, docker, plant},
    sweeping::Settings,
    world::{self, RAYSWEEP, lib, run, wait_until},
};

const EXPORTER: &str = "http://127.0.0.1:9100/metrics";

#[test]
fn what_measure_writes_is_what_du_counts_and_node_exporter_serves_it() {
    at_rest();
    plant(PLAIN, "tmp*", 300_000_000, 2);
    let textfile = world::dir().join("raysweep.prom").display().to_string();
    let settings = Settings::default().written().display().to_string();

    run(&[RAYSWEEP, "measure", "--textfile", &textfile, "--config.file", &settings], "").unwrap();
    let counted = disk_usage(PLAIN, "/tmp");

    let text = fs::read_to_string(&textfile).unwrap();
    let used = figure(&text, "ray_worker_tmp_used_bytes");
    // Ray writes its logs meanwhile.
    assert!(used.abs_diff(counted) * 100 <= counted * 2, "measured {used}, du counts {counted}");
    assert!(used > 300_000_000);
    let size = docker(&["exec", PLAIN, "stat", "-f", "-c", "%b %S", "/tmp"]).unwrap();
    let (blocks, block) = size.split_once(' ').unwrap();
    let size = blocks.parse::<u64>().unwrap() * block.parse::<u64>().unwrap();
    assert_eq!(figure(&text, "ray_worker_tmp_limit_bytes"), size);

    lib(["node_exporter_up"]).unwrap();
    let folder = "/var/lib/prometheus/node-exporter/raysweep.prom";
    run(&["ln", "-sfn", &textfile, folder], "").unwrap();
    let line = text.lines().find(|line| line.starts_with("ray_worker_tmp_used_bytes{")).unwrap();
    let series = line.split_once('}').unwrap().0;
    wait_until(20, "node_exporter to serve the figures", || {
        run(&["curl", "-fsS", EXPORTER], "").is_ok_and(|page| page.contains(series))
    });
    let page = run(&["curl", "-fsS", EXPORTER], "").unwrap();
    assert!(page.contains("node_textfile_scrape_error 0"), "the collector does not read the file");
    lib(["daemon_stop", "node_exporter"]).unwrap();
}

fn figure(text: &str, metric: &str) -> u64 {
    let begins = format!("{metric}{{worker=\"{PLAIN}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begins));
    value.unwrap_or_else(|| panic!("no {metric} of {PLAIN} in:\n{text}")).parse().unwrap()
}
