//! What the pages show, made of what the store says.

use crate::alert::payload::FullPayload;
use crate::alert::{Alert, Severity};
use crate::clock::rfc3339_of;
use crate::config::settings::ActionKind;
use crate::recording::{CutLine, Recording};
use crate::replay::figures::Share;
use crate::room::message::{Participant, Role, RoomMessage};
use crate::sentiment::Speaker;
use crate::store::review::{DeliveryState, ListedAlert, Rates};

/// The band that a well-set escalation rate lies in.
const BAND: (f64, f64) = (0.05, 0.15);

/// An alert in the list.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) when: String,
    pub(super) severity: &'static str,
    pub(super) caller: String,
    pub(super) said: String,
    pub(super) room: String,
    pub(super) action: String,
    pub(super) delivery: &'static str,
    pub(super) verdict: &'static str,
}

/// A moment as people read it, in UTC.
pub(super) fn moment(ms: u64) -> String {
    rfc3339_of(ms).replace('T', " ").chars().take(16).collect()
}

/// The action, and what a transfer came to.
pub(super) fn action(alert: &Alert) -> String {
    match (&alert.outcome, alert.action) {
        _ if alert.shadow => format!("{} (shadow)", alert.action),
        (Some(outcome), ActionKind::Transfer) => format!("transfer: {}", outcome.words()),
        (_, action) => action.name().to_owned(),
    }
}

impl Row {
    pub(super) fn of(one: &ListedAlert) -> Self {
        let caller = FullPayload::of(&one.alert, None).caller.and_then(|caller| caller.words());
        Self {
            id: one.alert.id.to_string(),
            when: moment(one.created_ms),
            severity: one.alert.severity.name(),
            caller: caller.unwrap_or_else(|| "caller not known".to_owned()),
            said: one.alert.description.clone(),
            room: one.alert.room_name.clone(),
            action: action(&one.alert),
            delivery: match one.delivery {
                DeliveryState::None => "",
                DeliveryState::Delivered => "delivered",
                DeliveryState::Pending => "not yet delivered",
                DeliveryState::GaveUp => "NOT delivered",
            },
            verdict: one.verdict.map_or("no verdict", |verdict| verdict.name()),
        }
    }
}

