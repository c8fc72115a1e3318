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
//! - Notifications count only from the addresses that the dialog names, and over TLS only from the peer that proved to
//!   be the next hop; requests that nobody asked for are refused.
//! - Who was called is released, whatever comes of the transfer and whenever it ends.
//! - A hop that is a name may have several targets (RFC 3263): one that fails is followed by the next.
//!
//! The SIP stack below logs whole messages, phone numbers included, at `info`: a program's log filter must hold
//! [`STACK_LOG_FILTER`].

pub mod attended;
mod checks;
mod digest;
mod exchange;
pub mod field;
mod inbox;
#[doc(hidden)]
pub mod intake;
pub mod media;
mod message;
mod notify;
pub mod options;
mod rate;
mod refer;
mod resolve;
mod secure;
pub mod sipfrag;
mod stream;
pub mod subscription;
pub mod uri;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::HeadersExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, info_span, warn};

use crate::config::secret::Secret;
use crate::config::settings::Sip;
use crate::tls;
use crate::transfer::{Outcome, Progress, Route, TransferRequest};
use attended::sdp;
use digest::{Login, Trust};
use exchange::{Answer, Sign, exchange, reason};
use field::BadField;
use inbox::{Gate, Inbox, Watching, tell};
use media::whisper::Whisper;
use notify::{Session, Watch};
use refer::{Plan, ReferTo};
use subscription::{Event, Subscription};
use uri::{Hop, HopUri, Host};
use wire::{Path, Wire};

/// The code of [`Outcome::Rejected`] when the room's dialog cannot go into a message.
pub const BAD_DIALOG: &str = "bad_dialog";
/// The code of [`Outcome::Rejected`] when another transfer works in the same dialog.
pub const DIALOG_IN_USE: &str = "dialog_in_use";
/// What a log filter must hold (see the module's text).
pub const STACK_LOG_FILTER: &str = "rsipstack=off";

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

