//! One attempt to tell a place of an alert: its request, with the secrets that this needs.

use std::time::Duration;

use super::format;
use super::format::request::Rendered;
use super::http::{Http, Post};
use super::schedule::{Answer, Jitter, Schedule, Verdict};
use super::sign::{NoSigner, Signer};
use crate::alert::AlertId;
use crate::alert::notice::{NoticeEvent, Told};
use crate::alert::outgoing::Outgoing;
use crate::clock::Clock;
use crate::config::secret::{Secret, SecretError};
use crate::config::settings::WebhookUrl;
use crate::config::target_secrets::TargetSecrets;
use crate::config::targets::NotifyFormat;
use crate::store::Parcel;
use crate::tls::Authorities;

/// Sends, with the secrets of this process.
pub struct Sender {
    signer: Option<Signer>,
    secrets: TargetSecrets,
    clock: Clock,
    http: Http,
}

/// What a place would not hear of a test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// Nothing was sent: a secret is missing or wrong.
    #[error("was sent nothing: {0}")]
    Unsent(String),
    /// The alert.
    #[error("did not take the test alert: {0}")]
    Alert(String),
    /// That it is over.
    #[error("took the test alert, but not that it is over: {0}; resolve the incident there by hand")]
    Resolved(String),
}

/// The status of an answer that took what was sent, or what was wrong.
fn came_to(answer: &Answer) -> Result<u16, String> {
    match Schedule::default().judge(1, answer, Jitter::clamped(0.5)) {
        Verdict::Delivered { status } => Ok(status),
        Verdict::Retry { detail, .. } | Verdict::GiveUp { detail } => Err(detail),
    }
}

impl Sender {
    /// Sends to receivers that `authorities` vouch for. Without a signer it sends only what is not signed.
    #[must_use]
    pub fn new(signer: Option<Signer>, secrets: TargetSecrets, clock: Clock, authorities: Authorities) -> Self {
        Self { signer, secrets, clock, http: Http::new(authorities) }
    }

    pub(super) fn with_secrets(self, secrets: TargetSecrets) -> Self {
        Self { secrets, ..self }
    }

    /// Whether it can sign.
    pub(super) fn signs(&self) -> bool {
        self.signer.is_some()
    }

    /// Whether it has the secret of this variable.
    pub(super) fn has(&self, variable: &str) -> bool {
        self.secrets.has(variable)
    }

    /// Tells a place of an alert now, once, and past the store: a test of the place. An incident that this opens is
    /// resolved at once.
    ///
    /// # Errors
    /// What happened, without any secret.
    pub async fn try_out(&self, told: &Told, outgoing: &Outgoing) -> Result<u16, NotTold> {
        let parcel = Parcel::Told(Box::new(told.clone()));
        let timeout = Duration::from_millis(outgoing.timeout_ms);
        self.request(&parcel, NoticeEvent::Alert, outgoing).map_err(NotTold::Unsent)?;
        let answer = self.post(&told.alert.id, &parcel, NoticeEvent::Alert, outgoing, timeout).await;
        // Also where nobody knows whether it was opened.
        let resolved = match outgoing.format {
            NotifyFormat::PagerDuty => {
                came_to(&self.post(&told.alert.id, &parcel, NoticeEvent::Resolved, outgoing, timeout).await)
            }
            _ => Ok(0),
        };
        let status = came_to(&answer).map_err(NotTold::Alert)?;
        resolved.map_err(NotTold::Resolved)?;
        Ok(status)
    }

    pub(super) async fn post(
        &self,
        id: &AlertId,
        parcel: &Parcel,
        event: NoticeEvent,
        outgoing: &Outgoing,
        timeout: Duration,
    ) -> Answer {
        let (url, request) = match self.request(parcel, event, outgoing) {
            Ok(request) => request,
            Err(detail) => return Answer::Failed { detail },
        };
        let signer = self.signer.as_ref().filter(|_| outgoing.format.is_signed());
        let now_s = (self.clock)() / 1000;
        self.http.post(Post { id: id.as_str(), url: url.url(), request, signer, outgoing, timeout, now_s }).await
    }

    /// The request, and where it goes; or which secret is missing or wrong.
    fn request(
        &self,
        parcel: &Parcel,
        event: NoticeEvent,
        outgoing: &Outgoing,
    ) -> Result<(WebhookUrl, Rendered), String> {
        if outgoing.format.is_signed() && self.signer.is_none() {
            return Err(NoSigner.to_string());
        }
        let (url, key) = self.place(outgoing)?;
        let request = match parcel {
            Parcel::Body(body) => {
                Rendered { content_type: "application/json", headers: Vec::new(), body: body.clone() }
            }
            Parcel::Told(told) => format::render(told, event, outgoing, key.as_ref()),
        };
        Ok((url, request))
    }

    /// Where a place is, and its key.
    ///
    /// # Errors
    /// Which secret is missing or wrong, without showing it.
    pub fn place(&self, outgoing: &Outgoing) -> Result<(WebhookUrl, Option<Secret>), String> {
        let wrong = |error: SecretError| error.to_string();
        match (&outgoing.url, &outgoing.secret) {
            (Some(url), None) => Ok((url.clone(), None)),
            (Some(url), Some(key)) => Ok((url.clone(), Some(self.secrets.key(key).map_err(wrong)?))),
            (None, Some(variable)) => Ok((self.secrets.url(variable).map_err(wrong)?, None)),
            (None, None) => Err("it says neither where to go nor which variable does".to_owned()),
        }
    }
}
