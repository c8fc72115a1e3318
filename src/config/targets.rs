//! Where alerts go beside the seed's one URL: an entry of `sentimentNotifyTargets` ([`NotifyTarget`]).

use std::fmt;

use serde_json::{Map, Value, json};

use super::secret::SecretName;
use super::webhook::{WebhookDetail, WebhookUrl};

/// Where PagerDuty takes events, unless `url` names its service region's own address.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// Longest name of a target, in characters.
const NAME_CHARS: usize = 40;
/// Variables of the environment that are something else.
const TAKEN: [&str; 4] = ["SIDECAR_STORE", "SIDECAR_ROOM", "SIDECAR_ROOM_URL", "SIDECAR_LOG"];

/// How an alert is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotifyFormat {
    /// The webhook's own body, signed.
    Standard,
    /// A message of Slack's Block Kit, for an incoming webhook.
    Slack,
    /// An Adaptive Card, for a Teams workflow that takes webhook requests.
    Teams,
    /// An event of PagerDuty's Events API v2.
    PagerDuty,
    /// A `CloudEvent` in HTTP binary mode, signed.
    CloudEvents,
}

impl NotifyFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Standard, Self::Slack, Self::Teams, Self::PagerDuty, Self::CloudEvents];

    /// Its name, as in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::PagerDuty => "pagerduty",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// The format of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether requests are signed with `SIDECAR_WEBHOOK_SECRET`.
    #[must_use]
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Standard | Self::CloudEvents)
    }

    /// The least time from one message to the next that the service wants at one address, in ms: Slack takes one a second of
    /// an incoming webhook, Teams four, PagerDuty 120 a minute of an integration. None where nobody asks for any.
    #[must_use]
    pub fn gap_ms(self) -> Option<u64> {
        match self {
            Self::Slack => Some(1_000),
            Self::Teams => Some(250),
            Self::PagerDuty => Some(500),
            Self::Standard | Self::CloudEvents => None,
        }
    }

    /// Whether the URL itself lets anybody post, so that it is a secret.
    #[must_use]
    fn has_secret_url(self) -> bool {
        matches!(self, Self::Slack | Self::Teams)
    }
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At a URL that anybody may see.
    Url(WebhookUrl),
    /// At the URL that this variable holds.
    UrlEnv(SecretVariable),
    /// At a URL, with the key that this variable holds.
    KeyEnv {
        /// The URL.
        url: WebhookUrl,
        /// The variable.
        key: SecretVariable,
    },
}

/// The name of a variable of the environment that holds a secret of the user's own naming: `SIDECAR_` and capitals. The
/// same name with `_FILE` behind it names a file instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretVariable(String);

