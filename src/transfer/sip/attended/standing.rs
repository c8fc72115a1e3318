//! A call to the human that stands: acknowledged, watched for what its phone wants, hung up at last.

use std::sync::Arc;

use rsipstack::sip::{Header, HeadersExt as _, Method, Request, Response, SipMessage};
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::consult::{Event, NO_SESSION};
use super::invite::{Answer, Answers, Attempt, Invitation, News};
use super::sdp;
use crate::transfer::sip::dialog::Dialog;
use crate::transfer::sip::exchange::{Answer as Exchanged, exchange, new_branch, values};
use crate::transfer::sip::field::{BadField, Tag};
use crate::transfer::sip::inbox::Watching;
use crate::transfer::sip::message::Message;
use crate::transfer::sip::notify::{Order, Session, Watch};
use crate::transfer::sip::refer::{Replaced, next_hop};
use crate::transfer::sip::subscription;
use crate::transfer::sip::uri::{AddressUri, HopUri, uris};
use crate::transfer::sip::wire::Path;

/// A call that stands.
pub(super) struct Standing {
    dialog: Dialog,
    path: Path,
    ack: Request,
}

impl Standing {
    fn new(dialog: Dialog, path: Path, attempt: &Attempt) -> Result<Self, BadField> {
        let mut message = Message::within(&dialog, Method::Ack)?;
        message.headers.push(Header::ContentLength(0.into()));
        let ack = message.request(path.leg, &new_branch(), attempt.cseq, attempt.credentials.clone());
        Ok(Self { dialog, path, ack })
    }

    /// Whether a 2xx is one of this call, rather than of another phone that answered.
    pub(super) fn is_of(&self, response: &Response) -> bool {
        to_tag(response).as_deref() == self.dialog.remote_tag.as_ref().map(Tag::as_str)
    }
}

impl Invitation {
    /// Acknowledges the first answer and keeps the call up until somebody ends it. Returns it for what may still come of
    /// its INVITE.
    pub(super) async fn talk(
        self: &Arc<Self>,
        attempt: &Arc<Attempt>,
        answer: &Response,
        answers: &mut Answers,
    ) -> Option<Standing> {
        let standing = match self.standing(attempt, answer).await {
            Ok(standing) => standing,
            Err(bad) => {
                let (status, code) = (answer.status_code.code(), NO_SESSION.to_owned());
                self.tell(Event::Unusable { status, code, reason: bad.to_string() });
                let standing = self.astray(attempt, answer).ok()?;
                self.acknowledge(&standing).await;
                self.hang_up(&standing, None).await;
                return Some(standing);
            }
        };
        let (events, mut heard) = mpsc::unbounded_channel();
        let watching = self.watch(attempt, &standing, events);
        self.acknowledge(&standing).await;
        if let Some(watching) = watching.as_ref().filter(|_| !self.release.is_cancelled()) {
            self.announce(&standing, watching, answer);
            self.learn_names(&standing, watching).await;
        }
        let is_over = loop {
            tokio::select! {
                biased;
                Some(event) = heard.recv() => if event == subscription::Event::Bye {
                    self.tell(Event::HungUp);
                    break true;
                },
                Some(response) = answers.recv() => match response.status_code.code() {
                    0..200 => {}
                    _ if standing.is_of(&response) => self.acknowledge(&standing).await,
                    // Another phone of the human answered too.
                    _ => {
                        let (call, attempt) = (Arc::clone(self), Arc::clone(attempt));
                        let closing = self.closing.clone();
                        let turning = async move { call.turn_away(&attempt, &response).await };
                        self.calls.spawn(async move { closing.run_until_cancelled(turning).await });
                    }
                },
                () = self.release.cancelled() => break false,
            }
        };
        if !is_over {
            let target = watching.as_ref().and_then(Watching::target);
            self.hang_up(&standing, target).await;
        }
        Some(standing)
    }

    /// Tells what was answered, with where the sound goes.
    fn announce(&self, standing: &Standing, watching: &Watching, answer: &Response) {
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
        watching.update(|watch| {
            if let Some(session) = &mut watch.session {
                session.remote = Some(sender);
            }
        });
        if let Some(replaced) = Replaced::new(&standing.dialog) {
            self.publish(News::Answered(Answer { status, remote, replaced }));
        }
    }

