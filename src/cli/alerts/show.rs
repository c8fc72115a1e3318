//! `alerts show`.

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::Style;
use clap::Args;
use serde_json::{Value, json};

use super::named::{Format, find};
use crate::alert::payload::FullPayload;
use crate::alert::{Alert, AlertId};
use crate::cli::exit::{Exit, Failure};
use crate::clock::rfc3339_of;
use crate::config::settings::ActionKind;
use crate::sentiment::Speaker;
use crate::store::review::{Attempt, SaidVerdict};
use crate::store::{OutboxRow, OutboxState, Store, StoredAlert, StoredSession};
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

/// All that there is.
struct Whole {
    stored: StoredAlert,
    session: Option<StoredSession>,
    notices: Vec<OutboxRow>,
    attempts: Vec<Attempt>,
    verdict: Option<SaidVerdict>,
}

pub(super) async fn run(args: &ShowArgs, store: &Store) -> Result<Exit, Failure> {
    let id = find(store, &args.id).await?;
    let whole = read(store, &id).await?;
    let text = match args.format {
        Format::Json => json_line(&document(&whole)).map_err(|error| Failure::new(Exit::Other, error))?,
        Format::Table => text(&whole),
    };
    write!(anstream::stdout().lock(), "{text}")?;
    Ok(Exit::Ok)
}

async fn read(store: &Store, id: &AlertId) -> Result<Whole, Failure> {
    let gone = || Failure::new(Exit::Usage, format!("there is no alert {id}"));
    let stored = store.alert(id).await?.ok_or_else(gone)?;
    Ok(Whole {
        session: store.session(&stored.alert.session_id, &stored.alert.room_name).await?,
        notices: store.notices(id).await?,
        attempts: store.attempts(id).await?,
        verdict: store.verdict(id).await?,
        stored,
    })
}

fn document(whole: &Whole) -> Value {
    let session = whole.session.as_ref().map(|session| {
        json!({"started_at": rfc3339_of(session.started_ms), "ended_at": session.ended_ms.map(rfc3339_of),
            "ended_reason": session.ended_reason, "turns": session.turns, "escalated": session.escalated})
    });
    let notices = whole.notices.iter().map(|row| {
        json!({"target": row.target, "event": row.event, "format": row.format, "state": row.state.name(),
            "attempts": row.attempts, "due_at": rfc3339_of(row.due_ms), "last_status": row.last_status,
            "last_error": row.last_error, "settled_at": row.settled_ms.map(rfc3339_of)})
    });
    let attempts = whole.attempts.iter().map(|attempt| {
        json!({"target": attempt.target, "event": attempt.event, "attempt": attempt.attempt,
            "at": rfc3339_of(attempt.at_ms), "status": attempt.status, "error": attempt.error})
    });
    let verdict = whole.verdict.as_ref().map(
        |said| json!({"verdict": said.verdict, "note": said.note, "by": said.said_by, "at": rfc3339_of(said.said_ms)}),
    );
    json!({
        "alert": FullPayload::of(&whole.stored.alert, None),
        "shadow": whole.stored.alert.shadow,
        "created_at": rfc3339_of(whole.stored.created_ms),
        "session": session,
        "notices": notices.collect::<Vec<_>>(),
        "attempts": attempts.collect::<Vec<_>>(),
        "verdict": verdict,
    })
}

