//! The call to the human: INVITE, its answers and its end, whatever races with what (RFC 3261 sections 9, 13 and 15).
//!
//! - Called off while it rings, it is cancelled; before the first sign of life it waits for one, as a CANCEL must.
//! - A 2xx that crosses a CANCEL is acknowledged and hung up, and so is every further phone that answers one INVITE.
//! - A 2xx that comes again is acknowledged again, as long as it may come.

use std::sync::Arc;

use rsipstack::sip::{Header, HeadersExt as _, Method, Request, Response, SipMessage};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::consult::{Event, NO_SESSION};
use super::sdp::{self, Remote};
use crate::config::settings::Sip;
use crate::transfer::sip::Timing;
use crate::transfer::sip::digest::{Asker, Credentials, Login};
use crate::transfer::sip::exchange::{self, MAX_SENDINGS, challenges, exchange, new_branch, reason, values, widened};
use crate::transfer::sip::field::{BadField, Dialog, Tag};
use crate::transfer::sip::inbox::{InFlight, Inbox, Watching};
use crate::transfer::sip::notify::{Session, Watch};
use crate::transfer::sip::refer::{ALLOW, Body, Message, Replaced, USER_AGENT, next_hop};
use crate::transfer::sip::subscription;
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
}

/// One sending of the INVITE.
struct Attempt {
    cseq: u32,
    request: Request,
    credentials: Vec<Header>,
    in_flight: InFlight,
    responses: mpsc::UnboundedReceiver<Response>,
    /// Moves the INVITE's transaction on, and that of its CANCEL.
    drivers: Vec<AbortOnDropHandle<()>>,
}

/// How an INVITE ended.
enum Ending {
    Answered(Box<Response>),
    Other(Box<Response>),
    Silent(String),
}

/// A call that stands.
struct Standing {
    dialog: Dialog,
    path: Path,
    ack: Request,
}

