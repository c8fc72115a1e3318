//! How a call went, as it is kept beside its transcript ([`Course`]): the ratings of its turns, and the steps of its transfers.

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertId};
use crate::sentiment::{Cue, Sentiment};

/// So many turns, and so many steps, are kept of a call.
pub const MOST: usize = 2_000;
/// So many ratings before an intervention make its before.
const BEFORE: usize = 3;

/// How a call went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Ratings below this were low.
    pub threshold: u8,
    /// Its rated caller turns, in their order.
    pub turns: Vec<RatedTurn>,
    /// The steps of its transfers, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<TimedStep>,
}

/// A rated caller turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatedTurn {
    /// Which caller turn, from 1.
    pub turn: u32,
    /// Its id in the recording.
    pub turn_id: String,
    /// When it was first rated, Unix time in ms.
    pub at_ms: u64,
    /// 1 to 10.
    pub sentiment: Sentiment,
    /// Whether it is below the threshold and counts.
    pub low: bool,
    /// Whether it carries no feeling.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filler: bool,
    /// Whether it asks for a human.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_human: bool,
    /// The words that made it worse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cues: Vec<Cue>,
}

/// A step of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedStep {
    /// The alert behind it.
    pub alert_id: AlertId,
    /// When, Unix time in ms.
    pub at_ms: u64,
}

/// What an intervention did: the mean of the ratings up to it, and of those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Effect {
    /// Of the last three turns that count, the alert's among them.
    pub before: f64,
    /// Of all that count behind it; none where there are none, though the caller may have spoken on, to a human.
    pub after: Option<f64>,
    /// How many those are.
    pub turns_after: usize,
}

impl Course {
    /// Notes how a turn is rated now.
    pub fn rated(&mut self, turn: RatedTurn) {
        match self.turns.binary_search_by_key(&turn.turn, |known| known.turn) {
            // It was said when it was first rated.
            Ok(at) => self.turns[at] = RatedTurn { at_ms: self.turns[at].at_ms, ..turn },
            Err(at) if self.turns.len() < MOST => self.turns.insert(at, turn),
            Err(_) => {}
        }
    }

    /// Notes when a step of an alert's transfer was made.
    pub fn stepped(&mut self, alert_id: &AlertId, at_ms: u64) {
        if self.steps.len() < MOST {
            self.steps.push(TimedStep { alert_id: alert_id.clone(), at_ms });
        }
    }

    /// When the steps of an alert's transfer were made, Unix time in ms, in their order.
    pub fn steps_of(&self, alert_id: &AlertId) -> impl Iterator<Item = u64> {
        self.steps.iter().filter(move |step| step.alert_id == *alert_id).map(|step| step.at_ms)
    }

    /// What an alert's intervention did; none where no turn before it was rated.
    #[must_use]
    pub fn effect(&self, alert: &Alert) -> Option<Effect> {
        let counted = || self.turns.iter().filter(|turn| !turn.filler);
        let mean = |ratings: &[f64]| (!ratings.is_empty()).then(|| ratings.iter().sum::<f64>() / ratings.len() as f64);
        let before: Vec<f64> =
            counted().filter(|turn| turn.turn <= alert.turn).map(|turn| turn.sentiment.value()).collect();
        let after: Vec<f64> =
            counted().filter(|turn| turn.turn > alert.turn).map(|turn| turn.sentiment.value()).collect();
        let before = mean(&before[before.len().saturating_sub(BEFORE)..])?;
        Some(Effect { before, after: mean(&after), turns_after: after.len() })
    }
}

impl Effect {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let turns = if self.turns_after == 1 { "1 turn".to_owned() } else { format!("{} turns", self.turns_after) };
        match self.after {
            None => format!("rated {:.1} before; no rated turn after it", self.before),
            Some(after) => format!("rated {:.1} before, {after:.1} after, over {turns}", self.before),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::config::settings::ActionKind;

    fn turn(turn: u32, sentiment: f64) -> RatedTurn {
        RatedTurn {
            turn,
            turn_id: format!("t{turn}"),
            at_ms: u64::from(turn),
            sentiment: Sentiment::clamped(sentiment),
            low: sentiment < 3.0,
            filler: false,
            asks_human: false,
            cues: Vec::new(),
        }
    }

    #[test]
    fn a_turn_that_is_rated_again_stays_where_it_was_and_turns_are_in_order() {
        let mut course = Course::default();
        for n in [1, 3, 2] {
            course.rated(turn(n, 5.0));
        }
        course.rated(RatedTurn { at_ms: 99, ..turn(2, 2.0) });
        let told: Vec<_> = course.turns.iter().map(|turn| (turn.turn, turn.at_ms, turn.low)).collect();
        assert_eq!(told, [(1, 1, false), (2, 2, true), (3, 3, false)]);
    }

    #[test]
    fn what_an_intervention_did_is_told_by_the_ratings_around_it() {
        let mut course = Course::default();
        let alert = Alert { turn: 4, ..Alert::test(ActionKind::Transfer, 1) };
        assert_eq!(course.effect(&alert), None);
        for (n, rating) in [(1, 9.0), (2, 2.0), (3, 1.0), (4, 3.0)] {
            course.rated(turn(n, rating));
        }
        assert_eq!(course.effect(&alert).unwrap().words(), "rated 2.0 before; no rated turn after it");
        course.rated(RatedTurn { filler: true, ..turn(5, 1.0) });
        course.rated(turn(6, 6.0));
        assert_eq!(course.effect(&alert).unwrap().words(), "rated 2.0 before, 6.0 after, over 1 turn");
    }
}
