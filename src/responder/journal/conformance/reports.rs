//! What hosts reported is kept within a bound.

use super::*;

pub(super) async fn suite<J: Journal, F: Future<Output = J>>(empty: impl Fn() -> F) {
    the_oldest_reports_make_room_and_all_else_of_their_attempts_stays(empty().await).await;
    an_open_incidents_last_report_stays(empty().await).await;
    never_are_many_reports_dropped_at_once(empty().await).await;
}

/// An attempt that ended with a report of so many bytes; none where there are none.
async fn reported<J: Journal>(
    journal: &J,
    name: &str,
    incident: Option<IncidentId>,
    now: i64,
    bytes: usize,
) -> AttemptId {
    let attempt = asked(name, incident);
    let fence = started(journal, &attempt, now).await;
    let report = (bytes > 0).then(|| format!("\"{}\"", "x".repeat(bytes - 2)));
    let mut work = journal.begin().await.unwrap();
    let ended = Ended { report, ..ended(Outcome::Active) };
    assert!(work.end_attempt(attempt.id, fence, &ended, at(now)).await.unwrap());
    assert!(!work.end_attempt(attempt.id, fence, &ended, at(now)).await.unwrap(), "which counts once");
    work.commit().await.unwrap();
    attempt.id
}

/// Of each attempt in its order, how long its report is, or was.
async fn kept<J: Journal>(journal: &J) -> Vec<(Option<usize>, Option<i64>)> {
    let mut all = journal.attempts(None, 50).await.unwrap();
    all.reverse();
    all.iter()
        .map(|view| (view.report.as_ref().map(|text| text.get().len()), view.report_dropped_bytes))
        .collect()
}

async fn all_dropped<J: Journal>(journal: &J, most_bytes: u64) -> u64 {
    let mut all = 0;
    loop {
        let dropped = journal.drop_reports(most_bytes).await.unwrap();
        all += dropped;
        if dropped == 0 {
            return all;
        }
    }
}

async fn the_oldest_reports_make_room_and_all_else_of_their_attempts_stays(journal: impl Journal) {
    let first = reported(&journal, "a", None, 1, 100).await;
    for (now, bytes) in [(2, 200), (3, 0), (4, 300)] {
        reported(&journal, "b", None, now, bytes).await;
    }
    started(&journal, &asked("c", None), 5).await;
    let before = journal.attempt(first).await.unwrap().unwrap();
    assert_eq!(all_dropped(&journal, 600).await, 0, "it is no more than that");
    assert_eq!(all_dropped(&journal, 599).await, 1);
    let whole = |bytes| (Some(bytes), None);
    let (none, gone) = ((None, None), |bytes| (None, Some(bytes)));
    assert_eq!(kept(&journal).await, [gone(100), whole(200), none, whole(300), none]);
    let after = journal.attempt(first).await.unwrap().unwrap();
    assert_eq!(after.report_dropped_bytes, Some(100));
    let rest = |view: AttemptView| AttemptView { report: None, report_dropped_bytes: None, ..view };
    assert_eq!(format!("{:?}", rest(after)), format!("{:?}", rest(before)));
    assert_eq!(all_dropped(&journal, 0).await, 2);
    assert_eq!(kept(&journal).await, [gone(100), gone(200), none, gone(300), none]);
    // What is forgotten takes no room any more, dropped or not.
    reported(&journal, "b", None, 6, 400).await;
    while journal.forget(at(7)).await.unwrap() > 0 {}
    reported(&journal, "b", None, 8, 500).await;
    assert_eq!(all_dropped(&journal, 500).await, 0);
}

async fn an_open_incidents_last_report_stays(journal: impl Journal) {
    let mut open = opened(&journal, "a", Urgency::Warning, at(0)).await;
    let mut closed = opened(&journal, "b", Urgency::Warning, at(0)).await;
    closed.incident.close(Closed::Resolved, at(1));
    saved(&journal, &closed).await;
    reported(&journal, "a", Some(open.id), 1, 100).await;
    reported(&journal, "a", Some(open.id), 2, 200).await;
    reported(&journal, "a", Some(open.id), 3, 0).await;
    reported(&journal, "b", Some(closed.id), 4, 400).await;
    assert_eq!(all_dropped(&journal, 0).await, 2);
    let left = [(None, Some(100)), (Some(200), None), (None, None), (None, Some(400))];
    assert_eq!(kept(&journal).await, left);
    open.incident.close(Closed::Resolved, at(5));
    saved(&journal, &open).await;
    assert_eq!(all_dropped(&journal, 0).await, 1);
}

async fn never_are_many_reports_dropped_at_once(journal: impl Journal) {
    const MANY: u64 = 300;
    for now in 0..i64::try_from(MANY).unwrap() {
        reported(&journal, "a", None, now, 10).await;
    }
    let first = journal.drop_reports(0).await.unwrap();
    assert!((1..=MANY / 3).contains(&first), "{first}");
    assert_eq!(first + all_dropped(&journal, 0).await, MANY);
}
