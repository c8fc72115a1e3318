//! Requests in a dialog that a transfer watches: NOTIFY (RFC 6665, RFC 3515) and BYE.

use std::net::SocketAddr;

use rsipstack::sip::{Header, HeadersExt as _, Request};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

use super::attended::sdp::{self, Remote};
use super::inbox::{DialogKey, Reply, tell};
use super::message::ALLOW;
use super::peers::Source;
use super::sipfrag;
use super::subscription::Event;
use super::uri::{HopUri, uris};

/// Largest sipfrag that is looked at.
const MAX_BODY: usize = 4096;
/// How many requests of one dialog that come from elsewhere are told of: anybody can send as many as they like.
const MAX_REFUSALS_TOLD: u32 = 16;

/// What a transfer expects of its dialog.
#[derive(Debug)]
pub(super) struct Watch {
    /// The peer's tag; the first NOTIFY or 2xx tells it where the REFER opened the dialog.
    pub(super) remote_tag: Option<String>,
    /// Whether it is a call's own dialog, whose BYE means that who is there has hung up.
    pub(super) in_dialog: bool,
    /// Where the dialog's requests may come from.
    pub(super) peers: Vec<SocketAddr>,
    /// Whether our request went over TLS: then only a peer that has proved who it is may speak in the dialog.
    pub(super) secure: bool,
    /// The CSeq of every REFER sent: with a challenge there are several, and peers name one or another.
    pub(super) refer_cseqs: Vec<u32>,
    /// The CSeq numbers of the peer's requests.
    pub(super) order: Order,
    /// How many requests from elsewhere were told of.
    pub(super) refusals_told: u32,
    /// The call's sound, where a re-INVITE may change it.
    pub(super) session: Option<Session>,
    pub(super) events: UnboundedSender<Event>,
    /// Set once the transfer is over: until when its dialog is still answered.
    pub(super) ended: Option<Instant>,
}

/// How far a peer's requests have got.
///
/// RFC 3261 section 12.2.2 counts all requests of a dialog together, and has one that comes too late refused. But a dialog
/// has several uses (RFC 5057), and what was overtaken by a request of another use is still the latest of its own: a NOTIFY
/// that a BYE overtook tells what became of the transfer, and a BYE that a NOTIFY overtook ends the call. Such a request is
/// refused as the RFC says, and believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Order {
    last: Option<u32>,
    last_notify: Option<u32>,
}

impl Order {
    /// Whether it is newer than all before it.
    fn is_next(self, cseq: u32) -> bool {
        self.last.is_none_or(|last| cseq > last)
    }

    /// Whether others that are newer came before it.
    fn is_overtaken(self, cseq: u32) -> bool {
        self.last.is_some_and(|last| cseq < last)
    }

    /// The same of a NOTIFY, where no newer NOTIFY was among them.
    fn is_overtaken_notify(self, cseq: u32) -> bool {
        self.is_overtaken(cseq) && self.last_notify.is_none_or(|last| cseq > last)
    }

    fn passed(&mut self, cseq: u32) {
        self.last = self.last.max(Some(cseq));
    }

    fn notified(&mut self, cseq: u32) {
        self.passed(cseq);
        self.last_notify = self.last_notify.max(Some(cseq));
    }

    /// What is known of the same dialog from before.
    pub(super) fn goes_on_from(&mut self, earlier: Self) {
        self.last = self.last.max(earlier.last);
        self.last_notify = self.last_notify.max(earlier.last_notify);
    }
}

/// What a call has of a session.
#[derive(Debug)]
pub(super) struct Session {
    local: sdp::Local,
    /// Our Contact in answers.
    contact: String,
    /// Tells the sound where it goes, where it is ours.
    pub(super) remote: Option<watch::Sender<Remote>>,
    /// Where the peer wants to be reached from now on.
    pub(super) target: Option<HopUri>,
}

