//! `alerts show`.

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::Style;
use clap::Args;

use super::named::{Format, audit, find, printed, time_of_day};
use crate::cli::exit::{Exit, Failure};
use crate::sentiment::Speaker;
use crate::store::Store;
use crate::store::review::Concern;
use crate::store::whole::Whole;
use crate::telemetry::shown::{json_line, shown};

/// Widest line, in columns.
const COLUMNS: usize = 80;
const BOLD: Style = Style::new().bold();

/// Show all that the store knows of an alert, and its timeline. Times are in UTC.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Show this alert.
    #[arg(value_name = "ID")]
    id: String,
    /// Print text, or a line of JSON.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) async fn run(args: &ShowArgs, store: &Store) -> Result<Exit, Failure> {
    let id = find(store, &args.id).await?;
    let gone = || Failure::new(Exit::Usage, format!("there is no alert {id}"));
    let whole = Whole::read(store, &id).await?.ok_or_else(gone)?;
    let text = match args.format {
        Format::Json => json_line(&whole.document()).map_err(|error| Failure::new(Exit::Other, error))?,
        Format::Table => text(&whole),
    };
    audit(store, "read", Concern::Alert(&id)).await?;
    printed(write!(anstream::stdout().lock(), "{text}"))
}

fn text(whole: &Whole) -> String {
    let alert = &whole.stored.alert;
    let mut text = format!("{BOLD}{}{BOLD:#}\n", alert.id);
    for (name, value) in whole.facts() {
        text.push_str(&wrapped(&format!("  {name:<9} "), &shown(&value)));
    }
    if !alert.last_turns.is_empty() {
        let _ = writeln!(text, "\n{BOLD}Last turns{BOLD:#}");
    }
    for turn in &alert.last_turns {
        let who = match (turn.speaker, turn.sentiment) {
            (Speaker::Agent, _) => "agent".to_owned(),
            (Speaker::Caller, Some(rating)) => format!("caller {:.1}", rating.value()),
            (Speaker::Caller, None) => "caller".to_owned(),
        };
        text.push_str(&wrapped(&format!("  {who:<11} "), &shown(&turn.text)));
    }
    let _ = writeln!(text, "\n{BOLD}Timeline{BOLD:#}");
    for happened in whole.timeline() {
        let when = happened.at_ms.map_or_else(String::new, time_of_day);
        text.push_str(&wrapped(&format!("  {when:<11} "), &shown(&happened.words)));
    }
    text
}

/// A value behind its name, wrapped and indented.
fn wrapped(head: &str, value: &str) -> String {
    let indent = " ".repeat(textwrap::core::display_width(head));
    let options = textwrap::Options::new(COLUMNS).initial_indent(head).subsequent_indent(&indent);
    let mut lines = textwrap::fill(value, options);
    if value.is_empty() {
        lines = head.trim_end().to_owned();
    }
    lines.push('\n');
    lines
}
