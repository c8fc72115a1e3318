//! Peers that say what they must not, and what is answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::settings::SipTransport;
use sentiment_sidecar::room::message::SipDialog;
use sentiment_sidecar::transfer::sip::{BAD_DIALOG, SipAgent, Timing};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{agent, dialog, message, request, settings, transfer};

/// How long a message may take to come; what is waited for is mostly a program that starts and rates on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A peer that sends what a test tells it to.
pub(crate) struct Peer {
    socket: UdpSocket,
    agent: SocketAddr,
}

impl Peer {
    pub(crate) async fn bind(ip: &str, agent: SocketAddr) -> Self {
        Self { socket: UdpSocket::bind((ip, 0)).await.unwrap(), agent }
    }

    pub(crate) async fn bind_to(address: SocketAddr, agent: SocketAddr) -> Self {
        Self { socket: UdpSocket::bind(address).await.unwrap(), agent }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The agent that it talks to.
    pub(crate) fn agent(&self) -> SocketAddr {
        self.agent
    }

    pub(crate) async fn receive(&self) -> String {
        let mut buffer = [0; 4096];
        loop {
            let received = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
            let (len, _) = received.expect("nothing came").unwrap();
            if let Some(text) = message(&buffer[..len]) {
                return text;
            }
        }
    }

    /// Takes a REFER, which may come again, and answers it.
    pub(crate) async fn answer_refer(&self, status: &str) -> String {
        let refer = self.receive().await;
        assert!(refer.starts_with("REFER "), "{refer}");
        self.respond(&refer, status, "").await;
        refer
    }

    pub(crate) async fn accept(&self) {
        self.answer_refer("202 Accepted").await;
    }

    pub(crate) async fn respond(&self, request: &str, status: &str, headers: &str) {
        self.socket.send_to(response(request, status, headers).as_bytes(), self.agent).await.unwrap();
    }

    /// Sends a request of the handed-over dialog and returns the status of its answer.
    pub(crate) async fn ask(&self, method: &str, cseq: u32, headers: &str, body: &str) -> u16 {
        self.ask_in("handed-over@127.0.0.1", "caller-tag", method, cseq, headers, body).await
    }

    async fn ask_in(&self, call: &str, tag: &str, method: &str, cseq: u32, headers: &str, body: &str) -> u16 {
        static BRANCH: AtomicU32 = AtomicU32::new(0);
        let (address, branch) = (self.address(), BRANCH.fetch_add(1, Ordering::Relaxed));
        let text = format!(
            "{method} sip:sentiment-sidecar@{} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKtest{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{address}>;tag={tag}\r\nTo: <sip:agent@127.0.0.1>;tag=agent-tag\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} {method}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.agent,
            body.len()
        );
        self.socket.send_to(text.as_bytes(), self.agent).await.unwrap();
        let mut answer = self.receive().await;
        // A REFER that was sent again before its answer came.
        while answer.starts_with("REFER ") {
            answer = self.receive().await;
        }
        assert!(answer.starts_with("SIP/2.0 "), "{answer}");
        answer[8..11].parse().unwrap()
    }

    pub(crate) async fn notify(&self, cseq: u32, state: &str, sipfrag: &str) -> u16 {
        let headers = format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
        self.ask("NOTIFY", cseq, &headers, sipfrag).await
    }
}

/// A response to a request of ours.
pub(crate) fn response(request: &str, status: &str, headers: &str) -> String {
    let copied: String = request
        .lines()
        .filter(|l| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| l.starts_with(name)))
        .map(|l| format!("{l}\r\n"))
        .collect();
    format!("SIP/2.0 {status}\r\n{copied}{headers}Content-Length: 0\r\n\r\n")
}

/// A transfer under way whose REFER the peer has accepted.
async fn under_way(deadline_ms: u64) -> (Peer, JoinHandle<Outcome>, CancellationToken) {
    under_way_with(Timing::default(), deadline_ms).await
}

async fn under_way_with(timing: Timing, deadline_ms: u64) -> (Peer, JoinHandle<Outcome>, CancellationToken) {
    let agent = SipAgent::start_with(&settings(SipTransport::Udp), None, timing).await.unwrap();
    let peer = Peer::bind("127.0.0.1", agent.listen()).await;
    let (route, cancel) = (Route::ReferInDialog { dialog: dialog(peer.address()) }, CancellationToken::new());
    let token = cancel.clone();
    let running = tokio::spawn(async move {
        let outcome = agent.transfer(request(route, deadline_ms), mpsc::channel(64).0, token).await;
        // The agent stays, so that what comes after the outcome is answered.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(agent);
        });
        outcome
    });
    peer.accept().await;
    (peer, running, cancel)
}