impl Session {
    /// A session as it was offered.
    pub(super) fn new(local: sdp::Local, contact: String) -> Self {
        Self { local, contact, remote: None, target: None }
    }

    /// Answers a re-INVITE (RFC 3261 section 14.2): on hold and off it, or with an offer of our own where there is none.
    fn invite(&mut self, request: &Request) -> Reply {
        let (text, remote) = if request.body.is_empty() {
            (self.local.offer(), None)
        } else {
            match self.local.answer(&request.body) {
                Ok(answered) => answered,
                Err(_) => return Reply::from(488),
            }
        };
        if let (Some(sender), Some(remote)) = (&self.remote, remote) {
            sender.send_replace(remote);
        }
        let contact = once(request, "Contact", "m").and_then(|value| uris(value).first().copied());
        self.target = contact.and_then(|uri| HopUri::new("contact", uri).ok()).or(self.target.take());
        let headers = vec![
            Header::Contact(self.contact.clone().into()),
            Header::Allow(ALLOW.into()),
            Header::ContentType(sdp::CONTENT_TYPE.into()),
        ];
        Reply { status: 200, headers, body: Some(text.into_bytes()) }
    }
}

/// What every request in a dialog must have.
#[derive(Debug)]
pub(super) struct Facts {
    call_id: String,
    to_tag: Option<String>,
    from_tag: String,
    cseq: u32,
}

impl Facts {
    /// Checks what the stack's parser lets pass: each of the headers once, the CSeq's method, the body's length.
    pub(super) fn read(request: &Request) -> Option<Self> {
        let cseq = once(request, "CSeq", "CSeq")?;
        let (number, method) = cseq.split_once([' ', '\t'])?;
        if method.trim() != request.method.to_string() {
            return None;
        }
        let declared = all(request, "Content-Length", "l");
        if declared.len() > 1 || declared.first().is_some_and(|l| l.parse() != Ok(request.body.len())) {
            return None;
        }
        once(request, "From", "f")?;
        once(request, "To", "t")?;
        let tag = |t: rsipstack::sip::param::Tag| t.value().to_owned();
        Some(Self {
            call_id: once(request, "Call-ID", "i")?.to_owned(),
            from_tag: request.from_header().ok()?.tag().ok()?.map(tag).filter(|t| !t.is_empty())?,
            to_tag: request.to_header().ok()?.tag().ok()?.map(tag),
            cseq: number.parse().ok()?,
        })
    }

    /// The dialog that it belongs to.
    pub(super) fn key(&self) -> DialogKey {
        (self.call_id.clone(), self.to_tag.clone().unwrap_or_default())
    }
}

impl Watch {
    /// Whether a request is from the dialog's peer.
    fn check(&mut self, request: &Request, facts: &Facts, from: Source) -> Result<(), Reply> {
        if !from.is_of(&self.peers) || (self.secure && !from.secure) {
            if self.refusals_told < MAX_REFUSALS_TOLD {
                self.refusals_told += 1;
                let method = request.method;
                info!(%method, from = %from.address, "a request was refused, as its source is not the peer's nor in sentimentSipPeers");
            }
            return Err(Reply::from(403));
        }
        if self.remote_tag.as_ref().is_some_and(|tag| *tag != facts.from_tag) {
            return Err(Reply::from(481));
        }
        Ok(())
    }

    fn accept(&mut self, facts: &Facts) {
        self.order.passed(facts.cseq);
        self.remote_tag.get_or_insert_with(|| facts.from_tag.clone());
    }

    /// Answers a re-INVITE.
    pub(super) fn invite(&mut self, request: &Request, facts: &Facts, from: Source) -> Reply {
        if let Err(reply) = self.check(request, facts, from) {
            return reply;
        }
        if !self.order.is_next(facts.cseq) {
            return out_of_order();
        }
        self.accept(facts);
        self.session.as_mut().map_or_else(|| Reply::from(488), |session| session.invite(request))
    }

