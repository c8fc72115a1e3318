//! All that a store knows of one alert ([`Whole`]), as people and programs are shown it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::course::{Course, Effect};
use super::review::{Attempt, Claimed, Kept, SaidVerdict};
use super::{OutboxRow, OutboxState, Store, StoreError, StoredAlert, StoredSession};
use crate::alert::notice::NoticeEvent;
use crate::alert::payload::FullPayload;
use crate::alert::{Alert, AlertId};
use crate::clock::rfc3339_of;
use crate::config::settings::ActionKind;

/// All that a store knows of an alert.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The alert.
    pub stored: StoredAlert,
    /// Its call; none where its session has had another one since.
    pub session: Option<StoredSession>,
    /// Where it stands with every place that it goes to.
    pub notices: Vec<OutboxRow>,
    /// Every attempt to tell one.
    pub attempts: Vec<Attempt>,
    /// What somebody said of it.
    pub verdict: Option<SaidVerdict>,
    /// Who looks after it.
    pub claimed: Option<Claimed>,
    /// What was said in its call, where that was kept.
    pub kept: Option<Kept>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When, Unix time in ms; none of a transfer's step of which only the order is known.
    pub at_ms: Option<u64>,
    /// What, for people.
    pub words: String,
    /// What kind of thing.
    pub what_it_is: What,
}

/// What kind of thing happened. At one moment they happened in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The call began or ended.
    Call,
    /// It was decided to act.
    Decided,
    /// A step of a transfer.
    Step,
    /// What the action came to.
    Outcome,
    /// An attempt to tell somebody.
    Attempt,
    /// Something is yet to be told, or was given up.
    Standing,
    /// Somebody said or did something.
    Said,
}

impl Whole {
    /// Reads it; none where there is no such alert.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn read(store: &Store, id: &AlertId) -> Result<Option<Self>, StoreError> {
        let Some(stored) = store.alert(id).await? else { return Ok(None) };
        Ok(Some(Self {
            session: store.session_of(id).await?,
            notices: store.notices(id).await?,
            attempts: store.attempts(id).await?,
            verdict: store.verdict(id).await?,
            claimed: store.claimed(id).await?,
            kept: store.transcript(id).await?,
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
            "effect": self.effect(),
        })
    }

    /// How the call went, where that was kept.
    #[must_use]
    pub fn course(&self) -> Option<&Course> {
        self.kept.as_ref()?.course.as_ref()
    }

    /// What the intervention did, where that is known.
    #[must_use]
    pub fn effect(&self) -> Option<Effect> {
        self.course()?.effect(&self.stored.alert)
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
        let mut facts = vec![
            ("decided", format!("{decided} UTC, at caller turn {}, rated {:.1}", alert.turn, alert.sentiment.value())),
            ("what", alert.description.clone()),
            ("why", format!("{}: {rule}", alert.reason)),
            ("caller", full.caller.and_then(|caller| caller.words()).unwrap_or_else(|| "not known".to_owned())),
            ("action", action),
            ("room", format!("{}, session {}{call}", alert.room_name, alert.session_id)),
            ("ratings", ratings.join(" ")),
            ("verdict", said),
        ];
        facts.extend(self.effect().map(|effect| ("effect", effect.words())));
        facts
    }

