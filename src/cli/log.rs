//! Where the log goes: standard error, as text for people or as JSON for a collector.

mod flat;

use clap::{Args, ValueEnum};
use tracing_subscriber::{
    EnvFilter,
    fmt::{SubscriberBuilder, format::JsonFields},
};

use flat::Flat;

/// The flags of the Prometheus family; every subcommand takes them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogOptions {
    /// Only log messages of this severity or above; the log goes to standard error
    #[arg(long = "log.level", value_name = "LEVEL", value_enum, default_value_t = Level::Info, global = true)]
    level: Level,
    /// How a log line is written
    #[arg(long = "log.format", value_name = "FORMAT", value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl LogOptions {
    /// Starts logging. Only raysweep's own modules speak below `warn`: a library's debug lines may
    /// carry what must not be logged. rustls warns of what any peer may send, as often as it is sent.
    pub(crate) fn start(self) {
        let Self { level, format } = self;
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let others = if level == "error" { "error" } else { "warn" };
        let filter = EnvFilter::new(format!("{others},rustls=error,raysweep={level}"));
        let builder: SubscriberBuilder<_, _, _, fn() -> std::io::Stderr> =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // A log on a full disk, or without a reader, loses lines. Complaining of it where it cannot be
        // written would end the sweep.
        let builder = builder.log_internal_errors(false);
        // A second subscriber in one process is a test's; the first one stays.
        let _ = match format {
            Format::Text => builder.with_ansi(false).try_init(),
            Format::Json => builder.fmt_fields(JsonFields::new()).event_format(Flat).try_init(),
        };
    }
}
