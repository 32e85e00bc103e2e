//! Over the person's own ssh, host by host, so many at once.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{End, Row, remote};
use crate::{
    config::responder::{HostEntry, ResponderConfig},
    domain::attempt::Outcome,
    fleet::deploy::{Password, Trouble, Watch, remote::Remote},
};

/// How hosts are swept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom to log in as, if not as the configuration says.
    pub user: Option<String>,
    /// What sudo asks for.
    pub password: Option<Password>,
    /// So many hosts at once.
    pub parallel: usize,
    /// Say only what would go.
    pub dry_run: bool,
}

/// Hosts that are swept directly.
pub struct Direct<'a> {
    /// Where they are.
    pub config: &'a ResponderConfig,
    /// How.
    pub options: Options,
    /// Who is told.
    pub watch: &'a dyn Watch,
    /// Begins nothing more, and ends what is under way.
    pub stop: CancellationToken,
    /// Waits for nothing any more.
    pub now: CancellationToken,
}

impl Direct<'_> {
    /// Sweeps them, each to its own end. The rows are in the order of the hosts.
    pub async fn sweep(&self, entries: Vec<&HostEntry>) -> Vec<Row> {
        let each = stream::iter(entries).enumerate().map(|(at, entry)| async move {
            let row = self.sweep_one(entry).await;
            self.watch.ended(&entry.name, row.end.as_str());
            (at, row)
        });
        // Not in order: one slow host keeps no other's place.
        let mut rows: Vec<_> = each.buffer_unordered(self.options.parallel).collect().await;
        rows.sort_by_key(|(at, _)| *at);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    async fn sweep_one(&self, entry: &HostEntry) -> Row {
        let host = entry.name.as_str();
        if self.stop.is_cancelled() {
            return Row::bare(host, End::NotBegun, None);
        }
        self.watch.step(&entry.name, "sweeping");
        let Options { user, password, parallel: _, dry_run } = &self.options;
        let ssh = &self.config.ssh;
        let remote = Remote::new(entry, self.config, user.as_deref(), ssh.attempt_deadline.0);
        let began = Instant::now();
        let swept = tokio::select! {
            swept = remote::sweep(&remote, password.as_ref(), *dry_run, ssh.output_bytes, &self.stop) => swept,
            () = self.now.cancelled() => Err(Trouble::Interrupted),
        };
        match swept {
            Ok(report) => Row::reported(host, report, began.elapsed().as_secs_f64()),
            Err(trouble) => without_report(host, trouble),
        }
    }
}

fn without_report(host: &str, trouble: Trouble) -> Row {
    let (end, why) = match trouble {
        Trouble::Unreachable(why) => (End::Ended(Outcome::Unreachable), why),
        Trouble::Refused(why) => (End::Ended(Outcome::Refused), why),
        Trouble::Failed(why) => (End::Ended(Outcome::Unknown), why),
        Trouble::Interrupted => (End::Interrupted, "broken off: the sweep there was told to end".to_owned()),
        // Nothing is put in place by a sweep.
        Trouble::NotBegun | Trouble::ByHand(_) => return Row::bare(host, End::NotBegun, None),
    };
    Row::bare(host, end, Some(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::deploy::tests::{Watched, nobody};

    async fn swept(is_stopped: bool) -> (Vec<Row>, Vec<String>) {
        let config = nobody(3);
        let watch = Watched::default();
        let options = Options { user: None, password: None, parallel: 2, dry_run: false };
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        if is_stopped {
            stop.cancel();
        }
        let direct = Direct { config: &config, options, watch: &watch, stop, now };
        let rows = direct.sweep(config.hosts.iter().collect()).await;
        (rows, watch.told())
    }

    #[tokio::test]
    async fn each_host_that_does_not_answer_has_its_own_row_in_its_place() {
        let (rows, watched) = swept(false).await;
        let told: Vec<_> = rows.iter().map(|row| (row.host.as_str(), row.end.as_str())).collect();
        assert_eq!(told, [("h1", "unreachable"), ("h2", "unreachable"), ("h3", "unreachable")]);
        assert!(rows[2].reason.as_ref().unwrap().contains("Connection refused"), "{rows:?}");
        assert_eq!(watched.len(), 6, "{watched:?}");
    }

    #[tokio::test]
    async fn after_the_word_to_stop_nothing_is_begun() {
        let (rows, watched) = swept(true).await;
        assert!(rows.iter().all(|row| row.end == End::NotBegun), "{rows:?}");
        assert_eq!(watched, ["h1 not_begun", "h2 not_begun", "h3 not_begun"]);
    }
}
