//! Transfer over SIP: a REFER (RFC 3515) inside the dialog that the room handed over, or outside of it with
//! `Target-Dialog` (RFC 4538); at once, or after the human was called and took the caller ([`attended`]).
//!
//! ```text
//! SipAgent::transfer ─▶ refer (what is sent) ─▶ exchange (digest) ─▶ wire (resolve, UDP, TCP, TLS) ─▶ peer
//!        │                                                                                            │
//!        └──── Outcome ◀── subscription (pure) ◀──────────── notify, inbox (who may say what) ◀───────┘
//! ```
//!
//! - What is received goes through `checks`, on datagrams and on streams (`stream`), before the stack's parser sees it;
//!   `intake` is the whole way in without sockets, for the fuzz target in `tests/fuzz`.
//! - An accepted REFER is no success: only a notified final status of the new call decides ([`subscription`]).
//! - Every transfer ends by its deadline.
//! - Every string of the room that goes into a message is checked first ([`field`], [`uri`]); a bad one ends the transfer as
//!   `rejected` with the code [`BAD_DIALOG`], and nothing is sent.
//! - Messages count only from the addresses and ports that the dialog names (`peers`) or `sentimentSipPeers` lists, and over
//!   TLS only from the peer that proved to be the next hop; requests that nobody asked for are refused.
//! - Who was called is released, whatever comes of the transfer and whenever it ends.
//! - A hop that is a name may have several targets (RFC 3263): one that fails is followed by the next.
//!
//! The SIP stack below logs whole messages, phone numbers included, at `info`: [`crate::telemetry`] keeps all of it out
//! of the logs.

pub mod attended;
mod checks;
mod collision;
pub mod dialog;
mod digest;
mod exchange;
pub mod field;
mod inbox;
#[doc(hidden)]
pub mod intake;
pub mod media;
mod message;
mod notify;
mod numbers;
pub mod options;
mod peers;
mod rate;
mod refer;
mod referral;
mod resolve;
mod secure;
pub mod sipfrag;
mod steps;
mod stream;
pub mod subscription;
pub mod uri;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info, info_span, warn};

use crate::alert::outcome::{Outcome, Progress};
use crate::call::route::{Route, TransferRequest, choose_route};
use crate::config::secret::Secret;
use crate::config::settings::Sip;
use crate::room::message::Welcome;
use crate::tls;
use digest::{Login, Trust};
use field::BadField;
use inbox::{Gate, Inbox};
use media::whisper::Whisper;
use numbers::Numbers;
use refer::{Plan, ReferTo};
use referral::Watched;
use steps::Steps;
use uri::Hop;
use wire::Wire;

/// The code of [`Outcome::Rejected`] when the room's dialog cannot go into a message.
pub const BAD_DIALOG: &str = "bad_dialog";
/// The code of [`Outcome::Rejected`] when another transfer works in the same dialog.
pub const DIALOG_IN_USE: &str = "dialog_in_use";

/// The longest deadline; a longer one is cut to it.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// Why the SIP agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum SipError {
    /// The listening address cannot be had.
    #[error("sentimentSipListen {listen} cannot be bound on UDP and TCP: {source}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A setting cannot go into SIP messages.
    #[error("the SIP setting {key} {problem}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The SIP stack did not start.
    #[error("the SIP stack did not start: {detail}")]
    Stack {
        /// What it said.
        detail: String,
    },
}

/// The timers of RFC 3261 section 17, and two of ours; [`Timing::default`] has its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// T1 (500 ms): the first retransmission; 64 times as much is timer F.
    pub t1: Duration,
    /// T2 (4 s): the longest pause between retransmissions.
    pub t2: Duration,
    /// How long the result of an accepted REFER may take after the caller's side has hung up (2 s).
    pub bye_grace: Duration,
    /// How long it may take after the subscription to it has ended without one (5 s): as long as the room has to settle it.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            bye_grace: Duration::from_secs(2),
            settle: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// Timer F (32 s): how long a request waits for its final response, and how long a finished transfer's dialog is
    /// still answered.
    #[must_use]
    pub fn timer_f(self) -> Duration {
        self.t1 * 64
    }
}

/// Transfers calls by REFER, any number at once. Its sockets close when it is dropped.
pub struct SipAgent {
    settings: Sip,
    login: Option<Login>,
    wire: Arc<Wire>,
    inbox: Arc<Inbox>,
    timing: Timing,
    numbers: Numbers,
    /// The sound of `sentimentWhisperFile`.
    whisper: Option<Whisper>,
    /// Calls to humans that have yet to end.
    calls: TaskTracker,
    closing: CancellationToken,
}

/// What ends a transfer early.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// It is called off, whatever its state.
    pub cancel: CancellationToken,
    /// The caller is gone or the process is about to stop: an attended transfer whose human has yet to decide is called
    /// off; one that hands the caller over at this moment goes on, as that is where the caller may have gone.
    pub asking: CancellationToken,
}

impl Stop {
    /// Waits for either.
    async fn any(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.asking.cancelled() => {}
        }
    }
}

impl From<CancellationToken> for Stop {
    fn from(cancel: CancellationToken) -> Self {
        Self { cancel, asking: CancellationToken::new() }
    }
}

