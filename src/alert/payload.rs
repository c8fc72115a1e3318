//! What the webhook says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::outcome::{HOURLY_CAP, Outcome, Progress};
use crate::alert::{Alert, AlertId, AlertTurn, Rule, Severity};
use crate::clock::rfc3339_of;
use crate::config::link::{LinkTemplate, Placeholder};
use crate::config::settings::{ActionKind, WebhookDetail};
use crate::number::E164;
use crate::sentiment::Sentiment;
use crate::sentiment::describe::{MAX_CHARS, presentable};

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
    /// What upset the caller; first of all what a transfer came to, once that is known.
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
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_words: Option<String>,
    /// How many low turns in a row there were, up to the turn.
    #[serde(default)]
    pub streak: u32,
    /// The platform's id of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Who called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// Whom a transfer calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub target: Option<E164>,
    /// When the sidecar attached to the call, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_started_at: Option<String>,
    /// When it was decided, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerted_at: Option<String>,
    /// Where the call is looked after: `sentimentAlertLink`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Who called, as far as the room says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// Their id in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their number or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

impl Caller {
    fn of(alert: &Alert) -> Option<Self> {
        let about = alert.about.clone().unwrap_or_default();
        let participant = about.participant.or_else(|| alert.participant.clone());
        let caller = Self { participant, name: about.name, number: about.number };
        (caller.participant.is_some() || caller.name.is_some() || caller.number.is_some()).then_some(caller)
    }

    /// Name and number as one reads them, or who in the room it is.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match (&self.name, &self.number) {
            (Some(name), Some(number)) => Some(format!("{name} ({number})")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => self.participant.clone(),
        }
    }
}

/// What is told as the description: what a transfer came to goes before what upset the caller, so that nobody takes a
/// failed transfer for one that worked. At most 200 characters.
#[must_use]
pub fn description(alert: &Alert) -> String {
    let outcome = match (&alert.outcome, alert.action) {
        (Some(outcome), ActionKind::Transfer) => outcome,
        _ => return alert.description.clone(),
    };
    let head = match outcome {
        Outcome::Transferred => "Transferred to a human.".to_owned(),
        Outcome::Unknown => "Transfer unclear.".to_owned(),
        Outcome::Rejected { code, .. } if code == HOURLY_CAP => "NOT transferred: hourly cap reached.".to_owned(),
        Outcome::Rejected { code, .. } => format!("NOT transferred: rejected ({}).", presentable(code)),
        Outcome::Unreachable { .. } => "NOT transferred: no way to the human.".to_owned(),
        other => format!("NOT transferred: {}.", other.words()),
    };
    let whole = format!("{head} {}", alert.description);
    match whole.char_indices().nth(MAX_CHARS) {
        None => whole,
        Some(_) => whole.chars().take(MAX_CHARS - 1).chain(['…']).collect(),
    }
}

/// The link of an alert.
#[must_use]
pub fn link(alert: &Alert, template: &LinkTemplate) -> String {
    let about = alert.about.clone().unwrap_or_default();
    template.fill(|placeholder| match placeholder {
        Placeholder::AlertId => alert.id.to_string(),
        Placeholder::RoomName => alert.room_name.clone(),
        Placeholder::SessionId => alert.session_id.clone(),
        Placeholder::CallId => about.call_id.clone().unwrap_or_default(),
        Placeholder::Caller => about.number.clone().unwrap_or_default(),
        Placeholder::Participant => about.participant.clone().or_else(|| alert.participant.clone()).unwrap_or_default(),
        Placeholder::Severity => alert.severity.name().to_owned(),
        Placeholder::Rule => alert.rule.name().to_owned(),
        Placeholder::Action => alert.action.name().to_owned(),
        Placeholder::Turn => alert.turn.to_string(),
    })
}

impl SeedPayload {
    /// What an alert says in the seed's five fields.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        Self {
            event: Event::SentimentAlert,
            room_name: alert.room_name.clone(),
            sentiment_score: alert.sentiment.score(),
            description: description(alert),
            action: alert.action,
        }
    }
}

impl FullPayload {
    /// All that an alert says, with its link.
    #[must_use]
    pub fn of(alert: &Alert, link: Option<String>) -> Self {
        let about = alert.about.clone().unwrap_or_default();
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
            transfer_words: alert.outcome.as_ref().map(Outcome::words),
            streak: alert.streak,
            call_id: about.call_id,
            caller: Caller::of(alert),
            target: about.target,
            call_started_at: about.call_started_ms.map(rfc3339_of),
            alerted_at: about.decided_ms.map(rfc3339_of),
            link,
        }
    }
}

