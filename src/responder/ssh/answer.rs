//! What a host answers: a whole report, or why there is none.
//!
//! Both streams are bounded, and only the report itself is waited for as long as an attempt may take:
//! whatever stays open behind it, or never ends after it, is left to itself after a moment.

use std::{process::ExitStatus, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::SshError;
use crate::domain::{
    attempt::AttemptId,
    report::{Report, ReportError},
};

#[cfg(test)]
mod tests;

/// What is kept of what ssh or the host says on standard error: enough to tell why.
const STDERR_BYTES: u64 = 16 * 1024;
/// Most reports are longer than this.
const FIRST_BYTES: usize = 4 * 1024;
/// How long output may stay open behind a whole report, and how long a command may take to end once it
/// has closed its output.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits for the report of an attempt. It alone tells how the attempt ended; the command's end is asked
/// for only where there is none. Neither stream may hold more than `most` bytes.
pub(super) async fn report(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin + Send + 'static>,
    end: impl Future<Output = Result<ExitStatus, openssh::Error>>,
    attempt: AttemptId,
    most: u64,
) -> Result<Report, SshError> {
    let flooded = CancellationToken::new();
    let said = drain(stderr, most, flooded.clone());
    let mut output = Vec::new();
    let read = tokio::select! {
        biased;
        read = read_output(stdout, &mut output, attempt, most) => read,
        () = flooded.cancelled() => Err(SshError::OutputTooLong(most)),
    };
    if output.len() as u64 > most {
        return Err(SshError::OutputTooLong(most));
    }
    match (Report::from_line(&output, attempt), read) {
        (Ok(report), _) => Ok(report),
        (Err(_), Err(error)) => Err(error),
        (Err(ReportError::Incomplete(printed)), Ok(())) => {
            let end = timeout(END_TIMEOUT, end).await.ok();
            let said = timeout(END_TIMEOUT, said).await.ok().and_then(Result::ok).unwrap_or_default();
            Err(SshError::of_command(printed, end, &said))
        }
        (Err(error), Ok(())) => Err(SshError::BadReport(error)),
    }
}

/// Reads standard output to its end, or until a whole report has been the end of it for a moment; a byte
/// more than `most` says that there was more.
async fn read_output(
    stdout: Option<impl AsyncRead + Unpin>,
    output: &mut Vec<u8>,
    attempt: AttemptId,
    most: u64,
) -> Result<(), SshError> {
    let Some(stdout) = stdout else { return Ok(()) };
    let mut stdout = stdout.take(most.saturating_add(1));
    while stdout.limit() > 0 {
        let whole = Report::from_line(output, attempt).is_ok();
        make_room(output, most);
        let next = stdout.read_buf(output);
        let next = if whole { timeout(END_TIMEOUT, next).await.unwrap_or(Ok(0)) } else { next.await };
        match next {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(_) => return Err(SshError::ConnectionLost),
        }
    }
    Ok(())
}

/// Room for what is read next. To grow may take the old room and the new one at once, so the last step goes from
/// a quarter of the most to all of it, and never beyond.
fn make_room(output: &mut Vec<u8>, most: u64) {
    if output.len() < output.capacity() {
        return;
    }
    let all = usize::try_from(most.saturating_add(1)).unwrap_or(usize::MAX);
    let doubled = output.capacity().max(FIRST_BYTES).saturating_mul(2);
    let room = if doubled > all / 4 { all } else { doubled };
    output.reserve_exact(room.saturating_sub(output.len()));
}

/// Reads what is said on standard error to its end and keeps its beginning: a sender does not block on
/// what we do not want, unless it is more than `most`.
pub(super) fn drain(
    stderr: Option<impl AsyncRead + Unpin + Send + 'static>,
    most: u64,
    flooded: CancellationToken,
) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut kept = Vec::new();
        if let Some(stderr) = stderr {
            let mut stderr = stderr.take(most.saturating_add(1));
            let _ = (&mut stderr).take(STDERR_BYTES).read_to_end(&mut kept).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            if stderr.limit() == 0 {
                flooded.cancel();
            }
        }
        kept
    })
}