#[tokio::test]
async fn injection_through_the_dialog_sends_nothing() {
    let agent = agent(SipTransport::Udp).await;
    let peer = Peer::bind("127.0.0.1", agent.listen()).await;
    let good = dialog(peer.address());
    let evil = format!("sip:caller@{}\r\nX-Evil: 1", peer.address());
    let text = |value: &str| Some(value.to_owned());
    for (field, bad) in [
        ("call_id", SipDialog { call_id: "a\r\nX-Evil: 1".to_owned(), ..good.clone() }),
        ("local_tag", SipDialog { local_tag: "t\nX".to_owned(), ..good.clone() }),
        ("remote_tag", SipDialog { remote_tag: "t;x=y".to_owned(), ..good.clone() }),
        ("local_uri", SipDialog { local_uri: text("sip:a@b>;tag=x"), ..good.clone() }),
        ("remote_uri", SipDialog { remote_uri: Some(evil.clone()), ..good.clone() }),
        ("remote_target", SipDialog { remote_target: Some(evil), ..good.clone() }),
        ("remote_target", SipDialog { remote_target: text("sip:a@h?Refer-To=sip:x"), ..good.clone() }),
        ("route_set", SipDialog { route_set: vec!["<sip:p;lr>, <sip:q>".to_owned()], ..good.clone() }),
        ("cseq", SipDialog { cseq: None, ..good.clone() }),
    ] {
        let (outcome, told) = transfer(&agent, Route::ReferInDialog { dialog: bad }, 5_000).await;
        let Outcome::Rejected { code, reason } = outcome else { panic!("{outcome:?}") };
        assert_eq!(code, BAD_DIALOG);
        assert!(reason.contains(field), "{reason} names {field}");
        assert!(told.is_empty(), "{told:?}");
    }
    // Datagrams on loopback arrive in order: a good REFER that comes first proves that nothing went before it.
    let running = tokio::spawn(async move { transfer(&agent, Route::ReferInDialog { dialog: good }, 5_000).await.0 });
    peer.accept().await;
    assert_eq!(peer.notify(1, "terminated", "SIP/2.0 200 OK\n").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::Transferred);
}

#[tokio::test]
async fn notifications_are_checked_before_they_count() {
    let (peer, running, _) = under_way(20_000).await;
    let ok = "Event: refer\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n";
    let success = "SIP/2.0 200 OK\r\n";
    let stranger = Peer::bind("127.0.0.2", peer.agent).await;
    assert_eq!(stranger.ask("NOTIFY", 1, ok, success).await, 403, "wrong source");
    assert_eq!(peer.ask_in("other-call", "caller-tag", "NOTIFY", 1, ok, success).await, 481, "unknown dialog");
    assert_eq!(peer.ask_in("handed-over@127.0.0.1", "other", "NOTIFY", 1, ok, success).await, 481, "wrong tag");
    assert_eq!(peer.ask("NOTIFY", 1, &ok.replace("refer", "presence"), success).await, 489, "other package");
    assert_eq!(peer.ask("NOTIFY", 2, &ok.replace("refer", "refer;id=99"), success).await, 481, "other subscription");
    assert_eq!(peer.ask("NOTIFY", 3, "Event: refer\r\n", success).await, 400, "no state");
    assert_eq!(peer.ask("NOTIFY", 4, &ok.replace("sipfrag", "cpim"), success).await, 415, "other content");
    assert_eq!(peer.ask("NOTIFY", 5, ok, "200 OK").await, 400, "no status line");
    assert_eq!(peer.ask("NOTIFY", 10, &ok.replace("refer", "refer;id=7"), "SIP/2.0 180 Ringing\n").await, 200);
    assert_eq!(peer.ask("NOTIFY", 9, ok, success).await, 500, "stale CSeq");
    assert!(!running.is_finished(), "none of these was a result");
    assert_eq!(peer.notify(11, "terminated;reason=reason=noresource", "SIP/2.0 486 Busy Here").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::Busy);
    assert_eq!(peer.notify(12, "terminated", success).await, 200, "answered for a while after the end");
}