impl Invitation {
    /// The INVITE to `target`; its session description goes into it when it is sent.
    pub(super) fn message(target: &HopUri, from: &AddressUri, domain: &str) -> Message {
        let mut message = Message::outside(Method::Invite, target, from.as_str(), domain);
        message.headers.extend([
            Header::Allow(ALLOW.into()),
            Header::Supported("replaces".into()),
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
        let cseq = attempt.cseq;
        let own_tag = call.talk(&attempt, &answer, &mut answers).await;
        // What still comes of this INVITE is not left without an answer, for as long as it may come.
        let until = invited + call.timing.timer_f();
        let closing = call.closing.clone();
        let stragglers = async move {
            while let Ok(Some(response)) = tokio::time::timeout_at(until, answers.recv()).await {
                match (&own_tag, to_tag(&response)) {
                    _ if response.status_code.code() < 200 => {}
                    (Some((own, standing)), Some(tag)) if *own == tag => call.acknowledge(standing).await,
                    _ => call.turn_away(cseq, &attempt.credentials, &response).await,
                }
            }
            drop(attempt);
        };
        tokio::spawn(async move { closing.run_until_cancelled(stragglers).await });
    }

    fn tell(&self, event: Event) {
        self.publish(News::Event(event));
    }

    fn publish(&self, news: News) {
        if self.news.send(news).is_err() {
            debug!("news of a call that nobody waits for");
        }
    }

    /// Sends the INVITE until it is answered, with credentials where they are asked for.
    async fn invite(
        &self,
        sender: &mpsc::UnboundedSender<Response>,
        answers: &mut mpsc::UnboundedReceiver<Response>,
    ) -> Option<(Attempt, Box<Response>)> {
        let mut credentials = Credentials::default();
        for cseq in self.message.cseq..self.message.cseq + MAX_SENDINGS {
            if self.release.is_cancelled() {
                return None;
            }
            let headers = credentials.headers(self.login.as_ref(), "INVITE", &self.message.request_uri);
            let sending = self.send(cseq, headers, sender).await;
            let mut attempt = sending.map_err(|reason| self.tell(Event::Unanswered { reason })).ok()?;
            self.tell(Event::Sent);
            let response = match self.ending(&mut attempt, answers).await {
                Ending::Answered(answer) => return Some((attempt, answer)),
                Ending::Silent(reason) => {
                    self.tell(Event::Unanswered { reason });
                    return None;
                }
                Ending::Other(response) => response,
            };
            let status = response.status_code.code();
            let asker = match status {
                401 => Asker::Server,
                407 => Asker::Proxy,
                _ => {
                    self.tell(Event::Refused { status, reason: reason(&response) });
                    return None;
                }
            };
            self.tell(Event::Challenged(status));
            if let Err(error) = credentials.challenged(asker, &challenges(&response, asker), self.login.as_ref()) {
                self.tell(Event::Unusable { status, code: status.to_string(), reason: error.to_string() });
                return None;
            }
        }
        self.tell(Event::Unanswered { reason: "the peer challenges without end".to_owned() });
        None
    }

    async fn send(
        &self,
        cseq: u32,
        credentials: Vec<Header>,
        answers: &mpsc::UnboundedSender<Response>,
    ) -> Result<Attempt, String> {
        let branch = new_branch();
        let request = self.message.request(self.path.leg, &branch, cseq, credentials.clone());
        let in_flight = self.inbox.expect_answers(&branch, self.path.peer.ip(), answers.clone());
        let mut transaction = exchange::transaction(&self.wire, &self.path, request.clone())?;
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
        Ok(Attempt { cseq, request, credentials, in_flight, responses, drivers })
    }

    /// Waits for the end of an INVITE, and cancels it when the call is called off.
    async fn ending(&self, attempt: &mut Attempt, answers: &mut mpsc::UnboundedReceiver<Response>) -> Ending {
        let (mut alive, mut cancelled) = (false, None);
        loop {
            if alive && self.release.is_cancelled() && cancelled.is_none() {
                self.cancel(attempt).await;
                cancelled = Some(Instant::now() + self.timing.timer_f());
            }
            let called_off = self.release.is_cancelled();
            tokio::select! {
                biased;
                // Passed on before the transaction hears of it, which may be over by then.
                Some(answer) = answers.recv() => match answer.status_code.code() {
                    status @ 100..200 => {
                        alive = true;
                        self.tell(Event::Provisional(status));
                    }
                    _ => return Ending::Answered(Box::new(answer)),
                },
                response = attempt.responses.recv() => {
                    let Some(response) = response else { return Ending::Silent("the SIP stack ended".to_owned()) };
                    match response.status_code.code() {
                        100..300 => {}
                        // The stack makes up a 408 after timer B and a 503 after a broken stream.
                        408 | 503 if !attempt.in_flight.heard() => {
                            return Ending::Silent(format!("no answer from {}", self.path.peer));
                        }
                        _ => return Ending::Other(Box::new(response)),
                    }
                }
                () = self.release.cancelled(), if !called_off => {}
                () = until(cancelled) => return Ending::Silent("cancelled, and no final answer".to_owned()),
            }
        }
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
        let Ok(mut transaction) = exchange::transaction(&self.wire, &self.path, request) else { return };
        if let Err(error) = transaction.send().await {
            debug!(%error, "a CANCEL was not sent");
        }
        // Sent again until it is answered.
        let driver = tokio::spawn(async move { while transaction.receive().await.is_some() {} });
        attempt.drivers.push(AbortOnDropHandle::new(driver));
    }

    /// Acknowledges the first answer and keeps the call up until somebody ends it. Returns its tag, for what may still
    /// come of it.
    async fn talk(
        self: &Arc<Self>,
        attempt: &Attempt,
        answer: &Response,
        answers: &mut mpsc::UnboundedReceiver<Response>,
    ) -> Option<(String, Standing)> {
        let tag = to_tag(answer)?;
        let standing = match self.standing(attempt.cseq, &attempt.credentials, answer).await {
            Ok(standing) => standing,
            Err(bad) => {
                let (status, code) = (answer.status_code.code(), NO_SESSION.to_owned());
                self.tell(Event::Unusable { status, code, reason: bad.to_string() });
                return None;
            }
        };
        let (events, mut heard) = mpsc::unbounded_channel();
        let watching = self.watch(&standing, events).await;
        self.acknowledge(&standing).await;
        if !self.release.is_cancelled() {
            self.announce(&standing, watching.as_ref(), answer);
        }
        let is_over = loop {
            tokio::select! {
                biased;
                Some(event) = heard.recv() => if event == subscription::Event::Bye {
                    self.tell(Event::HungUp);
                    break true;
                },
                Some(response) = answers.recv() => match to_tag(&response) {
                    _ if response.status_code.code() < 200 => {}
                    Some(again) if again == tag => self.acknowledge(&standing).await,
                    _ => {
                        // Another phone of the human answered too.
                        let (call, credentials, cseq) = (Arc::clone(self), attempt.credentials.clone(), attempt.cseq);
                        tokio::spawn(async move { call.turn_away(cseq, &credentials, &response).await });
                    }
                },
                () = self.release.cancelled() => break false,
            }
        };
        if !is_over {
            let target = watching.as_ref().and_then(Watching::target);
            self.hang_up(&standing, target).await;
        }
        Some((tag, standing))
    }

    /// Tells what was answered, with where the sound goes.
    fn announce(&self, standing: &Standing, watching: Option<&Watching>, answer: &Response) {
        let status = answer.status_code.code();
        let is_sdp = values(answer, "Content-Type")
            .chain(values(answer, "c"))
            .all(|kind| kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case(sdp::CONTENT_TYPE)));
        let read = if is_sdp { sdp::read_answer(&answer.body) } else { Err(sdp::NoSession::Unreadable) };
        let remote = match read {
            Ok(remote) => remote,
            Err(problem) => {
                let reason = problem.to_string();
                return self.tell(Event::Unusable { status, code: NO_SESSION.to_owned(), reason });
            }
        };
        let (sender, remote) = watch::channel(remote);
        if let Some(watching) = watching {
            watching.update(|watch| {
                if let Some(session) = &mut watch.session {
                    session.remote = Some(sender);
                }
            });
        }
        if let Some(replaced) = Replaced::new(&standing.dialog) {
            self.publish(News::Answered(Answer { status, remote, replaced }));
        }
    }

    /// The dialog of a 2xx (RFC 3261 section 12.1.2), and the way into it.
    async fn standing(&self, cseq: u32, credentials: &[Header], answer: &Response) -> Result<Standing, BadField> {
        let missing = |field| BadField { field, problem: "is missing" };
        let tag = to_tag(answer).ok_or(missing("To tag"))?;
        let contact = answer.contact_header().map_err(|_| missing("Contact"))?;
        let contact = uris(contact.value()).into_iter().next().ok_or(missing("Contact"))?;
        let mut route_set = Vec::new();
        for route in values(answer, "Record-Route").flat_map(uris) {
            route_set.push(HopUri::new("Record-Route", route)?);
        }
        route_set.reverse();
        let dialog = Dialog {
            call_id: self.message.call_id.clone(),
            local_tag: Some(self.message.local_tag.clone()),
            remote_tag: Some(Tag::new("To tag", &tag)?),
            local_uri: Some(self.from.clone()),
            remote_uri: Some(AddressUri::new("target", self.target.as_str())?),
            remote_target: Some(HopUri::new("Contact", contact)?),
            route_set,
            cseq: Some(cseq + 1),
        };
        let hop = next_hop(&self.settings, &dialog)?;
        let path = match self.wire.path(&hop, self.path.leg.transport).await {
            Ok(path) => path,
            // Phones behind a NAT say where nobody reaches them; the INVITE came through.
            Err(problem) => {
                debug!(problem, "the human's phone is reached where the INVITE went");
                self.path.clone()
            }
        };
        let mut message = Message::within(&dialog, Method::Ack)?;
        message.headers.push(Header::ContentLength(0.into()));
        let ack = message.request(path.leg, &new_branch(), cseq, credentials.to_vec());
        Ok(Standing { dialog, path, ack })
    }

    async fn acknowledge(&self, standing: &Standing) {
        let ack = SipMessage::Request(standing.ack.clone());
        if let Err(error) = standing.path.connection.send(ack, Some(&standing.path.destination)).await {
            debug!(%error, "an ACK was not sent");
        }
    }

    /// Takes requests of the call from now on.
    async fn watch(&self, standing: &Standing, events: mpsc::UnboundedSender<subscription::Event>) -> Option<Watching> {
        let mut peers = vec![self.path.peer.ip(), standing.path.peer.ip()];
        for hop in standing.dialog.remote_target.iter().chain(&standing.dialog.route_set) {
            peers.extend(self.wire.addresses(hop.hop()).await);
        }
        let session = Session::new(self.session.clone(), self.path.leg.contact(false));
        let watch = Watch {
            remote_tag: standing.dialog.remote_tag.as_ref().map(|tag| tag.as_str().to_owned()),
            in_dialog: true,
            peers,
            secure: standing.path.is_secure(),
            refer_cseqs: Vec::new(),
            last_cseq: None,
            session: Some(session),
            events,
            ended: None,
        };
        let key = (self.message.call_id.as_str().to_owned(), self.message.local_tag.as_str().to_owned());
        self.inbox.watch(key, watch, self.timing.timer_f())
    }

    /// Ends a call that stands.
    async fn hang_up(&self, standing: &Standing, target: Option<HopUri>) {
        let mut dialog = standing.dialog.clone();
        if target.is_some() {
            dialog.remote_target = target;
        }
        let message = match Message::within(&dialog, Method::Bye) {
            Ok(message) => message,
            Err(error) => return debug!(%error, "a call could not be hung up"),
        };
        let answer = exchange(&self.wire, &self.inbox, &standing.path, &message, self.login.as_ref(), |_| {}).await;
        debug!(?answer, "a call was hung up");
    }

    /// A phone that nobody waits for any more: acknowledged and hung up (RFC 3261 section 13.2.2.4).
    async fn turn_away(&self, cseq: u32, credentials: &[Header], answer: &Response) {
        match self.standing(cseq, credentials, answer).await {
            Ok(standing) => {
                self.acknowledge(&standing).await;
                self.hang_up(&standing, None).await;
            }
            Err(error) => debug!(%error, "an answer that cannot be acknowledged"),
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn to_tag(response: &Response) -> Option<String> {
    let tag = response.to_header().ok()?.tag().ok()??;
    Some(tag.value().to_owned()).filter(|tag| !tag.is_empty())
}

/// The URIs of a header's value: those in angle brackets outside of quoted names, else the value up to its parameters.
pub(in crate::transfer::sip) fn uris(value: &str) -> Vec<&str> {
    let (mut found, mut start, mut quoted, mut escaped) = (Vec::new(), None, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if start.is_none() => quoted = !quoted,
            '<' if !quoted && start.is_none() => start = Some(at + 1),
            '>' if !quoted => found.extend(start.take().map(|start| &value[start..at])),
            _ => {}
        }
    }
    if found.is_empty() && !value.contains('<') {
        found.extend(value.split(';').next().map(str::trim).filter(|uri| !uri.is_empty()));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uris_are_found_among_names_and_parameters() {
        for (value, found) in [
            ("<sip:a@b;lr>, \"x, <y>\\\"\" <sip:c@d>;q=1,<sip:e>", &["sip:a@b;lr", "sip:c@d", "sip:e"][..]),
            ("sip:a@b:5070;transport=udp", &["sip:a@b:5070"]),
            ("Ann <sip:a@b>;+sip.instance=\"<urn:uuid:1>\"", &["sip:a@b"]),
            ("<sip:a", &[]),
            ("", &[]),
        ] {
            assert_eq!(uris(value), found, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_panic(value in "[ -~é<>\",;\\\\]{0,60}") {
            prop_assert!(uris(&value).iter().all(|uri| value.contains(uri)));
        }
    }
}
