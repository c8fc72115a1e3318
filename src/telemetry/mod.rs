//! Logs: structured, on stderr, without callers' words or phone numbers above `trace`; [`meter`], which counts; and [`shown`],
//! which makes what others said fit for a log line or a terminal.

pub mod meter;
pub mod shown;

use std::fmt::{self, Debug};
use std::io;

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use clap::ValueEnum;
use tracing::field::Field;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
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
/// `warn`. The SIP stack stays silent whatever the filter says: it logs whole messages, phone numbers included. Lines are in
/// colour on a terminal only, as the rest of what the program says.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("SIDECAR_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let in_colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    // A second call, as in tests, leaves the first in place.
    let _ = subscriber(format, filter, in_colour, io::stderr).try_init();
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, in_colour: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // No directive of the filter could do that: a longer one, such as `rsipstack::transport=info`, would go before it.
    let filter = filter.and(filter_fn(is_told));
    let layer = tracing_subscriber::fmt::layer::<Registry>();
    match format {
        LogFormat::Text => {
            let layer = layer.fmt_fields(debug_fn(field).delimited(" ")).with_ansi(in_colour).with_writer(writer);
            Box::new(tracing_subscriber::registry().with(layer.with_filter(filter)))
        }
        LogFormat::Json => {
            let layer = layer.json().with_writer(JsonWriter(writer));
            Box::new(tracing_subscriber::registry().with(layer.with_filter(filter)))
        }
    }
}

/// Writes one field of a text line. Its value may be a room's or a peer's.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let text = format!("{value:?}");
    let text = shown::shown(&text);
    if field.name() == "message" {
        return write!(writer, "{text}");
    }
    let [name, sign] =
        if writer.has_ansi_escapes() { [Style::new().italic(), Style::new().dimmed()] } else { [Style::new(); 2] };
    write!(writer, "{name}{}{name:#}{sign}={sign:#}{text}", field.name())
}

/// Writes JSON lines, each as a whole, with everything unprintable escaped.
struct JsonWriter<W>(W);

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for JsonWriter<M> {
    type Writer = JsonWriter<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        JsonWriter(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for JsonWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = shown::without_passwords(&text);
        let (json, end) = text.strip_suffix('\n').map_or((&*text, ""), |json| (json, "\n"));
        self.0.write_all(format!("{}{end}", shown::json_escaped(json)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether anything of this origin may be logged at all.
fn is_told(origin: &Metadata<'_>) -> bool {
    !origin.target().starts_with(SIP_STACK)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

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
    fn colour_is_ours_alone_and_a_value_stays_on_its_line() {
        let hostile = "\u{1b}[31mred\nINFO forged\u{9b}2J wss://u:secret@host/";
        for (format, in_colour) in [(LogFormat::Text, true), (LogFormat::Text, false), (LogFormat::Json, false)] {
            let written = Written::default();
            let writer = written.clone();
            let subscriber = subscriber(format, EnvFilter::new("info"), in_colour, move || writer.clone());
            tracing::subscriber::with_default(subscriber, || {
                let _span = tracing::info_span!("call", room = %hostile).entered();
                tracing::info!(code = hostile, said = %hostile, "it said {hostile}");
            });
            let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert_eq!(text.contains('\u{1b}'), in_colour, "{text}");
            let is_theirs = |part: &str| text.contains(part);
            assert!(!is_theirs("\u{1b}[31m") && !is_theirs("\u{9b}") && !is_theirs("secret"), "{text}");
            assert!(text.matches("red").count() >= 4, "nothing is lost: {text}");
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
