//! What the webhook says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::outcome::{Outcome, Progress};
use crate::alert::{Alert, AlertId, AlertTurn, Rule, Severity};
use crate::config::settings::{ActionKind, WebhookDetail};
use crate::sentiment::Sentiment;

/// What a webhook tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Event {
    /// An escalation.
    #[default]
    #[serde(rename = "sentiment.alert")]
    SentimentAlert,
}

/// The webhook's body by default: exactly the seed's five fields, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeedPayload {
    /// Always `sentiment.alert`.
    pub event: Event,
    /// The room.
    pub room_name: String,
    /// The sentiment that it escalated at, as a whole number from 1 (extremely negative) to 10: the floor.
    #[schemars(range(min = 1, max = 10))]
    pub sentiment_score: u8,
    /// What upset the caller.
    pub description: String,
    /// What was done: `notify`, `flag`, or `transfer`.
    pub action: ActionKind,
}

/// The webhook's body with `sentimentWebhookDetail: "full"`: the seed's five fields, and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FullPayload {
    /// The seed's five fields.
    #[serde(flatten)]
    pub seed: SeedPayload,
    /// The alert's id, also the `webhook-id`.
    pub alert_id: AlertId,
    /// How bad it is.
    pub severity: Severity,
    /// Why it escalated, in one sentence.
    pub reason: String,
    /// What decided.
    pub rule: Rule,
    /// The running mean of the sentiments (1 to 10) at the turn, where the sustained rule is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// How many caller turns had asked for a human, where so many of them escalate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_requests: Option<u32>,
    /// The session.
    pub session_id: String,
    /// The caller turn that it follows, from 1; 0 before the first.
    pub turn: u32,
    /// The sentiments of all rated caller turns so far, oldest first.
    pub history: Vec<Sentiment>,
    /// The last turns of the call, oldest first.
    pub last_turns: Vec<AlertTurn>,
    /// What the transfer came to, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Outcome>,
    /// The steps of the transfer, as far as it got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer_steps: Vec<Progress>,
}

impl SeedPayload {
    /// What an alert says in the seed's five fields.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        Self {
            event: Event::SentimentAlert,
            room_name: alert.room_name.clone(),
            sentiment_score: alert.sentiment.score(),
            description: alert.description.clone(),
            action: alert.action,
        }
    }
}

impl FullPayload {
    /// All that an alert says.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        Self {
            seed: SeedPayload::of(alert),
            alert_id: alert.id.clone(),
            severity: alert.severity,
            reason: alert.reason.clone(),
            rule: alert.rule,
            mean: alert.mean,
            human_requests: alert.human_requests,
            session_id: alert.session_id.clone(),
            turn: alert.turn,
            history: alert.history.clone(),
            last_turns: alert.last_turns.clone(),
            transfer: alert.outcome.clone(),
            transfer_steps: alert.steps.clone(),
        }
    }
}

/// The webhook's body: JSON, the same bytes for the same alert.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the payloads hold only text, numbers and lists, which serialise to JSON always"
)]
pub fn body(alert: &Alert, detail: WebhookDetail) -> String {
    match detail {
        WebhookDetail::Seed => serde_json::to_string(&SeedPayload::of(alert)),
        WebhookDetail::Full => serde_json::to_string(&FullPayload::of(alert)),
    }
    .expect("a payload is JSON")
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::sentiment::Speaker;

    /// An alert as the seed's call makes it, set off by `key`.
    pub(crate) fn alert(key: &str) -> Alert {
        let sentiment = |value| Sentiment::new(value).unwrap();
        let turn = |speaker, text: &str, rated: Option<f64>| AlertTurn {
            speaker,
            text: text.to_owned(),
            sentiment: rated.map(sentiment),
        };
        Alert {
            id: AlertId::derive(&["room_abc123", "session_1"], key),
            room_name: "room_abc123".to_owned(),
            session_id: "session_1".to_owned(),
            turn: 3,
            rule: Rule::Streak,
            severity: Severity::Medium,
            reason: "3 consecutive turns below 3".to_owned(),
            description: "Caller frustrated about unresolved \"billing\" issue for 3 days".to_owned(),
            sentiment: sentiment(2.9),
            mean: None,
            human_requests: None,
            action: ActionKind::Notify,
            history: vec![sentiment(2.0), sentiment(2.4), sentiment(2.9)],
            last_turns: vec![
                turn(Speaker::Agent, "How can I help?", None),
                turn(Speaker::Caller, "I want to speak to someone who can actually help.", Some(2.9)),
            ],
            outcome: None,
            steps: Vec::new(),
            shadow: false,
        }
    }

    #[test]
    fn the_seed_body_is_the_seeds_five_fields_in_its_order() {
        insta::assert_snapshot!(body(&alert("t3"), WebhookDetail::Seed), @r#"{"event":"sentiment.alert","room_name":"room_abc123","sentiment_score":2,"description":"Caller frustrated about unresolved \"billing\" issue for 3 days","action":"notify"}"#);
    }

    #[test]
    fn the_full_body_adds_the_rest_after_them() {
        let mut alert = alert("t3");
        alert.action = ActionKind::Transfer;
        alert.outcome = Some(Outcome::Rejected { code: "488".to_owned(), reason: "Not Acceptable Here".to_owned() });
        alert.steps = vec![
            Progress { step: "refer_sent".to_owned(), sip_status: None },
            Progress { step: "refused".to_owned(), sip_status: Some(488) },
        ];
        let full = body(&alert, WebhookDetail::Full);
        assert_eq!(serde_json::from_str::<FullPayload>(&full).unwrap(), FullPayload::of(&alert));
        insta::assert_snapshot!(full, @r#"{"event":"sentiment.alert","room_name":"room_abc123","sentiment_score":2,"description":"Caller frustrated about unresolved \"billing\" issue for 3 days","action":"transfer","alert_id":"alert_9bcdee26c19c12b9800c83ba","severity":"medium","reason":"3 consecutive turns below 3","rule":"streak","session_id":"session_1","turn":3,"history":[2.0,2.4,2.9],"last_turns":[{"speaker":"agent","text":"How can I help?"},{"speaker":"caller","text":"I want to speak to someone who can actually help.","sentiment":2.9}],"transfer":{"outcome":"rejected","code":"488","reason":"Not Acceptable Here"},"transfer_steps":[{"step":"refer_sent"},{"step":"refused","sip_status":488}]}"#);
    }

    #[test]
    fn bodies_fit_their_schemas_and_a_score_of_eleven_does_not() {
        let check = |schema: schemars::Schema, body: &str| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            jsonschema::is_valid(schema.as_value(), &body)
        };
        let alert = alert("t3");
        assert!(check(schemars::schema_for!(SeedPayload), &body(&alert, WebhookDetail::Seed)));
        assert!(check(schemars::schema_for!(FullPayload), &body(&alert, WebhookDetail::Full)));
        let wrong = body(&alert, WebhookDetail::Seed).replace("\"sentiment_score\":2", "\"sentiment_score\":11");
        assert!(!check(schemars::schema_for!(SeedPayload), &wrong));
    }
}
