//! What the journal need not keep goes: by its age, and by the room that it takes. A little at a time, so that
//! nobody waits for it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{error, info};

use super::Dispatcher;
use crate::responder::journal::{Journal, JournalError};

/// How often ended incidents are looked through for those that are too old.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// How often it is asked whether reports take more room than they may.
const DROP_EVERY: Duration = Duration::from_mins(1);

/// When there was last nothing more to let go.
#[derive(Debug, Default)]
pub(super) struct Retention {
    pub(super) forgot: Option<Instant>,
    pub(super) dropped: Option<Instant>,
}

impl<J: Journal> Dispatcher<J> {
    /// Forgets what ended too long ago.
    pub(super) async fn forget(&self, retention: &mut Retention) {
        if is_too_soon(retention.forgot, FORGET_EVERY) {
            return;
        }
        let before = self.clock.now().checked_sub(self.history).unwrap_or(Timestamp::MIN);
        let gone = self.journal.forget(before).await.inspect_err(|error| {
            error!(reason = error.reason(), %error, "what is too old cannot be forgotten");
        });
        if let Some(rows) = self.goes_on(gone, &mut retention.forgot) {
            info!(rows, "forgot what ended too long ago");
        }
    }

    /// Drops the oldest reports where all of them take more room than they may.
    pub(super) async fn drop_reports(&self, retention: &mut Retention) {
        if is_too_soon(retention.dropped, DROP_EVERY) {
            return;
        }
        let gone = self.journal.drop_reports(self.reports_bytes).await.inspect_err(|error| {
            error!(reason = error.reason(), %error, "reports beyond journal.reports_bytes cannot be dropped");
        });
        if let Some(reports) = self.goes_on(gone, &mut retention.dropped) {
            info!(reports, "dropped the oldest reports, to keep all of them within journal.reports_bytes");
        }
    }

    /// How many have gone, where there may be more: they go the next time round.
    fn goes_on(&self, gone: Result<u64, JournalError>, last: &mut Option<Instant>) -> Option<u64> {
        match gone {
            Ok(0) => *last = Some(Instant::now()),
            Ok(gone) => {
                self.wake.notify_one();
                return Some(gone);
            }
            Err(_) => {
                *last = Some(Instant::now());
                self.metrics.journal_failed("forget");
            }
        }
        None
    }
}

fn is_too_soon(last: Option<Instant>, every: Duration) -> bool {
    last.is_some_and(|at| at.elapsed() < every)
}
