//! The call to the human: INVITE, its answers and its end, whatever races with what (RFC 3261 sections 9, 13 and 15).
//!
//! - Called off while it rings, it is cancelled; before the first sign of life it waits for one, as a CANCEL must.
//! - A 2xx that crosses a CANCEL is acknowledged and hung up, and so is every further phone that answers one INVITE.
//! - A final response that comes again is acknowledged again, as long as it may come.
//! - An INVITE that was given up for another target is not left to ring: a sign of life of it is cancelled, a 2xx hung up.

use std::sync::Arc;

use rsipstack::sip::{Header, HeadersExt as _, Method, Request, Response, SipMessage};
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
use crate::transfer::sip::exchange::{MAX_SENDINGS, addressed, broken, challenges, new_branch, reason, transaction};
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
    /// Whether a 1xx came, which a CANCEL must wait for.
    rings: bool,
    /// Whether a CANCEL went out.
    cancelled: bool,
    /// Final responses by way of the INVITE's transaction.
    responses: mpsc::UnboundedReceiver<Response>,
    /// Moves the INVITE's transaction on.
    driver: AbortOnDropHandle<()>,
    /// The same for that of its CANCEL.
    canceller: Option<AbortOnDropHandle<()>>,
}

/// What the inbox passes on of an INVITE.
pub(super) type Answers = mpsc::UnboundedReceiver<Response>;

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
        let call = Arc::new(self);
        let Some((attempt, mut answers, answer)) = call.invite().await else { return };
        // RFC 3261 section 13.2.2.4: the time for other phones runs from the first one that answers.
        let until = Instant::now() + call.timing.timer_f();
        let attempt = Arc::new(attempt);
        let stood = call.talk(&attempt, &answer, &mut answers).await;
        // What still comes of this INVITE is not left without an answer, for as long as it may come.
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
    async fn invite(self: &Arc<Self>) -> Option<(Attempt, Answers, Box<Response>)> {
        let mut credentials = Credentials::default();
        let (mut path, mut cseq, mut challenges_met) = (self.path.clone(), self.message.cseq, 0);
        while !self.release.is_cancelled() {
            let headers = credentials.headers(self.login.as_ref(), "INVITE", &self.message.request_uri);
            let ending = match self.send(&mut path, cseq, headers).await {
                Err(reason) => Ending::Silent { reason, heard: false },
                Ok((mut attempt, mut answers)) => {
                    self.tell(Event::Sent);
                    match self.ending(&mut attempt, &mut answers).await {
                        Ending::Answered(answer) => return Some((attempt, answers, answer)),
                        other => {
                            self.leave(attempt, answers, matches!(other, Ending::Other(_)));
                            other
                        }
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
                path = other;
                // Its challenge is its own: what the last one got would look like credentials that it refuses.
                credentials = Credentials::default();
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

    async fn send(&self, path: &mut Path, cseq: u32, credentials: Vec<Header>) -> Result<(Attempt, Answers), String> {
        let branch = new_branch();
        let request = addressed(&self.wire, path, &self.message, &branch, cseq, credentials.clone()).await;
        let (sender, answers) = mpsc::unbounded_channel();
        let in_flight = self.inbox.expect_answers(&branch, path.peer, sender);
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
        let attempt = Attempt {
            path: path.clone(),
            cseq,
            credentials,
            request,
            in_flight,
            rings: false,
            cancelled: false,
            responses,
            driver: AbortOnDropHandle::new(driver),
            canceller: None,
        };
        Ok((attempt, answers))
    }

    /// Waits for the end of an INVITE, and cancels it when the call is called off.
    async fn ending(&self, attempt: &mut Attempt, answers: &mut Answers) -> Ending {
        let mut until = self.patience(&attempt.path).map(|patience| Instant::now() + patience);
        loop {
            let called_off = self.release.is_cancelled();
            if called_off && attempt.rings && !attempt.cancelled {
                self.cancel(attempt).await;
                until = Some(Instant::now() + self.timing.timer_f());
            }
            let (path, heard) = (attempt.path.clone(), attempt.rings);
            tokio::select! {
                biased;
                // Passed on before the transaction hears of it, which may be over by then.
                Some(answer) = answers.recv() => match answer.status_code.code() {
                    status @ 100..200 => {
                        // A CANCEL has its own time.
                        until = until.filter(|_| attempt.cancelled);
                        attempt.rings = true;
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

    /// Sees to what still comes of an INVITE that nobody waits for any more, for as long as it may come. One without a
    /// final response is not to ring.
    fn leave(self: &Arc<Self>, mut attempt: Attempt, mut answers: Answers, refused: bool) {
        // Its transaction is not to send it again; what it would do with a refusal is done here.
        attempt.in_flight.leave();
        attempt.driver.abort();
        let (call, closing) = (Arc::clone(self), self.closing.clone());
        let until = Instant::now() + self.timing.timer_f();
        let leaving = async move {
            attempt.cancelled |= refused;
            loop {
                if attempt.rings && !attempt.cancelled {
                    call.cancel(&mut attempt).await;
                }
                let Ok(Some(response)) = timeout_at(until, answers.recv()).await else { return };
                match response.status_code.code() {
                    ..200 => attempt.rings = true,
                    200..300 => call.turn_away(&attempt, &response).await,
                    _ => attempt.acknowledge(&response).await,
                }
            }
        };
        tokio::spawn(async move { closing.run_until_cancelled(leaving).await });
    }

    /// How long the first sign of life may take while there are other targets to ask.
    fn patience(&self, path: &Path) -> Option<std::time::Duration> {
        (path.leg.transport == SipTransport::Udp && path.has_spare()).then(|| self.wire.patience())
    }

    /// RFC 3261 section 9.1.
    async fn cancel(&self, attempt: &mut Attempt) {
        attempt.cancelled = true;
        let Ok(mut transaction) = transaction(&self.wire, &attempt.path, attempt.along(Method::Cancel)) else { return };
        if let Err(error) = transaction.send().await {
            debug!(%error, "a CANCEL was not sent");
        }
        // Sent again until it is answered.
        let driver = tokio::spawn(async move { while transaction.receive().await.is_some() {} });
        attempt.canceller = Some(AbortOnDropHandle::new(driver));
    }
}

impl Attempt {
    /// A request that goes the way of the INVITE itself: the same but for the method, and no more.
    fn along(&self, method: Method) -> Request {
        let mut request = self.request.clone();
        request.method = method;
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
        request.headers.push(Header::CSeq(format!("{} {method}", self.cseq).into()));
        request
    }

    /// The ACK of a refusal (RFC 3261 section 17.1.1.3).
    async fn acknowledge(&self, refusal: &Response) {
        let mut ack = self.along(Method::Ack);
        if let Ok(to) = refusal.to_header() {
            ack.headers.unique_push(Header::To(to.clone()));
        }
        ack.headers.push(Header::ContentLength(0.into()));
        if let Err(error) = self.path.connection.send(SipMessage::Request(ack), Some(&self.path.destination)).await {
            debug!(%error, "an ACK was not sent");
        }
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
