//! What comes in: which responses and requests are ours, from whom, and how each request is answered.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt as _, Method, Request, Response, SipMessage, StatusCode, Version};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::TransportEventInspector;
use rsipstack::transport::TransportEvent;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tracing::{debug, info};

use super::checks::is_sound;
use super::message::ALLOW;
use super::notify::{self, Watch};
use super::peers::Source;
use super::rate::Rate;
use super::subscription::Event;
use super::uri::HopUri;
use crate::config::peers::SipPeer;

/// How many requests per second of addresses that we do not deal with are answered at all.
const STRANGERS_PER_SECOND: u32 = 20;
/// How many requests per second of the addresses that our dialogs name are answered, beside those for each dialog: who
/// pretends to be one of them (as over UDP anybody can) gets no more than that out of us.
const PER_SECOND: u32 = 100;
/// How many more for each dialog.
const PER_DIALOG_AND_SECOND: u32 = 20;
/// How long an answer may take to leave.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long an ACK is waited for: timer H, and some time to come.
const ACK_TIME: Duration = Duration::from_secs(33);

/// A dialog, as its incoming requests name it: Call-ID and our tag.
pub(super) type DialogKey = (String, String);

/// What is under way, shared by all transfers of an agent.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// `sentimentSipPeers`.
    further: Vec<SipPeer>,
}

#[derive(Default)]
struct State {
    /// Requests in flight by the branch of their Via.
    exchanges: HashMap<String, Exchange>,
    watches: HashMap<DialogKey, Watch>,
    strangers: Rate,
    acquaintances: Rate,
}

struct Exchange {
    method: Method,
    peer: SocketAddr,
    /// Whether an answer that somebody else gave was told of.
    refusal_told: bool,
    heard: bool,
    /// The status of the final response, once it has come.
    final_status: Option<u16>,
    /// Of an INVITE: takes every 1xx and 2xx, also those that the stack's transaction is too old for.
    answers: Option<UnboundedSender<Response>>,
    /// Of an INVITE that the stack has no transaction for any more: all of its responses are answers.
    left: bool,
}

/// How a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<Header>,
    /// With its Content-Type among the headers.
    pub(super) body: Option<Vec<u8>>,
}

impl From<u16> for Reply {
    fn from(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }
}

impl Reply {
    /// One with headers and no body.
    pub(super) fn with(status: u16, headers: Vec<Header>) -> Self {
        Self { status, headers, body: None }
    }
}

/// A request in flight; its responses are let in until this is dropped.
pub(super) struct InFlight {
    inbox: Arc<Inbox>,
    branch: String,
}

impl InFlight {
    /// Whether the peer answered at all, if only that it is at work.
    pub(super) fn heard(&self) -> bool {
        self.inbox.lock().exchanges.get(&self.branch).is_some_and(|e| e.heard)
    }

    /// From now on refusals of an INVITE come as answers too, instead of going to the stack.
    pub(super) fn leave(&self) {
        if let Some(exchange) = self.inbox.lock().exchanges.get_mut(&self.branch) {
            exchange.left = true;
        }
    }

    /// Whether the peer sent this final response: the stack makes one up when its timers run out, or a stream breaks.
    pub(super) fn has_sent(&self, response: &Response) -> bool {
        let status = Some(response.status_code.code());
        self.inbox.lock().exchanges.get(&self.branch).is_some_and(|e| e.final_status == status)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.inbox.lock().exchanges.remove(&self.branch);
    }
}

/// A dialog that we are notified in; its requests are answered for a while after this is dropped.
pub(super) struct Watching {
    inbox: Arc<Inbox>,
    key: DialogKey,
    linger: Duration,
}

impl Watching {
    /// Changes what is known of the dialog.
    pub(super) fn update(&self, change: impl FnOnce(&mut Watch)) {
        if let Some(watch) = self.inbox.lock().watches.get_mut(&self.key) {
            change(watch);
        }
    }
}

impl Watching {
    /// Where the peer of the dialog wants to be reached, if it has said so since the dialog began.
    pub(super) fn target(&self) -> Option<HopUri> {
        self.inbox.lock().watches.get(&self.key)?.session.as_ref()?.target.clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let until = Instant::now() + self.linger;
        self.update(|watch| watch.ended = Some(until));
    }
}

