//! Attended transfer: the human is called and asked first, and the caller follows when they press the accept digit
//! (RFC 5589 section 7, RFC 3891).
//!
//! ```text
//! consult (pure: what follows from what) ◀── invite (their call) ◀──▶ the human's phone
//!    │ taken: REFER with Replaces                media (whisper, digits) ◀─RTP─▶┘
//!    ▼
//! refer, subscription: as for every transfer
//! ```
//! Until the REFER, nothing touches the caller. Whatever comes of it, the human's call is ended at last.

pub mod consult;
mod invite;
pub(crate) mod sdp;
pub(in crate::transfer::sip) mod standing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::inbox::Watching;
use super::media::whisper::Whisper;
use super::media::{Media, Mood};
use super::message::{own_domain, own_uri};
use super::refer::{Plan, ReferTo, Replaced, hop_to, target_uri};
use super::referral::Watched;
use super::steps::Steps;
use super::uri::AddressUri;
use super::{SipAgent, Stop, bad_dialog, subscription};
use crate::alert::Severity;
use crate::alert::outcome::Outcome;
use crate::call::route::TransferRequest;
use crate::number::Digit;
use crate::number::E164;
use consult::{Act, Consultation, Event, Step, Terms};
use invite::{Invitation, News};

/// A human who took the caller; their call ends when this is dropped.
struct Taken {
    replaced: Replaced,
    /// The caller's dialog: a BYE is not lost between the human's decision and the REFER.
    watched: Watched,
    _mood: watch::Sender<Mood>,
    _sound: Option<AbortOnDropHandle<()>>,
    _digits: mpsc::UnboundedReceiver<Digit>,
    _release: DropGuard,
}

impl SipAgent {
    /// Asks the human, and hands the caller over to one who takes them.
    pub(super) async fn attend(
        &self,
        request: &TransferRequest,
        steps: &Steps,
        stop: &Stop,
        deadline: Instant,
    ) -> Outcome {
        let plan = match Plan::new(&request.route, &self.settings) {
            Ok(plan) => plan,
            Err(bad) => return bad_dialog(&bad),
        };
        let taken = match self.consult(&plan, request, steps, stop, deadline).await {
            Ok(taken) => taken,
            Err(outcome) => return outcome,
        };
        // The caller may be gone from the room because they are with the human: from here on only the REFER tells.
        match ReferTo::replacing(&request.target, &self.settings, &taken.replaced) {
            Ok(refer_to) => self.refer(&plan, &refer_to, deadline, steps, &stop.cancel, taken.watched).await,
            Err(bad) => bad_dialog(&bad),
        }
    }

    /// Calls the human and waits for what they decide.
    async fn consult(
        &self,
        plan: &Plan,
        request: &TransferRequest,
        steps: &Steps,
        stop: &Stop,
        deadline: Instant,
    ) -> Result<Taken, Outcome> {
        let started = Instant::now();
        let (news, mut heard) = mpsc::unbounded_channel();
        let release = CancellationToken::new();
        let guard = release.clone().drop_guard();
        let (media, peer) = tokio::select! {
            media = self.call(plan, &request.target, news, release) => media?,
            () = stop.any() => return Err(Outcome::Cancelled),
            () = tokio::time::sleep_until(deadline) => {
                return Err(Outcome::Unreachable { reason: "no way to the human's phone by the deadline".to_owned() });
            }
        };
        let (mut media, (mood, feeling)) = (Some(media), watch::channel(Mood::Whisper));
        let (events, mut caller) = mpsc::unbounded_channel();
        // Finding the way to the caller's side holds nothing up.
        let (watch_caller, mut watching) = (self.watch_caller(plan, events.clone()), None);
        tokio::pin!(watch_caller);
        let (keys, mut digits) = mpsc::unbounded_channel();
        let (mut sound, mut replaced) = (None, None);
        let mut consultation = Consultation::new(self.terms(request, deadline.saturating_duration_since(started)));
        loop {
            let due = consultation.due().map_or(deadline, |due| started + due);
            let event = tokio::select! {
                biased;
                Some(event) = caller.recv() => match event {
                    subscription::Event::Bye => Event::CallerGone,
                    _ => continue,
                },
                () = stop.any() => Event::CalledOff,
                Some(news) = heard.recv() => match news {
                    News::Event(event) => event,
                    News::Answered(answer) => {
                        replaced = Some(answer.replaced);
                        sound = media.take().map(|media| {
                            let whisper = self.whisper(request.severity.unwrap_or(Severity::Medium));
                            let playing = media.run(whisper, peer, answer.remote, feeling.clone(), keys.clone());
                            AbortOnDropHandle::new(tokio::spawn(playing))
                        });
                        Event::Answered(answer.status)
                    }
                },
                Some(digit) = digits.recv() => Event::Pressed(digit),
                found = &mut watch_caller, if watching.is_none() => {
                    watching = Some(found);
                    continue;
                }
                () = tokio::time::sleep_until(due) => Event::Tick,
            };
            let Step { progress: told, act, outcome } = consultation.handle(started.elapsed(), event);
            if let Some(told) = told {
                steps.tell(told);
            }
            if let Some(outcome) = outcome {
                return Err(outcome);
            }
            if act == Some(Act::Refer) {
                mood.send_replace(Mood::Silence);
                let replaced = replaced.ok_or(Outcome::Unknown)?;
                let watched = Watched { events, news: caller, watching: watching.flatten() };
                return Ok(Taken { replaced, watched, _mood: mood, _sound: sound, _digits: digits, _release: guard });
            }
        }
    }

