//! Peers that are names (RFC 3263): dnsmasq answers, and SIPp or nobody is where it points.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::{Sip, SipTransport};
use sentiment_sidecar::room::message::SipDialog;
use sentiment_sidecar::transfer::sip::{SipAgent, Timing};
use tokio::time::Instant;

use super::dnsmasq::Dnsmasq;
use super::hostile::Peer;
use super::sipp::{Sipp, free_port};
use super::{agent, assert_sound, dialog, settings, steps, transfer};

/// Patience of 8 x 50 ms with a silent target instead of 4 s.
fn timing() -> Timing {
    Timing { t1: Duration::from_millis(50), t2: Duration::from_millis(400), ..Timing::default() }
}

async fn agent_asking(dns: &Dnsmasq, sip: Sip) -> SipAgent {
    SipAgent::start_with(&Sip { nameserver: Some(dns.address), ..sip }, None, timing()).await.unwrap()
}

/// The dialog of a call whose remote target is `uri`.
fn at(uri: &str) -> Route {
    let call = dialog(SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)));
    Route::ReferInDialog { dialog: SipDialog { remote_target: Some(uri.to_owned()), ..call } }
}

fn srv(service: &str, target: SocketAddr, priority: u16) -> String {
    format!("srv-host={service}.voice.test,pbx{priority}.voice.test,{},{priority},0", target.port())
}

fn hosts(priorities: &[u16]) -> Vec<String> {
    priorities.iter().map(|priority| format!("host-record=pbx{priority}.voice.test,127.0.0.1")).collect()
}

fn nobody() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

#[tokio::test]
async fn a_silent_server_is_followed_by_the_next_one() {
    let peer = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let mut records = hosts(&[10, 20]);
    records.extend([srv("_sip._udp", peer.address, 20), srv("_sip._udp", nobody(), 10)]);
    let dns = Dnsmasq::start(&records).await;
    let agent = agent_asking(&dns, settings(SipTransport::Udp)).await;
    let started = Instant::now();
    let (outcome, told) = transfer(&agent, at("sip:caller@voice.test"), 10_000).await;
    assert_eq!(outcome, Outcome::Transferred);
    assert_eq!(steps(&told)[..3], [("refer_sent", None), ("elsewhere", None), ("refer_sent", None)]);
    assert!(started.elapsed() < Duration::from_secs(3), "timer F is not waited for");
    let seen = peer.finish().await;
    assert_sound(&seen);
    let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
    assert!(refer.contains("CSeq: 7 REFER\r\n"), "whoever gets it twice can tell: {refer}");
}

#[tokio::test]
async fn the_domain_s_choice_of_tcp_is_followed_past_a_server_that_is_down() {
    let peer = Sipp::start("result", SipTransport::Tcp, 1, &[("final", "486 Busy Here")]).await;
    let mut records = hosts(&[10, 20]);
    records.extend([
        srv("_sip._tcp", nobody(), 10),
        srv("_sip._tcp", peer.address, 20),
        srv("_sip._udp", nobody(), 10),
    ]);
    records.push("naptr-record=voice.test,10,10,s,SIP+D2T,,_sip._tcp.voice.test".to_owned());
    records.push("naptr-record=voice.test,20,10,s,SIP+D2U,,_sip._udp.voice.test".to_owned());
    let dns = Dnsmasq::start(&records).await;
    let agent = agent_asking(&dns, settings(SipTransport::Udp)).await;
    assert_eq!(transfer(&agent, at("sip:caller@voice.test"), 10_000).await.0, Outcome::Busy);
    assert_sound(&peer.finish().await);
}

#[tokio::test]
async fn a_server_that_is_out_of_service_is_followed_by_the_next_one() {
    let first = Sipp::start("refusal", SipTransport::Udp, 1, &[("status", "503 Service Unavailable")]).await;
    let second = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let mut records = hosts(&[10, 20]);
    records.extend([srv("_sip._udp", first.address, 10), srv("_sip._udp", second.address, 20)]);
    let dns = Dnsmasq::start(&records).await;
    let agent = agent_asking(&dns, settings(SipTransport::Udp)).await;
    assert_eq!(transfer(&agent, at("sip:caller@voice.test"), 10_000).await.0, Outcome::Transferred);
    assert_sound(&first.finish().await);
    let seen = second.finish().await;
    let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
    assert!(refer.contains("CSeq: 8 REFER\r\n"), "{refer}");
}

