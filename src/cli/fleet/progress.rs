//! A line for each host that is under way, on a terminal only.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    sync::Mutex,
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{domain::host::HostName, fleet::deploy::Watch};

/// The lines. Nothing is drawn where standard error is no terminal.
pub(in crate::cli) struct Progress {
    lines: MultiProgress,
    total: ProgressBar,
    hosts: Mutex<BTreeMap<HostName, ProgressBar>>,
}

impl Progress {
    /// For so many hosts.
    pub(in crate::cli) fn new<'a>(hosts: impl Iterator<Item = &'a HostName>) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let lines = MultiProgress::with_draw_target(target);
        let total =
            ProgressBar::new(hosts.count() as u64).with_style(style("{pos} of {len} hosts  {elapsed}"));
        Self { total: lines.add(total), lines, hosts: Mutex::new(BTreeMap::new()) }
    }

    /// Clears the lines for as long as something else speaks.
    pub(super) async fn aside<T>(&self, other: impl Future<Output = T>) -> T {
        let _ = self.lines.clear();
        other.await
    }

    fn with(&self, act: impl FnOnce(&mut BTreeMap<HostName, ProgressBar>)) {
        // A lock that is poisoned belongs to a program that is ending anyhow.
        if let Ok(mut hosts) = self.hosts.lock() {
            act(&mut hosts);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.total.finish_and_clear();
    }
}

/// A style that is written here is a right one.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Watch for Progress {
    fn step(&self, host: &HostName, what: &'static str) {
        self.with(|hosts| {
            let line = hosts.entry(host.clone()).or_insert_with(|| {
                let line = ProgressBar::new_spinner()
                    .with_style(style("{spinner} {prefix:16} {msg}"))
                    .with_prefix(host.to_string());
                let line = self.lines.insert_before(&self.total, line);
                line.enable_steady_tick(Duration::from_millis(120));
                line
            });
            line.set_message(what);
        });
    }

    fn ended(&self, host: &HostName, how: &'static str) {
        self.with(|hosts| {
            if let Some(line) = hosts.remove(host) {
                line.finish_and_clear();
                let _ = self.lines.println(format!("{host}: {how}"));
            }
            self.total.inc(1);
        });
    }
}
