//! Prometheus' own text format, out of the `OpenMetrics` text that the client library writes.
//!
//! Every Prometheus and every tool beside it reads the older format; promtool and the textfile
//! collector read no other. The samples are the same in both. What differs is what stands above
//! them: there a counter and an info are called without the end of their samples' names, and the
//! older format knows neither infos nor units nor an end mark.

use std::fmt::Write;

/// The same metrics in text format 0.0.4.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut classic = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        // A metric's help stands right above its type.
        let kind = of_metric(lines.peek().copied().unwrap_or_default(), "# TYPE ");
        if let (Some((name, help)), Some((_, kind))) = (of_metric(line, "# HELP "), kind) {
            let (end, kind) = in_classic(kind);
            // Writing to a String cannot fail.
            let _ = writeln!(classic, "# HELP {name}{end} {help}\n# TYPE {name}{end} {kind}");
            lines.next();
        } else {
            classic.push_str(line);
            classic.push('\n');
        }
    }
    classic
}

/// The metric's name and what is said of it.
fn of_metric<'l>(line: &'l str, prefix: &str) -> Option<(&'l str, &'l str)> {
    line.strip_prefix(prefix)?.split_once(' ')
}

/// What the older format adds to the name, and what it calls the kind.
fn in_classic(kind: &str) -> (&str, &str) {
    match kind {
        "counter" => ("_total", kind),
        "info" => ("_info", "gauge"),
        _ => ("", kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_are_those_of_the_older_format_and_samples_stay_as_they_are() {
        let open_metrics = "# HELP a Things.\n# TYPE a counter\na_total{x=\"# EOF\"} 1\n\
            # HELP b_seconds Time.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_count 0\n\
            # HELP c Build.\n# TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        assert_eq!(
            classic(open_metrics),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"# EOF\"} 1\n\
             # HELP b_seconds Time.\n# TYPE b_seconds histogram\nb_seconds_count 0\n\
             # HELP c_info Build.\n# TYPE c_info gauge\nc_info{version=\"1\"} 1\n"
        );
    }
}
