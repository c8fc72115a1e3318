//! A call as the board shows it ([`Card`]).

use std::fmt::Write as _;

use askama::Template;
use sha2::{Digest, Sha256};

use crate::config::settings::ActionKind;
use crate::store::live::{ActionState, BoardRow, LiveAlert, Need};
use crate::store::review::DeliveryState;

/// Width and height of the line of ratings, in its own units.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 36.0;

/// A call as the board shows it.
#[derive(Template)]
#[template(path = "card.html", config = "src/web/pages/askama.toml")]
pub(super) struct Card<'a> {
    key: String,
    class: &'static str,
    /// What it needs.
    need: &'static str,
    /// What is done about it.
    action: String,
    /// Where more is known of it: its alert, or else its own page.
    link: String,
    caller: String,
    room: &'a str,
    minutes: String,
    rating: String,
    low: bool,
    streak: String,
    mean: Option<String>,
    line: Option<Line>,
    words: Option<&'a str>,
}

/// The line of ratings, 1 below and 10 above.
pub(super) struct Line {
    pub(super) points: String,
    /// Where the last one is.
    pub(super) x: String,
    pub(super) y: String,
    pub(super) threshold: String,
    pub(super) says: String,
}

/// What tells a call from others on the page.
pub(super) fn key(room_name: &str, session_id: &str) -> String {
    let digest = Sha256::new().chain_update(room_name).chain_update([0]).chain_update(session_id);
    let mut key = "call".to_owned();
    for byte in &digest.finalize()[..8] {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

fn height(rating: f64) -> String {
    format!("{:.1}", 2.0 + (HEIGHT - 4.0) * (10.0 - rating) / 9.0)
}

impl Line {
    pub(super) fn of(row: &BoardRow) -> Option<Self> {
        let ratings = &row.call.ratings;
        let last = ratings.last()?;
        let step = (WIDTH - 8.0) / (ratings.len().max(2) - 1) as f64;
        let mut points = String::new();
        let mut x = String::new();
        for (at, rating) in ratings.iter().enumerate() {
            x = format!("{:.0}", 4.0 + at as f64 * step);
            let _ = write!(points, "{x},{} ", height(rating.value()));
        }
        let lowest = ratings.iter().map(|rating| rating.value()).fold(10.0, f64::min);
        let says = format!("Ratings, the lowest {lowest:.1}, the last {last}; the line is at {}", row.call.threshold);
        points.truncate(points.trim_end().len());
        let threshold = height(f64::from(row.call.threshold));
        Some(Self { points, x, y: height(last.value()), threshold, says })
    }
}

/// Who calls.
pub(super) fn caller(row: &BoardRow) -> String {
    let caller = row.call.caller.as_ref().and_then(|caller| caller.words());
    caller.unwrap_or_else(|| "caller not known".to_owned())
}

/// What a call needs: a class of the style sheet, and in words.
pub(super) fn need(row: &BoardRow) -> (&'static str, &'static str) {
    match row.need {
        Need::Somebody => ("bad", "needs somebody now"),
        Need::Watching => ("bad", "nobody watches: its process is gone"),
        Need::Soon => ("warn", "one more low turn escalates"),
        Need::Transfer => ("warn", "is being transferred"),
        Need::Eye => ("warn", "a low turn"),
        Need::InHand if row.call.with_human => ("calm", "a human has the caller"),
        Need::InHand => ("calm", "in hand"),
        Need::Recovered => ("calm", "has calmed down"),
        Need::Nothing => ("calm", "fine"),
    }
}

/// What is done about a call, in words.
pub(super) fn action(row: &BoardRow) -> String {
    let Some(alert) = &row.call.alert else { return String::new() };
    let mut said = format!("{}: {}", alert.severity.name(), doing(alert));
    match alert.delivery {
        DeliveryState::None => {}
        DeliveryState::Delivered => said.push_str(", supervisors told"),
        DeliveryState::Pending => said.push_str(", supervisors not told yet"),
        DeliveryState::GaveUp => said.push_str(", supervisors NOT told"),
    }
    if alert.shadow {
        said.push_str(" (shadow: nothing is done)");
    }
    if let Some(claimed) = &row.claimed {
        let _ = write!(said, ", {} looks after it", claimed.by);
    }
    said
}

fn doing(alert: &LiveAlert) -> String {
    match (alert.action, &alert.state) {
        (ActionKind::Transfer, ActionState::UnderWay { step: None }) => "transfer begins".to_owned(),
        (ActionKind::Transfer, ActionState::UnderWay { step: Some(step) }) => {
            format!("transfer, {}", step.replace('_', " "))
        }
        (ActionKind::Transfer, ActionState::Done) => "transferred".to_owned(),
        (_, ActionState::Failed { outcome }) => format!("NOT transferred, {}", outcome.words()),
        (ActionKind::Notify, _) => "supervisors are notified".to_owned(),
        (ActionKind::Flag, _) => "flagged".to_owned(),
    }
}

impl<'a> Card<'a> {
    pub(super) fn of(row: &'a BoardRow, key: &str, now_ms: u64) -> Self {
        let call = &row.call;
        let (class, need) = need(row);
        let last = call.ratings.last();
        Self {
            key: key.to_owned(),
            class,
            need,
            action: action(row),
            link: call.alert.as_ref().map_or_else(|| format!("/calls/{key}"), |alert| format!("/alerts/{}", alert.id)),
            caller: caller(row),
            room: &call.room_name,
            minutes: format!("{} min", now_ms.saturating_sub(call.started_ms) / 60_000),
            rating: last.map_or_else(|| "not rated yet".to_owned(), ToString::to_string),
            low: last.is_some_and(|rating| rating.is_below(call.threshold)),
            streak: format!("{}/{}", call.streak, call.window),
            mean: call.mean.map(|mean| format!("{mean:.1}")),
            line: Line::of(row),
            words: call.last_words.as_deref(),
        }
    }
}
