//! A platform's end of a call, as far as tests need one: it calls, answers what the dialog brings, hands the dialog over,
//! and hangs up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sentiment_sidecar::config::settings::SipTransport;
use sentiment_sidecar::room::message::SipDialog;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::message;
use crate::support::PATIENCE;

/// A SIP message as text.
#[derive(Debug, Clone)]
pub(crate) struct Message(pub(crate) String);

impl Message {
    /// The values of a header, in order. Names are compared without case; compact names are not known.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        let named = |line: &&str| line.split_once(':').is_some_and(|(n, _)| n.trim().eq_ignore_ascii_case(name));
        head.lines().filter(named).map(|line| line.split_once(':').unwrap().1.trim()).collect()
    }

    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        let [value] = self.headers(name)[..] else { panic!("not one {name} in {}", self.0) };
        value
    }

    /// The status of a response, or none for a request.
    pub(crate) fn status(&self) -> Option<u16> {
        self.0.strip_prefix("SIP/2.0 ").map(|rest| rest[..3].parse().unwrap())
    }

    /// The method of a request or of what a response answers.
    pub(crate) fn method(&self) -> &str {
        self.header("CSeq").split_whitespace().nth(1).unwrap()
    }

    /// The body.
    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    fn tag(&self, name: &str) -> String {
        let value = self.header(name);
        value.split(";tag=").nth(1).unwrap().split(';').next().unwrap().to_owned()
    }
}

/// The way to the next hop.
enum Link {
    Udp(UdpSocket, SocketAddr),
    Tcp(Mutex<OwnedWriteHalf>, SocketAddr),
}

impl Link {
    async fn send(&self, message: &str) {
        match self {
            Self::Udp(socket, hop) => {
                socket.send_to(message.as_bytes(), hop).await.unwrap();
            }
            Self::Tcp(stream, _) => stream.lock().await.write_all(message.as_bytes()).await.unwrap(),
        }
    }

    fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket, _) => socket.local_addr().unwrap(),
            Self::Tcp(_, local) => *local,
        }
    }

    fn transport(&self) -> (&'static str, &'static str) {
        match self {
            Self::Udp(..) => ("UDP", ""),
            Self::Tcp(..) => ("TCP", ";transport=tcp"),
        }
    }
}

/// A call that the platform placed and the other side answered.
pub(crate) struct Call {
    link: Arc<Link>,
    responses: mpsc::UnboundedReceiver<Message>,
    requests: mpsc::UnboundedReceiver<Message>,
    task: JoinHandle<()>,
    contact: String,
    dialog: SipDialog,
    cseq: u32,
    /// Where our audio would be taken; open, so that nobody else gets it.
    pub(crate) rtp: UdpSocket,
    /// The other side's answer to our INVITE.
    pub(crate) answer: Message,
}

impl Call {
    /// Calls `callee`, a SIP URI, through `hop`, and waits for the answer. Requests of the dialog go to `contact` where
    /// it is given, as a platform does that lets the sidecar speak for it, and to this end of the call where not.
    pub(crate) async fn place(
        transport: SipTransport,
        hop: SocketAddr,
        callee: &str,
        contact: Option<SocketAddr>,
    ) -> Self {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (to_responses, responses) = mpsc::unbounded_channel();
        let (to_requests, requests) = mpsc::unbounded_channel();
        let (link, source) = match transport {
            SipTransport::Udp => (Link::Udp(UdpSocket::bind("127.0.0.1:0").await.unwrap(), hop), None),
            _ => {
                let (read, write) = TcpStream::connect(hop).await.unwrap().into_split();
                let local = read.local_addr().unwrap();
                (Link::Tcp(Mutex::new(write), local), Some(read))
            }
        };
        let link = Arc::new(link);
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let contact = format!("sip:agent@{}{}", contact.unwrap_or(link.local()), link.transport().1);
        let offer = sdp(&rtp);
        let task = tokio::spawn(serve(link.clone(), source, to_responses, to_requests, contact.clone(), sdp(&rtp)));
        let dialog = SipDialog {
            call_id: format!("test-call-{}-{number}@127.0.0.1", link.local().port()),
            local_tag: format!("platform-{number}"),
            remote_tag: String::new(),
            local_uri: Some("sip:agent@127.0.0.1".to_owned()),
            remote_uri: Some(callee.to_owned()),
            remote_target: Some(callee.to_owned()),
            route_set: Vec::new(),
            cseq: None,
        };
        let answer = Message(String::new());
        let mut call = Self { link, responses, requests, task, contact, dialog, cseq: 0, rtp, answer };
        let answer = call.request("INVITE", "Content-Type: application/sdp\r\n", &offer).await;
        assert_eq!(answer.status(), Some(200), "{}", answer.0);
        let to = answer.header("Contact");
        call.dialog.remote_tag = answer.tag("To");
        call.dialog.remote_target = to.split_once('<').unwrap().1.split('>').next().map(str::to_owned);
        // RFC 3261 section 12.1.2: the caller takes the route in reverse.
        let routes = answer.headers("Record-Route").into_iter().flat_map(|value| value.split(',')).rev();
        call.dialog.route_set = routes.map(|route| route.trim().to_owned()).collect();
        call.answer = answer;
        let ack = call.message("ACK", call.cseq, "", "");
        call.link.send(&ack).await;
        call
    }

    /// The dialog with a reserved CSeq, for the sidecar to go on with. Some numbers are left out, as challenges use them
    /// up.
    pub(crate) fn hand_over(&mut self) -> SipDialog {
        let reserved = self.cseq + 1;
        self.cseq += 20;
        SipDialog { cseq: Some(reserved), ..self.dialog.clone() }
    }