fn text(whole: &Whole) -> String {
    let alert = &whole.stored.alert;
    let mut text = format!("{BOLD}{}{BOLD:#}\n", alert.id);
    for (name, value) in facts(whole) {
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
    for (at, what) in timeline(whole) {
        let when = at.map_or_else(String::new, clock_time);
        text.push_str(&wrapped(&format!("  {when:<11} "), &shown(&what)));
    }
    text
}

/// The time of a day, with its month and day.
fn clock_time(ms: u64) -> String {
    rfc3339_of(ms).chars().skip(11).take(8).collect()
}

fn facts(whole: &Whole) -> Vec<(&'static str, String)> {
    let alert = &whole.stored.alert;
    let full = FullPayload::of(alert, None);
    let decided: String = rfc3339_of(whole.stored.created_ms).replace('T', " ").chars().take(19).collect();
    let mut rule = format!("{}, by the rule {}", alert.severity.name(), alert.rule.name());
    let mut figures = vec![format!("{} low in a row", alert.streak)];
    figures.extend(alert.mean.map(|mean| format!("mean {mean:.2}")));
    figures.extend(alert.human_requests.map(|asks| format!("{asks} asks for a human")));
    let _ = write!(rule, " ({})", figures.join(", "));
    let mut action = alert.action.name().to_owned();
    if let Some(target) = full.target.as_ref().filter(|_| alert.action == ActionKind::Transfer) {
        let _ = write!(action, " to {}", target.as_str());
    }
    if let Some(outcome) = &alert.outcome {
        let _ = write!(action, ": {}", outcome.words());
    }
    if alert.shadow {
        action.push_str(" (shadow: nothing was done)");
    }
    let call = full.call_id.as_ref().map(|id| format!(", call {id}")).unwrap_or_default();
    let ratings: Vec<String> = alert.history.iter().map(|rating| format!("{:.1}", rating.value())).collect();
    let said = match &whole.verdict {
        None => "none yet".to_owned(),
        Some(said) if said.note.is_empty() => format!("{}, says {}", said.verdict.name(), said.said_by),
        Some(said) => format!("{}, says {}: {}", said.verdict.name(), said.said_by, said.note),
    };
    vec![
        ("decided", format!("{decided} UTC, at caller turn {}, rated {:.1}", alert.turn, alert.sentiment.value())),
        ("what", alert.description.clone()),
        ("why", format!("{}: {rule}", alert.reason)),
        ("caller", full.caller.and_then(|caller| caller.words()).unwrap_or_else(|| "not known".to_owned())),
        ("action", action),
        ("room", format!("{}, session {}{call}", alert.room_name, alert.session_id)),
        ("ratings", ratings.join(" ")),
        ("verdict", said),
    ]
}

/// What happened, in its order. Steps of a transfer have no time of their own.
fn timeline(whole: &Whole) -> Vec<(Option<u64>, String)> {
    let Whole { stored: StoredAlert { alert, created_ms, .. }, session, notices, attempts, verdict } = whole;
    let mut events: Vec<(u64, u8, Option<u64>, String)> = Vec::new();
    if let Some(session) = session {
        events.push((session.started_ms, 0, Some(session.started_ms), "attached to the call".to_owned()));
        if let Some(ended_ms) = session.ended_ms {
            let reason = session.ended_reason.as_deref().unwrap_or_default();
            let what = format!("the call ended after {} caller turns: {reason}", session.turns);
            events.push((ended_ms, 0, Some(ended_ms), what));
        }
    }
    events.push((*created_ms, 1, Some(*created_ms), format!("decided to {}", doing(alert))));
    for step in &alert.steps {
        let status = step.sip_status.map(|status| format!(" ({status})")).unwrap_or_default();
        events.push((*created_ms, 2, None, format!("{}{status}", step.step)));
    }
    if let Some(outcome) = &alert.outcome {
        events.push((*created_ms, 3, None, format!("{}: {}", outcome.name(), outcome.words())));
    }
    for attempt in attempts {
        let came = match (&attempt.error, attempt.status) {
            (Some(error), _) => error.clone(),
            (None, Some(status)) => format!("delivered ({status})"),
            (None, None) => "delivered".to_owned(),
        };
        let what = format!("{}, attempt {}: {came}", place(&attempt.target), attempt.attempt);
        events.push((attempt.at_ms, 4, Some(attempt.at_ms), what));
    }
    for row in notices.iter().filter(|row| row.state != OutboxState::Delivered) {
        let when = row.settled_ms.unwrap_or(row.due_ms);
        events.push((when, 5, Some(when), format!("{}: {}", place(&row.target), standing(row))));
    }
    if let Some(said) = verdict {
        events.push((said.said_ms, 6, Some(said.said_ms), format!("{} says {}", said.said_by, said.verdict.name())));
    }
    // Steps of a transfer stay behind the decision, wherever the rest lies.
    events.sort_by_key(|(at, rank, ..)| (*at, *rank));
    events.into_iter().map(|(_, _, at, what)| (at, what)).collect()
}

fn doing(alert: &Alert) -> &'static str {
    match alert.action {
        ActionKind::Transfer => "transfer the caller",
        ActionKind::Notify => "notify supervisors",
        ActionKind::Flag => "flag the call",
    }
}

fn place(target: &str) -> &str {
    if target.is_empty() { "webhook" } else { target }
}

fn standing(row: &OutboxRow) -> String {
    let because = row.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    match row.state {
        OutboxState::Held => "waits for the outcome".to_owned(),
        OutboxState::Pending => format!("due after {} attempts{because}", row.attempts),
        OutboxState::Delivered => "delivered".to_owned(),
        OutboxState::GaveUp => format!("given up after {} attempts{because}; alerts resend sends it", row.attempts),
        OutboxState::Cancelled => "not needed".to_owned(),
    }
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