impl Drop for SipAgent {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl SipAgent {
    /// Binds `sentimentSipListen` on UDP and TCP and answers from then on.
    ///
    /// # Errors
    /// [`SipError`] when the address cannot be bound or a setting cannot go into a message.
    pub async fn start(settings: &Sip, password: Option<Secret>) -> Result<Self, SipError> {
        Self::start_with(settings, password, Timing::default()).await
    }

    /// Like [`SipAgent::start`], with other timers.
    ///
    /// # Errors
    /// As for [`SipAgent::start`].
    pub async fn start_with(settings: &Sip, password: Option<Secret>, timing: Timing) -> Result<Self, SipError> {
        check_settings(settings)?;
        let inbox = Arc::new(Inbox::new(settings.peers.clone()));
        let (wire, incoming) = Wire::open(settings, timing, Box::new(Gate(inbox.clone()))).await?;
        tokio::spawn(inbox::serve(inbox.clone(), incoming));
        let trust = match (&settings.realm, &settings.proxy) {
            (Some(realm), _) => Trust::Realm(realm.clone()),
            (None, Some(_)) => Trust::Proxy,
            (None, None) => Trust::Nobody,
        };
        let login = settings.user.clone().zip(password).map(|(user, password)| Login { user, password, trust });
        let whisper = settings.consult.whisper_file.as_deref().map(Whisper::from_file).transpose();
        // The call is more important than how it is announced.
        let whisper = whisper.inspect_err(|error| warn!(%error, "the built-in words are whispered")).ok().flatten();
        Ok(Self {
            settings: settings.clone(),
            login,
            wire: Arc::new(wire),
            inbox,
            timing,
            numbers: Numbers::default(),
            whisper,
            calls: TaskTracker::new(),
            closing: CancellationToken::new(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.wire.listen()
    }

    /// Transfers the caller to the request's target and waits for what comes of it, at most `deadline_ms`.
    ///
    /// Steps on the way go to `progress` as far as it has room; they never hold the transfer up. Dropping the future
    /// is like cancelling: no further REFER is sent, what the peer still says is answered, and a human who was called is
    /// released.
    pub async fn transfer(
        &self,
        request: TransferRequest,
        progress: mpsc::Sender<Progress>,
        stop: impl Into<Stop>,
    ) -> Outcome {
        let (span, stop) = (info_span!("transfer", alert_id = %request.alert_id), stop.into());
        let deadline = Instant::now() + Duration::from_millis(request.deadline_ms).min(MAX_DEADLINE);
        async {
            let steps = Steps::new(progress);
            let outcome = match &request.route {
                Route::Attended { .. } => self.attend(&request, &steps, &stop, deadline).await,
                _ => match Plan::new(&request.route, &self.settings) {
                    Ok(plan) => {
                        let refer_to = ReferTo::number(&request.target, &self.settings);
                        self.refer(&plan, &refer_to, deadline, &steps, &stop.cancel, Watched::new()).await
                    }
                    Err(bad) => bad_dialog(&bad),
                },
            };
            info!(outcome = outcome.name(), "the transfer ended");
            outcome
        }
        .instrument(span)
        .await
    }

    /// Waits until every human who was called is released: their ringing cancelled, their call hung up.
    pub async fn released(&self) {
        self.calls.close();
        self.calls.wait().await;
    }
}

fn bad_dialog(bad: &BadField) -> Outcome {
    info!(field = bad.field, problem = bad.problem, "the room's SIP dialog cannot be used");
    Outcome::Rejected { code: BAD_DIALOG.to_owned(), reason: bad.to_string() }
}

/// Checks whether a transfer can use the dialog that a room hands over, where it would take that way.
///
/// # Errors
/// [`BadField`] names what is wrong with it.
pub fn check_handover(welcome: &Welcome, sip: &Sip) -> Result<(), BadField> {
    match choose_route(welcome, sip.mode) {
        None | Some(Route::RoomCommand) => Ok(()),
        Some(route) => Plan::new(&route, sip)?.is_as_handed_over(),
    }
}

/// Checks what no grammar can tell of the settings; reads `sentimentSipCaFile`.
///
/// # Errors
/// [`SipError::Setting`] when a setting cannot be used.
pub fn check_settings(settings: &Sip) -> Result<(), SipError> {
    let bad = |key| move |bad: BadField| SipError::Setting { key, problem: bad.problem.to_owned() };
    if let Some(path) = &settings.ca_file {
        let unusable = |error: tls::TlsError| SipError::Setting {
            key: "sentimentSipCaFile",
            problem: format!("is wrong: {error}"),
        };
        tls::authorities(path).map_err(unusable)?;
    }
    if let Some(proxy) = &settings.proxy {
        Hop::parse("proxy", proxy).map_err(bad("sentimentSipProxy"))?;
    }
    for (key, domain) in
        [("sentimentSipDomain", &settings.domain), ("sentimentSipTargetDomain", &settings.target_domain)]
    {
        if domain.as_ref().is_some_and(|domain| !uri::is_host(domain)) {
            return Err(SipError::Setting { key, problem: "is not a host name".to_owned() });
        }
    }
    if settings.user.as_ref().is_some_and(|user| user.is_empty() || user.chars().any(char::is_control)) {
        let problem = "is empty or holds control characters".to_owned();
        return Err(SipError::Setting { key: "sentimentSipUser", problem });
    }
    Ok(())
}
