//! An escalation begins: what was decided becomes an alert, and the latch closes.

use super::Call;
use super::latch::{Active, Followed, STORE_PATIENCE_MS};
use super::policy::Decision;
use super::segment::TurnKey;
use super::tracker::{Standing, counts};
use crate::alert::{Alert, AlertId, AlertTurn};
use crate::sentiment::Sentiment;
use crate::sentiment::describe::{self, CallerTurn, Story};

/// How many turns an alert tells.
const LAST_TURNS: usize = 6;

/// What an escalation is made of.
pub(super) struct Escalation {
    pub(super) key: String,
    pub(super) decision: Decision,
    pub(super) description: String,
    pub(super) sentiment: Sentiment,
}

impl Call {
    /// Escalates on a turn's rating.
    pub(super) fn escalate_on_turn(&mut self, key: TurnKey, decision: Decision) {
        let Some(rating) = self.rating(key) else { return };
        let sentiment = rating.sentiment;
        let description = rating
            .description
            .as_deref()
            .map(describe::presentable)
            .unwrap_or_else(|| describe::describe(&self.story(key)));
        self.escalate(
            Followed::Turn(key),
            Escalation { key: self.book.turn(key).id.clone(), decision, description, sentiment },
        );
    }

    /// Escalates on the agent's word.
    pub(super) fn escalate_on_tool(&mut self, escalation: Escalation, after: Option<TurnKey>) {
        let call_id = escalation.key.clone();
        self.escalate(after.map_or(Followed::NoTurn, Followed::Turn), escalation);
        if let Some(active) = &mut self.latch.active {
            active.asked_by = Some(call_id);
        }
    }

    fn escalate(&mut self, followed: Followed, escalation: Escalation) {
        let at = match followed {
            Followed::NoTurn => Standing::default(),
            Followed::Turn(key) => self.standings.get(&key).copied().unwrap_or_else(|| self.standing()),
        };
        let key = escalation.key.clone();
        let alert = self.alert(followed, &at, escalation);
        if let Followed::Turn(key) = followed
            && let Some(standing) = self.standings.get_mut(&key)
        {
            *standing = standing.spent();
        }
        self.latch.close(followed, Active::storing(alert, key, self.now.plus(STORE_PATIENCE_MS)));
        self.store_alert();
    }

    /// The alert of an escalation, as the call stands.
    fn alert(&self, followed: Followed, at: &Standing, escalation: Escalation) -> Alert {
        Alert {
            id: self.alert_id(&escalation.key),
            room_name: self.options.room_name.clone(),
            session_id: self.welcome.as_ref().map(|w| w.session_id.clone()).unwrap_or_default(),
            turn: at.ordinal,
            rule: escalation.decision.rule,
            severity: escalation.decision.severity,
            reason: escalation.decision.reason.to_owned(),
            description: escalation.description,
            sentiment: escalation.sentiment,
            mean: at.told_mean(&self.settings),
            human_requests: (self.settings.human_requests > 0).then_some(at.counts.asks),
            streak: at.counts.streak,
            action: self.settings.action.kind(),
            history: self.history(),
            last_turns: self.last_turns(),
            outcome: None,
            steps: Vec::new(),
            shadow: self.options.shadow,
            participant: match followed {
                Followed::Turn(key) => Some(self.book.turn(key).participant_id.clone()),
                Followed::NoTurn => None,
            },
            about: None,
        }
    }

    /// A platform may use a session's id again; the ids of the phone call tell two of them apart.
    pub(super) fn alert_id(&self, key: &str) -> AlertId {
        let welcome = self.welcome.as_ref();
        let session_id = welcome.map_or("", |w| &w.session_id);
        let call_id = welcome.map_or("", |w| &w.call.id);
        let sip_call_id = welcome.and_then(|w| w.call.sip.as_ref()).map_or("", |sip| &sip.call_id);
        let again = self.latch.calls_before.to_string();
        let mut call = vec![self.options.room_name.as_str(), session_id, call_id, sip_call_id];
        if self.latch.calls_before > 0 {
            call.push(&again);
        }
        AlertId::derive(&call, key)
    }

    /// The call's counted turns up to one, for its description.
    fn story(&self, key: TurnKey) -> Story<'_> {
        let caller_turn = |k: &TurnKey| {
            let rating = self.rating(*k).filter(|rating| counts(rating, &self.settings))?;
            let text = self.book.turn(*k).text.as_str();
            Some(CallerTurn { text, sentiment: rating.sentiment, cues: &rating.cues, asks_human: rating.asks_human })
        };
        let turns = self.book.order()[..=self.book.position(key)].iter().filter_map(caller_turn).collect();
        let streak = self.standings.get(&key).map_or(0, |standing| standing.counts.streak.min(self.settings.window));
        Story { turns, threshold: self.settings.threshold, streak: streak as usize }
    }

    fn last_turns(&self) -> Vec<AlertTurn> {
        let alert_turn = |key: &TurnKey| {
            let turn = self.context_turn(*key)?;
            let sentiment = self.rating(*key).map(|rating| rating.sentiment);
            Some(AlertTurn { speaker: turn.speaker, text: describe::masked(&turn.text), sentiment })
        };
        let mut turns: Vec<AlertTurn> =
            self.book.order().iter().rev().filter_map(alert_turn).take(LAST_TURNS).collect();
        turns.reverse();
        turns
    }
}
