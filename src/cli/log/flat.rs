//! A log line as one flat JSON object: what a span knows (incident, attempt, host) stands beside what
//! the event says, so that one key finds all that belongs together.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::{LookupSpan, Scope},
};

/// Writes a line. The spans' fields have to be written by `JsonFields`.
pub(super) struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let known = extensions.get::<FormattedFields<N>>();
            let known = known.and_then(|known| serde_json::from_str::<Map<_, _>>(&known.fields).ok());
            fields.extend(known.unwrap_or_default());
        }
        // The event's own word is the newer one.
        event.record(&mut Fields(&mut fields));
        let message = fields.remove("message").unwrap_or_default();
        let metadata = event.metadata();
        write!(
            writer,
            r#"{{"timestamp":"{:.6}","level":"{}","message":{message},"target":"{}""#,
            Timestamp::now(),
            metadata.level(),
            metadata.target(),
        )?;
        for (name, value) in fields {
            write!(writer, ",{}:{value}", Value::from(name))?;
        }
        writeln!(writer, "}}")
    }
}

/// Takes an event's fields for what they are.
struct Fields<'m>(&'m mut Map<String, Value>);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{info, info_span};
    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_that_holds_what_its_spans_know_once() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(Flat)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let outer =
                info_span!("attempt", incident = Some(7_i64), attempt = %"a\"b", host = "ray-80").entered();
            let name = "two\nlines\u{7}";
            info!(host = "ray-81", freed_bytes = 5_u64, secs = 0.5, whole = true, name, "attempt \"ended\"");
            drop(outer);
            info!(none = None::<u64>, "over");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Map<String, Value>> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        let expected = serde_json::json!({
            "level": "INFO", "message": "attempt \"ended\"", "incident": 7, "attempt": "a\"b",
            "host": "ray-81", "freed_bytes": 5, "secs": 0.5, "whole": true, "name": "two\nlines\u{7}",
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&lines[0][key], value, "{key} in {text}");
        }
        assert_eq!(text.matches("\"host\":").count(), 1, "{text}");
        lines[1]["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert!(!lines[1].contains_key("none") && !lines[1].contains_key("incident"), "{text}");
    }
}