    /// What happened, in its order.
    #[must_use]
    pub fn timeline(&self) -> Vec<Happened> {
        let Whole { stored: StoredAlert { alert, created_ms, .. }, session, notices, attempts, .. } = self;
        let mut events = Events::default();
        if let Some(session) = session {
            events.add(session.started_ms, What::Call, "attached to the call".to_owned());
            if let Some(ended_ms) = session.ended_ms {
                let reason = session.ended_reason.as_deref().unwrap_or_default();
                let what = format!("the call ended after {} caller turns: {reason}", session.turns);
                events.add(ended_ms, What::Call, what);
            }
        }
        events.add(*created_ms, What::Decided, format!("decided to {}", doing(alert)));
        let mut last_step = *created_ms;
        let mut times =
            self.course().map(|course| course.steps_of(&alert.id).collect::<Vec<_>>()).unwrap_or_default().into_iter();
        for step in &alert.steps {
            let status = step.sip_status.map(|status| format!(" ({status})")).unwrap_or_default();
            // Without a time of its own it stays behind the one before it, wherever the rest lies.
            let at_ms = times.next();
            last_step = last_step.max(at_ms.unwrap_or(0));
            events.place(last_step, at_ms, What::Step, format!("{}{status}", step.step));
        }
        if let Some(outcome) = &alert.outcome {
            events.place(last_step, None, What::Outcome, format!("{}: {}", outcome.name(), outcome.words()));
        }
        for attempt in attempts {
            let came = match (&attempt.error, attempt.status) {
                (Some(error), _) => error.clone(),
                (None, Some(status)) => format!("delivered ({status})"),
                (None, None) => "delivered".to_owned(),
            };
            let what = format!("{}, attempt {}: {came}", place(&attempt.target, attempt.event), attempt.attempt);
            events.add(attempt.at_ms, What::Attempt, what);
        }
        // That it is over is told to nobody who was not told of it, which is not worth a word.
        let unsaid = |row: &OutboxRow| row.event == NoticeEvent::Resolved && row.state == OutboxState::Cancelled;
        for row in notices.iter().filter(|row| row.state != OutboxState::Delivered && !unsaid(row)) {
            let when = row.settled_ms.unwrap_or(row.due_ms.max(row.turn_ms));
            events.add(when, What::Standing, format!("{}: {}", place(&row.target, row.event), standing(row)));
        }
        if let Some(said) = &self.verdict {
            events.add(said.said_ms, What::Said, format!("{} says {}", said.said_by, said.verdict.name()));
        }
        if let Some(claimed) = &self.claimed {
            events.add(claimed.since_ms, What::Said, format!("{} looks after it", claimed.by));
        }
        events.in_order()
    }
}

/// What happened, each with where it belongs.
#[derive(Default)]
struct Events(Vec<(u64, Happened)>);

impl Events {
    fn add(&mut self, at_ms: u64, what_it_is: What, words: String) {
        self.place(at_ms, Some(at_ms), what_it_is, words);
    }

    fn place(&mut self, place: u64, at_ms: Option<u64>, what_it_is: What, words: String) {
        self.0.push((place, Happened { at_ms, words, what_it_is }));
    }

    fn in_order(mut self) -> Vec<Happened> {
        self.0.sort_by_key(|(at, happened)| (*at, happened.what_it_is));
        self.0.into_iter().map(|(_, happened)| happened).collect()
    }
}

fn doing(alert: &Alert) -> &'static str {
    match alert.action {
        ActionKind::Transfer => "transfer the caller",
        ActionKind::Notify => "notify supervisors",
        ActionKind::Flag => "flag the call",
    }
}

/// What is told where: of the alert, or that it is over.
fn place(target: &str, event: NoticeEvent) -> String {
    let place = if target.is_empty() { "webhook" } else { target };
    match event {
        NoticeEvent::Alert => place.to_owned(),
        NoticeEvent::Resolved => format!("{place}, that it is over"),
    }
}

fn standing(row: &OutboxRow) -> String {
    let because = row.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    match row.state {
        OutboxState::Held => "waits for the outcome".to_owned(),
        OutboxState::Pending if row.turn_ms > row.due_ms => {
            format!("waits for its turn after {} attempts{because}", row.attempts)
        }
        OutboxState::Pending => format!("due after {} attempts{because}", row.attempts),
        OutboxState::Delivered => "delivered".to_owned(),
        OutboxState::GaveUp => format!("given up after {} attempts{because}; alerts resend sends it", row.attempts),
        OutboxState::Cancelled => "not needed".to_owned(),
    }
}
