//! What passes between Twilio and the app, as far as we read it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A message of the platform.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(super) enum FromPlatform {
    /// The first of a connection.
    Setup(Setup),
    /// The caller said something; whole where it is the last.
    Prompt {
        #[serde(default)]
        voice_prompt: Option<String>,
        #[serde(default)]
        lang: Option<String>,
        #[serde(default)]
        last: Option<bool>,
        /// Telnyx: it may not be over after all.
        #[serde(default)]
        eager_end_of_turn: Option<Value>,
        /// Telnyx: it is not over, after all.
        #[serde(default)]
        turn_resumed: Option<Value>,
    },
    /// The caller broke in; so much of what the agent says was heard.
    Interrupt {
        #[serde(default)]
        utterance_until_interrupt: Option<String>,
    },
    /// What the TwiML's `events` asked for.
    Info {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        value: Option<Value>,
    },
    /// Digits, errors, and what else there may be.
    #[serde(other)]
    Other,
}

/// Which call it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Setup {
    /// The session of the relay.
    pub session_id: Option<String>,
    /// The call.
    pub call_sid: Option<String>,
    /// Telnyx' id of it.
    pub call_control_id: Option<String>,
    /// Who calls.
    pub from: Option<String>,
    /// Who is called.
    pub to: Option<String>,
    /// Who called whom: `inbound`, or `outbound` and what may follow.
    pub direction: Option<String>,
    /// What the TwiML's `<Parameter>`s say.
    pub custom_parameters: Option<Map<String, Value>>,
}

impl Setup {
    /// The id of the call; none where nothing names it.
    #[must_use]
    pub fn call_id(&self) -> Option<&str> {
        let ids = [&self.call_sid, &self.call_control_id, &self.session_id];
        ids.into_iter().flatten().map(String::as_str).find(|id| !id.is_empty())
    }

    /// The id of the session: the call's, where the platform gives it none of its own.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref().filter(|id| !id.is_empty()).or_else(|| self.call_id())
    }

    /// The number of the person on the phone, and ours: a call that is outbound is from us.
    #[must_use]
    pub fn numbers(&self) -> [Option<&str>; 2] {
        let is_ours =
            self.direction.as_deref().is_some_and(|direction| direction.to_ascii_lowercase().starts_with("out"));
        let (person, ours) = if is_ours { (&self.to, &self.from) } else { (&self.from, &self.to) };
        [person, ours].map(|number| number.as_deref().filter(|number| !number.is_empty()))
    }

    /// The value of a parameter of the TwiML.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.custom_parameters.as_ref()?.get(name)?.as_str()
    }

    /// Reads a message, if it is one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match serde_json::from_str(text).ok()? {
            FromPlatform::Setup(setup) => Some(setup),
            _ => None,
        }
    }
}

/// A message of the app.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum FromApp {
    /// A piece of what the agent says; the last one ends it.
    Text {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        last: Option<bool>,
    },
    /// The app ends the session.
    End,
    /// What is played, digits, languages, and what else there may be.
    #[serde(other)]
    Other,
}

/// A whole sentence for the caller.
pub(super) fn sentence(text: &str) -> String {
    json!({"type": "text", "token": text, "last": true}).to_string()
}

/// The end of the session, with what the action's URL is told.
pub(super) fn end(handoff: &Value) -> String {
    // Twilio wants a string that holds JSON.
    json!({"type": "end", "handoffData": handoff.to_string()}).to_string()
}
