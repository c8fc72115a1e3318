//! All that a store knows of one alert ([`Whole`]), as people and programs are shown it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::review::{Attempt, Claimed, SaidVerdict};
use super::{OutboxRow, OutboxState, Store, StoreError, StoredAlert, StoredSession};
use crate::alert::payload::FullPayload;
use crate::alert::{Alert, AlertId};
use crate::clock::rfc3339_of;
use crate::config::settings::ActionKind;

/// All that a store knows of an alert.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The alert.
    pub stored: StoredAlert,
    /// Its call.
    pub session: Option<StoredSession>,
    /// Where it stands with every place that it goes to.
    pub notices: Vec<OutboxRow>,
    /// Every attempt to tell one.
    pub attempts: Vec<Attempt>,
    /// What somebody said of it.
    pub verdict: Option<SaidVerdict>,
    /// Who looks after it.
    pub claimed: Option<Claimed>,
}

impl Whole {
    /// Reads it; none where there is no such alert.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn read(store: &Store, id: &AlertId) -> Result<Option<Self>, StoreError> {
        let Some(stored) = store.alert(id).await? else { return Ok(None) };
        Ok(Some(Self {
            session: store.session(&stored.alert.session_id, &stored.alert.room_name).await?,
            notices: store.notices(id).await?,
            attempts: store.attempts(id).await?,
            verdict: store.verdict(id).await?,
            claimed: store.claimed(id).await?,
            stored,
        }))
    }

    /// It as JSON.
    #[must_use]
    pub fn document(&self) -> Value {
        let session = self.session.as_ref().map(|session| {
            json!({"started_at": rfc3339_of(session.started_ms), "ended_at": session.ended_ms.map(rfc3339_of),
            "ended_reason": session.ended_reason, "turns": session.turns, "escalated": session.escalated})
        });
        let notices = self.notices.iter().map(|row| {
            json!({"target": row.target, "event": row.event, "format": row.format, "state": row.state.name(),
            "attempts": row.attempts, "due_at": rfc3339_of(row.due_ms), "last_status": row.last_status,
            "last_error": row.last_error, "settled_at": row.settled_ms.map(rfc3339_of)})
        });
        let attempts = self.attempts.iter().map(|attempt| {
            json!({"target": attempt.target, "event": attempt.event, "attempt": attempt.attempt,
            "at": rfc3339_of(attempt.at_ms), "status": attempt.status, "error": attempt.error})
        });
        let verdict = self.verdict.as_ref().map(
        |said| json!({"verdict": said.verdict, "note": said.note, "by": said.said_by, "at": rfc3339_of(said.said_ms)}),
    );
        json!({
            "alert": FullPayload::of(&self.stored.alert, None),
            "shadow": self.stored.alert.shadow,
            "created_at": rfc3339_of(self.stored.created_ms),
            "session": session,
            "notices": notices.collect::<Vec<_>>(),
            "attempts": attempts.collect::<Vec<_>>(),
            "verdict": verdict,
            "claimed": self.claimed,
        })
    }

    /// What is known, by name, most important first.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let alert = &self.stored.alert;
        let full = FullPayload::of(alert, None);
        let decided: String = rfc3339_of(self.stored.created_ms).replace('T', " ").chars().take(19).collect();
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
        let said = match &self.verdict {
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

    /// What happened, in its order: when, Unix time in ms, and what. Steps of a transfer have no time of their own.
    #[must_use]
    pub fn timeline(&self) -> Vec<(Option<u64>, String)> {
        let Whole { stored: StoredAlert { alert, created_ms, .. }, session, notices, attempts, verdict, claimed } =
            self;
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
            events.push((
                said.said_ms,
                6,
                Some(said.said_ms),
                format!("{} says {}", said.said_by, said.verdict.name()),
            ));
        }
        if let Some(claimed) = claimed {
            events.push((claimed.since_ms, 6, Some(claimed.since_ms), format!("{} looks after it", claimed.by)));
        }
        // Steps of a transfer stay behind the decision, wherever the rest lies.
        events.sort_by_key(|(at, rank, ..)| (*at, *rank));
        events.into_iter().map(|(_, _, at, what)| (at, what)).collect()
    }
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
