//! Transfers by REFER against SIPp, against sockets that misbehave, and against the demo's phone.

mod attended;
mod attended_ends;
mod attended_real;
mod challenges;
mod corpus;
mod dnsmasq;
pub(crate) mod hostile;
pub(crate) mod human;
mod linphone;
mod many;
mod names;
mod outcomes;
pub(crate) mod peers;
mod real;
mod received;
mod referrals;
mod secured;
pub(crate) mod sipp;
mod streams;
pub(crate) mod tls_proxy;
pub(crate) mod ua;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hostile::Peer;
use sentiment_sidecar::alert::outcome::{Outcome, Progress};
use sentiment_sidecar::call::route::{Route, TransferRequest};
use sentiment_sidecar::cli::demo::phone::{self, Direction, PhoneAnswer};
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::{Settings, Sip, SipTransport};
use sentiment_sidecar::room::message::SipDialog;
use sentiment_sidecar::transfer::sip::{SipAgent, Timing};
use sipp::{Seen, Sipp, free_port};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn settings(transport: SipTransport) -> Sip {
    Sip { transport, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..Settings::default().sip }
}

async fn agent(transport: SipTransport) -> SipAgent {
    SipAgent::start(&settings(transport), None).await.unwrap()
}

/// The dialog of a call with the peer at `address`, handed over with a reserved CSeq.
fn dialog(address: SocketAddr) -> SipDialog {
    SipDialog {
        call_id: "handed-over@127.0.0.1".to_owned(),
        local_tag: "agent-tag".to_owned(),
        remote_tag: "caller-tag".to_owned(),
        local_uri: Some("sip:agent@127.0.0.1".to_owned()),
        remote_uri: Some(format!("sip:caller@{address}")),
        remote_target: Some(format!("sip:caller@{address}")),
        route_set: Vec::new(),
        cseq: Some(7),
    }
}

fn request(route: Route, deadline_ms: u64) -> TransferRequest {
    let (alert_id, target) = ("alert_1".to_owned(), "+14155551234".parse().unwrap());
    TransferRequest { alert_id, target, route, deadline_ms, ringing_timeout_ms: 30_000, severity: None }
}

/// Transfers and returns the outcome and the steps on the way.
async fn transfer(agent: &SipAgent, route: Route, deadline_ms: u64) -> (Outcome, Vec<(String, Option<u16>)>) {
    let (progress, mut steps) = mpsc::channel(64);
    let outcome = agent.transfer(request(route, deadline_ms), progress, CancellationToken::new()).await;
    let mut told = Vec::new();
    while let Ok(Progress { step, sip_status }) = steps.try_recv() {
        told.push((step, sip_status));
    }
    (outcome, told)
}

async fn in_dialog(agent: &SipAgent, peer: SocketAddr, deadline_ms: u64) -> (Outcome, Vec<(String, Option<u16>)>) {
    transfer(agent, Route::ReferInDialog { dialog: dialog(peer) }, deadline_ms).await
}

/// All that may stand in a request of ours.
const HEADERS: &[&str] = &[
    "Via",
    "Route",
    "Max-Forwards",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Content-Length",
    "Content-Type",
    "Authorization",
    "Proxy-Authorization",
    "Refer-To",
    "Referred-By",
    "Target-Dialog",
    "Require",
    "Supported",
    "Accept",
    "Allow",
    "User-Agent",
];

/// SIPp went through its scenario, and an independent parser reads all that we sent.
fn assert_sound(seen: &Seen) {
    assert!(seen.passed, "{}", seen.errors);
    assert!(!seen.received.is_empty());
    for message in &seen.received {
        let text = String::from_utf8_lossy(message);
        let parsed = rsip::SipMessage::try_from(&message[..]).unwrap_or_else(|e| panic!("{e}: {text}"));
        if let rsip::SipMessage::Request(request) = parsed {
            use rsip::prelude::{HeadersExt as _, ToTypedHeader as _};
            assert!(request.from_header().unwrap().typed().unwrap().tag().is_some(), "{text}");
            assert_eq!(request.cseq_header().unwrap().typed().unwrap().method, request.method, "{text}");
            assert!(request.via_header().unwrap().typed().unwrap().branch().is_some(), "{text}");
            if !matches!(request.method, rsip::Method::Ack | rsip::Method::Cancel) {
                assert!(request.contact_header().unwrap().typed().is_ok(), "{text}");
            }
            assert_eq!(request.max_forwards_header().unwrap().to_string(), "Max-Forwards: 70");
            for line in text.split("\r\n\r\n").next().unwrap().split("\r\n").skip(1) {
                let name = line.split(':').next().unwrap();
                assert!(HEADERS.contains(&name), "{name} is no header that we send: {text}");
            }
        }
    }
}

