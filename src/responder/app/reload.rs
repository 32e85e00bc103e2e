//! A reload: the configuration is read and checked as a whole, and only then used; a bad one changes
//! nothing.
//!
//! It can change everything in the file but the listen address. What the command line says (storage,
//! web configuration file) takes a restart. Attempts under way end as they began.

use std::{io, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Checked, Parts, bounds, check, check_access, incident_timing, keep, life::Dispatchers, limits, serving,
    tell_unreadable, wanted_address,
};
use crate::{
    config::{self, responder::ResponderConfig},
    responder::{
        ServeError,
        dispatcher::Changed,
        intake::{Intake, Queue},
        silences::Silences,
    },
};

/// How long the files may take to be read; everything else waits for it.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

fn too_late() -> ServeError {
    let what =
        format!("the configuration and what it names were not read within {} s", READ_TIMEOUT.as_secs());
    ServeError::Runtime(io::Error::new(io::ErrorKind::TimedOut, what))
}

impl Parts {
    /// Reads the configuration again, uses it and tells what there is to tell. What fails leaves the old
    /// one in use.
    pub(super) async fn reload(&mut self, dispatchers: &mut Dispatchers) -> Result<String, ServeError> {
        let read = timeout(READ_TIMEOUT, self.read()).await;
        let (config, checked) = read.unwrap_or_else(|_| Err(too_late()))?;
        // From here to the next start nobody starts attempts: neither on a host that left, nor twice.
        dispatchers.retire().await;
        let changed = self.changed(&config, &checked);
        let dispatcher = Arc::new(self.dispatcher.successor(changed));
        if let Err(error) = dispatcher.take_over(&self.dispatcher).await {
            dispatchers.start(Arc::clone(&self.dispatcher));
            return Err(error.into());
        }
        limits::raise_open_files(&config.limits);
        self.serve(&config, checked);
        let said = self.said(&config);
        self.config = config;
        self.dispatcher = Arc::clone(&dispatcher);
        dispatchers.start(dispatcher);
        Ok(said)
    }

    /// The new configuration, checked as a whole. Changes nothing.
    async fn read(&self) -> Result<(ResponderConfig, Checked), ServeError> {
        let path = self.options.config_file.clone();
        let config = tokio::task::spawn_blocking(move || config::load_responder(&path))
            .await
            .map_err(|error| ServeError::Runtime(error.into()))??;
        let checked = check(&config)?;
        // Also what the next start would listen on: it must not fail for what is taken for good now.
        let addresses = [self.web.address, wanted_address(&self.options, &config)];
        check_access(&self.options.config_file, &addresses, &config, self.web.file.clone()).await?;
        tell_unreadable(&checked.targets).await;
        Ok((config, checked))
    }

    fn changed(&self, config: &ResponderConfig, checked: &Checked) -> Changed {
        let ResponderConfig { timing, limits, journal, ssh, alertmanager, .. } = config;
        Changed {
            targets: checked.targets.clone(),
            policies: checked.policies.clone(),
            timing: incident_timing(timing),
            period: timing.period.0,
            critical_period: timing.critical_period.0,
            connect_timeout: ssh.connect_timeout.0,
            output_bytes: ssh.output_bytes,
            attempt_deadline: ssh.attempt_deadline.0,
            bounds: bounds(config),
            starts_a_minute: limits.starts_a_minute,
            silences: Silences::new(alertmanager.clone(), &checked.policies, Arc::clone(&self.web.metrics)),
            history: timing.history.0,
            reports_bytes: journal.reports_bytes.0,
        }
    }

    /// Answers by the new configuration from now on.
    fn serve(&self, config: &ResponderConfig, checked: Checked) {
        let Checked { targets, directory, policies } = checked;
        let before = self.web.serving();
        let inventory: Vec<_> = targets.into_keys().collect();
        let metrics = &self.web.metrics;
        metrics.start_at_zero(&inventory, &policies);
        for gone in before.inventory.iter().filter(|host| !inventory.contains(host)) {
            metrics.forget(gone);
        }
        let intake = Intake {
            journal: self.journal.clone(),
            clock: Arc::clone(&before.intake.clock),
            policies,
            directory,
            timing: incident_timing(&config.timing),
            metrics: Arc::clone(metrics),
            wake: Arc::clone(&before.intake.wake),
            queue: Queue::default(),
            keep: keep(config),
        };
        self.serving.send_replace(Arc::new(serving(config, intake, inventory)));
    }

    /// What a reload says, and what it could not change.
    fn said(&self, config: &ResponderConfig) -> String {
        let path = self.options.config_file.display();
        let hosts = config.hosts.len();
        let said = format!("{path} was read and is used: {hosts} hosts");
        let wanted = wanted_address(&self.options, config);
        if wanted == self.asked_address {
            said
        } else {
            format!("{said}; web.listen_address: {wanted} takes a restart")
        }
    }
}