#[tokio::test]
async fn the_challenge_of_a_server_that_fails_does_not_count_at_the_next_one() {
    let next = Sipp::start("challenge", SipTransport::Udp, 1, &[]).await;
    let failing = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut records = hosts(&[10, 20]);
    records.extend([srv("_sip._udp", failing, 10), srv("_sip._udp", next.address, 20)]);
    let dns = Dnsmasq::start(&records).await;
    let (user, realm) = (Some("sidecar".to_owned()), Some("sipp".to_owned()));
    let sip = Sip { user, realm, nameserver: Some(dns.address), ..settings(SipTransport::Udp) };
    let agent = SipAgent::start_with(&sip, Some(Secret::new("pass")), timing()).await.unwrap();
    let failing = Peer::bind_to(failing, agent.listen()).await;
    let running = tokio::spawn(async move { transfer(&agent, at("sip:caller@voice.test"), 10_000).await.0 });
    let first = failing.receive().await;
    let challenge = "Proxy-Authenticate: Digest realm=\"sipp\", nonce=\"of the first\", algorithm=SHA-256\r\n";
    failing.respond(&first, "407 Proxy Authentication Required", challenge).await;
    let mut second = first.clone();
    while second.contains("CSeq: 7 REFER\r\n") {
        second = failing.receive().await;
    }
    assert!(second.contains("of the first"), "{second}");
    failing.respond(&second, "503 Service Unavailable", "").await;
    assert_eq!(running.await.unwrap(), Outcome::Transferred);
    let seen = next.finish().await;
    assert_sound(&seen);
    assert!(!String::from_utf8_lossy(&seen.received[0]).contains("Authorization"), "nothing of the first");
}

#[tokio::test]
async fn the_outbound_proxy_may_be_a_name_too() {
    let peer = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let mut records = hosts(&[10]);
    records.push(srv("_sip._udp", peer.address, 10));
    let dns = Dnsmasq::start(&records).await;
    let proxy = Some("voice.test".to_owned());
    let agent = agent_asking(&dns, Sip { proxy, ..settings(SipTransport::Udp) }).await;
    assert_eq!(transfer(&agent, at("sip:caller@elsewhere.test"), 10_000).await.0, Outcome::Transferred);
    assert_sound(&peer.finish().await);
}

#[tokio::test]
async fn a_name_with_a_port_is_an_address_record() {
    let peer = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let dns = Dnsmasq::start(&["host-record=pbx.test,127.0.0.1".to_owned()]).await;
    let agent = agent_asking(&dns, settings(SipTransport::Udp)).await;
    let uri = format!("sip:caller@pbx.test:{}", peer.address.port());
    assert_eq!(transfer(&agent, at(&uri), 10_000).await.0, Outcome::Transferred);
    assert_sound(&peer.finish().await);
}

#[tokio::test]
async fn a_peer_over_ipv6_and_one_over_ipv4_are_reached_from_one_socket() {
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    for transport in [SipTransport::Udp, SipTransport::Tcp] {
        let sip = Sip { listen: everywhere, ..settings(transport) };
        let agent = SipAgent::start(&sip, None).await.unwrap();
        for ip in [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()] {
            let peer = Sipp::start_at(ip, "result", transport, 1, &[("final", "200 OK")]).await;
            let call = SipDialog { call_id: format!("to-{}", peer.address.port()), ..dialog(peer.address) };
            let route = Route::ReferInDialog { dialog: call };
            assert_eq!(transfer(&agent, route, 10_000).await.0, Outcome::Transferred, "{transport:?} {ip}");
            let seen = peer.finish().await;
            assert!(seen.passed, "{}", seen.errors);
            let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
            let contact = SocketAddr::new(ip, agent.listen().port());
            assert!(refer.contains(&format!("Contact: <sip:sentiment-sidecar@{contact}")), "{refer}");
        }
    }
}

#[tokio::test]
async fn a_name_with_an_ipv6_address_is_reached_when_its_ipv4_address_cannot_be() {
    let peer = Sipp::start_at(Ipv6Addr::LOCALHOST.into(), "result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let dns = Dnsmasq::start(&["host-record=pbx.test,127.0.0.1,::1".to_owned()]).await;
    let only_six = Sip { listen: SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), ..settings(SipTransport::Udp) };
    let agent = agent_asking(&dns, only_six).await;
    let uri = format!("sip:caller@pbx.test:{}", peer.address.port());
    assert_eq!(transfer(&agent, at(&uri), 10_000).await.0, Outcome::Transferred);
    assert!(peer.finish().await.passed);
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_unreachable_and_says_so() {
    let records = ["srv-host=_sip._udp.none.test,.,0".to_owned(), "host-record=none.test,127.0.0.1".to_owned()];
    let dns = Dnsmasq::start(&records).await;
    let agent = agent_asking(&dns, settings(SipTransport::Udp)).await;
    for (uri, said) in [
        ("sip:caller@none.test", "no such service"),
        ("sip:caller@unknown.test", "unknown.test did not resolve"),
        ("sip:caller@unknown.test;transport=ws", "other than UDP, TCP and TLS"),
    ] {
        let (outcome, told) = transfer(&agent, at(uri), 10_000).await;
        let Outcome::Unreachable { reason } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains(said) && told.is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn a_name_server_that_is_silent_does_not_hold_a_transfer_for_long() {
    let silent = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let sip = Sip { nameserver: Some(silent.local_addr().unwrap()), ..settings(SipTransport::Udp) };
    let agent_waiting = SipAgent::start(&sip, None).await.unwrap();
    let started = Instant::now();
    let (outcome, _) = transfer(&agent_waiting, at("sip:caller@voice.test"), 30_000).await;
    assert!(matches!(outcome, Outcome::Unreachable { .. }), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // An address needs nobody's help.
    let peer = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let uri = format!("sip:caller@{}", peer.address);
    assert_eq!(transfer(&agent(SipTransport::Udp).await, at(&uri), 10_000).await.0, Outcome::Transferred);
}
