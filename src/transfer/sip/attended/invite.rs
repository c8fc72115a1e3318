//! The call to the human: INVITE, its answers and its end, whatever races with what (RFC 3261 sections 9, 13 and 15).
//!
//! - Called off while it rings, it is cancelled; before the first sign of life it waits for one, as a CANCEL must.
//! - A 2xx that crosses a CANCEL is acknowledged and hung up, and so is every further phone that answers one INVITE.
//! - A 2xx that comes again is acknowledged again, as long as it may come.

use std::sync::Arc;

use rsipstack::sip::{Header, Method, Request, Response, SipMessage};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::debug;

use super::consult::Event;
use super::sdp::{self, Remote};
use crate::config::settings::{Sip, SipTransport};
use crate::transfer::sip::Timing;
use crate::transfer::sip::digest::{Asker, Credentials, Login};
use crate::transfer::sip::exchange::{MAX_SENDINGS, broken, challenges, new_branch, reason, transaction, widened};
use crate::transfer::sip::inbox::{InFlight, Inbox};
use crate::transfer::sip::message::{ALLOW, Body, Message, USER_AGENT};
use crate::transfer::sip::refer::Replaced;
use crate::transfer::sip::uri::{AddressUri, HopUri};
use crate::transfer::sip::wire::{Path, Wire};

/// What the call tells its transfer.
#[derive(Debug)]
pub(super) enum News {
    Event(Event),
    Answered(Answer),
}

/// A phone that was picked up.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Where its sound goes; a re-INVITE may change it.
    pub(super) remote: watch::Receiver<Remote>,
    /// How the caller's side names the call that it is to replace.
    pub(super) replaced: Replaced,
}

/// Whom to call and how.
pub(super) struct Invitation {
    pub(super) wire: Arc<Wire>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) settings: Sip,
    pub(super) login: Option<Login>,
    pub(super) timing: Timing,
    pub(super) path: Path,
    pub(super) target: HopUri,
    /// Our own address of record.
    pub(super) from: AddressUri,
    pub(super) message: Message,
    pub(super) session: sdp::Local,
    pub(super) news: mpsc::UnboundedSender<News>,
    /// Ends the call, however far it is.
    pub(super) release: CancellationToken,
    /// The agent goes, and with it the call.
    pub(super) closing: CancellationToken,
    /// What has yet to end before the human is released.
    pub(super) calls: TaskTracker,
}

/// One sending of the INVITE.
pub(super) struct Attempt {
    pub(super) path: Path,
    pub(super) cseq: u32,
    pub(super) credentials: Vec<Header>,
    request: Request,
    in_flight: InFlight,
    responses: mpsc::UnboundedReceiver<Response>,
    /// Moves the INVITE's transaction on, and that of its CANCEL.
    drivers: Vec<AbortOnDropHandle<()>>,
}

/// How an INVITE ended.
enum Ending {
    Answered(Box<Response>),
    Other(Box<Response>),
    /// Nothing final came, or it could not be sent; `heard` is whether anything came at all.
    Silent {
        reason: String,
        heard: bool,
    },
}

impl Invitation {
    /// The INVITE to `target`; its session description goes into it when it is sent.
    pub(super) fn message(target: &HopUri, from: &AddressUri, domain: &str) -> Message {
        let mut message = Message::outside(Method::Invite, target, from.as_str(), domain);
        message.headers.extend([
            Header::Allow(ALLOW.into()),
            Header::Accept(sdp::CONTENT_TYPE.into()),
            Header::UserAgent(USER_AGENT.into()),
        ]);
        message
    }

