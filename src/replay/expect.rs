//! Whether a call kept to what its recording expects of it.

use std::fmt;

use super::played::{Escalation, Played};
use crate::alert::outcome::Outcome;
use crate::alert::{Rule, Severity};
use crate::config::settings::ActionKind;
use crate::recording::expect::{EscalateAt, Expectation};

impl Expectation {
    /// Everything in which the call differs; `window` is how many low turns escalate.
    #[must_use]
    pub fn check(&self, played: &Played, window: u32) -> Vec<Mismatch> {
        let mut found = Vec::new();
        self.check_when(played, window, &mut found);
        self.check_how(played, &mut found);
        compare(&mut found, "webhook", self.webhook, played.webhook, |sent| {
            if *sent { "a webhook to be sent".to_owned() } else { "no webhook to be sent".to_owned() }
        });
        compare(&mut found, "turns", self.turns, played.turn_count(), |n| format!("{n} caller turns"));
        let low = played.turns().iter().filter_map(|t| t.rated()).filter(|t| t.low).map(|t| t.turn).collect();
        compare(&mut found, "low_turns", self.low_turns.clone(), low, |turns| format!("low turns {turns:?}"));
        let escalations = u32::try_from(played.escalations.len()).unwrap_or(u32::MAX);
        compare(&mut found, "escalations", self.escalations, escalations, |n| format!("{n} escalations"));
        compare(&mut found, "tools_refused", self.tools_refused, played.tools_refused, |n| {
            format!("{n} tool calls to be refused")
        });
        found
    }

    fn check_when(&self, played: &Played, window: u32, found: &mut Vec<Mismatch>) {
        let Some(expected) = self.escalate_at_turn else { return };
        let escalated = played.escalations.first();
        let kept = match (expected, escalated) {
            (EscalateAt::Never, None) => true,
            (EscalateAt::Turn(turn), Some(escalation)) => turn == escalation.turn,
            _ => false,
        };
        if !kept {
            let expected = match expected {
                EscalateAt::Never => "no escalation".to_owned(),
                EscalateAt::Turn(turn) => format!("an escalation at turn {turn}"),
            };
            let found_instead = match escalated {
                Some(escalation) => when_and_why(escalation),
                None => format!("none (the longest streak was {} of {window})", played.longest_streak()),
            };
            found.push(Mismatch { field: "escalate_at_turn", expected, found: found_instead });
        }
    }

    fn check_how(&self, played: &Played, found: &mut Vec<Mismatch>) {
        let escalation = played.escalations.first();
        let tell = |what: &str, name: Option<&str>| match name {
            Some(name) => format!("{what} {name}"),
            None => "no escalation".to_owned(),
        };
        compare(found, "action", self.action.map(Some), escalation.map(|e| e.action), |action| {
            tell("action", action.map(ActionKind::name))
        });
        compare(found, "rule", self.rule.map(Some), escalation.map(|e| e.rule), |rule| {
            tell("rule", rule.map(Rule::name))
        });
        compare(found, "severity", self.severity.map(Some), escalation.map(|e| e.severity), |severity| {
            tell("severity", severity.map(Severity::name))
        });
        let outcome = escalation.map(|e| e.outcome.as_ref().map_or("none", Outcome::name));
        compare(found, "outcome", self.outcome.as_deref().map(Some), outcome, |name| tell("transfer outcome", *name));
    }
}

/// One thing in which a call differs from its expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The field of the `expect` line.
    pub field: &'static str,
    /// What was expected.
    pub expected: String,
    /// What came instead.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

fn when_and_why(escalation: &Escalation) -> String {
    format!("one at turn {} ({} rule, action {})", escalation.turn, escalation.rule.name(), escalation.action)
}

fn compare<T: PartialEq>(
    found: &mut Vec<Mismatch>,
    field: &'static str,
    expected: Option<T>,
    actual: T,
    tell: impl Fn(&T) -> String,
) {
    if let Some(expected) = expected.filter(|expected| *expected != actual) {
        found.push(Mismatch { field, expected: tell(&expected), found: tell(&actual) });
    }
}
