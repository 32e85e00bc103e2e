//! What rules and dashboard ask of the responder is there to be asked.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    escalation::Prometheus,
    harness::{CRITICAL, alert, firing, payload, resolved, wait_for},
    stand_in::StandIns,
};
use crate::queries::{of_dashboard, of_rules, selectors};

#[test]
fn every_query_is_one_and_every_selector_of_an_incident_finds_series() {
    let fleet = StandIns::new(["h-0", "h-1", "h-2"]);
    for host in ["h-0", "h-1", "h-2"] {
        fleet.reports(
            host,
            "active",
            &json!([{ "kind": "driver", "pid": 4712, "detail": "python train.py" }]),
        );
    }
    let responder =
        fleet.serve("timing: { period: 200ms, critical_period: 200ms, recheck: 300ms, escalate_after: 1s }");
    let prometheus = Prometheus::over(&responder.address);
    responder.send(payload(&[alert(CRITICAL, "firing", &[("host", "h-0")])]));
    responder.send(firing("h-1"));
    // Each of them counts for a recheck: four are as much as one that is open for too long.
    for _ in 0..4 {
        responder.send(firing("h-2"));
        responder.send(resolved("h-2"));
    }
    responder.send(firing("h-2"));

    let queries: BTreeSet<_> = of_dashboard().into_iter().chain(of_rules(&prometheus.rules())).collect();
    for query in &queries {
        assert_eq!(prometheus.asked("query", query)["status"], "success", "{query}");
    }
    let selectors: BTreeSet<_> = queries.iter().flat_map(|query| selectors(query)).collect();
    // The others take a host with workers, and are asked after a real run.
    let of_incidents: Vec<_> =
        selectors.iter().filter(|selector| selector.starts_with("raysweep_incident")).collect();
    assert!(of_incidents.len() > 5, "{selectors:?}");
    for selector in &of_incidents {
        wait_for(selector, || {
            let found: Value = prometheus.asked("series", selector);
            (!found["data"].as_array()?.is_empty()).then_some(())
        });
    }
    println!("figure: {} queries, {} selectors of incidents with series", queries.len(), of_incidents.len());
}