fn steps(told: &[(String, Option<u16>)]) -> Vec<(&str, Option<u16>)> {
    told.iter().map(|(step, status)| (step.as_str(), *status)).collect()
}

/// A datagram as a SIP message. One that is no text is sound: ports change hands, and a phone of an earlier test may still
/// be sending to one.
pub(crate) fn message(datagram: &[u8]) -> Option<String> {
    std::str::from_utf8(datagram).ok().map(str::to_owned)
}

/// The next message that lies ready at a socket, if there is one.
pub(crate) fn lies_ready(socket: &tokio::net::UdpSocket) -> Option<String> {
    let mut datagram = [0; 4096];
    std::iter::from_fn(|| socket.try_recv(&mut datagram).ok().map(|len| message(&datagram[..len]))).flatten().next()
}

/// The steps but the acceptance of the REFER, which is among them. Responses and requests take two ways through the stack:
/// which of two that arrive together is told first is chance.
pub(crate) fn but_acceptance<T: PartialEq>(mut steps: Vec<T>, acceptance: &T) -> Vec<T> {
    let at = steps.iter().position(|step| step == acceptance).expect("the REFER was accepted");
    steps.remove(at);
    steps
}

#[tokio::test]
async fn a_human_who_answers_has_the_caller_over_udp_and_tcp() {
    for transport in [SipTransport::Udp, SipTransport::Tcp] {
        let peer = Sipp::start("result", transport, 1, &[("final", "200 OK")]).await;
        let agent = agent(transport).await;
        let (outcome, told) = in_dialog(&agent, peer.address, 10_000).await;
        assert_eq!(outcome, Outcome::Transferred, "{transport:?}");
        assert_eq!(
            but_acceptance(steps(&told), &("accepted", Some(202))),
            [("refer_sent", None), ("trying", Some(100)), ("ringing", Some(180)), ("result", Some(200))]
        );
        let seen = peer.finish().await;
        assert_sound(&seen);
        let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
        assert!(refer.contains("CSeq: 7 REFER\r\n") && refer.contains("Refer-To: <tel:+14155551234>\r\n"), "{refer}");
        assert_eq!(refer.contains(";transport=tcp>"), transport == SipTransport::Tcp, "{refer}");
    }
}

#[tokio::test]
async fn a_human_who_does_not_answer_is_told_by_kind() {
    for (status, expected) in [
        ("486 Busy Here", Outcome::Busy),
        ("600 Busy Everywhere", Outcome::Busy),
        ("603 Decline", Outcome::Declined),
        ("487 Request Terminated", Outcome::NoAnswer),
        ("480 Temporarily Unavailable", Outcome::NoAnswer),
        ("404 Not Found", Outcome::Rejected { code: "404".to_owned(), reason: "Not Found".to_owned() }),
    ] {
        let peer = Sipp::start("result", SipTransport::Udp, 1, &[("final", status)]).await;
        let agent = agent(SipTransport::Udp).await;
        assert_eq!(in_dialog(&agent, peer.address, 10_000).await.0, expected);
        assert_sound(&peer.finish().await);
    }
}

#[tokio::test]
async fn a_notification_may_come_before_the_acceptance() {
    let peer = Sipp::start("notify_first", SipTransport::Udp, 1, &[]).await;
    let agent = agent(SipTransport::Udp).await;
    let (outcome, mut told) = in_dialog(&agent, peer.address, 10_000).await;
    assert_eq!(outcome, Outcome::Transferred);
    // The result comes on the heels of the acceptance, and may overtake it inside.
    told.retain(|(step, _)| step != "accepted");
    assert_eq!(steps(&told), [("refer_sent", None), ("trying", Some(100)), ("result", Some(200))]);
    assert_sound(&peer.finish().await);
}