/// The webhook's body: JSON, the same bytes for the same alert. Only the full one has its link.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the payloads hold only text, numbers and lists, which serialise to JSON always"
)]
pub fn body(alert: &Alert, detail: WebhookDetail, link: Option<String>) -> String {
    match detail {
        WebhookDetail::Seed => serde_json::to_string(&SeedPayload::of(alert)),
        WebhookDetail::Full => serde_json::to_string(&FullPayload::of(alert, link)),
    }
    .expect("a payload is JSON")
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::alert::about::About;
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
            streak: 3,
            participant: Some("caller-1".to_owned()),
            about: None,
        }
    }

    /// The same with all that the edge of a call adds.
    pub(crate) fn told(key: &str) -> Alert {
        let about = About {
            call_id: Some("CA7".to_owned()),
            number: Some("+14155550123".to_owned()),
            name: Some("Dana Cole".to_owned()),
            participant: Some("caller-1".to_owned()),
            target: Some("+14155551234".parse().unwrap()),
            call_started_ms: Some(1_709_164_700_000),
            decided_ms: Some(1_709_164_800_500),
        };
        Alert { about: Some(Box::new(about)), ..alert(key) }
    }

    #[test]
    fn the_seed_body_is_the_seeds_five_fields_in_its_order() {
        insta::assert_snapshot!(body(&told("t3"), WebhookDetail::Seed, None), @r#"{"event":"sentiment.alert","room_name":"room_abc123","sentiment_score":2,"description":"Caller frustrated about unresolved \"billing\" issue for 3 days","action":"notify"}"#);
    }

    #[test]
    fn the_full_body_adds_the_rest_after_them() {
        let mut alert = told("t3");
        alert.action = ActionKind::Transfer;
        alert.outcome = Some(Outcome::Rejected { code: "488".to_owned(), reason: "Not Acceptable Here".to_owned() });
        alert.steps = vec![
            Progress { step: "refer_sent".to_owned(), sip_status: None },
            Progress { step: "refused".to_owned(), sip_status: Some(488) },
        ];
        let template: LinkTemplate = "https://board.example.com/alerts/{alert_id}?room={room_name}".parse().unwrap();
        let link = link(&alert, &template);
        let full = body(&alert, WebhookDetail::Full, Some(link.clone()));
        assert_eq!(serde_json::from_str::<FullPayload>(&full).unwrap(), FullPayload::of(&alert, Some(link)));
        insta::assert_snapshot!(full, @r#"{"event":"sentiment.alert","room_name":"room_abc123","sentiment_score":2,"description":"NOT transferred: rejected (488). Caller frustrated about unresolved \"billing\" issue for 3 days","action":"transfer","alert_id":"alert_9bcdee26c19c12b9800c83ba","severity":"medium","reason":"3 consecutive turns below 3","rule":"streak","session_id":"session_1","turn":3,"history":[2.0,2.4,2.9],"last_turns":[{"speaker":"agent","text":"How can I help?"},{"speaker":"caller","text":"I want to speak to someone who can actually help.","sentiment":2.9}],"transfer":{"outcome":"rejected","code":"488","reason":"Not Acceptable Here"},"transfer_steps":[{"step":"refer_sent"},{"step":"refused","sip_status":488}],"transfer_words":"the transfer was rejected (488 Not Acceptable Here)","streak":3,"call_id":"CA7","caller":{"participant":"caller-1","name":"Dana Cole","number":"+14155550123"},"target":"+14155551234","call_started_at":"2024-02-28T23:58:20.000Z","alerted_at":"2024-02-29T00:00:00.500Z","link":"https://board.example.com/alerts/alert_9bcdee26c19c12b9800c83ba?room=room_abc123"}"#);
    }

    #[test]
    fn a_failed_transfer_reads_differently_from_one_that_worked() {
        let of = |action, outcome| description(&Alert { action, outcome, ..alert("t3") });
        let transfer = |outcome| of(ActionKind::Transfer, Some(outcome));
        let begins = |text: String, with: &str| assert!(text.starts_with(with), "{text}");
        begins(transfer(Outcome::Transferred), "Transferred to a human. Caller frustrated");
        begins(transfer(Outcome::Busy), "NOT transferred: the human's line was busy. Caller frustrated");
        begins(transfer(Outcome::NoAnswer), "NOT transferred: nobody answered. ");
        begins(transfer(Outcome::CallerGone), "NOT transferred: the caller hung up first. ");
        begins(transfer(Outcome::Unknown), "Transfer unclear. ");
        let capped = Outcome::Rejected { code: HOURLY_CAP.to_owned(), reason: String::new() };
        begins(transfer(capped), "NOT transferred: hourly cap reached. ");
        assert_eq!(of(ActionKind::Transfer, None), alert("t3").description);
        assert_eq!(of(ActionKind::Notify, None), alert("t3").description);
        let long = Alert {
            description: "é".repeat(200),
            action: ActionKind::Transfer,
            outcome: Some(Outcome::Busy),
            ..alert("t3")
        };
        assert_eq!(description(&long).chars().count(), 200);
    }

    #[test]
    fn bodies_fit_their_schemas_and_a_score_of_eleven_does_not() {
        let check = |schema: schemars::Schema, body: &str| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            jsonschema::is_valid(schema.as_value(), &body)
        };
        let alert = told("t3");
        assert!(check(schemars::schema_for!(SeedPayload), &body(&alert, WebhookDetail::Seed, None)));
        assert!(check(schemars::schema_for!(FullPayload), &body(&alert, WebhookDetail::Full, None)));
        let wrong = body(&alert, WebhookDetail::Seed, None).replace("\"sentiment_score\":2", "\"sentiment_score\":11");
        assert!(!check(schemars::schema_for!(SeedPayload), &wrong));
    }
}
