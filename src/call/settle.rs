//! Settled turns: in the order of the call each is folded into how the call stands, told, and decided on.

use super::rated::{Rated, Told};
use super::report::{Report, TurnReport};
use super::segment::TurnKey;
use super::tracker::{Standing, counts};
use super::{Call, policy};
use crate::room::message::SidecarMessage;

impl Call {
    /// Folds standings anew from a position up to the first turn that still waits for its rating: what comes after
    /// it must not be counted before it, or a calm turn in between would be overlooked.
    pub(super) fn recount(&mut self, from: usize) {
        let from = from.min(self.settled);
        for at in from..self.book.order().len() {
            self.settled = at;
            self.answer_tools_before(at);
            let before = self.standing_after(at.checked_sub(1).map(|before| self.book.order()[before]));
            let key = self.book.order()[at];
            let step = match self.callers_rating(key) {
                Some(Rated::Waiting) => return,
                None => before,
                Some(Rated::Failed(_) | Rated::Skipped) => before.pass(),
                Some(Rated::Done(rating)) => before.step(rating, &self.settings),
            };
            let standing = if self.latch.escalated_at(key) { step.spent() } else { step };
            self.standings.insert(key, standing);
            self.settled = at + 1;
            self.tell_turn(key, standing);
            self.decide(key);
        }
        if let Some(message) = self.standing().label.and_then(|label| self.tone.change(label, &self.settings.tones)) {
            self.tell(message);
        }
    }

    /// Reports a settled turn and sends its `sentiment` to the room, unless nothing about it is new.
    fn tell_turn(&mut self, key: TurnKey, standing: Standing) {
        let window = self.settings.window;
        if !self.is_callers(key) {
            return;
        }
        let turn = self.book.turn(key);
        let Some(state) = self.ratings.state_mut(key) else { return };
        match &state.rated {
            Rated::Failed(error) if state.told_unrated != Some(standing.ordinal) => {
                state.told_unrated = Some(standing.ordinal);
                let report = Report::Unrated { turn: standing.ordinal, turn_id: turn.id.clone(), error: error.clone() };
                self.report(report);
            }
            Rated::Done(rating) => {
                let (rev, ordinal, streak) = (turn.rev, standing.ordinal, standing.counts.streak);
                let mean = standing.told_mean(&self.settings);
                let told = Some(Told { rev, rating: rating.clone(), ordinal, streak, mean });
                if state.told == told {
                    return;
                }
                let low = counts(rating, &self.settings) && rating.sentiment.is_below(self.settings.threshold);
                let report = TurnReport::new(&turn.id, &turn.text, rating, &standing, low, mean);
                let message = SidecarMessage::Sentiment {
                    turn_id: turn.id.clone(),
                    sentiment: rating.sentiment.value(),
                    valence: rating.valence.value(),
                    frustration: rating.frustration.value(),
                    urgency: rating.urgency.value(),
                    label: rating.label.name().to_owned(),
                    streak,
                    mean,
                    window,
                    trend: standing.trend.name().to_owned(),
                };
                state.told = told;
                self.report(Report::Turn(report));
                self.tell(message);
            }
            _ => {}
        }
    }

    /// Lets the policy decide on a settled turn that counted.
    fn decide(&mut self, key: TurnKey) {
        let Some(standing) = self.standings.get(&key).copied() else { return };
        let counted = self.rating(key).is_some_and(|rating| counts(rating, &self.settings));
        if !counted || self.human_present() || !self.latch.is_free() || self.escalated_since(Some(key)) {
            return;
        }
        if let Some(decision) = policy::decide(&standing.counts, standing.trend, &self.settings) {
            self.escalate_on_turn(key, decision);
        }
    }

    /// Decides on the turns that settled while an escalation was latched, in their order.
    pub(super) fn decide_since(&mut self, key: Option<TurnKey>) {
        let from = key.map_or(0, |key| self.book.position(key) + 1);
        for at in from..self.settled {
            self.answer_tools_before(at);
            self.decide(self.book.order()[at]);
            if self.latch.is_active() {
                // What was counted since is counted after an escalation now.
                return self.recount(at + 1);
            }
        }
    }

    /// Whether an escalation followed a later turn: what is learnt of an earlier one then is no news.
    pub(super) fn escalated_since(&self, turn: Option<TurnKey>) -> bool {
        let position = turn.map(|key| self.book.position(key));
        self.latch.escalated_turns().any(|key| Some(self.book.position(key)) > position)
    }

    /// The last settled turn's standing.
    pub(super) fn standing(&self) -> Standing {
        self.standing_after(self.settled.checked_sub(1).map(|at| self.book.order()[at]))
    }

    /// How the call stood after a turn; before the first one where there is none.
    pub(super) fn standing_after(&self, turn: Option<TurnKey>) -> Standing {
        turn.and_then(|key| self.standings.get(&key)).copied().unwrap_or_else(|| self.latch.before_any_turn())
    }
}
