//! Everything that received bytes go through, without sockets: what the fuzz target in `tests/fuzz` and the test of its
//! corpus drive. Not part of the library's interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{Method, Response, SipMessage, Transport};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::SipConnection;
use tokio::sync::mpsc;

use super::attended::sdp;
use super::checks::{self, Frame, Framer};
use super::digest::{Asker, Credentials, Login, Trust};
use super::exchange::{Answer, challenges};
use super::inbox::{Inbox, Watching, tell};
use super::notify::{Order, Session, Watch};
use super::peers::Source;
use super::referral::answered;
use super::subscription::{Event, Subscription};
use crate::alert::outcome::Outcome;
use crate::config::secret::Secret;

/// The branch of the REFER that is under way.
pub const BRANCH: &str = "z9hG4bKintake";
/// Where the bytes come from: the peer of the dialog.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5060);

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// One datagram.
    Datagram,
    /// A stream that arrives in pieces of so many bytes, at least one.
    Stream(usize),
}

/// What came of the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The messages that passed all checks and the parser.
    pub messages: usize,
    /// The statuses with which requests are answered, in order.
    pub answers: Vec<u16>,
    /// What the transfer came to, where it came to an end.
    pub outcome: Option<Outcome>,
    /// Credentials that a challenge drew out of us.
    pub credentials: Vec<String>,
    /// Whether the stream is of no more use.
    pub broken: bool,
}

/// Takes bytes in as from the peer of a transfer under way: call `handed-over@127.0.0.1`, our tag `agent-tag`, the peer's
/// `caller-tag`, and a REFER with CSeq 7 and the branch [`BRANCH`] that waits for its response.
#[must_use]
pub fn take_in(bytes: &[u8], carrier: Carrier) -> Taken {
    let mut desk = Desk::new();
    match carrier {
        Carrier::Datagram => match checks::datagram(bytes) {
            Ok(repaired) => desk.parse(repaired.as_deref().unwrap_or(bytes), Transport::Udp),
            Err(_) => desk.taken.broken = true,
        },
        Carrier::Stream(piece) => {
            let mut framer = Framer::default();
            'stream: for piece in bytes.chunks(piece.max(1)) {
                framer.push(piece);
                loop {
                    match framer.frame() {
                        Ok(Some(Frame::Message(message))) => desk.parse(&message, Transport::Tcp),
                        Ok(Some(Frame::Ping | Frame::Skipped(_))) => {}
                        Ok(None) => break,
                        Err(_) => {
                            desk.taken.broken = true;
                            break 'stream;
                        }
                    }
                }
            }
        }
    }
    desk.finish()
}

/// A transfer under way, and what has come of it so far.
struct Desk {
    inbox: Arc<Inbox>,
    watching: Option<Watching>,
    told: mpsc::UnboundedReceiver<Event>,
    events: mpsc::UnboundedSender<Event>,
    credentials: Credentials,
    taken: Taken,
}

impl Desk {
    fn new() -> Self {
        let inbox = Arc::new(Inbox::default());
        let (events, told) = mpsc::unbounded_channel();
        let watch = Watch {
            remote_tag: Some("caller-tag".to_owned()),
            in_dialog: true,
            peers: vec![PEER],
            secure: false,
            refer_cseqs: vec![7],
            order: Order::default(),
            refusals_told: 0,
            session: Some(Session::new(
                sdp::Local::elsewhere(PEER.ip()),
                "<sip:sentiment-sidecar@127.0.0.1:5062>".to_owned(),
            )),
            events: events.clone(),
            ended: None,
        };
        let key = ("handed-over@127.0.0.1".to_owned(), "agent-tag".to_owned());
        let watching = inbox.watch(key, watch, Duration::ZERO);
        Self { inbox, watching, told, events, credentials: Credentials::default(), taken: Taken::default() }
    }

