//! The journal in trouble.

use super::{
    harness::{Fleet, firing, wait_for},
    writer::Writer,
};

#[test]
fn a_journal_that_cannot_be_written_answers_503_and_takes_alerts_again_once_it_can() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    let other = Writer::begin(&fleet);
    assert_eq!(responder.send(firing("ray-80")), 503);
    let (status, text) = responder.get("/-/ready");
    assert_eq!(status, 503);
    assert!(text.contains("journal: "), "{text}");
    assert_eq!(responder.get("/-/healthy").0, 200);
    assert!(responder.metric(r#"raysweep_journal_errors_total{operation="accept"}"#) >= 1);
    assert_eq!(responder.rows("incidents").len(), 0);

    other.end();
    assert_eq!(responder.send(firing("ray-80")), 200);
    wait_for("ready again", || (responder.get("/-/ready").0 == 200).then_some(()));
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
}