#[tokio::test]
async fn requests_that_nobody_asked_for_are_refused() {
    let (peer, running, cancel) = under_way(20_000).await;
    for (method, headers, status) in [
        ("OPTIONS", "", 200),
        ("MESSAGE", "", 403),
        ("SUBSCRIBE", "Event: presence\r\n", 489),
        ("REFER", "Refer-To: <sip:x@y>\r\n", 603),
        ("INVITE", "", 603),
        ("BYE", "", 481),
        ("INFO", "", 405),
    ] {
        let got = peer.ask_in(&format!("unknown-{method}"), "t", method, 1, headers, "").await;
        assert_eq!(got, status, "{method}");
    }
    assert_eq!(peer.ask("OPTIONS", 2, "CSeq: 3 OPTIONS\r\n", "").await, 400, "two CSeqs");
    assert!(!running.is_finished());
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Outcome::Cancelled);
}

#[tokio::test]
async fn a_caller_who_hangs_up_first_is_gone() {
    let timing = Timing { bye_grace: Duration::from_millis(200), ..Timing::default() };
    let (peer, running, _) = under_way_with(timing, 20_000).await;
    assert_eq!(peer.notify(1, "active", "SIP/2.0 180 Ringing").await, 200);
    assert_eq!(peer.ask("BYE", 2, "", "").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::CallerGone);
    // What its phone still has to say deserves an answer, so that it does not say it again and again.
    assert_eq!(peer.notify(3, "terminated;reason=noresource", "SIP/2.0 487 Request Terminated\r\n").await, 200);
    assert_eq!(peer.notify(3, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n").await, 500, "stale CSeq");
}

#[tokio::test]
async fn a_caller_who_hangs_up_before_anything_is_notified_may_be_anywhere() {
    let timing = Timing { bye_grace: Duration::from_millis(200), ..Timing::default() };
    let (peer, running, _) = under_way_with(timing, 20_000).await;
    assert_eq!(peer.ask("BYE", 1, "", "").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::Unknown);
}

#[tokio::test]
async fn a_bye_may_overtake_the_result_that_it_follows() {
    // Long enough that only what is notified ends the transfer.
    let timing = Timing { bye_grace: Duration::from_secs(30), ..Timing::default() };
    for (result, expected) in
        [("SIP/2.0 200 OK", Outcome::Transferred), ("SIP/2.0 487 Request Terminated", Outcome::CallerGone)]
    {
        let (peer, running, _) = under_way_with(timing, 60_000).await;
        assert_eq!(peer.ask("BYE", 1, "", "").await, 200);
        assert_eq!(peer.notify(2, "active", "SIP/2.0 180 Ringing").await, 200);
        assert!(!running.is_finished());
        assert_eq!(peer.notify(3, "terminated;reason=noresource", result).await, 200);
        assert_eq!(running.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_subscription_that_ends_without_a_result_is_unknown() {
    let (peer, running, _) = under_way(20_000).await;
    assert_eq!(peer.notify(1, "terminated;reason=giveup", "").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::Unknown);
}

#[tokio::test]
async fn a_second_transfer_in_the_same_dialog_is_refused_while_the_first_runs() {
    let agent = std::sync::Arc::new(agent(SipTransport::Udp).await);
    let peer = Peer::bind("127.0.0.1", agent.listen()).await;
    let route = Route::ReferInDialog { dialog: dialog(peer.address()) };
    let (first, first_route) = (agent.clone(), route.clone());
    let running = tokio::spawn(async move { transfer(&first, first_route, 20_000).await.0 });
    peer.accept().await;
    let (second, _) = transfer(&agent, route, 5_000).await;
    assert!(matches!(second, Outcome::Rejected { ref code, .. } if code == "dialog_in_use"), "{second:?}");
    assert_eq!(peer.notify(1, "terminated", "SIP/2.0 200 OK").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::Transferred);
}

#[tokio::test]
async fn garbage_on_the_wire_changes_nothing() {
    let (peer, running, _) = under_way(20_000).await;
    for garbage in [
        &b"\xff\xfe\x00"[..],
        b"NOTIFY",
        b"\r\n\r\n",
        b"NOTIFY sip:x SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKnone\r\nCSeq: 7 REFER\r\nCall-ID: c\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nContent-Length: 0\r\n\r\n",
    ] {
        peer.socket.send_to(garbage, peer.agent).await.unwrap();
    }
    let mut skipped = [0; 64];
    // Only the keep-alive is answered.
    assert_eq!(peer.socket.recv(&mut skipped).await.unwrap(), 2);
    assert_eq!(peer.notify(1, "terminated", "SIP/2.0 603 Decline").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::Declined);
}

/// How many of so many requests, each of its own transaction, are answered within a second or so.
async fn answered_of(peer: &Peer, requests: usize) -> usize {
    for n in 0..requests {
        let address = peer.address();
        let text = format!(
            "OPTIONS sip:{} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKflood{n}p{}\r\nMax-Forwards: 70\r\n\
             From: <sip:x@{address}>;tag=x\r\nTo: <sip:y@{}>\r\nCall-ID: flood-{n}\r\nCSeq: 1 OPTIONS\r\n\r\n",
            peer.agent,
            address.port(),
            peer.agent
        );
        peer.socket.send_to(text.as_bytes(), peer.agent).await.unwrap();
        // Room for the agent, so that what is not answered was not lost on the way.
        tokio::task::yield_now().await;
    }
    let mut buffer = [0; 4096];
    let mut answered = 0;
    while tokio::time::timeout(Duration::from_millis(300), peer.socket.recv(&mut buffer)).await.is_ok() {
        answered += 1;
    }
    answered
}

#[tokio::test]
async fn a_flood_of_requests_gets_few_answers() {
    let (peer, running, cancel) = under_way(20_000).await;
    let stranger = Peer::bind("127.0.0.3", peer.agent).await;
    for (flooding, requests, a_second, who) in
        [(&stranger, 300, 20, "a stranger"), (&peer, 600, 120, "the dialog's address")]
    {
        let started = Instant::now();
        let answered = answered_of(flooding, requests).await;
        // The seconds that were begun, and one more as they are not those of the agent.
        let seconds = started.elapsed().as_secs() as usize + 2;
        assert!((a_second..=a_second * seconds).contains(&answered), "{answered} answers to {who} in {seconds} s");
    }
    // What belongs to the dialog is heard again as soon as the flood is over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(peer.notify(1, "active", "SIP/2.0 180 Ringing").await, 200);
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Outcome::Cancelled);
}

#[tokio::test]
async fn a_response_that_names_another_request_is_not_ours() {
    let agent = agent(SipTransport::Udp).await;
    let peer = Peer::bind("127.0.0.1", agent.listen()).await;
    let route = Route::ReferInDialog { dialog: dialog(peer.address()) };
    let running = tokio::spawn(async move { transfer(&agent, route, 5_000).await });
    let refer = peer.receive().await;
    let copied = |names: &[&str]| -> String {
        let lines = refer.lines().filter(|l| names.iter().any(|name| l.starts_with(name)));
        lines.map(|l| format!("{l}\r\n")).collect()
    };
    let (via, rest) = (copied(&["Via:"]), copied(&["From:", "To:", "Call-ID:", "CSeq:"]));
    for wrong in [
        format!("SIP/2.0 603 Decline\r\n{via}Via: SIP/2.0/UDP x;branch=z9hG4bKy\r\n{rest}"),
        format!("SIP/2.0 603 Decline\r\n{via}{}", rest.replace("7 REFER", "7 INVITE")),
        format!("SIP/2.0 603 Decline\r\n{via}{rest}CSeq: 8 REFER\r\n"),
        format!("SIP/2.0 603 Decline\r\n{via}{}", copied(&["From:", "To:", "CSeq:"])),
        format!("SIP/3.0 603 Decline\r\n{via}{rest}"),
        format!("SIP/2.0 603 Decline\r\n{rest}"),
    ] {
        peer.socket.send_to(format!("{wrong}Content-Length: 0\r\n\r\n").as_bytes(), peer.agent).await.unwrap();
    }
    let accepted = format!("SIP/2.0 202 Accepted\r\n{via}{rest}Content-Length: 0\r\n\r\n");
    peer.socket.send_to(accepted.as_bytes(), peer.agent).await.unwrap();
    assert_eq!(peer.notify(1, "terminated", "SIP/2.0 200 OK").await, 200);
    let (outcome, told) = running.await.unwrap();
    assert_eq!(outcome, Outcome::Transferred);
    assert!(told.contains(&("accepted".to_owned(), Some(202))), "{told:?}");
}
