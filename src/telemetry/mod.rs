//! Logs: structured, on stderr, without callers' words or phone numbers above `trace`.

use clap::ValueEnum;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// The log target of the SIP stack, which logs whole messages, phone numbers included; those of its parts begin with it.
const SIP_STACK: &str = "rsipstack";

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
    let in_colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // A second call, as in tests, leaves the first in place.
    let _ = subscriber(format, filter, in_colour, std::io::stderr).try_init();
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, in_colour: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // No directive of the filter could do that: a longer one, such as `rsipstack::transport=info`, would go before it.
    let filter = filter.and(filter_fn(is_told));
    let layer = tracing_subscriber::fmt::layer::<Registry>().with_writer(writer);
    match format {
        LogFormat::Text => {
            Box::new(tracing_subscriber::registry().with(layer.with_ansi(in_colour).with_filter(filter)))
        }
        LogFormat::Json => Box::new(tracing_subscriber::registry().with(layer.json().with_filter(filter))),
    }
}

/// Whether anything of this origin may be logged at all.
fn is_told(origin: &Metadata<'_>) -> bool {
    !origin.target().starts_with(SIP_STACK)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_filter_makes_the_sip_stack_talk() {
        for format in [LogFormat::Text, LogFormat::Json] {
            for filter in
                ["trace", "info,rsipstack=trace", "rsipstack::transport=info,info", "info,rsipstack::transport[s]=info"]
            {
                let written = Written::default();
                let writer = written.clone();
                let subscriber = subscriber(format, EnvFilter::new(filter), false, move || writer.clone());
                tracing::subscriber::with_default(subscriber, || {
                    let _span = tracing::info_span!(target: "rsipstack::transport", "s", to = "+14155551234").entered();
                    tracing::error!(target: "rsipstack", "INVITE sip:+14155551234");
                    tracing::info!(target: "rsipstack::transport::udp", "INVITE sip:+14155551234");
                    tracing::info!("ours");
                });
                let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
                assert!(text.contains("ours") && !text.contains("+14155551234"), "{filter}: {text}");
            }
        }
    }
}