    fn terms(&self, request: &TransferRequest, longest: Duration) -> Terms {
        let consult = &self.settings.consult;
        Terms {
            ringing: Duration::from_millis(request.ringing_timeout_ms).min(longest),
            accept: Duration::from_millis(consult.accept_timeout_ms),
            longest,
            accept_digit: consult.accept_digit,
            decline_digit: consult.decline_digit,
        }
    }

    /// Starts the call to the human; the socket of its sound comes back, and where their SIP comes from.
    async fn call(
        &self,
        plan: &Plan,
        target: &E164,
        news: mpsc::UnboundedSender<News>,
        release: CancellationToken,
    ) -> Result<(Media, IpAddr), Outcome> {
        let unreachable = |reason: String| Outcome::Unreachable { reason };
        let target = target_uri(target, &self.settings).map_err(|bad| bad_dialog(&bad))?;
        let hop = hop_to(&self.settings, &target).map_err(|bad| bad_dialog(&bad))?;
        let path = self.wire.path(&hop, self.settings.transport).await.map_err(unreachable)?;
        let (local, peer) = (path.leg.local, path.peer.ip());
        let media = Media::bind(local.ip()).await.map_err(|e| unreachable(format!("no port for sound: {e}")))?;
        let from = own_uri(&self.settings, plan.local_uri(), local);
        let from = AddressUri::new("local_uri", &from).map_err(|bad| bad_dialog(&bad))?;
        let message = Invitation::message(&target, &from, &own_domain(&self.settings, plan.local_uri(), local));
        let invitation = Invitation {
            wire: Arc::clone(&self.wire),
            inbox: Arc::clone(&self.inbox),
            settings: self.settings.clone(),
            login: self.login.clone(),
            timing: self.timing,
            path,
            target,
            from,
            message,
            session: sdp::Local::new(media.local()),
            news,
            release,
            closing: self.closing.clone(),
            calls: self.calls.clone(),
        };
        self.calls.spawn(async move { invitation.closing.clone().run_until_cancelled(invitation.run()).await });
        Ok((media, peer))
    }

    /// Takes the caller's BYE, where they are in a dialog of ours; the REFER takes over from here.
    async fn watch_caller(&self, plan: &Plan, events: mpsc::UnboundedSender<subscription::Event>) -> Option<Watching> {
        if !plan.is_in_dialog() {
            return None;
        }
        let path = self.wire.path(&plan.hop, self.settings.transport).await.ok()?;
        let watch = self.watch_of(plan, &path, events).await;
        self.inbox.watch(plan.key()?, watch, self.timing.timer_f())
    }

    /// What the human hears: the file of the settings, or words that fit.
    fn whisper(&self, severity: Severity) -> Whisper {
        let consult = &self.settings.consult;
        let built_in = || Whisper::built_in(severity, consult.accept_digit, consult.decline_digit);
        self.whisper.clone().unwrap_or_else(built_in)
    }
}
