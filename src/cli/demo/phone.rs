//! A small SIP phone on loopback: the caller's leg of a demo call. It takes a REFER, rings the human, and notifies how
//! that went (RFC 3515), and it reports every message that it sees.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rsipstack::sip::{HasHeaders as _, Header, HeadersExt as _, Method, Request, SipMessage};
use rsipstack::transaction::random_text;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::room::message::SipDialog;

/// RFC 3261's T1 and T2, and how often a NOTIFY is sent before the phone gives up (timer F).
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const MAX_SENDINGS: u32 = 11;
/// How many reported messages wait for [`Phone::next`] before the phone drops further reports.
const REPORTS: usize = 1024;
/// The headers that a report shows.
const KEY_HEADERS: [&str; 11] = [
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Refer-To",
    "Referred-By",
    "Target-Dialog",
    "Event",
    "Subscription-State",
    "Content-Type",
];

/// How the human's phone is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhoneAnswer {
    /// How long it rings.
    pub ring: Duration,
    /// What ends the ringing: 200 when the human takes the call, else a SIP failure status such as 486.
    pub status: u16,
}

/// Which way a message went, seen from the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The phone got it.
    Received,
    /// The phone sent it.
    Sent,
}

/// One SIP message that the phone saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneEvent {
    /// Which way it went.
    pub direction: Direction,
    /// Request or status line.
    pub first_line: String,
    /// The headers that tell something, in their order.
    pub headers: Vec<(String, String)>,
    /// First line of the body, where there is one: a NOTIFY's status line.
    pub body: Option<String>,
}

/// The phone. It hangs up for good when dropped.
#[derive(Debug)]
pub struct Phone {
    address: SocketAddr,
    dialog: SipDialog,
    events: mpsc::Receiver<PhoneEvent>,
    task: JoinHandle<()>,
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a phone on a free loopback port, in the middle of a call with the room.
///
/// # Errors
/// When no loopback port can be had.
pub async fn start(answer: PhoneAnswer) -> io::Result<Phone> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    let dialog = SipDialog {
        call_id: format!("{}@127.0.0.1", random_text(16)),
        local_tag: random_text(8),
        remote_tag: random_text(8),
        local_uri: Some("sip:agent@127.0.0.1".to_owned()),
        remote_uri: Some(format!("sip:caller@{address}")),
        remote_target: Some(format!("sip:caller@{address}")),
        route_set: Vec::new(),
        cseq: Some(2),
    };
    let (reports, events) = mpsc::channel(REPORTS);
    let line = Line { socket, address, answer, dialog: dialog.clone(), reports, referral: None };
    Ok(Phone { address, dialog, events, task: tokio::spawn(line.run()) })
}

impl Phone {
    /// Where the phone is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The call's dialog as the room hands it over, with a reserved CSeq.
    #[must_use]
    pub fn dialog(&self) -> SipDialog {
        self.dialog.clone()
    }

    /// The next message that the phone saw; `None` once it has ended.
    pub async fn next(&mut self) -> Option<PhoneEvent> {
        self.events.recv().await
    }
}

struct Line {
    socket: UdpSocket,
    address: SocketAddr,
    answer: PhoneAnswer,
    dialog: SipDialog,
    reports: mpsc::Sender<PhoneEvent>,
    referral: Option<Referral>,
}

/// A REFER that the phone took.
struct Referral {
    request: Request,
    peer: SocketAddr,
    local_tag: String,
    accepted: Vec<u8>,
    /// What is still to be notified: after which wait, which status.
    steps: VecDeque<(Duration, u16)>,
    cseq: u32,
    /// The NOTIFY that waits for its 200: its bytes, how often it was sent.
    unanswered: Option<(Vec<u8>, u32)>,
    next: Option<Instant>,
}

