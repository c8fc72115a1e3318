//! What a recording expects of its call: [`Expectation`].

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::alert::{Rule, Severity};
use crate::config::settings::ActionKind;

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
    /// `rule` of the first escalation: `streak`, `sustained`, `human_request`, `trajectory`, `tool`.
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
            rule: field(object, "rule", "streak, sustained, human_request, trajectory, tool")?,
            severity: field(object, "severity", "low, medium, high, critical")?,
            outcome,
            webhook: field(object, "webhook", "true or false")?,
            turns: field(object, "turns", "a number of caller turns")?,
            low_turns: field(object, "low_turns", "a list of caller turns, e.g. [1,2,4]")?,
            escalations: field(object, "escalations", "a number of escalations")?,
            tools_refused: field(object, "tools_refused", "a number of tool calls")?,
        })
    }

    /// The `expect` line that it was read from, without what it does not know.
    pub(crate) fn to_object(&self) -> Map<String, Value> {
        let at = self.escalate_at_turn.map(|at| match at {
            EscalateAt::Never => Value::Null,
            EscalateAt::Turn(turn) => turn.into(),
        });
        let values = [
            at,
            self.action.map(|action| json!(action)),
            self.rule.map(|rule| json!(rule)),
            self.severity.map(|severity| json!(severity)),
            self.outcome.as_ref().map(|outcome| json!(outcome)),
            self.webhook.map(Value::from),
            self.turns.map(Value::from),
            self.low_turns.as_ref().map(|turns| json!(turns)),
            self.escalations.map(Value::from),
            self.tools_refused.map(Value::from),
        ];
        let named = FIELDS.into_iter().zip(values).filter_map(|(field, value)| Some((field.to_owned(), value?)));
        std::iter::once(("type".to_owned(), json!("expect"))).chain(named).collect()
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