/// How the period went.
pub(super) struct Period {
    pub(super) calls: u64,
    pub(super) escalated: u64,
    pub(super) share: String,
    pub(super) says: &'static str,
    pub(super) precision: String,
    pub(super) undelivered: u64,
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

impl Period {
    pub(super) fn of(rates: &Rates) -> Self {
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let share = Share::new(whole(rates.escalated), whole(rates.calls));
        let says = match share.share {
            None => "no calls yet",
            Some(_) if share.low > BAND.1 => "too sensitive: more than 15 % of calls escalate",
            Some(_) if share.high < BAND.0 => "missing callers: fewer than 5 % of calls escalate",
            Some(rate) if (BAND.0..=BAND.1).contains(&rate) => "within 5 to 15 %, as it should be",
            Some(_) => "too few calls to say whether it lies within 5 to 15 %",
        };
        let judged = rates.right + rates.wrong + rates.late;
        let right = Share::new(whole(rates.right + rates.late), whole(judged));
        let precision = match right.share {
            None => "no verdicts yet".to_owned(),
            Some(rate) => {
                let (low, high) = (percent(right.low), percent(right.high));
                format!(
                    "{} of {judged} judged alerts were needed ({low} to {high}), {} of them late",
                    percent(rate),
                    rates.late
                )
            }
        };
        let between = format!("{} to {}", percent(share.low), percent(share.high));
        Self {
            calls: rates.calls,
            escalated: rates.escalated,
            share: share.share.map_or_else(String::new, |rate| format!("{} ({between})", percent(rate))),
            says,
            precision,
            undelivered: rates.undelivered,
        }
    }
}

/// A turn.
pub(super) struct Turn {
    pub(super) who: &'static str,
    pub(super) rating: String,
    pub(super) low: bool,
    pub(super) text: String,
}

/// The turns that led to an alert.
pub(super) fn last_turns(alert: &Alert) -> Vec<Turn> {
    let turn = |turn: &crate::alert::AlertTurn| Turn {
        who: match turn.speaker {
            Speaker::Caller => "caller",
            Speaker::Agent => "agent",
        },
        rating: turn.sentiment.map_or_else(String::new, |rating| format!("{:.1}", rating.value())),
        low: turn.sentiment.is_some_and(|rating| rating.is_below(3)),
        text: turn.text.clone(),
    };
    alert.last_turns.iter().map(turn).collect()
}

/// What was said in a call, of a recording that was kept.
pub(super) fn transcript(text: &str) -> Vec<Turn> {
    let Ok(recording) = Recording::read(text.as_bytes(), "transcript", CutLine::LeaveOut) else { return Vec::new() };
    let mut people: Vec<Participant> = Vec::new();
    let mut turns = Vec::new();
    let by_turns = recording.messages.iter().any(|timed| matches!(&timed.message, RoomMessage::TurnEnded(_)));
    for timed in &recording.messages {
        match &timed.message {
            RoomMessage::Welcome(welcome) => people.extend(welcome.participants.iter().cloned()),
            RoomMessage::ParticipantJoined { participant, .. } => people.push(participant.clone()),
            RoomMessage::TurnEnded(ended) => {
                if let Some(text) = &ended.text {
                    turns.push(said(&people, &ended.participant_id, text));
                }
            }
            // Where turns have their words themselves, segments only say them first.
            RoomMessage::Transcript(piece) if !by_turns => {
                turns.push(said(&people, &piece.participant_id, &piece.text))
            }
            _ => {}
        }
    }
    turns
}

fn said(people: &[Participant], id: &str, text: &str) -> Turn {
    let role = people.iter().find(|one| one.id == id).map_or(Role::Observer, |one| one.role);
    let who = match role {
        Role::Caller => "caller",
        Role::Agent => "agent",
        Role::Supervisor => "supervisor",
        Role::Observer | Role::Unknown => "other",
    };
    Turn { who, rating: String::new(), low: false, text: text.to_owned() }
}

/// The ratings of a call as a line from left to right, 1 below and 10 above.
pub(super) struct Chart {
    pub(super) line: String,
    pub(super) dots: Vec<Dot>,
    pub(super) says: String,
}

/// One rating.
pub(super) struct Dot {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) low: bool,
    pub(super) says: String,
}

/// Width and height of the drawing, in its own units.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;
/// So many of the last ratings are drawn.
const MOST_DOTS: usize = 120;

impl Chart {
    pub(super) fn of(alert: &Alert) -> Option<Self> {
        let ratings = &alert.history[alert.history.len().saturating_sub(MOST_DOTS)..];
        let last = ratings.last()?;
        let step = WIDTH / ratings.len() as f64;
        let dot = |(at, rating): (usize, &crate::sentiment::Sentiment)| Dot {
            x: format!("{:.1}", (at as f64 + 0.5) * step),
            y: format!("{:.1}", HEIGHT * (10.0 - rating.value()) / 9.0),
            low: rating.is_below(3),
            says: format!("{:.1}", rating.value()),
        };
        let dots: Vec<Dot> = ratings.iter().enumerate().map(dot).collect();
        let line = dots.iter().map(|dot| format!("{},{}", dot.x, dot.y)).collect::<Vec<_>>().join(" ");
        let lowest = ratings.iter().map(|rating| rating.value()).fold(10.0, f64::min);
        let says = format!(
            "{} ratings from 1 (extremely negative) to 10, the lowest {lowest:.1}, the last {:.1}",
            ratings.len(),
            last.value()
        );
        Some(Self { line, dots, says })
    }
}

/// How bad an alert is, as a class of the style sheet.
pub(super) fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "bad",
        Severity::Medium => "warn",
        Severity::Low => "calm",
    }
}
