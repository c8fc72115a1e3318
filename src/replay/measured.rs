//! What labelled calls come to, call by call: what `evaluate` counts, and the calls that came out wrong.

use std::cmp::Reverse;

use serde::Serialize;

use super::engine;
use super::figures::{Figures, JudgedCall, LabelledTurn};
use super::labels::Labelled;
use super::played::{Played, PlayedTurn};
use crate::alert::Rule;
use crate::config::settings::Settings;
use crate::sentiment::{Rater, Sentiment};

/// What was measured over some calls.
#[derive(Debug, Default)]
pub struct Measured {
    calls: Vec<JudgedCall>,
    turns: Vec<LabelledTurn>,
    unjudged: usize,
    unrated: usize,
}

impl Measured {
    /// Plays one call to its end; and what is wrong with how it came out, where it was judged.
    pub async fn of(call: &Labelled, settings: &Settings, rater: &dyn Rater) -> (Self, Option<WrongCall>) {
        let played = engine::replay(&call.recording, settings, rater, None).await;
        let mut measured = Self::default();
        for turn in played.turns() {
            let Some(gold) = call.gold.get(turn.id()).copied() else { continue };
            match turn {
                PlayedTurn::Unrated { .. } => measured.unrated += 1,
                PlayedTurn::Rated(report) => measured.turns.push(LabelledTurn {
                    gold,
                    rated: report.sentiment.value(),
                    calm: call.calm,
                    low: report.sentiment.is_below(settings.threshold),
                }),
            }
        }
        match call.escalate {
            None => measured.unjudged = 1,
            Some(wanted) => measured.calls.push(JudgedCall {
                wanted,
                wanted_at: call.at,
                escalated_at: played.escalations.first().map(|escalation| escalation.turn.saturating_sub(1)),
            }),
        }
        (measured, WrongCall::of(call, &played))
    }

    /// Takes in what was measured elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.calls.extend(&other.calls);
        self.turns.extend(&other.turns);
        self.unjudged += other.unjudged;
        self.unrated += other.unrated;
    }

    /// The figures of all that was measured.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures { calls: self.calls.len() + self.unjudged, ..Figures::of(&self.calls, &self.turns, self.unrated) }
    }
}

/// How a call came out wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// It should have escalated and did not.
    Missed,
    /// It escalated and should not have.
    False,
    /// It escalated after the turn at which it should have.
    Late,
}

/// A call that came out wrong, with the turn that decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WrongCall {
    /// How.
    pub wrong: Wrong,
    /// The call.
    pub file: String,
    /// The caller turn that decided, from 1: the one that escalated; of a missed call the one that should have, or the
    /// lowest where that was not judged. 0 is before the first.
    pub turn: Option<u32>,
    /// From which caller turn on a supervisor was wanted, from 1, where that was judged.
    pub wanted_turn: Option<u32>,
    /// The rule that escalated.
    pub rule: Option<Rule>,
    /// How the turn that decided was rated.
    pub sentiment: Option<Sentiment>,
    /// What the caller said in it.
    pub text: String,
    /// How many turns the caller went on without a supervisor, from the wanted turn on.
    pub waited: Option<u32>,
    /// The mean of the call's ratings.
    pub mean: Option<f64>,
}

impl WrongCall {
    fn of(call: &Labelled, played: &Played) -> Option<Self> {
        let wanted = call.escalate?;
        let wanted_turn = call.at.map(|at| at.saturating_add(1));
        let escalation = played.escalations.first();
        let (wrong, until) = match (wanted, escalation) {
            (true, None) => (Wrong::Missed, played.turn_count()),
            (false, Some(escalation)) => (Wrong::False, escalation.turn),
            (true, Some(escalation)) if wanted_turn.is_some_and(|turn| escalation.turn > turn) => {
                (Wrong::Late, escalation.turn)
            }
            _ => return None,
        };
        let turns = played.turns();
        let rated = || turns.iter().filter_map(|turn| turn.rated());
        let lowest = || rated().filter(|turn| !turn.filler).min_by_key(|turn| turn.sentiment).map(|turn| turn.turn);
        let turn = escalation.map(|escalation| escalation.turn).or(wanted_turn).or_else(lowest);
        let decided = turns.iter().find(|played| Some(played.number()) == turn);
        let values: Vec<f64> = rated().map(|turn| turn.sentiment.value()).collect();
        Some(Self {
            wrong,
            file: call.name.clone(),
            turn,
            wanted_turn,
            rule: escalation.map(|escalation| escalation.rule),
            sentiment: decided.and_then(|turn| turn.rated()).map(|turn| turn.sentiment),
            text: decided.map(|turn| turn.text().to_owned()).unwrap_or_default(),
            waited: wanted_turn.map(|turn| until.saturating_sub(turn)),
            mean: (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
        })
    }

    /// The worst first: missed calls by how long the caller went on, false ones by how calm the caller was, late ones by
    /// how late.
    pub fn sort(calls: &mut [Self]) {
        calls.sort_by(|a, b| {
            let order = (a.wrong, Reverse(a.waited)).cmp(&(b.wrong, Reverse(b.waited)));
            let calmer = b.mean.unwrap_or(0.0).total_cmp(&a.mean.unwrap_or(0.0));
            // Missed and late calls of one length: whoever was angrier.
            order.then(if a.wrong == Wrong::False { calmer } else { calmer.reverse() })
        });
    }
}
