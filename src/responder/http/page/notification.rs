//! A notification as it was received.

use askama::Template;
use jiff::Timestamp;

use super::{
    Frame,
    words::{ago, instant, size},
};
use crate::responder::journal::NotificationView;

/// So many bytes of a notification are shown for each entry that a list may have on a page; the whole of it is one
/// click away.
const BYTES_AN_ENTRY: usize = 640;

/// A notification's page.
#[derive(Debug, Template)]
#[template(path = "notification.html")]
pub(super) struct NotificationPage {
    frame: Frame,
    id: String,
    received: String,
    length: String,
    cut: Option<String>,
    body: String,
}

impl NotificationPage {
    pub(super) fn new(frame: Frame, notification: &NotificationView, now: Timestamp, most: usize) -> Self {
        let NotificationView { id, received_at, body } = notification;
        let most = most * BYTES_AN_ENTRY;
        let start = &body[..body.len().min(most)];
        // Set out in lines it may be a hundred times as long, so only what is short is.
        let pretty = serde_json::from_slice::<serde_json::Value>(start)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .unwrap_or_else(|_| String::from_utf8_lossy(start).into_owned());
        let end = pretty.floor_char_boundary(most);
        let is_whole = end == pretty.len() && start.len() == body.len();
        Self {
            frame,
            id: id.to_string(),
            received: format!("{} UTC, {}", instant(*received_at), ago(*received_at, now)),
            length: size(body.len() as u64),
            cut: (!is_whole).then(|| size(end as u64)),
            body: pretty[..end].to_owned(),
        }
    }
}