    /// The dialog of a 2xx (RFC 3261 section 12.1.2), and the way into it.
    async fn standing(&self, attempt: &Attempt, answer: &Response) -> Result<Standing, BadField> {
        let missing = |field| BadField { field, problem: "is missing" };
        let tag = to_tag(answer).ok_or(missing("To tag"))?;
        let contact = answer.contact_header().map_err(|_| missing("Contact"))?;
        let contact = uris(contact.value()).into_iter().next().ok_or(missing("Contact"))?;
        let mut route_set = Vec::new();
        for route in values(answer, "Record-Route").flat_map(uris) {
            route_set.push(HopUri::new("Record-Route", route)?);
        }
        route_set.reverse();
        let remote_target = Some(HopUri::new("Contact", contact)?);
        let dialog = Dialog { remote_target, route_set, ..self.dialog(attempt, &tag)? };
        let hop = next_hop(&self.settings, &dialog)?;
        let path = match self.wire.path(&hop, attempt.path.leg.transport).await {
            Ok(path) => path,
            // Phones behind a NAT say where nobody reaches them; the INVITE came through.
            Err(problem) => {
                debug!(problem, "the human's phone is reached where the INVITE went");
                attempt.path.clone()
            }
        };
        Standing::new(dialog, path, attempt)
    }

    /// The call of a 2xx that does not say where its phone is: where the INVITE went, at least, somebody waits for an ACK.
    fn astray(&self, attempt: &Attempt, answer: &Response) -> Result<Standing, BadField> {
        let tag = to_tag(answer).ok_or(BadField { field: "To tag", problem: "is missing" })?;
        Standing::new(self.dialog(attempt, &tag)?, attempt.path.clone(), attempt)
    }

    /// The dialog of a 2xx as far as the INVITE tells.
    fn dialog(&self, attempt: &Attempt, tag: &str) -> Result<Dialog, BadField> {
        Ok(Dialog {
            call_id: self.message.call_id.clone(),
            local_tag: Some(self.message.local_tag.clone()),
            remote_tag: Some(Tag::new("To tag", tag)?),
            local_uri: Some(self.from.clone()),
            remote_uri: Some(AddressUri::new("target", self.target.as_str())?),
            remote_target: Some(self.target.clone()),
            route_set: Vec::new(),
            cseq: Some(attempt.cseq + 1),
        })
    }

    pub(super) async fn acknowledge(&self, standing: &Standing) {
        let ack = SipMessage::Request(standing.ack.clone());
        if let Err(error) = standing.path.connection.send(ack, Some(&standing.path.destination)).await {
            debug!(%error, "an ACK was not sent");
        }
    }

    /// Takes requests of the call from now on.
    fn watch(
        &self,
        attempt: &Attempt,
        standing: &Standing,
        events: mpsc::UnboundedSender<subscription::Event>,
    ) -> Option<Watching> {
        let peers = vec![attempt.path.peer, standing.path.peer];
        let session = Session::new(self.session.clone(), attempt.path.leg.contact(false));
        let watch = Watch {
            remote_tag: standing.dialog.remote_tag.as_ref().map(|tag| tag.as_str().to_owned()),
            in_dialog: true,
            peers,
            secure: standing.path.is_secure(),
            refer_cseqs: Vec::new(),
            order: Order::default(),
            refusals_told: 0,
            session: Some(session),
            events,
            ended: None,
        };
        let key = (self.message.call_id.as_str().to_owned(), self.message.local_tag.as_str().to_owned());
        self.inbox.watch(key, watch, self.timing.timer_f())
    }

    /// Adds the addresses of the hosts that the dialog names. They are looked up after the ACK, which does not wait.
    async fn learn_names(&self, standing: &Standing, watching: &Watching) {
        let Dialog { remote_target, route_set, .. } = &standing.dialog;
        let found = self.wire.addresses_of(remote_target.iter().chain(route_set).map(HopUri::hop)).await;
        watching.update(|watch| watch.peers.extend(found));
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
        match answer {
            Exchanged::Final(response) => debug!(sip_status = response.status_code.code(), "a call was hung up"),
            _ => debug!("a call was hung up, and nobody said so"),
        }
    }

    /// A phone that nobody waits for any more: acknowledged and hung up (RFC 3261 section 13.2.2.4).
    pub(super) async fn turn_away(&self, attempt: &Attempt, answer: &Response) {
        match self.standing(attempt, answer).await.or_else(|_| self.astray(attempt, answer)) {
            Ok(standing) => {
                self.acknowledge(&standing).await;
                self.hang_up(&standing, None).await;
            }
            Err(error) => debug!(%error, "an answer that cannot be acknowledged"),
        }
    }
}

pub(super) fn to_tag(response: &Response) -> Option<String> {
    let tag = response.to_header().ok()?.tag().ok()??;
    Some(tag.value().to_owned()).filter(|tag| !tag.is_empty())
}