impl Line {
    async fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        loop {
            let due = self.referral.as_ref().and_then(|r| r.next);
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let Ok((len, from)) = received else { continue };
                    self.receive(&buffer[..len], from).await;
                }
                () = timer => self.notify().await,
            }
        }
    }

    async fn receive(&mut self, datagram: &[u8], from: SocketAddr) {
        let Ok(message) = SipMessage::try_from(datagram) else { return };
        self.report(Direction::Received, &message);
        match message {
            SipMessage::Request(request) => self.answer(request, from).await,
            SipMessage::Response(response) => {
                let Some(referral) = &mut self.referral else { return };
                let ours =
                    response.cseq_header().and_then(rsipstack::sip::CSeq::seq).is_ok_and(|seq| seq == referral.cseq);
                if ours && response.status_code.code() >= 200 && referral.unanswered.take().is_some() {
                    referral.next = referral.steps.front().map(|(wait, _)| Instant::now() + *wait);
                }
            }
        }
    }

    async fn answer(&mut self, request: Request, from: SocketAddr) {
        match request.method {
            Method::Ack => {}
            Method::Refer => self.refer(request, from).await,
            Method::Bye | Method::Options => self.send(&respond(&request, "200 OK", "", self.address), from).await,
            _ => self.send(&respond(&request, "405 Method Not Allowed", "", self.address), from).await,
        }
    }

    async fn refer(&mut self, request: Request, from: SocketAddr) {
        if let Some(known) = &self.referral {
            // A retransmission gets the same answer; a second REFER has nothing left to transfer.
            let same = request.transaction_id().ok().is_some_and(|id| known.request.transaction_id().ok() == Some(id));
            let answer =
                if same { known.accepted.clone() } else { respond(&request, "491 Request Pending", "", self.address) };
            return self.send(&answer, from).await;
        }
        let to_tag = request.to_header().ok().and_then(|to| to.tag().ok().flatten()).map(|tag| tag.value().to_owned());
        let in_dialog = request.call_id_header().is_ok_and(|id| id.value() == self.dialog.call_id)
            && to_tag.as_deref() == Some(self.dialog.remote_tag.as_str());
        let about_dialog = to_tag.is_none()
            && request
                .header_value("Target-Dialog")
                .is_some_and(|t| t.split(';').next() == Some(self.dialog.call_id.as_str()));
        if !in_dialog && !about_dialog {
            let answer = respond(&request, "481 Call/Transaction Does Not Exist", "", self.address);
            return self.send(&answer, from).await;
        }
        let local_tag = to_tag.unwrap_or_else(|| random_text(8));
        let accepted = respond(&request, "202 Accepted", &local_tag, self.address);
        self.send(&accepted, from).await;
        let steps =
            VecDeque::from([(Duration::ZERO, 100), (Duration::ZERO, 180), (self.answer.ring, self.answer.status)]);
        let next = Some(Instant::now());
        self.referral =
            Some(Referral { request, peer: from, local_tag, accepted, steps, cseq: 0, unanswered: None, next });
    }

    /// Sends the next NOTIFY, or the last one again while it is unanswered.
    async fn notify(&mut self) {
        let address = self.address;
        let Some(referral) = &mut self.referral else { return };
        let (bytes, sent) = match referral.unanswered.take() {
            Some((_, MAX_SENDINGS)) => {
                referral.next = None;
                return;
            }
            Some((bytes, sent)) => (bytes, sent),
            None => match referral.steps.pop_front() {
                Some((_, status)) => (referral.notification(status, address), 0),
                None => {
                    referral.next = None;
                    return;
                }
            },
        };
        referral.unanswered = Some((bytes.clone(), sent + 1));
        referral.next = Some(Instant::now() + (T1 * 2u32.pow(sent.min(8))).min(T2));
        let peer = referral.peer;
        self.send(&bytes, peer).await;
    }

    async fn send(&self, bytes: &[u8], to: SocketAddr) {
        if let Ok(message) = SipMessage::try_from(bytes) {
            self.report(Direction::Sent, &message);
        }
        // On loopback a failed send means that the other side is gone; the retransmission or nothing follows.
        self.socket.send_to(bytes, to).await.ok();
    }

    fn report(&self, direction: Direction, message: &SipMessage) {
        let (text, headers, body) = match message {
            SipMessage::Request(m) => (m.to_string(), m.headers(), &m.body),
            SipMessage::Response(m) => (m.to_string(), m.headers(), &m.body),
        };
        let shown = |h: &&Header| KEY_HEADERS.iter().any(|k| k.eq_ignore_ascii_case(h.name()));
        let event = PhoneEvent {
            direction,
            first_line: text.lines().next().unwrap_or_default().to_owned(),
            headers: headers.iter().filter(shown).map(|h| (h.name().to_owned(), h.value().to_owned())).collect(),
            body: String::from_utf8_lossy(body).lines().next().filter(|l| !l.is_empty()).map(str::to_owned),
        };
        // Nobody reads the reports: the call goes on all the same.
        self.reports.try_send(event).ok();
    }
}

impl Referral {
    fn notification(&mut self, status: u16, address: SocketAddr) -> Vec<u8> {
        self.cseq += 1;
        let value = |name: &str| self.request.header_value(name).unwrap_or_default();
        let contact = value("Contact");
        let target =
            contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(contact.as_str(), |(uri, _)| uri);
        let refer_cseq = value("CSeq").split_whitespace().next().unwrap_or_default().to_owned();
        let to = value("To");
        let from = to.split_once(";tag=").map_or(to.as_str(), |(address, _)| address);
        let state = if status < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        let reason = rsipstack::sip::StatusCode::from(status);
        let body = format!("SIP/2.0 {status} {}\r\n", reason.text());
        format!(
            "NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{};rport\r\nMax-Forwards: 70\r\n\
             From: {from};tag={}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} NOTIFY\r\nContact: <sip:caller@{address}>\r\n\
             Event: refer;id={refer_cseq}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n\
             Content-Length: {}\r\n\r\n{body}",
            random_text(16),
            self.local_tag,
            value("From"),
            value("Call-ID"),
            self.cseq,
            body.len(),
        )
        .into_bytes()
    }
}

/// A response to `request`; `tag` goes into a To that has none.
fn respond(request: &Request, status: &str, tag: &str, address: SocketAddr) -> Vec<u8> {
    let mut out = format!("SIP/2.0 {status}\r\n");
    for header in request.headers.iter() {
        let value = match header {
            Header::To(to) if !tag.is_empty() && !to.value().contains(";tag=") => format!("{};tag={tag}", to.value()),
            Header::Via(_) | Header::From(_) | Header::To(_) | Header::CallId(_) | Header::CSeq(_) => {
                header.value().to_owned()
            }
            _ => continue,
        };
        out += &format!("{}: {value}\r\n", header.name());
    }
    out +=
        &format!("Contact: <sip:caller@{address}>\r\nAllow: REFER, NOTIFY, OPTIONS, BYE\r\nContent-Length: 0\r\n\r\n");
    out.into_bytes()
}
