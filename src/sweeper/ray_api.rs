//! Ray's state API, where root's settings name it: one more witness, which may only ever add activity.
//!
//! It is the dashboard's, of one cluster. What it says of a node makes that node's worker active; that
//! it says nothing makes nobody idle. Whatever is no whole answer counts as activity on every node.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use serde::Deserialize;
use ureq::Agent;

use super::discover::Worker;
use crate::{
    config::sweep::RayApi,
    domain::{
        evidence::{Evidence, EvidenceKind},
        report::told,
    },
};

/// The most that the API lists at once.
const MOST_LISTED: u64 = 10_000;
/// So many, with everything that it says of each.
const MOST_BYTES: u64 = 64 << 20;

/// What lists the tasks and actors that have not ended. The API compares the names of states.
const TASKS: &str = "tasks?limit=10000&filter_keys=state&filter_predicates=!%3D&filter_values=FINISHED\
                     &filter_keys=state&filter_predicates=!%3D&filter_values=FAILED";
const ACTORS: &str = "actors?limit=10000&filter_keys=state&filter_predicates=!%3D&filter_values=DEAD";

/// What the API says of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StateApi {
    /// What is at work, by the node's id.
    AtWork(BTreeMap<String, String>),
    /// It did not give a whole answer.
    Unknown(String),
}

/// Asks, within this time.
pub(crate) fn ask(api: &RayApi, within: Duration) -> StateApi {
    match at_work(api, Instant::now() + within) {
        Ok(at_work) => StateApi::AtWork(at_work),
        Err(reason) => StateApi::Unknown(format!("Ray's API at {}: {reason}", api.url)),
    }
}

impl StateApi {
    /// What speaks for work on any of a worker's nodes.
    pub(crate) fn sign(&self, worker: &Worker) -> Option<Evidence> {
        let detail = match self {
            Self::Unknown(reason) => reason.clone(),
            Self::AtWork(at_work) => worker.raylets.iter().find_map(|raylet| match &raylet.node_id {
                None => Some(format!("raylet {} does not say which node it is", raylet.id.pid)),
                Some(node) => at_work.get(node).cloned(),
            })?,
        };
        Some(Evidence::new(EvidenceKind::RayApi, told(&detail)))
    }
}

fn at_work(api: &RayApi, until: Instant) -> Result<BTreeMap<String, String>, String> {
    let token = match &api.token_file {
        None => None,
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            Some(text.trim().to_owned())
        }
    };
    let mut at_work = BTreeMap::new();
    for (what, path) in [("task", TASKS), ("actor", ACTORS)] {
        let url = format!("{}/api/v0/{path}", api.url.trim_end_matches('/'));
        for one in listed(&url, token.as_deref(), until)? {
            // What has no node yet is at work nowhere.
            let Some(node) = one.node_id else { continue };
            let name = one.name.or(one.class_name).unwrap_or_default();
            let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
            at_work.entry(node).or_insert_with(|| format!("Ray says: {what} {name:?} is {}", one.state));
        }
    }
    Ok(at_work)
}

/// `{"result": true, "msg": "", "data": {"result": {"total": …, "result": […]}}}`.
#[derive(Deserialize)]
struct Answer {
    result: bool,
    #[serde(default)]
    msg: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: List,
}

#[derive(Deserialize)]
struct List {
    /// Of everything that there is, and how much of it was looked at.
    total: u64,
    num_after_truncation: u64,
    #[serde(default)]
    partial_failure_warning: Option<String>,
    result: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    state: String,
    node_id: Option<String>,
    name: Option<String>,
    class_name: Option<String>,
}

fn listed(url: &str, token: Option<&str>, until: Instant) -> Result<Vec<One>, String> {
    // A redirect would carry the token elsewhere.
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(until.saturating_duration_since(Instant::now())))
        .max_redirects(0)
        .proxy(None)
        .http_status_as_error(false)
        .build()
        .into();
    let request = agent.get(url);
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    let mut response = request.call().map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!("it answered {status}"));
    }
    let text = response.body_mut().with_config().limit(MOST_BYTES).read_to_string();
    let text = text.map_err(|error| error.to_string())?;
    let answer: Answer =
        serde_json::from_str(&text).map_err(|error| format!("it answered what cannot be read: {error}"))?;
    let list = match answer.data {
        Some(Data { result }) if answer.result => result,
        _ => return Err(format!("it could not say: {}", answer.msg.chars().take(200).collect::<String>())),
    };
    if let Some(warning) = list.partial_failure_warning.filter(|warning| !warning.is_empty()) {
        return Err(format!("it could not see all: {}", warning.chars().take(200).collect::<String>()));
    }
    if list.num_after_truncation < list.total || list.result.len() as u64 >= MOST_LISTED {
        return Err(format!("it knows {} and lists no more than {MOST_LISTED}", list.total));
    }
    Ok(list.result)
}

#[cfg(test)]
mod tests;