impl Inbox {
    /// One that also hears what comes from `further` addresses.
    pub(super) fn new(further: Vec<SipPeer>) -> Self {
        Self { state: Mutex::default(), further }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets in responses of `peer` to the request with this branch.
    pub(super) fn expect(self: &Arc<Self>, branch: &str, method: Method, peer: SocketAddr) -> InFlight {
        self.expect_with(branch, method, peer, None)
    }

    /// The same for an INVITE: each of its 1xx and 2xx goes to `answers` in order, retransmissions and those of several
    /// phones included (RFC 3261 section 13.2.2.4).
    pub(super) fn expect_answers(
        self: &Arc<Self>,
        branch: &str,
        peer: SocketAddr,
        answers: UnboundedSender<Response>,
    ) -> InFlight {
        self.expect_with(branch, Method::Invite, peer, Some(answers))
    }

    fn expect_with(
        self: &Arc<Self>,
        branch: &str,
        method: Method,
        peer: SocketAddr,
        answers: Option<UnboundedSender<Response>>,
    ) -> InFlight {
        let exchange =
            Exchange { method, peer, refusal_told: false, heard: false, final_status: None, answers, left: false };
        self.lock().exchanges.insert(branch.to_owned(), exchange);
        InFlight { inbox: self.clone(), branch: branch.to_owned() }
    }

    /// Lets in requests of a dialog; `None` when another transfer works in it.
    pub(super) fn watch(self: &Arc<Self>, key: DialogKey, mut watch: Watch, linger: Duration) -> Option<Watching> {
        let (mut state, now) = (self.lock(), Instant::now());
        state.watches.retain(|_, watch| watch.ended.is_none_or(|until| until > now));
        match state.watches.get(&key) {
            Some(earlier) if earlier.ended.is_none() => return None,
            // The dialog goes on, and so do its numbers.
            Some(earlier) => watch.order.goes_on_from(earlier.order),
            None => {}
        }
        state.watches.insert(key.clone(), watch);
        drop(state);
        Some(Watching { inbox: self.clone(), key, linger })
    }

    /// Whether a message may go on to the stack.
    pub(super) fn admits(&self, message: &SipMessage, from: Source) -> bool {
        match message {
            SipMessage::Response(response) => self.admits_response(response, from),
            SipMessage::Request(_) => self.admits_request(from, Instant::now()),
        }
    }

    fn admits_response(&self, response: &Response, from: Source) -> bool {
        let Ok(Some(branch)) = response.transaction_id() else { return false };
        let mut state = self.lock();
        let Some(exchange) = state.exchanges.get_mut(branch.value()) else { return false };
        let status = response.status_code.code();
        if !from.is_of(&[exchange.peer]) {
            if !std::mem::replace(&mut exchange.refusal_told, true) {
                let from = from.address;
                info!(sip_status = status, %from, "an answer was dropped, as its source is not the peer's nor in sentimentSipPeers");
            }
            return false;
        }
        if !is_sound(response) {
            return false;
        }
        // A CANCEL has the branch of its INVITE, and answers of its own.
        if !response.cseq_header().and_then(|cseq| cseq.method()).is_ok_and(|method| method == exchange.method) {
            return true;
        }
        exchange.heard = true;
        if status >= 200 {
            exchange.final_status.get_or_insert(status);
        }
        if let Some(answers) = exchange.answers.as_ref().filter(|_| status < 300 || exchange.left)
            && answers.send(response.clone()).is_err()
        {
            debug!("an answer to an INVITE that is over");
        }
        !exchange.left
    }

    fn admits_request(&self, from: Source, now: Instant) -> bool {
        let mut state = self.lock();
        if state.watches.values().any(|watch| from.is_of(&watch.peers)) {
            let watches = u32::try_from(state.watches.len()).unwrap_or(u32::MAX);
            let limit = PER_SECOND.saturating_add(watches.saturating_mul(PER_DIALOG_AND_SECOND));
            return state.acquaintances.admits(limit, now);
        }
        state.strangers.admits(STRANGERS_PER_SECOND, now)
    }

    /// How a request is answered, and whom it concerns is told.
    pub(super) fn answer(&self, request: &Request, from: Source) -> Reply {
        if request.version != Version::V2 {
            return Reply::from(505);
        }
        let Some(facts) = notify::Facts::read(request) else { return Reply::from(400) };
        let mut state = self.lock();
        let now = Instant::now();
        let watch = state.watches.get_mut(&facts.key()).filter(|watch| watch.ended.is_none_or(|until| until > now));
        match request.method {
            Method::Notify => notify::answer(watch, request, &facts, from),
            Method::Bye => match watch {
                Some(watch) if watch.in_dialog => watch.bye(request, &facts, from),
                _ => Reply::from(481),
            },
            Method::Options => Reply::with(
                200,
                vec![
                    Header::Allow(ALLOW.into()),
                    Header::Accept("message/sipfrag".into()),
                    Header::Other("Allow-Events".to_owned(), "refer".to_owned()),
                ],
            ),
            Method::Invite => match watch {
                Some(watch) if watch.in_dialog => watch.invite(request, &facts, from),
                Some(_) => Reply::from(488),
                None => Reply::from(603),
            },
            Method::Refer => Reply::from(603),
            Method::Message => Reply::from(403),
            Method::Subscribe => notify::bad_event(),
            _ => Reply::with(405, vec![Header::Allow(ALLOW.into())]),
        }
    }
}

/// Answers requests until the stack ends.
pub(super) async fn serve(inbox: Arc<Inbox>, mut incoming: TransactionReceiver) {
    while let Some(mut transaction) = incoming.recv().await {
        let remote = transaction.connection.as_ref().and_then(|connection| connection.get_remote_addr());
        let Some(source) = remote.and_then(|remote| Source::new(remote, &inbox.further)) else { continue };
        // In the order of arrival; only the sending is left to run on its own, as a stream may block.
        let reply = inbox.answer(&transaction.original, source);
        debug!(method = %transaction.original.method, sip_status = reply.status, "a request was answered");
        // The stack answers in the request's version, whatever that is; ours is the only one that we speak.
        transaction.original.version = Version::V2;
        tokio::spawn(async move {
            let sending = transaction.reply_with(StatusCode::from(reply.status), reply.headers, reply.body);
            if !matches!(tokio::time::timeout(ANSWER_TIME, sending).await, Ok(Ok(()))) {
                debug!(sip_status = reply.status, "an answer could not be sent");
            }
            // An answered INVITE is answered again until its ACK comes; the stack does so while somebody waits for it.
            if transaction.original.method == Method::Invite && reply.status == 200 {
                drop(tokio::time::timeout(ACK_TIME, transaction.receive()).await);
            }
        });
    }
}

/// Stands before the stack's transactions.
pub(super) struct Gate(pub(super) Arc<Inbox>);

impl TransportEventInspector for Gate {
    fn handle<'s, 'a>(
        &'s self,
        event: TransportEvent,
    ) -> Pin<Box<dyn Future<Output = Option<TransportEvent>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let mut event = event;
            let admitted = match &mut event {
                TransportEvent::Incoming(message, _, from) => Source::new(from, &self.0.further).is_some_and(|from| {
                    mend_received(message, from.address.ip());
                    self.0.admits(message, from)
                }),
                TransportEvent::New(_) | TransportEvent::Closed(_) => true,
            };
            if !admitted {
                debug!("a message that nothing was waiting for was dropped");
            }
            admitted.then_some(event)
        })
    }
}

/// The stack notes an IPv6 source as `received=[[::1]]`, which neither it nor the peer can read: without this, answers
/// would go to the Via's host, wherever that is.
fn mend_received(message: &mut SipMessage, from: IpAddr) {
    if let (SipMessage::Request(request), IpAddr::V6(ip)) = (message, from)
        && let Ok(via) = request.via_header_mut()
    {
        let mended = via.value().replacen(&format!(";received=[[{ip}]]"), &format!(";received={ip}"), 1);
        via.replace(mended);
    }
}

/// Sends an event; a transfer that is over does not listen any more, which is fine.
pub(super) fn tell(events: &UnboundedSender<Event>, event: Event) {
    if events.send(event).is_err() {
        debug!("news of a transfer that is over");
    }
}