    /// Answers a BYE in a call's dialog.
    pub(super) fn bye(&mut self, request: &Request, facts: &Facts, from: Source) -> Reply {
        if let Err(reply) = self.check(request, facts, from) {
            return reply;
        }
        let is_next = self.order.is_next(facts.cseq);
        if is_next || self.order.is_overtaken(facts.cseq) {
            self.accept(facts);
            tell(&self.events, Event::Bye);
        }
        if is_next { Reply::from(200) } else { out_of_order() }
    }
}

/// RFC 3261 section 12.2.2.
fn out_of_order() -> Reply {
    Reply::with(500, vec![Header::RetryAfter("1".into())])
}

/// 489 with what we do take.
pub(super) fn bad_event() -> Reply {
    Reply::with(489, vec![Header::Other("Allow-Events".to_owned(), "refer".to_owned())])
}

/// Answers a NOTIFY and tells its transfer what it says.
pub(super) fn answer(watch: Option<&mut Watch>, request: &Request, facts: &Facts, from: Source) -> Reply {
    let Some(event) = once(request, "Event", "o") else { return bad_event() };
    let mut parts = event.split(';').map(str::trim);
    if !parts.next().is_some_and(|package| package.eq_ignore_ascii_case("refer")) {
        return bad_event();
    }
    let id = parts
        .filter_map(|p| p.split_once('='))
        .find(|(n, _)| n.trim().eq_ignore_ascii_case("id"))
        .map(|(_, v)| v.trim());
    // Only where something was referred.
    let Some(watch) = watch.filter(|watch| !watch.refer_cseqs.is_empty()) else { return Reply::from(481) };
    // RFC 3515 section 2.4.6: the id is the CSeq of the REFER; many peers leave it out for the first one.
    if id.is_some_and(|id| !watch.refer_cseqs.iter().any(|cseq| id.parse() == Ok(*cseq))) {
        return Reply::from(481);
    }
    if let Err(reply) = watch.check(request, facts, from) {
        return reply;
    }
    let is_next = watch.order.is_next(facts.cseq);
    if !is_next && !watch.order.is_overtaken_notify(facts.cseq) {
        return out_of_order();
    }
    let Some(state) = once(request, "Subscription-State", "Subscription-State") else { return Reply::from(400) };
    let terminated = state.split(';').next().is_some_and(|s| s.trim().eq_ignore_ascii_case("terminated"));
    let (status, reply) = match content(request) {
        Ok(status) => (status, Reply::from(200)),
        Err(reply) => (None, reply),
    };
    watch.accept(facts);
    watch.order.notified(facts.cseq);
    // A NOTIFY whose body says nothing to us may still end the subscription.
    if reply.status == 200 || terminated {
        tell(&watch.events, Event::Notified { status, terminated });
    }
    if is_next { reply } else { out_of_order() }
}

fn content(request: &Request) -> Result<Option<sipfrag::StatusLine>, Reply> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let kind = once(request, "Content-Type", "c").unwrap_or_default();
    if !kind.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("message/sipfrag")) {
        return Err(Reply::with(415, vec![Header::Accept("message/sipfrag".into())]));
    }
    if request.body.len() > MAX_BODY {
        return Err(Reply::from(413));
    }
    sipfrag::parse(&request.body).map(Some).map_err(|_| Reply::from(400))
}

/// All values of a header by its name or compact name.
fn all<'a>(request: &'a Request, name: &str, compact: &str) -> Vec<&'a str> {
    let named = |h: &&Header| h.name().eq_ignore_ascii_case(name) || h.name().eq_ignore_ascii_case(compact);
    request.headers.iter().filter(named).map(|h| h.value().trim()).collect()
}

/// The value of a header that is there exactly once.
fn once<'a>(request: &'a Request, name: &str, compact: &str) -> Option<&'a str> {
    match all(request, name, compact)[..] {
        [value] => Some(value),
        _ => None,
    }
}