    /// Calls, and sees the call through to its end.
    pub(super) async fn run(mut self) {
        self.message.body = Some(Body { kind: sdp::CONTENT_TYPE, text: self.session.offer() });
        self.path = widened(&self.wire, self.path, &self.message).await;
        let (sender, mut answers) = mpsc::unbounded_channel();
        let invited = Instant::now();
        let call = Arc::new(self);
        let Some((attempt, answer)) = call.invite(&sender, &mut answers).await else { return };
        let attempt = Arc::new(attempt);
        let stood = call.talk(&attempt, &answer, &mut answers).await;
        // What still comes of this INVITE is not left without an answer, for as long as it may come.
        let until = invited + call.timing.timer_f();
        let closing = call.closing.clone();
        let stragglers = async move {
            while let Ok(Some(response)) = timeout_at(until, answers.recv()).await {
                match &stood {
                    _ if response.status_code.code() < 200 => {}
                    Some(standing) if standing.is_of(&response) => call.acknowledge(standing).await,
                    _ => call.turn_away(&attempt, &response).await,
                }
            }
        };
        tokio::spawn(async move { closing.run_until_cancelled(stragglers).await });
    }

    pub(super) fn tell(&self, event: Event) {
        self.publish(News::Event(event));
    }

    pub(super) fn publish(&self, news: News) {
        if self.news.send(news).is_err() {
            debug!("news of a call that nobody waits for");
        }
    }

    /// Sends the INVITE until it is answered: with credentials where they are asked for, and to the next target where one
    /// fails (RFC 3263 section 4.3).
    async fn invite(
        &self,
        sender: &mpsc::UnboundedSender<Response>,
        answers: &mut mpsc::UnboundedReceiver<Response>,
    ) -> Option<(Attempt, Box<Response>)> {
        let mut credentials = Credentials::default();
        let (mut path, mut cseq, mut challenges_met) = (self.path.clone(), self.message.cseq, 0);
        while !self.release.is_cancelled() {
            let headers = credentials.headers(self.login.as_ref(), "INVITE", &self.message.request_uri);
            let ending = match self.send(&path, cseq, headers, sender).await {
                Err(reason) => Ending::Silent { reason, heard: false },
                Ok(mut attempt) => {
                    self.tell(Event::Sent);
                    match self.ending(&mut attempt, answers).await {
                        Ending::Answered(answer) => return Some((attempt, answer)),
                        other => other,
                    }
                }
            };
            let failed = match &ending {
                Ending::Silent { heard, .. } => !heard,
                Ending::Other(response) => response.status_code.code() == 503,
                Ending::Answered(_) => false,
            };
            if failed && let Ok(other) = self.wire.elsewhere(&path).await {
                debug!(peer = %path.peer, "a SIP target failed; the next one is tried");
                self.tell(Event::Elsewhere);
                path = widened(&self.wire, other, &self.message).await;
                cseq += u32::from(matches!(ending, Ending::Other(_)));
                continue;
            }
            let Ending::Other(response) = ending else {
                if let Ending::Silent { reason, .. } = ending {
                    self.tell(Event::Unanswered { reason });
                }
                return None;
            };
            if !self.is_challenged(&response, &mut credentials) {
                return None;
            }
            (cseq, challenges_met) = (cseq + 1, challenges_met + 1);
            if challenges_met == MAX_SENDINGS {
                self.tell(Event::Unanswered { reason: "the peer challenges without end".to_owned() });
                return None;
            }
        }
        None
    }

    /// Whether a final response only asks for credentials that we have; otherwise what it says is told.
    fn is_challenged(&self, response: &Response, credentials: &mut Credentials) -> bool {
        let status = response.status_code.code();
        let asker = match status {
            401 => Asker::Server,
            407 => Asker::Proxy,
            _ => {
                self.tell(Event::Refused { status, reason: reason(response) });
                return false;
            }
        };
        self.tell(Event::Challenged(status));
        match credentials.challenged(asker, &challenges(response, asker), self.login.as_ref()) {
            Ok(()) => true,
            Err(error) => {
                self.tell(Event::Unusable { status, code: status.to_string(), reason: error.to_string() });
                false
            }
        }
    }