    /// The same without a reserved CSeq: what is left is to name it from outside.
    pub(crate) fn describe(&self) -> SipDialog {
        self.dialog.clone()
    }

    /// Hangs up, and waits until the other side has seen it.
    pub(crate) async fn hang_up(&mut self) {
        let answer = self.request("BYE", "", "").await;
        assert_eq!(answer.status(), Some(200), "{}", answer.0);
    }

    /// The next request that the other side sends to this end; it has been answered with 200.
    pub(crate) async fn next_request(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.requests.recv()).await.expect("no request came").unwrap()
    }

    /// Sends a request of the dialog and waits for its final response.
    pub(crate) async fn request(&mut self, method: &str, headers: &str, body: &str) -> Message {
        self.cseq += 1;
        let message = self.message(method, self.cseq, headers, body);
        let expected = format!("{} {method}", self.cseq);
        let (mut heard, mut pause) = (false, Duration::from_millis(500));
        let started = tokio::time::Instant::now();
        self.link.send(&message).await;
        while started.elapsed() < PATIENCE {
            match tokio::time::timeout(pause, self.responses.recv()).await {
                Ok(response) => {
                    let response = response.unwrap();
                    if response.header("CSeq") == expected {
                        heard = true;
                        if response.status().is_some_and(|s| s >= 200) {
                            return response;
                        }
                    }
                }
                // RFC 3261 section 17.1: a datagram may be lost.
                Err(_) if !heard && matches!(*self.link, Link::Udp(..)) => {
                    self.link.send(&message).await;
                    pause *= 2;
                }
                Err(_) => {}
            }
        }
        panic!("no final response to {method}; heard of it: {heard}");
    }

    fn message(&self, method: &str, cseq: u32, headers: &str, body: &str) -> String {
        static BRANCHES: AtomicU32 = AtomicU32::new(0);
        let (local, branch) = (self.link.local(), BRANCHES.fetch_add(1, Ordering::Relaxed));
        let SipDialog { call_id, local_tag, remote_tag, local_uri, remote_uri, remote_target, route_set, .. } =
            &self.dialog;
        let [local_uri, remote_uri, target] = [local_uri, remote_uri, remote_target].map(|uri| uri.as_deref().unwrap());
        let to_tag = if remote_tag.is_empty() { String::new() } else { format!(";tag={remote_tag}") };
        let routes: String = route_set.iter().map(|route| format!("Route: {route}\r\n")).collect();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{} {local};branch=z9hG4bKua{branch}-{};rport\r\n\
             Max-Forwards: 70\r\n{routes}From: <{local_uri}>;tag={local_tag}\r\nTo: <{remote_uri}>{to_tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <{}>\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.link.transport().0,
            local.port(),
            self.contact,
            body.len()
        )
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An SDP with one audio stream, PCMU, PCMA and telephone events.
fn sdp(rtp: &UdpSocket) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n",
        rtp.local_addr().unwrap().port()
    )
}

/// Reads what comes: responses are passed on; requests are answered with 200 and passed on.
async fn serve(
    link: Arc<Link>,
    mut stream: Option<OwnedReadHalf>,
    responses: mpsc::UnboundedSender<Message>,
    requests: mpsc::UnboundedSender<Message>,
    contact: String,
    sdp: String,
) {
    let mut buffered = String::new();
    while let Some(message) = receive(&link, stream.as_mut(), &mut buffered).await {
        if message.status().is_some() {
            responses.send(message).ok();
        } else if message.method() != "ACK" {
            let copied: String = message
                .0
                .split("\r\n\r\n")
                .next()
                .unwrap()
                .lines()
                .filter(|l| {
                    ["via:", "from:", "to:", "call-id:", "cseq:", "record-route:"]
                        .iter()
                        .any(|n| l.to_ascii_lowercase().starts_with(n))
                })
                .map(|l| format!("{l}\r\n"))
                .collect();
            let (kind, body) = if message.method() == "INVITE" {
                ("Content-Type: application/sdp\r\n", sdp.as_str())
            } else {
                ("", "")
            };
            let answer = format!(
                "SIP/2.0 200 OK\r\n{copied}Contact: <{contact}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            link.send(&answer).await;
            requests.send(message).ok();
        }
    }
}

async fn receive(link: &Link, stream: Option<&mut OwnedReadHalf>, buffered: &mut String) -> Option<Message> {
    let mut chunk = [0; 8192];
    match (link, stream) {
        (Link::Udp(socket, _), _) => loop {
            let (len, _) = socket.recv_from(&mut chunk).await.ok()?;
            // Keep-alives are no messages.
            if len > 4
                && let Some(text) = message(&chunk[..len])
            {
                return Some(Message(text));
            }
        },
        (Link::Tcp(..), Some(stream)) => loop {
            *buffered = buffered.trim_start().to_owned();
            if let Some((head, rest)) = buffered.split_once("\r\n\r\n") {
                let length =
                    Message(head.to_owned()).headers("Content-Length").first().map_or(0, |l| l.parse().unwrap());
                if rest.len() >= length {
                    let whole = head.len() + 4 + length;
                    let message = Message(buffered[..whole].to_owned());
                    buffered.drain(..whole);
                    return Some(message);
                }
            }
            match stream.read(&mut chunk).await.ok()? {
                0 => return None,
                len => buffered.push_str(&String::from_utf8_lossy(&chunk[..len])),
            }
        },
        (Link::Tcp(..), None) => None,
    }
}
