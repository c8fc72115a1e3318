//! Logs: structured, on stderr, without callers' words or phone numbers above `trace`.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::transfer::sip::STACK_LOG_FILTER;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Begins logging to stderr. `SIDECAR_LOG` holds a filter such as `info` or `sentiment_sidecar=debug`; the default is
/// `warn`. The SIP stack stays silent whatever the filter says: it logs whole messages, phone numbers included.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("SIDECAR_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let filter = match STACK_LOG_FILTER.parse() {
        Ok(silence) => filter.add_directive(silence),
        Err(_) => EnvFilter::new("sentiment_sidecar=warn"),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, as in tests, leaves the first in place.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
