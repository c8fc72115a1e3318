//! What came of a replayed call: its turns with their final ratings, its escalations, its outcomes.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::alert::outcome::Outcome;
use crate::alert::{AlertId, Rule, Severity};
use crate::call::event::Output;
use crate::call::report::{Doubt, Report, TurnReport};
use crate::call::said::Said;
use crate::clock::Millis;
use crate::config::settings::ActionKind;
use crate::sentiment::RateError;

/// A caller turn as it stood at the end of the call.
#[derive(Debug, Clone, PartialEq)]
pub enum PlayedTurn {
    /// It was rated.
    Rated(TurnReport),
    /// The rater failed.
    Unrated {
        /// Which caller turn, from 1.
        turn: u32,
        /// The room's id of it.
        turn_id: String,
        /// What the caller said.
        text: String,
        /// Why it has no rating.
        error: RateError,
    },
}

impl PlayedTurn {
    /// Which caller turn, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        match self {
            Self::Rated(report) => report.turn,
            Self::Unrated { turn, .. } => *turn,
        }
    }

    /// The room's id of it.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Rated(report) => &report.turn_id,
            Self::Unrated { turn_id, .. } => turn_id,
        }
    }

    /// What the caller said.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Rated(report) => &report.text,
            Self::Unrated { text, .. } => text,
        }
    }

    /// The rating's report, where there is one.
    #[must_use]
    pub fn rated(&self) -> Option<&TurnReport> {
        match self {
            Self::Rated(report) => Some(report),
            Self::Unrated { .. } => None,
        }
    }
}

/// An escalation and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Escalation {
    /// The caller turn that it follows, from 1; 0 before the first.
    pub turn: u32,
    /// What decided.
    pub rule: Rule,
    /// The running mean of the ratings, where the sustained rule is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// How many turns had asked for a human, where so many of them escalate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_requests: Option<u32>,
    /// How bad it is.
    pub severity: Severity,
    /// What is done.
    pub action: ActionKind,
    /// What upset the caller.
    pub description: String,
    /// The alert.
    pub alert_id: AlertId,
    /// What a transfer came to.
    pub outcome: Option<Outcome>,
    /// Whether the webhook fell in for a failed transfer.
    pub fallback: bool,
}

/// What came of a replayed call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Played {
    /// Everything that the core reported, in order.
    pub reports: Vec<(Millis, Report)>,
    /// The escalations, in order.
    pub escalations: Vec<Escalation>,
    /// Whether an alert's webhook became due.
    pub webhook: bool,
    /// How many tool calls of the agent did not escalate.
    pub tools_refused: u32,
    /// Who said what, in the order of the call.
    pub said: Vec<Said>,
    /// How many caller turns the core counted, those after a human joined included.
    counted: Option<u32>,
    turns: BTreeMap<u32, PlayedTurn>,
    texts: HashMap<String, String>,
}

impl Played {
    /// The caller turns in order, each as it stood at the end. Turns after a human joined are not rated, so they are
    /// not here.
    #[must_use]
    pub fn turns(&self) -> Vec<&PlayedTurn> {
        self.turns.values().collect()
    }

    /// Everything that was said, in the order of the call, each with the caller turn that it is. The caller's words that are
    /// none have none: an echo, and what is said to a human.
    pub fn whole(&self) -> impl Iterator<Item = (&Said, Option<&PlayedTurn>)> {
        let by_id: HashMap<&str, &PlayedTurn> = self.turns.values().map(|turn| (turn.id(), turn)).collect();
        self.said.iter().map(move |said| (said, said.ids.iter().find_map(|id| by_id.get(id.as_str()).copied())))
    }

    /// How many caller turns there were, those after a human joined included.
    #[must_use]
    pub fn turn_count(&self) -> u32 {
        self.counted.unwrap_or_else(|| u32::try_from(self.turns.len()).unwrap_or(u32::MAX))
    }

    /// The caller turn of the first escalation; 0 when it came before the first turn.
    #[must_use]
    pub fn at_turn(&self) -> Option<u32> {
        self.escalations.first().map(|e| e.turn)
    }

    /// What was odd about the stream, in the order in which it was noticed.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.reports.iter().filter_map(|(_, report)| match report {
            Report::Warning { detail } => Some(detail.as_str()),
            _ => None,
        })
    }

    /// Why a call without an escalation may not have been a calm one.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        let of = |report: &Report| if let Report::Ended { doubt, .. } = report { *doubt } else { None };
        self.reports.iter().map(|(_, report)| report).find_map(of)
    }

    /// The longest streak that any turn reached.
    #[must_use]
    pub fn longest_streak(&self) -> u32 {
        self.turns.values().filter_map(PlayedTurn::rated).map(|t| t.streak).max().unwrap_or(0)
    }

    /// Takes note of what the core put out.
    pub fn note(&mut self, at: Millis, output: &Output) {
        match output {
            Output::Rate { turn_id, turn, .. } => {
                let revised = self.turns.values_mut().find(|t| t.id() == turn_id);
                if let Some(PlayedTurn::Rated(revised)) = revised {
                    // A revision that is rated as before is not reported again.
                    revised.text.clone_from(&turn.text);
                }
                self.texts.insert(turn_id.clone(), turn.text.clone());
            }
            Output::Deliver { .. } => self.webhook = true,
            Output::Report { report } => {
                self.note_report(report);
                self.reports.push((at, report.clone()));
            }
            _ => {}
        }
    }

    fn note_report(&mut self, report: &Report) {
        match report {
            Report::Turn(turn) => {
                self.turns.insert(turn.turn, PlayedTurn::Rated(turn.clone()));
            }
            Report::Unrated { turn, turn_id, error } => {
                let text = self.texts.get(turn_id).cloned().unwrap_or_default();
                let unrated = PlayedTurn::Unrated { turn: *turn, turn_id: turn_id.clone(), text, error: error.clone() };
                self.turns.insert(*turn, unrated);
            }
            Report::Escalation {
                turn,
                rule,
                mean,
                human_requests,
                severity,
                action,
                description,
                alert_id,
                shadow: _,
            } => {
                self.escalations.push(Escalation {
                    turn: *turn,
                    rule: *rule,
                    mean: *mean,
                    human_requests: *human_requests,
                    severity: *severity,
                    action: *action,
                    description: description.clone(),
                    alert_id: alert_id.clone(),
                    outcome: None,
                    fallback: false,
                });
            }
            Report::Outcome { alert_id, transfer, fallback, .. } => {
                if let Some(escalation) = self.escalations.iter_mut().find(|e| e.alert_id == *alert_id) {
                    escalation.outcome.clone_from(transfer);
                    escalation.fallback = *fallback;
                }
            }
            Report::Ended { turns, .. } => {
                self.counted = Some(*turns);
                // What a revision emptied is no turn any more.
                self.turns.retain(|number, _| number <= turns);
            }
            Report::Tool { escalated: false, .. } => self.tools_refused += 1,
            _ => {}
        }
    }
}
