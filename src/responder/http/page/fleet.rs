//! The fleet's table: which hosts, in which order. Both stand in the address, so that it can be sent to
//! somebody else.

use std::cmp::Reverse;

use askama::Template;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Frame,
    row::{Row, fullest, left},
};
use crate::responder::journal::{BackstopView, HostView};

/// So many hosts stand on one page: with more of them it would not be at hand on a slow line, however long their
/// names.
const HOSTS_EACH: usize = 40;
/// No host's name is longer.
const NAME_MOST: usize = 253;

/// What an address asks for. A form sends all of its fields, the empty ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wish {
    /// A part of the host's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) host: String,
    /// Which hosts.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) show: Show,
    /// In which mode.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) mode: ModeWish,
    /// In which order.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) sort: Sort,
    /// Which way round.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) order: Order,
    /// Which page, from 1.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) page: Page,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

macro_rules! choices {
    ($(#[$doc:meta])* $type:ident { $first:ident = $first_label:literal, $($name:ident = $label:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $type {
            #[allow(missing_docs)]
            #[default]
            $first,
            $(#[allow(missing_docs)] $name,)+
        }

        impl $type {
            const ALL: &[(Self, &str)] = &[(Self::$first, $first_label), $((Self::$name, $label)),+];
        }
    };
}

choices! {
    /// Which hosts are shown.
    Show {
        All = "all hosts",
        Trouble = "hosts in trouble",
        Person = "needs a person",
        Failing = "cannot be reached",
        Running = "sweeping now",
        Backstop = "backstop overdue",
    }
}
choices! {
    /// Hosts of which mode are shown.
    ModeWish { Any = "any", Enforce = "enforce", Observe = "observe", Unknown = "not known yet" }
}
choices! {
    /// What hosts are sorted by.
    Sort {
        Trouble = "trouble",
        Host = "host",
        Disk = "disk",
        Temp = "temp files",
        Last = "last attempt",
        Next = "next attempt",
        Backstop = "backstop",
    }
}
choices! {
    /// Which way round.
    Order { Down = "most pressing first", Up = "the other way round" }
}

/// A page's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page(pub(super) usize);

impl Default for Page {
    fn default() -> Self {
        Self(1)
    }
}

/// The fleet's page.
#[derive(Debug, Template)]
#[template(path = "fleet.html")]
pub(super) struct FleetPage {
    frame: Frame,
    sums: Vec<Sum>,
    host: String,
    shows: Vec<Choice>,
    modes: Vec<Choice>,
    sorts: Vec<Choice>,
    orders: Vec<Choice>,
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
    pages: Option<Pages>,
}

#[derive(Debug)]
struct Sum {
    count: usize,
    label: &'static str,
    href: String,
    is_chosen: bool,
}

#[derive(Debug)]
struct Choice {
    value: String,
    label: &'static str,
    is_chosen: bool,
}

#[derive(Debug)]
struct Column {
    label: &'static str,
    href: Option<String>,
    order: Option<&'static str>,
}

#[derive(Debug)]
struct Pages {
    page: usize,
    of: usize,
    back: Option<String>,
    on: Option<String>,
}

impl FleetPage {
    /// With so much of each sentence of a host's at most.
    pub(super) fn new(frame: Frame, hosts: &[HostView], wish: &Wish, now: Timestamp, most: usize) -> Self {
        let all = hosts.len();
        let sums = sums(hosts, wish);
        let mut chosen: Vec<_> = hosts.iter().filter(|host| wish.wants(host)).collect();
        wish.sort(&mut chosen);
        let of = chosen.len().div_ceil(HOSTS_EACH).max(1);
        let page = wish.page.0.clamp(1, of);
        let shown = chosen.iter().skip((page - 1) * HOSTS_EACH).take(HOSTS_EACH);
        Self {
            frame,
            sums,
            host: wish.host.clone(),
            shows: choices(Show::ALL, wish.show),
            modes: choices(ModeWish::ALL, wish.mode),
            sorts: choices(Sort::ALL, wish.sort),
            orders: choices(Order::ALL, wish.order),
            caption: format!("{} of {all} hosts of the inventory", chosen.len()),
            columns: columns(wish),
            rows: shown.map(|host| Row::new(host, now, most)).collect(),
            pages: (of > 1).then(|| Pages {
                page,
                of,
                back: (page > 1).then(|| href(&Wish { page: Page(page - 1), ..wish.clone() })),
                on: (page < of).then(|| href(&Wish { page: Page(page + 1), ..wish.clone() })),
            }),
        }
    }
}

impl Wish {
    /// What could be no part of any host's name would stand in each link of the page, however long it is.
    pub(super) fn check(&self) -> Result<(), String> {
        let length = self.host.len();
        if length <= NAME_MOST {
            Ok(())
        } else {
            Err(format!("host: no name is as long as {length}; {NAME_MOST} characters are the most"))
        }
    }

    fn wants(&self, host: &HostView) -> bool {
        let mode = host.last_report.as_ref().map(|report| report.mode.as_str());
        let of_mode = match self.mode {
            ModeWish::Any => true,
            ModeWish::Enforce => mode == Some("enforce"),
            ModeWish::Observe => mode == Some("observe"),
            ModeWish::Unknown => mode.is_none(),
        };
        of_mode && self.show.has(host) && host.name.contains(self.host.trim())
    }

    /// Whatever the order, hosts that are alike in it stand by their names.
    fn sort(&self, hosts: &mut [&HostView]) {
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        match self.sort {
            Sort::Trouble => hosts.sort_by_key(|host| Reverse(trouble(host))),
            Sort::Host => {}
            Sort::Disk => hosts.sort_by(|a, b| least_left(a).total_cmp(&least_left(b))),
            Sort::Temp => hosts.sort_by_key(|host| Reverse(temp(host))),
            Sort::Last => hosts.sort_by_key(|host| Reverse(last(host))),
            Sort::Next => hosts.sort_by_key(|host| {
                let at = host.next_attempt.as_ref().map(|next| next.at);
                (host.running.is_none(), at.is_none(), at)
            }),
            Sort::Backstop => hosts.sort_by_key(|host| {
                let at = backstop(host).and_then(|backstop| backstop.finished_at);
                (!is_overdue(host), backstop(host).is_none(), at)
            }),
        }
        if self.order == Order::Up {
            hosts.reverse();
        }
    }
}

impl Show {
    fn has(self, host: &HostView) -> bool {
        let incident = host.incident.as_ref();
        match self {
            Self::All => true,
            Self::Trouble => incident.is_some(),
            Self::Person => incident.is_some_and(|incident| incident.escalation.is_some()),
            Self::Failing => host.failures_in_row > 0,
            Self::Running => host.running.is_some(),
            Self::Backstop => is_overdue(host),
        }
    }
}

/// How much a host wants to be looked at.
fn trouble(host: &HostView) -> (bool, bool, bool, bool) {
    let incident = host.incident.as_ref();
    (
        incident.is_some_and(|incident| incident.escalation.is_some()),
        incident.is_some_and(|incident| incident.urgency.as_deref() == Some("critical")),
        incident.is_some(),
        host.failures_in_row > 0,
    )
}

/// One of which nothing is known has more room than any other.
fn least_left(host: &HostView) -> f64 {
    host.last_report.as_ref().and_then(fullest).map_or(2.0, left)
}

fn temp(host: &HostView) -> Option<i64> {
    host.last_report.as_ref()?.tmp_bytes
}

fn last(host: &HostView) -> Option<Timestamp> {
    host.last_attempt.as_ref()?.finished_at
}

fn backstop(host: &HostView) -> Option<&BackstopView> {
    host.last_report.as_ref()?.backstop.as_ref()
}

fn is_overdue(host: &HostView) -> bool {
    backstop(host).is_some_and(|backstop| backstop.overdue)
}

fn sums(hosts: &[HostView], wish: &Wish) -> Vec<Sum> {
    let each = Show::ALL.iter().map(|(show, label)| Sum {
        count: hosts.iter().filter(|host| show.has(host)).count(),
        label,
        href: href(&Wish { show: *show, page: Page(1), ..wish.clone() }),
        is_chosen: *show == wish.show,
    });
    each.collect()
}

fn choices<T: Copy + PartialEq + Serialize>(all: &[(T, &'static str)], chosen: T) -> Vec<Choice> {
    let each = all.iter().map(|(one, label)| Choice {
        value: serde_json::to_value(one)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default(),
        label,
        is_chosen: *one == chosen,
    });
    each.collect()
}

fn columns(wish: &Wish) -> Vec<Column> {
    let columns = [
        ("Host", Some(Sort::Host)),
        ("Mode", None),
        ("Disk", Some(Sort::Disk)),
        ("Temp files", Some(Sort::Temp)),
        ("Incident", Some(Sort::Trouble)),
        ("Last attempt", Some(Sort::Last)),
        ("Next attempt", Some(Sort::Next)),
        ("Backstop", Some(Sort::Backstop)),
    ];
    let each = columns.into_iter().map(|(label, sort)| {
        let is_chosen = sort == Some(wish.sort);
        // A second click turns it round.
        let order = if is_chosen && wish.order == Order::Down { Order::Up } else { Order::Down };
        let shown = if wish.order == Order::Down { "descending" } else { "ascending" };
        Column {
            label,
            href: sort.map(|sort| href(&Wish { sort, order, page: Page(1), ..wish.clone() })),
            order: is_chosen.then_some(shown),
        }
    });
    each.collect()
}

/// The address of a wish, beside the page itself.
fn href(wish: &Wish) -> String {
    match serde_urlencoded::to_string(wish) {
        Ok(query) if !query.is_empty() => format!("./?{query}"),
        _ => "./".to_owned(),
    }
}
