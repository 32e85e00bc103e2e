//! Figures: medians, ratios, tables.

use std::fmt::{self, Write as _};

/// What was measured of one thing, once a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// From the least to the most.
    pub(crate) fn range(&self) -> String {
        let (least, most) = self.ends();
        format!("{}–{}", digits(least), digits(most))
    }

    /// The least and the most.
    pub(crate) fn ends(&self) -> (f64, f64) {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (least, most)
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digits(self.median()))
    }
}

/// Seconds with as many digits as they are worth.
pub(crate) fn digits(seconds: f64) -> String {
    if seconds < 1.0 { format!("{seconds:.3}") } else { format!("{seconds:.2}") }
}

/// How many times as fast the second is as the first; above 1 it is the faster one.
pub(crate) fn times(peer: f64, ours: f64) -> String {
    format!("{:.2}×", peer / ours)
}

/// 1000000 → 1,000,000.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One line of the table that the README shows.
#[derive(Debug, Clone)]
pub(crate) struct Glance {
    pub(crate) what: String,
    pub(crate) raysweep: String,
    pub(crate) beside: String,
    pub(crate) ratio: String,
}

/// One part of the document.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// What exactly was measured, and how.
    pub(crate) about: String,
    pub(crate) table: String,
    pub(crate) glance: Vec<Glance>,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "## {}\n\n{}\n\n{}", self.title, self.about, self.table)
    }
}

/// The table that says the most in the fewest lines.
pub(crate) fn at_a_glance(sections: &[Section]) -> String {
    let mut table = Table::new(["what", "raysweep", "beside it", "times as good"]);
    for glance in sections.iter().flat_map(|section| &section.glance) {
        let Glance { what, raysweep, beside, ratio } = glance.clone();
        table.row([what, raysweep, beside, ratio]);
    }
    table.text
}

/// A Markdown table.
pub(crate) struct Table {
    pub(crate) text: String,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        let mut table = Self { text: String::new() };
        table.row(header.map(str::to_owned));
        let _ = writeln!(table.text, "|{}", "---|".repeat(N));
        table
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }
}
