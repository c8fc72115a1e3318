//! Whom a call's alerts are about, as the room tells it, and how the call goes ([`Caller`]).

use std::collections::HashMap;

use super::mood::Mood;
use crate::alert::about::About;
use crate::alert::outcome::Outcome;
use crate::alert::payload::Caller as Who;
use crate::alert::{Alert, AlertId};
use crate::call::report::Report;
use crate::clock::unix_ms;
use crate::config::settings::{Action, Settings};
use crate::room::message::{Participant, Role, RoomMessage};
use crate::store::Left;
use crate::telemetry::shown::is_unprintable;

/// Longest name, number or id of a caller that an alert tells, in characters.
const MOST_CHARS: usize = 128;

/// What the room has said of the caller, and how the call stands.
#[derive(Debug, Default)]
pub(super) struct Caller {
    call_id: Option<String>,
    number: Option<String>,
    /// In the order in which they came.
    callers: Vec<Participant>,
    started_ms: Option<u64>,
    /// When each alert was decided: it is written twice, and was decided once.
    decided: HashMap<AlertId, u64>,
    mood: Mood,
    /// Whether a human has the caller.
    handed_over: bool,
}

impl Caller {
    /// Takes note of what the room says.
    pub(super) fn heard(&mut self, message: &RoomMessage) {
        match message {
            RoomMessage::Welcome(welcome) => {
                self.call_id = fit(&welcome.call.id);
                self.number = welcome.call.from.as_deref().and_then(fit);
                self.started_ms.get_or_insert_with(unix_ms);
                welcome.participants.iter().for_each(|one| self.joined(one));
            }
            RoomMessage::ParticipantJoined { participant, .. } => self.joined(participant),
            _ => {}
        }
    }

    fn joined(&mut self, participant: &Participant) {
        if participant.role == Role::Supervisor {
            self.handed_over = true;
        }
        if participant.role != Role::Caller {
            return;
        }
        match self.callers.iter_mut().find(|known| known.id == participant.id) {
            Some(known) => known.name = participant.name.clone().or(known.name.take()),
            None => self.callers.push(participant.clone()),
        }
    }

    /// The caller's number, as the room gives it.
    pub(super) fn number(&self) -> Option<String> {
        self.number.clone()
    }

    /// Takes note of what the core reports.
    pub(super) fn reported(&mut self, report: &Report) {
        self.mood.reported(report);
        if let Report::Outcome { transfer: Some(Outcome::Transferred), .. } = report {
            self.handed_over = true;
        }
    }

    /// How a call that ends now leaves the caller.
    pub(super) fn left(&self) -> Left {
        match (self.handed_over, self.mood.is_calm()) {
            (true, _) => Left::WithHuman,
            (false, true) => Left::Calm,
            (false, false) => Left::Unhappy,
        }
    }

    /// The caller's mood.
    pub(super) fn mood(&self) -> &Mood {
        &self.mood
    }

    /// Who calls, as far as the room says.
    pub(super) fn who(&self) -> Option<Who> {
        let caller = self.callers.first();
        let who = Who {
            participant: caller.and_then(|one| fit(&one.id)),
            name: caller.and_then(|one| one.name.as_deref()).and_then(fit),
            number: self.number.clone(),
        };
        (who != Who { participant: None, name: None, number: None }).then_some(who)
    }

    /// Whether a human has the caller.
    pub(super) fn is_handed_over(&self) -> bool {
        self.handed_over
    }

    /// Adds to an alert whom it is about, and when it was decided.
    pub(super) fn add_to(&mut self, alert: &mut Alert, settings: &Settings) {
        let said_by = alert.participant.as_ref().and_then(|id| self.callers.iter().find(|one| one.id == *id));
        let caller = said_by.or(self.callers.first());
        let decided_ms = *self.decided.entry(alert.id.clone()).or_insert_with(unix_ms);
        alert.about = Some(Box::new(About {
            call_id: self.call_id.clone(),
            number: self.number.clone(),
            name: caller.and_then(|one| one.name.as_deref()).and_then(fit),
            participant: caller.and_then(|one| fit(&one.id)),
            target: match &settings.action {
                Action::Transfer { target } => Some(target.clone()),
                Action::Notify | Action::Flag => None,
            },
            call_started_ms: self.started_ms,
            decided_ms: Some(decided_ms),
        }));
    }
}

/// A name or number as it may be shown; none where there is nothing in it.
fn fit(text: &str) -> Option<String> {
    let clean: String = text.replace(is_unprintable, " ").trim().chars().take(MOST_CHARS).collect();
    (!clean.is_empty()).then_some(clean)
}