impl SecretVariable {
    /// The variable.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(super::env::PREFIX).filter(|rest| {
            (1..=56).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        });
        let Some(rest) = rest else {
            return Err("is no variable of ours; write SIDECAR_ and capitals, e.g. SIDECAR_SLACK_URL".to_owned());
        };
        if rest.ends_with("_FILE") {
            return Err("ends in _FILE; name it without, and set either of the two".to_owned());
        }
        let secret = SecretName::ALL.into_iter().any(|name| name.variable() == text);
        if secret || TAKEN.contains(&text) || rest.starts_with("SENTIMENT_") || rest.starts_with("LLM_") {
            return Err("is the variable of something else; take a name of its own, e.g. SIDECAR_SLACK_URL".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SecretVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of `sentimentNotifyTargets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyTarget {
    /// What it is called in events and in the store; otherwise after its format.
    pub name: Option<String>,
    /// How an alert is put.
    pub format: NotifyFormat,
    /// Where it is.
    pub place: Place,
    /// How much it tells.
    pub detail: WebhookDetail,
}

impl NotifyTarget {
    /// What is allowed, for people.
    pub(super) const FORM: &'static str = "an object with format, and url, urlEnv or keyEnv";

    /// Reads one entry.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right, as a fragment of a sentence; no value of it is repeated, as it
    /// may be a secret.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        const KNOWN: [&str; 6] = ["name", "format", "url", "urlEnv", "keyEnv", "detail"];
        let Value::Object(fields) = value else { return Err(format!("it is not {}", Self::FORM)) };
        if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let nearest = KNOWN
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)));
            let nearest = nearest.copied().unwrap_or("format");
            return Err(format!("there is no {}; did you mean {nearest}?", super::plain(unknown)));
        }
        let formats: Vec<&str> = NotifyFormat::ALL.into_iter().map(NotifyFormat::name).collect();
        let format = text(fields, "format")?
            .and_then(NotifyFormat::of)
            .ok_or_else(|| format!("format must be one of {}", formats.join(", ")))?;
        let detail = match text(fields, "detail")? {
            None | Some("seed") => WebhookDetail::Seed,
            Some("full") => WebhookDetail::Full,
            Some(_) => return Err("detail must be seed or full".to_owned()),
        };
        let name = text(fields, "name")?.map(name).transpose()?;
        Ok(Self { name, format, place: place(fields, format)?, detail })
    }

    /// The entry as the settings have it.
    pub(super) fn show(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |key: &str, value: &str| drop(fields.insert(key.to_owned(), value.into()));
        put("format", self.format.name());
        match &self.place {
            Place::Url(url) => put("url", url.url().as_str()),
            Place::UrlEnv(variable) => put("urlEnv", variable.as_str()),
            Place::KeyEnv { url, key } => {
                put("keyEnv", key.as_str());
                put("url", url.url().as_str());
            }
        }
        put("detail", if self.detail == WebhookDetail::Full { "full" } else { "seed" });
        if let Some(name) = &self.name {
            put("name", name);
        }
        Value::Object(fields)
    }

    /// The variable that it needs, if any.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretVariable> {
        match &self.place {
            Place::Url(_) => None,
            Place::UrlEnv(variable) | Place::KeyEnv { key: variable, .. } => Some(variable),
        }
    }

    /// The URL that the settings themselves show, if any.
    #[must_use]
    pub fn url(&self) -> Option<&WebhookUrl> {
        match &self.place {
            Place::Url(url) | Place::KeyEnv { url, .. } => Some(url),
            Place::UrlEnv(_) => None,
        }
    }

    /// What each of several is called: its own name, or its format's with a number from the second on.
    #[must_use]
    pub fn names(targets: &[Self]) -> Vec<String> {
        let mut names: Vec<String> = Vec::with_capacity(targets.len());
        for (at, target) in targets.iter().enumerate() {
            let earlier = targets[..at].iter().filter(|one| one.name.is_none() && one.format == target.format).count();
            names.push(match (&target.name, earlier) {
                (Some(name), _) => name.clone(),
                (None, 0) => target.format.name().to_owned(),
                (None, earlier) => format!("{}-{}", target.format.name(), earlier + 1),
            });
        }
        names
    }

    /// The JSON Schema of one entry.
    pub(super) fn schema() -> Value {
        let formats: Vec<&str> = NotifyFormat::ALL.into_iter().map(NotifyFormat::name).collect();
        json!({
            "type": "object",
            "properties": {
                "format": { "type": "string", "enum": formats },
                "url": { "type": "string" },
                "urlEnv": { "type": "string", "pattern": "^SIDECAR_[A-Z0-9_]+$" },
                "keyEnv": { "type": "string", "pattern": "^SIDECAR_[A-Z0-9_]+$" },
                "detail": { "type": "string", "enum": ["seed", "full"] },
                "name": { "type": "string", "maxLength": NAME_CHARS },
            },
            "required": ["format"],
            "additionalProperties": false,
        })
    }
}

fn text<'v>(fields: &'v Map<String, Value>, key: &str) -> Result<Option<&'v str>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key} is not a string")),
    }
}

fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > NAME_CHARS || !text.chars().all(fits) {
        return Err(format!("name must be 1 to {NAME_CHARS} letters, digits or -_."));
    }
    Ok(text.to_owned())
}

fn place(fields: &Map<String, Value>, format: NotifyFormat) -> Result<Place, String> {
    let url = text(fields, "url")?;
    let variable = |key: &str| {
        let read = text(fields, key)?.map(SecretVariable::read).transpose();
        read.map_err(|problem| format!("{key} {problem}"))
    };
    let parse = |url: &str| url.parse::<WebhookUrl>().map_err(|error| format!("url: {}", error.problem()));
    match (format, url, variable("urlEnv")?, variable("keyEnv")?) {
        (NotifyFormat::PagerDuty, url, None, Some(key)) => {
            Ok(Place::KeyEnv { url: parse(url.unwrap_or(PAGERDUTY))?, key })
        }
        (NotifyFormat::PagerDuty, ..) => {
            Err("pagerduty needs keyEnv, the variable that holds its routing key, and takes no urlEnv".to_owned())
        }
        (_, _, _, Some(_)) => Err(format!("{} takes no keyEnv", format.name())),
        (_, Some(_), _, None) if format.has_secret_url() => Err(format!(
            "the URL of {} is a secret: put it into a variable, and name that as urlEnv, e.g. SIDECAR_{}_URL",
            format.name(),
            format.name().to_uppercase()
        )),
        (_, Some(url), None, None) => Ok(Place::Url(parse(url)?)),
        (_, None, Some(variable), None) => Ok(Place::UrlEnv(variable)),
        (_, Some(_), Some(_), None) => Err("url and urlEnv are both set; allowed: one of them".to_owned()),
        (_, None, None, None) if format.has_secret_url() => {
            Err(format!("{} needs urlEnv, the variable that holds its URL", format.name()))
        }
        (_, None, None, None) => Err(format!("{} needs url or urlEnv", format.name())),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn targets_are_shown_as_they_are_read() {
        for value in [
            json!({"format": "standard", "url": "https://example.com/a", "detail": "full", "name": "crm"}),
            json!({"format": "cloudevents", "urlEnv": "SIDECAR_BROKER_URL", "detail": "seed"}),
            json!({"format": "slack", "urlEnv": "SIDECAR_SLACK_URL", "detail": "full"}),
            json!({"format": "pagerduty", "keyEnv": "SIDECAR_PAGERDUTY_KEY", "url": PAGERDUTY, "detail": "seed"}),
        ] {
            assert_eq!(NotifyTarget::read(&value).unwrap().show(), value);
        }
        let targets = [
            json!({"format": "slack", "urlEnv": "SIDECAR_A"}),
            json!({"format": "slack", "urlEnv": "SIDECAR_B", "name": "floor-2"}),
            json!({"format": "slack", "urlEnv": "SIDECAR_C"}),
        ];
        let targets: Vec<NotifyTarget> = targets.iter().map(|value| NotifyTarget::read(value).unwrap()).collect();
        assert_eq!(NotifyTarget::names(&targets), ["slack", "floor-2", "slack-2"]);
    }

    #[test]
    fn what_is_no_target_is_told_without_what_may_be_secret() {
        for (value, why) in [
            (json!("https://example.com/hush"), "an object with format"),
            (json!({"format": "pager"}), "format must be one of standard, slack"),
            (
                json!({"format": "slack", "url": "https://hooks.example.com/hush"}),
                "is a secret: put it into a variable",
            ),
            (json!({"format": "slack"}), "slack needs urlEnv"),
            (json!({"format": "teams", "urlEnv": "https://example.com/hush"}), "is no variable of ours"),
            (json!({"format": "teams", "urlEnv": "SIDECAR_ROOM_TOKEN"}), "is the variable of something else"),
            (json!({"format": "teams", "urlEnv": "SIDECAR_TEAMS_FILE"}), "ends in _FILE"),
            (json!({"format": "pagerduty", "urlEnv": "SIDECAR_PD"}), "pagerduty needs keyEnv"),
            (json!({"format": "standard", "url": "ftp://x/"}), "url: the scheme"),
            (json!({"format": "standard"}), "standard needs url or urlEnv"),
            (json!({"format": "standard", "url": "https://x/", "urlEnv": "SIDECAR_X"}), "both set"),
            (json!({"format": "standard", "urlenv": "SIDECAR_X"}), "did you mean urlEnv?"),
            (json!({"format": "standard", "url": "https://x/", "detail": "most"}), "detail must be seed or full"),
            (json!({"format": "standard", "url": "https://x/", "name": "a b"}), "name must be"),
            (json!({"format": "standard", "url": 7}), "url is not a string"),
        ] {
            let error = NotifyTarget::read(&value).unwrap_err();
            assert!(error.contains(why) && !error.contains("hush"), "{value}: {error}");
        }
    }
}
