//! The link in an alert: a template of `sentimentAlertLink` ([`LinkTemplate`]).

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What stands for itself in a URL (RFC 3986 section 2.3); everything else of a value is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a place in the template stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{alert_id}`.
    AlertId,
    /// `{room_name}`.
    RoomName,
    /// `{session_id}`.
    SessionId,
    /// `{call_id}`: the platform's id of the call.
    CallId,
    /// `{caller}`: the caller's number, as the room gives it.
    Caller,
    /// `{participant}`: the caller's id in the room.
    Participant,
    /// `{severity}`.
    Severity,
    /// `{rule}`.
    Rule,
    /// `{action}`.
    Action,
    /// `{turn}`.
    Turn,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AlertId,
        Self::RoomName,
        Self::SessionId,
        Self::CallId,
        Self::Caller,
        Self::Participant,
        Self::Severity,
        Self::Rule,
        Self::Action,
        Self::Turn,
    ];

    /// Its name, as it stands between the braces.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AlertId => "alert_id",
            Self::RoomName => "room_name",
            Self::SessionId => "session_id",
            Self::CallId => "call_id",
            Self::Caller => "caller",
            Self::Participant => "participant",
            Self::Severity => "severity",
            Self::Rule => "rule",
            Self::Action => "action",
            Self::Turn => "turn",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// A URL with places for what an alert knows: `https://crm.example.com/calls/{call_id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTemplate(Vec<Part>);

/// Why a text is no template of a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a link ({problem}); write it as https://host/path/{{alert_id}}")]
pub struct NotALink {
    problem: String,
}

impl NotALink {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl LinkTemplate {
    /// The link, with each value percent-encoded: whatever it holds, it stays where the template puts it.
    #[must_use]
    pub fn fill(&self, value: impl Fn(Placeholder) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(placeholder) => utf8_percent_encode(&value(*placeholder), ENCODED).to_string(),
        };
        self.0.iter().map(part).collect()
    }
}

impl fmt::Display for LinkTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Value(placeholder) => write!(f, "{{{}}}", placeholder.name()),
        })
    }
}

impl FromStr for LinkTemplate {
    type Err = NotALink;

    fn from_str(text: &str) -> Result<Self, NotALink> {
        let problem = |problem: String| NotALink { problem };
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(problem("it holds white space or a control character".to_owned()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            let inner = from.strip_prefix('{').ok_or_else(|| problem("a } stands without its {".to_owned()))?;
            let (name, after) = inner.split_once('}').ok_or_else(|| problem("a { stands without its }".to_owned()))?;
            let named = Placeholder::ALL.into_iter().find(|placeholder| placeholder.name() == name);
            let placeholder = named.ok_or_else(|| {
                let all: Vec<&str> = Placeholder::ALL.into_iter().map(Placeholder::name).collect();
                problem(format!("there is no {{{name}}}; there are {}", all.join(", ")))
            })?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(placeholder));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        let template = Self(parts);
        // Two callers must not be able to choose two hosts.
        let [one, other] = ["a", "b"].map(|value| Url::parse(&template.fill(|_| value.to_owned())));
        let one = one.map_err(|error| problem(error.to_string()))?;
        if !matches!(one.scheme(), "https" | "http") || one.host().is_none() {
            return Err(problem("it is neither https://… nor http://…".to_owned()));
        }
        if !other.is_ok_and(|other| other.origin() == one.origin()) || !one.username().is_empty() {
            return Err(problem("its host must be written out, without user info".to_owned()));
        }
        Ok(template)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn values_are_encoded_and_stay_where_they_belong() {
        let template: LinkTemplate =
            "https://crm.example.com/calls/{call_id}?who={caller}&room={room_name}#{alert_id}".parse().unwrap();
        let link = template.fill(|placeholder| match placeholder {
            Placeholder::CallId => "../../admin?x=1#y".to_owned(),
            Placeholder::Caller => "+1 415&é".to_owned(),
            other => other.name().to_owned(),
        });
        assert_eq!(
            link,
            "https://crm.example.com/calls/..%2F..%2Fadmin%3Fx%3D1%23y?who=%2B1%20415%26%C3%A9&room=room_name#alert_id"
        );
        assert_eq!(template.to_string().parse::<LinkTemplate>().unwrap(), template);
        let plain: LinkTemplate = "http://board.internal/".parse().unwrap();
        assert_eq!(plain.fill(|_| "x".to_owned()), "http://board.internal/");
    }

    #[test]
    fn what_is_no_link_is_told_with_what_would_be_one() {
        for (text, why) in [
            ("https://x/{alert}", "there is no {alert}; there are alert_id, room_name"),
            ("https://x/{alert_id", "a { stands without its }"),
            ("https://x/alert_id}", "a } stands without its {"),
            ("https://{room_name}.example.com/", "its host must be written out"),
            ("https://{caller}@example.com/", "its host must be written out"),
            ("{room_name}://example.com/", "neither https"),
            ("javascript:alert({alert_id})", "neither https"),
            ("/alerts/{alert_id}", "relative URL"),
            ("https://x/ {alert_id}", "white space"),
        ] {
            let error = text.parse::<LinkTemplate>().unwrap_err();
            assert!(error.problem().contains(why), "{text}: {}", error.problem());
        }
    }
}