#[tokio::test]
async fn each_step_is_told_as_it_comes() {
    let agent = agent(SipTransport::Udp).await;
    let peer = Peer::bind("127.0.0.1", agent.listen()).await;
    let route = Route::ReferInDialog { dialog: dialog(peer.address()) };
    let (progress, mut told) = mpsc::channel(64);
    let running =
        tokio::spawn(async move { agent.transfer(request(route, 20_000), progress, CancellationToken::new()).await });
    let mut next = async || {
        let told = told.recv().await.unwrap();
        (told.step, told.sip_status)
    };
    let refer = peer.receive().await;
    assert_eq!(next().await, ("refer_sent".to_owned(), None));
    assert_eq!(peer.notify(1, "active", "SIP/2.0 100 Trying").await, 200);
    assert_eq!(next().await, ("trying".to_owned(), Some(100)));
    peer.respond(&refer, "202 Accepted", "").await;
    assert_eq!(next().await, ("accepted".to_owned(), Some(202)));
    assert_eq!(peer.notify(2, "terminated;reason=noresource", "SIP/2.0 200 OK").await, 200);
    assert_eq!(next().await, ("result".to_owned(), Some(200)));
    assert_eq!(running.await.unwrap(), Outcome::Transferred);
}

#[tokio::test]
async fn a_challenge_is_answered_with_the_next_cseq() {
    let peer = Sipp::start("challenge", SipTransport::Udp, 1, &[]).await;
    let (user, realm) = (Some("sidecar".to_owned()), Some("sipp".to_owned()));
    let with_user = Sip { user, realm, ..settings(SipTransport::Udp) };
    let agent = SipAgent::start(&with_user, Some(Secret::new("pass"))).await.unwrap();
    let (outcome, told) = in_dialog(&agent, peer.address, 10_000).await;
    assert_eq!(outcome, Outcome::Transferred);
    assert!(steps(&told).contains(&("challenged", Some(407))));
    let seen = peer.finish().await;
    assert_sound(&seen);
    let second = String::from_utf8_lossy(&seen.received[1]).into_owned();
    assert!(second.contains("CSeq: 8 REFER\r\n"), "{second}");
}

#[tokio::test]
async fn a_proxy_and_a_server_that_challenge_in_turn_are_both_answered() {
    let peer = Sipp::start("challenges", SipTransport::Udp, 1, &[]).await;
    let (user, realm) = (Some("sidecar".to_owned()), Some("sipp".to_owned()));
    let sip = Sip { user, realm, ..settings(SipTransport::Udp) };
    let agent = SipAgent::start(&sip, Some(Secret::new("pass"))).await.unwrap();
    let (outcome, told) = in_dialog(&agent, peer.address, 10_000).await;
    assert_eq!(outcome, Outcome::Transferred);
    let challenged: Vec<_> = told.iter().filter(|(step, _)| step == "challenged").filter_map(|(_, s)| *s).collect();
    assert_eq!(challenged, [407, 401, 407]);
    let seen = peer.finish().await;
    assert_sound(&seen);
    let refers: Vec<String> = seen.received.iter().map(|m| String::from_utf8_lossy(m).into_owned()).collect();
    for (at, cseq) in (7..=10).enumerate() {
        assert!(refers[at].contains(&format!("CSeq: {cseq} REFER\r\n")), "{}", refers[at]);
    }
    let first = ["\r\nAuthorization: Digest ", "nonce=\"s1\"", "algorithm=SHA-512-256", "nc=00000001"];
    assert!(first.iter().all(|part| refers[2].contains(part)), "{}", refers[2]);
    assert!(refers[3].contains("nonce=\"s1\"") && refers[3].contains("nc=00000002"), "{}", refers[3]);
}

#[tokio::test]
async fn a_realm_that_is_not_ours_gets_no_credentials() {
    let (user, other) = (Some("sidecar".to_owned()), Some("another".to_owned()));
    for realm in [None, other] {
        let peer = Sipp::start("challenge", SipTransport::Udp, 1, &[]).await;
        let sip = Sip { user: user.clone(), realm, ..settings(SipTransport::Udp) };
        let agent = SipAgent::start(&sip, Some(Secret::new("pass"))).await.unwrap();
        let (outcome, told) = in_dialog(&agent, peer.address, 10_000).await;
        let Outcome::Rejected { code, reason } = outcome else { panic!("{outcome:?}") };
        assert_eq!(code, "407");
        assert!(reason.contains("realm \"sipp\"") && reason.contains("sentimentSipRealm"), "{reason}");
        assert_eq!(told.iter().filter(|(step, _)| step == "refer_sent").count(), 1);
    }
}

