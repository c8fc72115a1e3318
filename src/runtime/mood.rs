//! The caller's mood, as the last turn that counts and the last escalation leave it ([`Mood`]).

use crate::alert::Rule;
use crate::call::report::Report;

/// The caller's mood.
#[derive(Debug, Default)]
pub(super) struct Mood {
    /// The last turn that counts, and whether it is low.
    last: Option<(u32, bool)>,
    /// The turn and the rule of the last escalation.
    escalated: Option<(u32, Rule)>,
}

impl Mood {
    /// Takes note of what the core reports.
    pub(super) fn reported(&mut self, report: &Report) {
        match report {
            // A turn of before that is rated again leaves the mood as it is by now.
            Report::Turn(turn) if !turn.filler && self.last.is_none_or(|(last, _)| turn.turn >= last) => {
                self.last = Some((turn.turn, turn.low));
            }
            Report::Escalation { turn, rule, shadow: false, .. } => self.escalated = Some((*turn, *rule)),
            _ => {}
        }
    }

    /// Whether the last turn that counts is not low, and none that escalated: what escalates is low, however it is rated.
    pub(super) fn is_calm(&self) -> bool {
        let since = self.escalated.map_or(0, |(turn, _)| turn);
        self.last.is_some_and(|(turn, low)| !low && turn > since)
    }

    /// Whether that settles the last escalation: a calm word is no human.
    pub(super) fn settles_the_last(&self) -> bool {
        self.is_calm() && !self.escalated.is_some_and(|(_, rule)| rule.wants_a_human())
    }
}
