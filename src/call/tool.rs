//! The agent's own `escalate_sentiment` (rule 6).

use serde_json::{Value, json};

use super::escalate::Escalation;
use super::policy::{self, Decision};
use super::report::Report;
use super::segment::TurnKey;
use super::{Asked, Call};
use crate::alert::AlertId;
use crate::config::settings::ActionKind;
use crate::room::message::SidecarMessage;
use crate::room::message::tool::ESCALATE_SENTIMENT;
use crate::sentiment::{Sentiment, describe};

/// The tool's arguments, checked.
struct Arguments {
    score: u8,
    description: String,
}

impl Arguments {
    fn parse(value: &Value) -> Result<Self, String> {
        // Some platforms pass the arguments as the JSON text that the model wrote.
        let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let value = parsed.as_ref().unwrap_or(value);
        let number = value.get("sentiment_score").and_then(Value::as_f64);
        let score = number.filter(|n| n.fract() == 0.0 && (1.0..=10.0).contains(n));
        let Some(score) = score else {
            return Err("sentiment_score must be a whole number from 1 to 10".to_owned());
        };
        let Some(description) = value.get("description").and_then(Value::as_str) else {
            return Err("description must say in a few words what upset the caller".to_owned());
        };
        // In 1..=10, checked above.
        Ok(Self { score: score as u8, description: describe::presentable(description) })
    }
}

/// The score (1 to 10) that a tool call's arguments name; none where they are refused whatever the settings.
pub(crate) fn score(arguments: &Value) -> Option<u8> {
    Arguments::parse(arguments).ok().map(|arguments| arguments.score)
}

impl Call {
    /// Takes a tool call of the agent's. It is decided on when all that was said before it is: a rating that takes longer
    /// must not make another escalation of it than the one of a process that hears all of it at once.
    pub(super) fn tool_call(&mut self, call_id: String, name: &str, arguments: Value) {
        if name == ESCALATE_SENTIMENT {
            let after = self.book.order().last().copied();
            self.asked.push_back(Asked { call_id, arguments, after });
            self.answer_tools();
        }
    }

    /// Answers the tool calls before which nothing waits for its rating any more.
    pub(super) fn answer_tools(&mut self) {
        self.answer_tools_before(self.settled);
    }

    /// Answers those that came before the turn at a position, once the store has taken the alert that may be on its way there.
    pub(super) fn answer_tools_before(&mut self, position: usize) {
        while let Some(asked) = self.asked.front() {
            let waits = asked.after.is_some_and(|turn| self.book.position(turn) >= position);
            if waits || self.latch.is_storing() {
                return;
            }
            if let Some(Asked { call_id, arguments, after }) = self.asked.pop_front() {
                self.answer_tool(call_id, &arguments, after);
            }
        }
    }

    /// Answers a tool call: once, however often it arrives.
    fn answer_tool(&mut self, call_id: String, arguments: &Value, after: Option<TurnKey>) {
        if let Some(answer) = self.answered_tools.get(&call_id).cloned() {
            return self.tell(answer);
        }
        let decided =
            Arguments::parse(arguments).and_then(|a| self.may_escalate(&a, after).map(|decision| (a, decision)));
        match decided {
            Ok((arguments, decision)) => {
                let escalation = Escalation {
                    key: call_id,
                    decision,
                    description: arguments.description,
                    sentiment: Sentiment::clamped(f64::from(arguments.score)),
                };
                self.escalate_on_tool(escalation, after);
                // What was counted since is counted after an escalation now.
                let next = after.map_or(0, |turn| self.book.position(turn) + 1);
                if next < self.settled {
                    self.recount(next);
                }
            }
            Err(why) => {
                let output = json!({"escalated": false, "reason": why});
                self.tool_answered(call_id, false, output, Some(why));
            }
        }
    }

    /// The store has the alert that a tool call set off: now the call is answered.
    pub(super) fn tool_escalated(&mut self, call_id: String, action: ActionKind, alert_id: &AlertId) {
        let output = json!({"escalated": true, "action": action.name(), "alert_id": alert_id.as_str()});
        self.tool_answered(call_id, true, output, None);
    }

    fn tool_answered(&mut self, call_id: String, ok: bool, output: Value, refused: Option<String>) {
        self.report(Report::Tool { call_id: call_id.clone(), escalated: ok, refused });
        let answer = SidecarMessage::ToolResult { call_id: call_id.clone(), ok, output };
        self.answered_tools.insert(call_id, answer.clone());
        self.tell(answer);
    }

    fn may_escalate(&self, arguments: &Arguments, after: Option<TurnKey>) -> Result<Decision, String> {
        let counts = self.standing_after(after).counts;
        let Some(decision) = policy::tool(arguments.score, &counts, &self.settings) else {
            let (score, threshold) = (arguments.score, self.settings.threshold);
            return Err(format!("sentiment_score {score} is not below the threshold {threshold}"));
        };
        if self.human_present() {
            return Err("a human is already on the call".to_owned());
        }
        if self.latch.is_active() {
            return Err("an escalation is already under way".to_owned());
        }
        if !counts.is_armed() || self.escalated_since(after) {
            return Err("this was escalated already; the caller has not recovered since".to_owned());
        }
        Ok(decision)
    }
}
