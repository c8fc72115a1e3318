//! Where an alert goes and how: [`Outgoing`], as the outbox keeps it.

use super::{Alert, payload};
use crate::config::allow::NotAllowable;
use crate::config::link::LinkTemplate;
use crate::config::settings::{AllowEntry, NotAWebhook, Webhook, WebhookDetail, WebhookUrl};
use crate::config::targets::{NotifyFormat, NotifyTarget, Place};

/// Where an alert goes and how, without the secrets that this needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What the place is called; nothing for the URL of `sentimentNotifyWebhook`.
    pub target: String,
    /// How the alert is put.
    pub format: NotifyFormat,
    /// Where to; none where that is the secret.
    pub url: Option<WebhookUrl>,
    /// The variable that holds the secret: the URL, or a key.
    pub secret: Option<String>,
    /// How much it tells.
    pub detail: WebhookDetail,
    /// Private hosts and subnets that it may reach.
    pub allow: Vec<AllowEntry>,
    /// How long one attempt may take, in ms.
    pub timeout_ms: u64,
    /// The link that it tells. It is told when the alert is queued, and not kept.
    pub link: Option<LinkTemplate>,
}

/// Where an alert goes, as a store keeps it.
#[derive(Debug)]
pub(crate) struct Texts<'a> {
    pub(crate) target: &'a str,
    pub(crate) format: &'a str,
    pub(crate) url: Option<&'a str>,
    pub(crate) secret: Option<&'a str>,
    pub(crate) detail: &'a str,
    pub(crate) allow: &'a str,
    pub(crate) timeout_ms: u64,
}

/// Why what was kept as text cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOutgoing {
    /// The URL is none.
    #[error("its URL is {0}")]
    Url(#[from] NotAWebhook),
    /// The format is unknown.
    #[error("its format {format:?} is unknown")]
    Format {
        /// What it is.
        format: String,
    },
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
    /// The signed webhook at a URL, as `sentimentNotifyWebhook` sends it.
    #[must_use]
    pub fn webhook(url: WebhookUrl, detail: WebhookDetail, allow: Vec<AllowEntry>, timeout_ms: u64) -> Self {
        Self {
            target: String::new(),
            format: NotifyFormat::Standard,
            url: Some(url),
            secret: None,
            detail,
            allow,
            timeout_ms,
            link: None,
        }
    }

    /// All places that the settings name: the webhook first, if there is one.
    #[must_use]
    pub fn from_settings(webhook: &Webhook) -> Vec<Self> {
        let (allow, link) = (&webhook.allow, &webhook.link);
        let seed = webhook.url.clone().map(|url| {
            let seed = Self::webhook(url, webhook.detail, allow.clone(), webhook.timeout_ms);
            Self { link: link.clone(), ..seed }
        });
        let named = NotifyTarget::names(&webhook.targets).into_iter().zip(&webhook.targets);
        let targets = named.map(|(name, target)| {
            let url = match &target.place {
                Place::Url(url) | Place::KeyEnv { url, .. } => Some(url.clone()),
                Place::UrlEnv(_) => None,
            };
            Self {
                target: name,
                format: target.format,
                url,
                secret: target.secret().map(ToString::to_string),
                detail: target.detail,
                allow: allow.clone(),
                timeout_ms: webhook.timeout_ms,
                link: link.clone(),
            }
        });
        seed.into_iter().chain(targets).collect()
    }

    /// The link that it tells of an alert.
    #[must_use]
    pub fn link_of(&self, alert: &Alert) -> Option<String> {
        self.link.as_ref().map(|template| payload::link(alert, template))
    }

    /// Reads what [`Outgoing::detail_text`], [`Outgoing::allow_text`] and the names of the rest wrote.
    pub(crate) fn from_texts(texts: &Texts<'_>) -> Result<Self, BadOutgoing> {
        let allow: Vec<String> =
            serde_json::from_str(texts.allow).map_err(|error| BadOutgoing::Allow { problem: error.to_string() })?;
        let allow = allow.iter().map(|entry| entry.parse()).collect::<Result<_, NotAllowable>>()?;
        let format =
            NotifyFormat::of(texts.format).ok_or_else(|| BadOutgoing::Format { format: texts.format.to_owned() })?;
        Ok(Self {
            target: texts.target.to_owned(),
            format,
            url: texts.url.map(str::parse).transpose()?,
            secret: texts.secret.map(str::to_owned),
            detail: Self::detail_of(texts.detail)?,
            allow,
            timeout_ms: texts.timeout_ms,
            link: None,
        })
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

    fn texts<'a>(url: &'a str, detail: &'a str, allow: &'a str) -> Texts<'a> {
        Texts { target: "", format: "standard", url: Some(url), secret: None, detail, allow, timeout_ms: 1500 }
    }

    #[test]
    fn what_is_kept_as_text_reads_back_the_same() {
        let allow = vec![
            AllowEntry::Net("10.0.0.0/8".parse().unwrap()),
            AllowEntry::Net("fd00::1/128".parse().unwrap()),
            AllowEntry::Host("hooks.internal".to_owned()),
        ];
        let url: WebhookUrl = "https://example.com/hook?team=7".parse().unwrap();
        let outgoing = Outgoing::webhook(url.clone(), WebhookDetail::Full, allow, 1500);
        let allow = outgoing.allow_text();
        let back = Outgoing::from_texts(&texts(url.url().as_str(), outgoing.detail_text(), &allow));
        assert_eq!(back, Ok(outgoing));
    }

    #[test]
    fn what_was_changed_from_outside_is_told_apart() {
        let read = |url, detail, allow| Outgoing::from_texts(&texts(url, detail, allow));
        assert!(matches!(read("ftp://x/", "seed", "[]"), Err(BadOutgoing::Url(_))));
        assert!(matches!(read("https://x/", "most", "[]"), Err(BadOutgoing::Detail { .. })));
        assert!(matches!(read("https://x/", "seed", "{}"), Err(BadOutgoing::Allow { .. })));
        assert!(matches!(read("https://x/", "seed", r#"["10.1.2.3/8"]"#), Err(BadOutgoing::AllowEntry(_))));
        let odd = Texts { format: "pigeon", ..texts("https://x/", "seed", "[]") };
        assert!(matches!(Outgoing::from_texts(&odd), Err(BadOutgoing::Format { .. })));
    }
}
