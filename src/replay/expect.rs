//! What a recording expects of its call, and whether the call kept to it.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::played::{Escalation, Played};
use super::problem::Problem;
use crate::call::escalation::{Rule, Severity};
use crate::config::settings::ActionKind;
use crate::transfer::Outcome;

/// When the call is to escalate first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscalateAt {
    /// Not at all (`null`).
    Never,
    /// After this caller turn, from 1; 0 is before the first.
    Turn(u32),
}

/// The last line of a fixture: `{"type":"expect", …}`. What it does not name is not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// `escalate_at_turn`: a caller turn, or `null` for never.
    pub escalate_at_turn: Option<EscalateAt>,
    /// `action` of the first escalation: `transfer`, `notify`, `flag`.
    pub action: Option<ActionKind>,
    /// `rule` of the first escalation: `streak`, `trajectory`, `tool`.
    pub rule: Option<Rule>,
    /// `severity` of the first escalation: `low`, `medium`, `high`, `critical`.
    pub severity: Option<Severity>,
    /// `outcome` of the first escalation's transfer, e.g. `busy`.
    pub outcome: Option<String>,
    /// `webhook`: whether an alert's webhook is sent.
    pub webhook: Option<bool>,
    /// `turns`: how many caller turns there are.
    pub turns: Option<u32>,
    /// `low_turns`: which caller turns are low, in order.
    pub low_turns: Option<Vec<u32>>,
    /// `escalations`: how many there are in all.
    pub escalations: Option<u32>,
    /// `tools_refused`: how many of the agent's own tool calls do not escalate.
    pub tools_refused: Option<u32>,
}

const FIELDS: [&str; 10] = [
    "escalate_at_turn",
    "action",
    "rule",
    "severity",
    "outcome",
    "webhook",
    "turns",
    "low_turns",
    "escalations",
    "tools_refused",
];

const OUTCOMES: [&str; 9] =
    ["transferred", "busy", "declined", "no_answer", "rejected", "unreachable", "cancelled", "caller_gone", "unknown"];

impl Expectation {
    /// Reads an `expect` line.
    ///
    /// # Errors
    /// [`Problem::Field`] names a field with a value that can never be met, or one that looks misspelt: an
    /// expectation that checks nothing would hide a defect.
    pub(crate) fn from_object(object: &Map<String, Value>) -> Result<Self, Problem> {
        check_names(object)?;
        let escalate_at_turn = match object.get("escalate_at_turn") {
            Some(Value::Null) => Some(EscalateAt::Never),
            _ => field(object, "escalate_at_turn", "a caller turn from 1, or null for never")?.map(EscalateAt::Turn),
        };
        let outcome: Option<String> = field(object, "outcome", &OUTCOMES.join(", "))?;
        if let Some(name) = outcome.as_deref().filter(|name| !OUTCOMES.contains(name)) {
            return Err(wrong("outcome", &Value::from(name), &OUTCOMES.join(", ")));
        }
        Ok(Self {
            escalate_at_turn,
            action: field(object, "action", "transfer, notify, flag")?,
            rule: field(object, "rule", "streak, trajectory, tool")?,
            severity: field(object, "severity", "low, medium, high, critical")?,
            outcome,
            webhook: field(object, "webhook", "true or false")?,
            turns: field(object, "turns", "a number of caller turns")?,
            low_turns: field(object, "low_turns", "a list of caller turns, e.g. [1,2,4]")?,
            escalations: field(object, "escalations", "a number of escalations")?,
            tools_refused: field(object, "tools_refused", "a number of tool calls")?,
        })
    }

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
            tell("rule", rule.map(rule_name))
        });
        compare(found, "severity", self.severity.map(Some), escalation.map(|e| e.severity), |severity| {
            tell("severity", severity.map(Severity::name))
        });
        let outcome = escalation.map(|e| e.outcome.as_ref().map_or("none", Outcome::name));
        compare(found, "outcome", self.outcome.as_deref().map(Some), outcome, |name| tell("transfer outcome", *name));
    }

    /// The fields that are checked.
    #[must_use]
    pub fn named(&self) -> Vec<&'static str> {
        let is_named = [
            self.escalate_at_turn.is_some(),
            self.action.is_some(),
            self.rule.is_some(),
            self.severity.is_some(),
            self.outcome.is_some(),
            self.webhook.is_some(),
            self.turns.is_some(),
            self.low_turns.is_some(),
            self.escalations.is_some(),
            self.tools_refused.is_some(),
        ];
        FIELDS.into_iter().zip(is_named).filter(|(_, named)| *named).map(|(field, _)| field).collect()
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

/// The rule's name as in reports.
#[must_use]
pub fn rule_name(rule: Rule) -> &'static str {
    match rule {
        Rule::Streak => "streak",
        Rule::Trajectory => "trajectory",
        Rule::Tool => "tool",
    }
}

fn when_and_why(escalation: &Escalation) -> String {
    format!("one at turn {} ({} rule, action {})", escalation.turn, rule_name(escalation.rule), escalation.action)
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

fn wrong(field: &str, value: &Value, right: &str) -> Problem {
    Problem::field("expect", field, format!("is {value}; give one of: {right}"))
}

fn field<T: DeserializeOwned>(object: &Map<String, Value>, name: &str, right: &str) -> Result<Option<T>, Problem> {
    match object.get(name) {
        None => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| wrong(name, value, right)),
    }
}

/// Unknown names are left to later versions, but not those that are a slip away from one of ours.
fn check_names(object: &Map<String, Value>) -> Result<(), Problem> {
    for name in object.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        if let Some(right) = FIELDS.iter().find(|right| strsim::damerau_levenshtein(right, name) <= 2) {
            return Err(Problem::field("expect", name, format!("is not known; did you mean \"{right}\"?")));
        }
    }
    if FIELDS.iter().any(|name| object.contains_key(*name)) {
        return Ok(());
    }
    Err(Problem::field("expect", "escalate_at_turn", "is missing; give a caller turn from 1, or null for never"))
}
