//! Where a webhook goes and how: [`Outgoing`], as the outbox keeps it.

use crate::config::allow::NotAllowable;
use crate::config::settings::{AllowEntry, NotAWebhook, Webhook, WebhookDetail, WebhookUrl};

/// Where a webhook goes and how, without the secrets that sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub url: WebhookUrl,
    /// How much it tells.
    pub detail: WebhookDetail,
    /// Private hosts and subnets that it may reach.
    pub allow: Vec<AllowEntry>,
    /// How long one attempt may take, in ms.
    pub timeout_ms: u64,
}

/// Why an outgoing webhook that was kept as text cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOutgoing {
    /// The URL is none.
    #[error("its URL is {0}")]
    Url(#[from] NotAWebhook),
    /// The level of detail is unknown.
    #[error("its detail is {detail:?}, but must be \"seed\" or \"full\"")]
    Detail {
        /// What it is.
        detail: String,
    },
    /// The allow-list is no list.
    #[error("its allow-list is no JSON list of text ({problem})")]
    Allow {
        /// What is wrong with it.
        problem: String,
    },
    /// An entry of the allow-list is none.
    #[error("an entry of its allow-list is {0}")]
    AllowEntry(#[from] NotAllowable),
}

impl Outgoing {
    /// What the settings say; none without `sentimentNotifyWebhook`.
    #[must_use]
    pub fn from_settings(webhook: &Webhook) -> Option<Self> {
        let url = webhook.url.clone()?;
        Some(Self { url, detail: webhook.detail, allow: webhook.allow.clone(), timeout_ms: webhook.timeout_ms })
    }

    /// Reads what [`Outgoing::detail_text`] and [`Outgoing::allow_text`] wrote.
    pub(crate) fn from_texts(url: &str, detail: &str, allow: &str, timeout_ms: u64) -> Result<Self, BadOutgoing> {
        let allow: Vec<String> =
            serde_json::from_str(allow).map_err(|error| BadOutgoing::Allow { problem: error.to_string() })?;
        let allow = allow.iter().map(|entry| entry.parse()).collect::<Result<_, NotAllowable>>()?;
        Ok(Self { url: url.parse()?, detail: Self::detail_of(detail)?, allow, timeout_ms })
    }

    pub(crate) fn detail_text(&self) -> &'static str {
        match self.detail {
            WebhookDetail::Seed => "seed",
            WebhookDetail::Full => "full",
        }
    }

    pub(crate) fn detail_of(text: &str) -> Result<WebhookDetail, BadOutgoing> {
        match text {
            "seed" => Ok(WebhookDetail::Seed),
            "full" => Ok(WebhookDetail::Full),
            other => Err(BadOutgoing::Detail { detail: other.to_owned() }),
        }
    }

    /// The allow-list as a JSON list of text, as it would stand in the settings.
    pub(crate) fn allow_text(&self) -> String {
        serde_json::Value::from(self.allow.iter().map(AllowEntry::to_string).collect::<Vec<_>>()).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn what_is_kept_as_text_reads_back_the_same() {
        let outgoing = Outgoing {
            url: "https://example.com/hook?team=7".parse().unwrap(),
            detail: WebhookDetail::Full,
            allow: vec![
                AllowEntry::Net("10.0.0.0/8".parse().unwrap()),
                AllowEntry::Net("fd00::1/128".parse().unwrap()),
                AllowEntry::Host("hooks.internal".to_owned()),
            ],
            timeout_ms: 1500,
        };
        let url = outgoing.url.url().as_str();
        let back = Outgoing::from_texts(url, outgoing.detail_text(), &outgoing.allow_text(), outgoing.timeout_ms);
        assert_eq!(back, Ok(outgoing));
    }

    #[test]
    fn what_was_changed_from_outside_is_told_apart() {
        let read = |url, detail, allow| Outgoing::from_texts(url, detail, allow, 1);
        assert!(matches!(read("ftp://x/", "seed", "[]"), Err(BadOutgoing::Url(_))));
        assert!(matches!(read("https://x/", "most", "[]"), Err(BadOutgoing::Detail { .. })));
        assert!(matches!(read("https://x/", "seed", "{}"), Err(BadOutgoing::Allow { .. })));
        assert!(matches!(read("https://x/", "seed", r#"["10.1.2.3/8"]"#), Err(BadOutgoing::AllowEntry(_))));
    }
}
