//! Where an alert is posted, and how much it tells there.

use std::str::FromStr;

use url::Url;

/// Where alerts go: `https`, or `http` to an allow-listed host; no user info, no fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a URL is no webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook URL ({problem}); write it as https://host/path")]
pub struct NotAWebhook {
    problem: String,
}

impl NotAWebhook {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl WebhookUrl {
    /// The URL itself.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for WebhookUrl {
    type Err = NotAWebhook;

    fn from_str(text: &str) -> Result<Self, NotAWebhook> {
        let problem = |problem: &str| Err(NotAWebhook { problem: problem.to_owned() });
        let url = Url::parse(text).map_err(|e| NotAWebhook { problem: e.to_string() })?;
        if !matches!(url.scheme(), "https" | "http") {
            return problem("the scheme is neither https nor http");
        }
        if url.host().is_none() {
            return problem("it names no host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return problem("it holds user info; put secrets into the environment");
        }
        if url.fragment().is_some() {
            return problem("it has a fragment");
        }
        Ok(Self(url))
    }
}

/// How much the webhook tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WebhookDetail {
    /// Exactly the seed's five fields.
    #[default]
    Seed,
    /// Also alert id, severity, reason, history, last turns, transfer outcome.
    Full,
}
