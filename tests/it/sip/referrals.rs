//! REFERs and peers that are slow, large, repetitive or asked again.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::{Sip, SipTransport};
use sentiment_sidecar::room::message::SipDialog;
use sentiment_sidecar::transfer::sip::{SipAgent, Timing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::hostile::{Peer, response};
use super::sipp::free_port;
use super::{agent, dialog, request, settings, transfer};

#[tokio::test]
async fn a_peer_at_work_on_a_refer_is_waited_for_past_timer_f() {
    // Timer F of 64 x 5 ms instead of 32 s.
    let timing = Timing { t1: Duration::from_millis(5), t2: Duration::from_millis(40), ..Timing::default() };
    for (notifies, expected) in [(true, Outcome::Transferred), (false, Outcome::Unknown)] {
        let agent = SipAgent::start_with(&settings(SipTransport::Udp), None, timing).await.unwrap();
        let peer = Peer::bind("127.0.0.1", agent.listen()).await;
        let route = Route::ReferInDialog { dialog: dialog(peer.address()) };
        let started = Instant::now();
        let running = tokio::spawn(async move { transfer(&agent, route, 1_500).await.0 });
        peer.answer_refer("100 Trying").await;
        tokio::time::sleep(timing.timer_f() * 2).await;
        if notifies {
            assert_eq!(peer.notify(1, "terminated", "SIP/2.0 200 OK").await, 200);
        }
        assert_eq!(running.await.unwrap(), expected);
        assert_eq!(started.elapsed() < Duration::from_millis(1_500), notifies, "the deadline, not timer F");
    }
}

#[tokio::test]
async fn a_second_transfer_in_the_same_dialog_goes_on_with_the_numbers() {
    let agent = std::sync::Arc::new(agent(SipTransport::Udp).await);
    let peer = Peer::bind("127.0.0.1", agent.listen()).await;
    for (n, cseq, status) in [(1, 7, "486 Busy Here"), (2, 8, "200 OK")] {
        let (agent, route) = (agent.clone(), Route::ReferInDialog { dialog: dialog(peer.address()) });
        let running = tokio::spawn(async move { transfer(&agent, route, 20_000).await.0 });
        let refer = peer.answer_refer("202 Accepted").await;
        assert!(refer.contains(&format!("CSeq: {cseq} REFER\r\n")), "{refer}");
        assert_eq!(peer.notify(n, "terminated", &format!("SIP/2.0 {status}")).await, 200);
        assert_eq!(running.await.unwrap() == Outcome::Transferred, n == 2);
    }
}

#[tokio::test]
async fn a_refer_that_credentials_make_too_large_for_a_datagram_goes_on_over_tcp() {
    let (user, realm) = (Some("sidecar".to_owned()), Some("r".to_owned()));
    let sip = Sip { user, realm, ..settings(SipTransport::Udp) };
    let agent = SipAgent::start(&sip, Some(Secret::new("pass"))).await.unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let peer = Peer::bind_to(address, agent.listen()).await;
    let streams = TcpListener::bind(address).await.unwrap();
    let local_uri = Some(format!("sip:{}@127.0.0.1", "a".repeat(250)));
    let route = Route::ReferInDialog { dialog: SipDialog { local_uri, ..dialog(address) } };
    let running = tokio::spawn(async move { transfer(&agent, route, 10_000).await.0 });
    let first = peer.receive().await;
    assert!((1_000..1_250).contains(&first.len()), "{}", first.len());
    let nonce = "n".repeat(200);
    let challenge = format!("Proxy-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", algorithm=SHA-256\r\n");
    peer.respond(&first, "407 Proxy Authentication Required", &challenge).await;

    let accepted = timeout(Duration::from_secs(5), streams.accept()).await.expect("no stream came");
    let (mut stream, mut second) = (accepted.unwrap().0, Vec::new());
    while !second.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut second).await.unwrap(), 0);
    }
    let second = String::from_utf8(second).unwrap();
    assert!(second.contains("Via: SIP/2.0/TCP ") && second.contains("CSeq: 8 REFER\r\n"), "{second}");
    assert!(second.contains("Proxy-Authorization: "), "{second}");
    stream.write_all(response(&second, "202 Accepted", "").as_bytes()).await.unwrap();
    assert_eq!(peer.notify(1, "terminated", "SIP/2.0 200 OK").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::Transferred);
}

#[tokio::test]
async fn a_flood_of_provisional_responses_is_told_only_so_far() {
    let agent = agent(SipTransport::Udp).await;
    let peer = Peer::bind("127.0.0.1", agent.listen()).await;
    let route = Route::ReferInDialog { dialog: dialog(peer.address()) };
    let (progress, mut told) = mpsc::channel(1_000);
    let running = tokio::spawn(async move {
        let outcome = agent.transfer(request(route, 20_000), progress, CancellationToken::new()).await;
        (outcome, agent)
    });
    let refer = peer.receive().await;
    for n in 0..300 {
        let status = if n % 2 == 0 { "180 Ringing" } else { "183 Session Progress" };
        peer.respond(&refer, status, "").await;
        // Room for the agent, so that its socket does not overflow.
        tokio::task::yield_now().await;
    }
    peer.respond(&refer, "202 Accepted", "").await;
    assert_eq!(peer.notify(1, "terminated", "SIP/2.0 200 OK").await, 200);
    assert_eq!(running.await.unwrap().0, Outcome::Transferred);
    let mut steps = Vec::new();
    while let Some(step) = told.recv().await {
        steps.push(step.step);
    }
    assert_eq!(steps.iter().filter(|step| *step == "pending").count(), 64, "{steps:?}");
    assert_eq!(steps[steps.len() - 2..], ["accepted", "result"], "what matters is told");
}