#[tokio::test]
async fn a_challenge_without_credentials_is_a_rejection_that_says_so() {
    let peer = Sipp::start("refusal", SipTransport::Udp, 1, &[("status", "407 Proxy Authentication Required")]).await;
    let agent = agent(SipTransport::Udp).await;
    let (outcome, _) = in_dialog(&agent, peer.address, 10_000).await;
    let Outcome::Rejected { code, reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(code, "407");
    assert!(reason.contains("SIDECAR_SIP_PASSWORD"), "{reason}");
}

#[tokio::test]
async fn an_accepted_refer_is_no_success() {
    let peer = Sipp::start("silence", SipTransport::Udp, 1, &[]).await;
    let agent = agent(SipTransport::Udp).await;
    let (outcome, told) = in_dialog(&agent, peer.address, 700).await;
    assert_eq!(outcome, Outcome::Unknown);
    assert_eq!(steps(&told), [("refer_sent", None), ("accepted", Some(202))]);
    assert_sound(&peer.finish().await);
}

#[tokio::test]
async fn a_refused_refer_is_rejected_with_its_code() {
    for (status, code) in [
        ("404 Not Found", "404"),
        ("481 Call/Transaction Does Not Exist", "481"),
        ("302 Moved Temporarily", "302"),
        ("603 Decline", "603"),
        ("408 Request Timeout", "408"),
        ("503 Service Unavailable", "503"),
    ] {
        let peer = Sipp::start("refusal", SipTransport::Udp, 1, &[("status", status)]).await;
        let agent = agent(SipTransport::Udp).await;
        let reason = status[4..].to_owned();
        assert_eq!(
            in_dialog(&agent, peer.address, 10_000).await.0,
            Outcome::Rejected { code: code.to_owned(), reason }
        );
        assert_sound(&peer.finish().await);
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let over_tcp = agent(SipTransport::Tcp).await;
    assert!(matches!(in_dialog(&over_tcp, nobody, 10_000).await.0, Outcome::Unreachable { .. }));
    // Timer F of 64 x 5 ms instead of 32 s.
    let timing = Timing { t1: Duration::from_millis(5), t2: Duration::from_millis(40), ..Timing::default() };
    let over_udp = SipAgent::start_with(&settings(SipTransport::Udp), None, timing).await.unwrap();
    let started = tokio::time::Instant::now();
    let (outcome, _) = in_dialog(&over_udp, nobody, 30_000).await;
    assert!(matches!(outcome, Outcome::Unreachable { .. }), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "timer F ends it, not the deadline");
}

#[tokio::test]
async fn a_refer_outside_of_the_dialog_names_it() {
    for transport in [SipTransport::Udp, SipTransport::Tcp] {
        let peer = Sipp::start("target_dialog", transport, 1, &[]).await;
        let agent = agent(transport).await;
        let route = Route::ReferTargetDialog { dialog: SipDialog { cseq: None, ..dialog(peer.address) } };
        assert_eq!(transfer(&agent, route, 10_000).await.0, Outcome::Transferred, "{transport:?}");
        assert_sound(&peer.finish().await);
    }
}

#[tokio::test]
async fn a_refer_too_large_for_a_datagram_goes_over_tcp() {
    let peer = Sipp::start("result", SipTransport::Tcp, 1, &[("final", "200 OK")]).await;
    let agent = agent(SipTransport::Udp).await;
    let long = "a".repeat(450);
    let large = SipDialog {
        local_uri: Some(format!("sip:{long}@127.0.0.1")),
        remote_uri: Some(format!("sip:{long}@{}", peer.address)),
        ..dialog(peer.address)
    };
    assert_eq!(transfer(&agent, Route::ReferInDialog { dialog: large }, 10_000).await.0, Outcome::Transferred);
    let seen = peer.finish().await;
    assert_sound(&seen);
    assert!(String::from_utf8_lossy(&seen.received[0]).contains("Via: SIP/2.0/TCP "));
}

#[tokio::test]
async fn a_dropped_agent_gives_its_port_back() {
    let agent = agent(SipTransport::Udp).await;
    let again = Sip { listen: agent.listen(), ..settings(SipTransport::Udp) };
    assert!(SipAgent::start(&again, None).await.is_err(), "two agents on one port");
    drop(agent);
    let freed = async {
        while SipAgent::start(&again, None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), freed).await.unwrap();
}

#[tokio::test]
async fn settings_that_no_message_can_hold_are_refused_by_name() {
    let good = settings(SipTransport::Udp);
    let text = |value: &str| Some(value.to_owned());
    for (key, bad) in [
        ("sentimentSipProxy", Sip { proxy: text("proxy example"), ..good.clone() }),
        ("sentimentSipDomain", Sip { domain: text("a@b"), ..good.clone() }),
        ("sentimentSipTargetDomain", Sip { target_domain: text("h>\r\nX: 1"), ..good.clone() }),
        ("sentimentSipUser", Sip { user: text("a\r\nb"), ..good.clone() }),
    ] {
        let error = SipAgent::start(&bad, None).await.err().unwrap().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[tokio::test]
async fn a_hundred_transfers_at_once_lose_no_outcome() {
    for (transport, status, expected) in
        [(SipTransport::Udp, "200 OK", Outcome::Transferred), (SipTransport::Tcp, "486 Busy Here", Outcome::Busy)]
    {
        let peer = Sipp::start("result", transport, 100, &[("final", status)]).await;
        let agent = Arc::new(agent(transport).await);
        let transfers: Vec<_> = (0..100)
            .map(|n| {
                let (agent, call) = (agent.clone(), SipDialog { call_id: format!("call-{n}"), ..dialog(peer.address) });
                tokio::spawn(async move { transfer(&agent, Route::ReferInDialog { dialog: call }, 30_000).await.0 })
            })
            .collect();
        for transfer in transfers {
            assert_eq!(transfer.await.unwrap(), expected, "{transport:?}");
        }
        assert_sound(&peer.finish().await);
    }
}

#[tokio::test]
async fn the_demo_s_phone_shows_the_whole_exchange() {
    let ring = Duration::from_millis(50);
    let mut phone = phone::start(PhoneAnswer { ring, status: 200 }).await.unwrap();
    let agent = agent(SipTransport::Udp).await;
    let route = Route::ReferInDialog { dialog: phone.dialog() };
    assert_eq!(transfer(&agent, route, 10_000).await.0, Outcome::Transferred);
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let event = phone.next().await.unwrap();
        let arrow = if event.direction == Direction::Received { ">" } else { "<" };
        let word = event.first_line.split(' ').find(|w| *w != "SIP/2.0").unwrap_or_default().to_owned();
        seen.push(format!("{arrow}{word} {}", event.body.unwrap_or_default()).trim().to_owned());
    }
    assert_eq!(
        seen,
        [
            ">REFER",
            "<202",
            "<NOTIFY SIP/2.0 100 Trying",
            ">200",
            "<NOTIFY SIP/2.0 180 Ringing",
            ">200",
            "<NOTIFY SIP/2.0 200 OK",
            ">200"
        ]
    );

    let phone = phone::start(PhoneAnswer { ring, status: 486 }).await.unwrap();
    let route = Route::ReferTargetDialog { dialog: phone.dialog() };
    assert_eq!(transfer(&agent, route, 10_000).await.0, Outcome::Busy);
}

#[tokio::test]
async fn a_ping_says_what_the_peer_allows() {
    let phone = phone::start(PhoneAnswer { ring: Duration::ZERO, status: 200 }).await.unwrap();
    let agent = agent(SipTransport::Udp).await;
    let report = agent.ping(&phone.address().to_string(), Duration::from_secs(5)).await.unwrap();
    assert_eq!((report.status, report.allows_refer(), report.authenticated), (200, Some(true), false));
    assert!(!report.supports_target_dialog());
    let silent = agent.ping(&format!("127.0.0.1:{}", free_port()), Duration::from_millis(200)).await;
    assert!(silent.unwrap_err().to_string().contains("200 ms"));
    assert!(agent.ping("a b", Duration::from_secs(1)).await.is_err());
}