/// The timers of RFC 3261 section 17, and one of ours; [`Timing::default`] has its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// T1 (500 ms): the first retransmission; 64 times as much is timer F.
    pub t1: Duration,
    /// T2 (4 s): the longest pause between retransmissions.
    pub t2: Duration,
    /// How long the result of an accepted REFER may take after the caller's side has hung up (2 s).
    pub bye_grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), bye_grace: Duration::from_secs(2) }
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
        let inbox = Arc::new(Inbox::default());
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
            let outcome = match &request.route {
                Route::Attended { .. } => self.attend(&request, &progress, &stop, deadline).await,
                _ => match Plan::new(&request.route, &self.settings) {
                    Ok(plan) => {
                        let refer_to = ReferTo::number(&request.target, &self.settings);
                        self.refer(&plan, &refer_to, deadline, &progress, &stop.cancel).await
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

    async fn refer(
        &self,
        plan: &Plan,
        refer_to: &ReferTo,
        deadline: Instant,
        progress: &mpsc::Sender<Progress>,
        cancel: &CancellationToken,
    ) -> Outcome {
        let mut transfer = Transfer { subscription: Subscription::new(), progress };
        let (events, mut news) = mpsc::unbounded_channel();
        // Outlives the work below: what is notified after the REFER's response is what counts.
        let mut watching = None;
        let work = self.work(plan, refer_to, &events, &mut watching);
        tokio::pin!(work);
        let mut working = true;
        loop {
            let event = tokio::select! {
                biased;
                Some(event) = news.recv() => event,
                () = cancel.cancelled() => Event::Cancelled,
                done = &mut work, if working => {
                    working = false;
                    match done {
                        Ok(()) => continue,
                        Err(outcome) => return outcome,
                    }
                }
                () = tokio::time::sleep_until(deadline) => Event::Deadline,
            };
            if let Some(outcome) = transfer.handle(event) {
                return outcome;
            }
        }
    }

    /// Sends the REFER and sees it through to its response; all that happens goes to `events`.
    async fn work(
        &self,
        plan: &Plan,
        refer_to: &ReferTo,
        events: &mpsc::UnboundedSender<Event>,
        watching: &mut Option<Watching>,
    ) -> Result<(), Outcome> {
        let path = match self.wire.path(&plan.hop, self.settings.transport).await {
            Ok(path) => path,
            Err(reason) => {
                tell(events, Event::NotSent { reason });
                return Ok(());
            }
        };
        let message = plan.message(refer_to, &self.settings, path.leg.local).map_err(|bad| bad_dialog(&bad))?;
        let watch = self.watch_of(plan, &path, events.clone()).await;
        let in_use = || Outcome::Rejected {
            code: DIALOG_IN_USE.to_owned(),
            reason: "another transfer works in the same dialog".to_owned(),
        };
        let key = (message.call_id.as_str().to_owned(), message.local_tag.as_str().to_owned());
        let watch = self.inbox.watch(key, watch, self.timing.timer_f());
        let watching = watching.insert(watch.ok_or_else(in_use)?);
        let sign = |sign| match sign {
            Sign::To { peer, secure } => watching.update(|watch| {
                watch.peers.push(peer);
                watch.secure = secure;
            }),
            Sign::Sending(cseq) => watching.update(|watch| watch.refer_cseqs.push(cseq)),
            Sign::Sent => tell(events, Event::Sent),
            Sign::Elsewhere => tell(events, Event::Elsewhere),
            Sign::Challenged(status) => tell(events, Event::Challenged(status)),
            Sign::Provisional(status) => tell(events, Event::Provisional(status)),
        };
        let answer = exchange(&self.wire, &self.inbox, &path, &message, self.login.as_ref(), sign).await;
        tell(events, answered(answer, watching));
        Ok(())
    }

    /// What is expected of the dialog that a REFER goes to.
    async fn watch_of(&self, plan: &Plan, path: &Path, events: mpsc::UnboundedSender<Event>) -> Watch {
        let mut peers: Vec<IpAddr> = vec![path.peer.ip()];
        for hop in plan.peers() {
            peers.extend(self.wire.addresses(hop).await);
        }
        let in_dialog = plan.is_in_dialog();
        // A phone may put us on hold before it calls the human; the sound itself is the platform's.
        let contact = path.leg.contact(plan.is_secure());
        let session = || Session::new(sdp::Local::elsewhere(path.leg.local.ip()), contact);
        Watch {
            remote_tag: plan.remote_tag().filter(|_| in_dialog).map(|tag| tag.as_str().to_owned()),
            in_dialog,
            peers,
            secure: path.is_secure(),
            refer_cseqs: Vec::new(),
            last_cseq: None,
            session: in_dialog.then(session),
            events,
            ended: None,
        }
    }
}

/// A transfer's state and whom it is told to.
struct Transfer<'a> {
    subscription: Subscription,
    progress: &'a mpsc::Sender<Progress>,
}

impl Transfer<'_> {
    fn handle(&mut self, event: Event) -> Option<Outcome> {
        let step = self.subscription.handle(event);
        if let Some(told) = step.progress {
            tell_progress(self.progress, told);
        }
        step.outcome
    }
}

fn tell_progress(progress: &mpsc::Sender<Progress>, told: Progress) {
    info!(step = told.step, sip_status = told.sip_status, "transfer");
    if progress.try_send(told).is_err() {
        debug!("nobody takes the transfer's progress");
    }
}

fn bad_dialog(bad: &BadField) -> Outcome {
    info!(field = bad.field, problem = bad.problem, "the room's SIP dialog cannot be used");
    Outcome::Rejected { code: BAD_DIALOG.to_owned(), reason: bad.to_string() }
}

/// What an exchange's end means to the transfer.
fn answered(answer: Answer, watching: &Watching) -> Event {
    match answer {
        Answer::Final(response) => {
            let status = response.status_code.code();
            if !(200..300).contains(&status) {
                return Event::Refused { status, reason: reason(&response) };
            }
            let tag = response.to_header().ok().and_then(|to| to.tag().ok().flatten()).map(|t| t.value().to_owned());
            let contact = response.contact_header().ok().and_then(|c| contact_address(c.value()));
            watching.update(|watch| {
                watch.peers.extend(contact);
                if watch.remote_tag.is_none() {
                    watch.remote_tag = tag;
                }
            });
            Event::Accepted(status)
        }
        Answer::Unauthorized { status, error } => Event::Refused { status, reason: error.to_string() },
        Answer::Unanswered(reason) => Event::Unanswered { reason },
        Answer::NotSent(reason) => Event::NotSent { reason },
    }
}

/// The address of a Contact, where it is one and not a name.
fn contact_address(contact: &str) -> Option<IpAddr> {
    let uri = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(contact, |(uri, _)| uri);
    match HopUri::new("contact", uri).ok()?.hop() {
        Hop { host: Host::Ip(ip), .. } => Some(*ip),
        Hop { .. } => None,
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
