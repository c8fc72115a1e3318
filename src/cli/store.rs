//! `store`: upgrades, prunes and erases what the store holds, and shows who read what.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::ago;
use super::alerts::named::{Format, audit, printed, short};
use super::exit::{Exit, Failure};
use super::opened::{NoStore, open};
use super::terminal::say;
use crate::clock::{rfc3339_of, unix_ms};
use crate::replay::shorten;
use crate::store::StoreUrl;
use crate::store::review::{AuditLine, Concern, Forgotten};
use crate::telemetry::shown::{json_line, shown};

/// Bring the store up to date, forget what is old, erase all of one caller's data, or show who read what.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  sentiment-sidecar store upgrade
  sentiment-sidecar store prune --older-than 30d
  sentiment-sidecar store erase --caller +14155550123
  sentiment-sidecar store audit --since 7d

Exit codes: 0 ended well, 2 usage, 9 the store cannot be used.")]
pub struct StoreArgs {
    /// Work on this store: sqlite:///path/to/file.db or a path [default: an SQLite file in the user's state folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true, global = true)]
    store: Option<StoreUrl>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bring the store's tables up to date now, rather than when the next process opens it.
    ///
    /// Processes of the version before go on working, and so do those that start later.
    Upgrade,
    /// Forget alerts and calls that are old, with all that belongs to them.
    ///
    /// Webhooks that are still undelivered then are forgotten too.
    Prune {
        /// Forget what is older than 90m, 12h, 30d, 4w, or so.
        #[arg(long, value_name = "AGO", value_parser = ago::duration)]
        older_than: Duration,
    },
    /// Erase all calls of a caller and their alerts, with all that belongs to them, from the file as well.
    Erase {
        /// Erase those of this number as the room gives it, however it is spaced: +1 (415) 555-0123, tel:+14155550123.
        #[arg(long, value_name = "NUMBER")]
        caller: String,
    },
    /// Show who read what callers said, and who changed what, the latest first. Times are in UTC.
    Audit {
        /// Show what was done within the last 90m, 12h, 30d, 4w, or so.
        #[arg(long, value_name = "AGO", value_parser = ago::duration)]
        since: Option<Duration>,
        /// Show so much at most.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Print a table, or JSON with one line each.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

/// Runs `store`.
///
/// # Errors
/// [`Failure`] when the store cannot be used.
pub async fn run(args: StoreArgs) -> Result<Exit, Failure> {
    let store = match (open(args.store).await, &args.what) {
        // Where no call has made a store yet there is nothing to forget, and who prunes each night wants to hear of no failure.
        (Err(NoStore::Missing(url)), What::Prune { .. }) => {
            say(format_args!("there is no store at {url}: nothing to forget"))?;
            return Ok(Exit::Ok);
        }
        (Err(NoStore::Missing(url)), What::Upgrade) => {
            say(format_args!("there is no store at {url}: nothing to upgrade"))?;
            return Ok(Exit::Ok);
        }
        (store, _) => store?,
    };
    let forgotten = match args.what {
        What::Upgrade => {
            // Opening it was all that there was to do.
            say(format_args!("{} is up to date", store.url()))?;
            None
        }
        What::Prune { older_than } => Some(store.prune(ago::before(unix_ms(), older_than)).await?),
        What::Erase { caller } => {
            if !caller.chars().any(char::is_alphanumeric) {
                return Err(Failure::new(Exit::Usage, "--caller names nobody; write a number, e.g. +14155550123"));
            }
            // Of whom is not to be found there again. It is noted first: something may be gone, whatever comes in between.
            audit(&store, "erase", Concern::Many).await?;
            let forgotten = store.erase(&caller).await?;
            if forgotten == Forgotten::default() {
                anstream::eprintln!(
                    "the store has no call of this number; where there should be one, write it as the room does, mostly with + \
                     and its country code"
                );
            }
            Some(forgotten)
        }
        What::Audit { since, limit, format } => {
            let since_ms = since.map_or(0, |since| ago::before(unix_ms(), since));
            let lines = store.audit_log(since_ms, limit).await?;
            store.close().await;
            return printed(print(&lines, format));
        }
    };
    if let Some(Forgotten { alerts, sessions }) = forgotten {
        say(format_args!("forgot {} and {}", many(sessions, "call"), many(alerts, "alert")))?;
    }
    store.close().await;
    Ok(Exit::Ok)
}

fn print(lines: &[AuditLine], format: Format) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for line in lines {
        match format {
            Format::Json => write!(out, "{}", json_line(&Told { at: rfc3339_of(line.done.at_ms), line })?)?,
            Format::Table => writeln!(out, "{}", row(line))?,
        }
    }
    if lines.is_empty() && format == Format::Table {
        writeln!(out, "nobody read or changed anything")?;
    }
    out.flush()
}

/// A line of the audit log as programs get it.
#[derive(Serialize)]
struct Told<'a> {
    at: String,
    #[serde(flatten)]
    line: &'a AuditLine,
}

/// Widest line, in columns.
const COLUMNS: usize = 80;
/// Longest name of who it was, in columns: with any verdict about an alert it fits the line.
const WHO: usize = 26;

/// A line for people. What is cut here is whole as JSON.
fn row(line: &AuditLine) -> String {
    let when: String = rfc3339_of(line.done.at_ms).replace('T', " ").chars().take(19).collect();
    let done = format!("{when}  {:<16}  {}", shorten(&shown(&line.done.who), WHO), shown(&line.done.what));
    match (&line.alert_id, &line.room_name) {
        (Some(alert_id), _) => format!("{done}  {}", short(alert_id)),
        (None, Some(room)) => {
            let left = COLUMNS.saturating_sub(done.chars().count() + "  room ".len());
            format!("{done}  room {}", shorten(&shown(room), left))
        }
        (None, None) => done,
    }
}

fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Alert;
    use crate::config::settings::ActionKind;
    use crate::store::review::Audited;

    #[test]
    fn a_line_of_the_log_fits_a_terminal_of_80_columns() {
        let id = Alert::test(ActionKind::Flag, 1).id;
        for who in ["cli:root", &"w".repeat(64)] {
            for (what, alert_id, room) in [
                ("verdict right", Some(id.clone()), None),
                ("call", None, Some("room".repeat(30))),
                ("log in", None, None),
            ] {
                let done = Audited { at_ms: 1, who: who.to_owned(), what: what.to_owned() };
                let told = row(&AuditLine { done, alert_id, room_name: room, session_id: None });
                assert!(told.chars().count() <= COLUMNS && told.contains(what), "{told}");
            }
        }
    }
}
