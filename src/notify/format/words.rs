//! What all formats for people say, in the same words.

use crate::alert::notice::Told;
use crate::alert::outcome::Outcome;
use crate::alert::payload::{FullPayload, description};
use crate::alert::{Alert, AlertTurn, Rule};
use crate::config::settings::{ActionKind, WebhookDetail};
use crate::sentiment::Speaker;
use crate::telemetry::shown::is_unprintable;

/// Longest value of a fact, in characters.
const VALUE_CHARS: usize = 200;
/// Longest turn, in characters.
const TURN_CHARS: usize = 400;
/// So many of the last ratings are told.
const MOST_RATINGS: usize = 20;

/// At most `most` characters of a text, on one line.
pub(super) fn cut(text: &str, most: usize) -> String {
    let clean = text.replace(is_unprintable, " ");
    match clean.char_indices().nth(most) {
        None => clean,
        Some(_) => clean.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// What a message begins with.
pub(super) fn title(told: &Told, detail: WebhookDetail) -> String {
    let alert = &told.alert;
    let what = match (alert.action, &alert.outcome) {
        (ActionKind::Transfer, Some(Outcome::Transferred)) => "Caller transferred to a human",
        (ActionKind::Transfer, Some(Outcome::Unknown)) => "Transfer unclear: look after this caller",
        (ActionKind::Transfer, Some(_)) => "Transfer failed: this caller needs a human",
        (ActionKind::Transfer, None) => "A caller is being transferred to a human",
        (ActionKind::Notify | ActionKind::Flag, _) => "A caller needs a human",
    };
    let severity = match detail {
        WebhookDetail::Full => format!(" ({})", alert.severity.name()),
        WebhookDetail::Seed => String::new(),
    };
    format!("{}{what}{severity}", if told.test { "TEST, no call behind it. " } else { "" })
}

/// What upset the caller.
pub(super) fn said(told: &Told) -> String {
    cut(&description(&told.alert), VALUE_CHARS)
}

/// The rule, with its figures.
fn rule(alert: &Alert) -> String {
    let mut figures = Vec::new();
    if alert.streak > 0 {
        figures.push(format!("{} low in a row", alert.streak));
    }
    if let Some(mean) = alert.mean {
        figures.push(format!("mean {mean:.2}"));
    }
    if let Some(asks) = alert.human_requests.filter(|asks| *asks > 0) {
        figures.push(format!("asked for a human {asks} times"));
    }
    let name = match alert.rule {
        Rule::Streak => "low turns in a row",
        Rule::Sustained => "low on the whole",
        Rule::HumanRequest => "asks for a human",
        Rule::Trajectory => "getting worse",
        Rule::Tool => "the agent asked for help",
    };
    if figures.is_empty() { name.to_owned() } else { format!("{name}: {}", figures.join(", ")) }
}

/// Names and values, most important first. Those of the seed's fields, or all.
pub(super) fn facts(told: &Told, detail: WebhookDetail) -> Vec<(&'static str, String)> {
    let alert = &told.alert;
    let seed = [
        ("Room", Some(alert.room_name.clone())),
        ("Sentiment", Some(format!("{} of 10", alert.sentiment.score()))),
        ("Action", Some(alert.action.name().to_owned())),
    ];
    let mut facts: Vec<_> = seed.into();
    if detail == WebhookDetail::Full {
        let full = FullPayload::of(alert, None);
        let ratings: Vec<String> = alert.history.iter().map(|rating| format!("{:.1}", rating.value())).collect();
        let last = &ratings[ratings.len().saturating_sub(MOST_RATINGS)..];
        let transfer = match (&full.transfer_words, &full.target) {
            (Some(words), Some(target)) => Some(format!("to {}: {words}", target.as_str())),
            (Some(words), None) => Some(words.clone()),
            (None, Some(target)) => Some(format!("to {}", target.as_str())),
            (None, None) => None,
        };
        let caller = full.caller.and_then(|caller| caller.words());
        facts.insert(0, ("Caller", caller));
        facts.extend([
            ("Transfer", transfer),
            ("Why", Some(rule(alert))),
            ("Ratings", (!last.is_empty()).then(|| last.join(", "))),
            ("Call", full.call_id),
            ("Call since", full.call_started_at),
            ("Alert", full.alerted_at),
        ]);
    }
    facts.into_iter().filter_map(|(name, value)| Some((name, cut(&value?, VALUE_CHARS)))).collect()
}

/// The last turns, oldest first: who spoke, and what.
pub(super) fn turns(told: &Told, detail: WebhookDetail) -> Vec<(String, String)> {
    let turn = |turn: &AlertTurn| {
        let who = match turn.speaker {
            Speaker::Caller => "Caller",
            Speaker::Agent => "Agent",
        };
        let who = match turn.sentiment {
            Some(rating) => format!("{who} ({:.1})", rating.value()),
            None => who.to_owned(),
        };
        (who, cut(&turn.text, TURN_CHARS))
    };
    match detail {
        WebhookDetail::Full => told.alert.last_turns.iter().map(turn).collect(),
        WebhookDetail::Seed => Vec::new(),
    }
}

/// The link, where it is not longer than such links may be.
pub(super) fn link(told: &Told) -> Option<&str> {
    const LINK_CHARS: usize = 2_000;
    told.link.as_deref().filter(|link| link.len() <= LINK_CHARS)
}