    fn parse(&mut self, bytes: &[u8], transport: Transport) {
        let parsed = SipMessage::try_from(bytes).ok();
        let Some(message) = parsed.and_then(|m| SipConnection::update_msg_received(m, PEER, transport).ok()) else {
            return;
        };
        let key = match &message {
            SipMessage::Request(request) => TransactionKey::from_request(request, TransactionRole::Server),
            SipMessage::Response(response) => TransactionKey::from_response(response, TransactionRole::Client),
        };
        let source = Source { address: PEER, stream: transport == Transport::Tcp, secure: false, listed: false };
        let in_flight = self.inbox.expect(BRANCH, Method::Refer, PEER);
        let admitted = key.is_ok() && self.inbox.admits(&message, source);
        drop(in_flight);
        if !admitted {
            return;
        }
        self.taken.messages += 1;
        match message {
            // The stack sees to these by itself: they belong to requests that it knows, or to none.
            SipMessage::Request(request) if matches!(request.method, Method::Ack | Method::Cancel) => {}
            SipMessage::Request(request) => {
                self.taken.answers.push(self.inbox.answer(&request, source).status);
            }
            SipMessage::Response(response) => self.response(response),
        }
    }

    fn response(&mut self, response: Response) {
        let status = response.status_code.code();
        let asker = match status {
            401 => Asker::Server,
            407 => Asker::Proxy,
            _ => {
                if status >= 200
                    && let Some(watching) = &self.watching
                {
                    tell(&self.events, answered(Answer::Final(Box::new(response)), watching));
                }
                return;
            }
        };
        let login =
            Login { user: "user".to_owned(), password: Secret::new("password"), trust: Trust::Realm("kam".to_owned()) };
        if self.credentials.challenged(asker, &challenges(&response, asker), Some(&login)).is_ok() {
            let headers = self.credentials.headers(Some(&login), "REFER", "sip:caller@127.0.0.1");
            self.taken.credentials.extend(headers.iter().map(|h| h.value().to_owned()));
        }
    }

    fn finish(mut self) -> Taken {
        let (mut subscription, mut is_last_call) = (Subscription::new(), false);
        while let Ok(event) = self.told.try_recv() {
            let step = subscription.handle(event);
            is_last_call |= step.last_call.is_some();
            self.taken.outcome = self.taken.outcome.or(step.outcome);
        }
        // Nothing more comes.
        if is_last_call {
            self.taken.outcome = self.taken.outcome.or(subscription.handle(Event::Deadline).outcome);
        }
        self.taken
    }
}

/// Takes bytes in by every carrier, and checks what must hold whatever they are.
///
/// # Panics
/// When it does not hold, which is a bug of ours.
pub fn check(bytes: &[u8]) {
    for carrier in [Carrier::Datagram, Carrier::Stream(bytes.len()), Carrier::Stream(7)] {
        let taken = take_in(bytes, carrier);
        assert!(taken.answers.len() <= taken.messages, "more answers than messages: {taken:?}");
        assert!(taken.answers.iter().all(|status| (200..700).contains(status)), "an answer that is none: {taken:?}");
        let may_succeed = find(bytes, b"NOTIFY") && (find(bytes, b" 2") || find(bytes, b"\t2"));
        assert!(
            may_succeed || taken.outcome != Some(Outcome::Transferred),
            "a success that nobody notified: {taken:?}"
        );
        assert!(
            taken.credentials.iter().all(|text| !text.contains(['\r', '\n']) && !text.contains("password")),
            "credentials that break their line or tell the password: {taken:?}"
        );
        if let Some(Outcome::Rejected { reason, .. }) = &taken.outcome {
            assert!(!reason.chars().any(char::is_control), "control characters in an outcome: {taken:?}");
        }
    }
    // The answer to an INVITE of ours.
    if let Ok(remote) = sdp::read_answer(bytes) {
        assert_ne!(remote.address.port(), 0, "sound that would go nowhere: {remote:?}");
    }
    // Credentials have a random part.
    let [whole, pieces] = [bytes.len(), 7]
        .map(|piece| take_in(bytes, Carrier::Stream(piece)))
        .map(|taken| Taken { credentials: vec![String::new(); taken.credentials.len()], ..taken });
    assert_eq!(whole, pieces, "how a stream is cut changes what it says");
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}
