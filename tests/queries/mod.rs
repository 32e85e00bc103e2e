//! What rules and dashboard ask of Prometheus: each query, and each selector in it.

use std::{collections::BTreeSet, convert::Infallible, fs, path::Path};

use promql_parser::{
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;

/// Every query of the dashboard, as Grafana would send it with all hosts chosen.
pub(crate) fn of_dashboard() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/raysweep.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut queries = BTreeSet::new();
    collect(&dashboard, "expr", &mut queries);
    queries.iter().map(|query| chosen(query)).collect()
}

/// Every query of the rules that a Prometheus has loaded, by its answer to `/api/v1/rules`; those that their
/// annotations ask are among them.
pub(crate) fn of_rules(loaded: &Value) -> BTreeSet<String> {
    let mut queries = BTreeSet::new();
    collect(loaded, "query", &mut queries);
    let mut annotations = BTreeSet::new();
    collect(loaded, "description", &mut annotations);
    queries.extend(annotations.iter().flat_map(|text| in_template(text)));
    queries
}

/// The texts under a key, wherever it stands.
fn collect(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if name == key => drop(found.insert(text.clone())),
                    other => collect(other, key, found),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|value| collect(value, key, found)),
        _ => {}
    }
}

/// What Grafana puts in for its variables.
fn chosen(query: &str) -> String {
    query.replace("$host", ".*").replace("$__rate_interval", "5m").replace("$__range", "1h")
}

/// `printf "up{host=%q}" $labels.host | query`: any host will do. Other formats are no queries.
fn in_template(text: &str) -> impl Iterator<Item = String> {
    let asked = text.split("printf \"").skip(1).filter_map(|rest| rest.split_once('"'));
    let queries = asked.map(|(query, _)| query).filter(|query| query.contains("=%q"));
    queries.map(|query| query.replace("=%q", "=~\".+\""))
}

/// The selectors of a query: which metric, with which labels.
pub(crate) fn selectors(query: &str) -> BTreeSet<String> {
    struct Selectors(BTreeSet<String>);
    impl ExprVisitor for Selectors {
        type Error = Infallible;

        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
            let selector = match expr {
                Expr::VectorSelector(selector) => selector,
                Expr::MatrixSelector(matrix) => &matrix.vs,
                _ => return Ok(true),
            };
            self.0.insert(VectorSelector { offset: None, at: None, ..selector.clone() }.to_string());
            Ok(true)
        }
    }
    let expr = parser::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut selectors = Selectors(BTreeSet::new());
    let Ok(_) = walk_expr(&mut selectors, &expr);
    selectors.0
}