    async fn send(
        &self,
        path: &Path,
        cseq: u32,
        credentials: Vec<Header>,
        answers: &mpsc::UnboundedSender<Response>,
    ) -> Result<Attempt, String> {
        let branch = new_branch();
        let request = self.message.request(path.leg, &branch, cseq, credentials.clone());
        let in_flight = self.inbox.expect_answers(&branch, path.peer.ip(), answers.clone());
        let mut transaction = transaction(&self.wire, path, request.clone())?;
        transaction.send().await.map_err(|e| e.to_string())?;
        let (sender, responses) = mpsc::unbounded_channel();
        // A task of its own, as a transaction must not be left in the middle of what it does.
        let driver = tokio::spawn(async move {
            while let Some(message) = transaction.receive().await {
                if let SipMessage::Response(response) = message {
                    drop(sender.send(response));
                }
            }
        });
        let drivers = vec![AbortOnDropHandle::new(driver)];
        Ok(Attempt { path: path.clone(), cseq, request, credentials, in_flight, responses, drivers })
    }

    /// Waits for the end of an INVITE, and cancels it when the call is called off.
    async fn ending(&self, attempt: &mut Attempt, answers: &mut mpsc::UnboundedReceiver<Response>) -> Ending {
        let (mut heard, mut until) = (false, self.patience(&attempt.path).map(|patience| Instant::now() + patience));
        let mut cancelled = false;
        loop {
            let called_off = self.release.is_cancelled();
            if called_off && heard && !cancelled {
                cancelled = true;
                self.cancel(attempt).await;
                until = Some(Instant::now() + self.timing.timer_f());
            }
            let path = attempt.path.clone();
            tokio::select! {
                biased;
                // Passed on before the transaction hears of it, which may be over by then.
                Some(answer) = answers.recv() => match answer.status_code.code() {
                    status @ 100..200 => {
                        // A CANCEL has its own time.
                        until = until.filter(|_| cancelled);
                        heard = true;
                        self.tell(Event::Provisional(status));
                    }
                    _ => return Ending::Answered(Box::new(answer)),
                },
                response = attempt.responses.recv() => match response {
                    // The stack makes up a 408 after timers B and C and a 503 after a broken stream.
                    Some(response) if response.status_code.code() >= 300 && attempt.in_flight.has_sent(&response) => {
                        return Ending::Other(Box::new(response));
                    }
                    Some(response) if response.status_code.code() < 300 => {}
                    Some(_) | None => return Ending::silent(&path, heard),
                },
                () = self.release.cancelled(), if !called_off => {}
                () = broken(&path, &attempt.in_flight) => return Ending::silent(&path, heard),
                () = moment(until) => return Ending::silent(&path, heard),
            }
        }
    }

    /// How long the first sign of life may take while there are other targets to ask.
    fn patience(&self, path: &Path) -> Option<std::time::Duration> {
        (path.leg.transport == SipTransport::Udp && path.has_spare()).then(|| self.wire.patience())
    }

    /// RFC 3261 section 9.1: the same request but for the method, and no more.
    async fn cancel(&self, attempt: &mut Attempt) {
        let mut request = attempt.request.clone();
        request.method = Method::Cancel;
        request.body.clear();
        request.headers.retain(|header| {
            matches!(
                header,
                Header::Via(_)
                    | Header::From(_)
                    | Header::To(_)
                    | Header::CallId(_)
                    | Header::MaxForwards(_)
                    | Header::Route(_)
            )
        });
        request.headers.push(Header::CSeq(format!("{} CANCEL", attempt.cseq).into()));
        let Ok(mut transaction) = transaction(&self.wire, &attempt.path, request) else { return };
        if let Err(error) = transaction.send().await {
            debug!(%error, "a CANCEL was not sent");
        }
        // Sent again until it is answered.
        let driver = tokio::spawn(async move { while transaction.receive().await.is_some() {} });
        attempt.drivers.push(AbortOnDropHandle::new(driver));
    }
}

impl Ending {
    fn silent(path: &Path, heard: bool) -> Self {
        Self::Silent { reason: format!("no answer from {}", path.peer), heard }
    }
}

async fn moment(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
