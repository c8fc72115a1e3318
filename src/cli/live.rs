//! What commands that serve live calls have in common: what is refused at the start, and what their hosts are made of.

use std::sync::Arc;

use super::exit::{Exit, Failure};
use crate::clock;
use crate::config::Env;
use crate::config::secret::Secrets;
use crate::config::settings::{ActionKind, Settings, TransferMode};
use crate::config::target_secrets::TargetSecrets;
use crate::notify::Deliverer;
use crate::notify::guard::Guard;
use crate::notify::sign::{NoSigner, Signer};
use crate::store::{Store, StoreUrl};
use crate::tls::Authorities;
use crate::transfer::sip;
use crate::transfer::sip::media::whisper::{BadWhisper, Whisper};

/// Refuses what could not be done when it is due: a transfer over SIP, a whisper, a webhook's address.
///
/// # Errors
/// [`Exit::BadSettings`].
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    whisper(settings)?;
    if settings.action.kind() == ActionKind::Transfer {
        sip::check_settings(&settings.sip).map_err(|error| Failure::new(Exit::BadSettings, error))?;
    }
    webhook(settings)
}

/// Opens the store, by default the user's.
pub(super) async fn open_store(url: Option<StoreUrl>) -> Result<Store, Failure> {
    let url = StoreUrl::or_of_user(url).map_err(|e| Failure::new(Exit::StoreUnusable, e))?;
    Ok(Store::open(&url).await?)
}

/// A whisper that cannot be played is refused at the start, not when a human listens.
fn whisper(settings: &Settings) -> Result<(), Failure> {
    match &settings.sip.consult.whisper_file {
        Some(file) if settings.sip.mode == TransferMode::Attended => {
            Whisper::from_file(file).map(drop).map_err(|e| Failure::new(Exit::BadSettings, e).help(BadWhisper::MEND))
        }
        _ => Ok(()),
    }
}

/// An address that would be refused when the alert is due is refused at the start. Where a name leads is seen then.
pub(super) fn webhook(settings: &Settings) -> Result<(), Failure> {
    let webhook = &settings.webhook;
    let named = webhook.targets.iter().filter_map(|target| Some(("sentimentNotifyTargets", target.url()?)));
    for (key, url) in webhook.url.iter().map(|url| ("sentimentNotifyWebhook", url)).chain(named) {
        Guard::new(url.url(), &webhook.allow).check(url.url()).map_err(|refusal| {
            Failure::new(Exit::BadSettings, format!("{key} cannot be used: {refusal}"))
                .help("sentiment-sidecar doctor tries it")
        })?;
    }
    Ok(())
}

/// What alerts are signed and addressed with. What it has no secret for is refused at the start, not when the alert is due.
pub(super) struct Sender {
    signer: Option<Signer>,
    targets: TargetSecrets,
    /// Nothing is sent.
    shadow: bool,
}

impl Sender {
    /// Takes its secrets from the environment.
    pub(super) fn new(secrets: &Secrets, shadow: bool) -> Self {
        Self {
            signer: Signer::new(secrets.webhook.clone()).ok(),
            targets: TargetSecrets::of(Env::of_process()),
            shadow,
        }
    }

    /// Refuses settings whose alerts could not be sent.
    ///
    /// # Errors
    /// [`Exit::BadSettings`].
    pub(super) fn check(&self, settings: &Settings) -> Result<(), Failure> {
        if self.shadow {
            return Ok(());
        }
        self.targets.check(&settings.webhook.targets).map_err(|errors| Failure::new(Exit::BadSettings, errors))?;
        if self.signer.is_none() && settings.webhook.needs_signature() {
            return Err(Failure::new(Exit::BadSettings, NoSigner).help(NoSigner::MEND));
        }
        Ok(())
    }

    /// Whether there is something to send of calls with these settings, or something to send it with.
    pub(super) fn is_of_use(&self, settings: &Settings) -> bool {
        self.signer.is_some() || (!self.shadow && !settings.webhook.targets.is_empty())
    }

    /// What sends alerts.
    pub(super) fn deliverer(self, store: &Store, authorities: Authorities) -> Arc<Deliverer> {
        let deliverer = Deliverer::new(store.clone(), self.signer, clock::system(), authorities);
        Arc::new(deliverer.with_secrets(self.targets))
    }
}
