//! SIP over TLS: Kamailio is the next hop, and SIPp the phone behind it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::settings::{Sip, SipTransport};
use sentiment_sidecar::room::message::SipDialog;
use sentiment_sidecar::transfer::sip::SipAgent;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dnsmasq::Dnsmasq;
use super::sipp::{Sipp, free_port};
use super::tls_proxy::TlsProxy;
use super::{assert_sound, dialog, lies_ready, request, settings, transfer};

fn trusting(ca_file: PathBuf) -> Sip {
    Sip { ca_file: Some(ca_file), ..settings(SipTransport::Tls) }
}

/// A call with the phone at `phone`, by way of `route`.
fn call(phone: SocketAddr, route: String) -> SipDialog {
    SipDialog { route_set: vec![route], ..dialog(phone) }
}

async fn phone(last: &str) -> Sipp {
    Sipp::start("result", SipTransport::Udp, 1, &[("final", last)]).await
}

/// The outcome of a REFER in the dialog, and what the phone saw.
async fn refer(agent: &SipAgent, dialog: SipDialog) -> Outcome {
    transfer(agent, Route::ReferInDialog { dialog }, 10_000).await.0
}

#[tokio::test]
async fn notifications_come_back_over_the_connection_that_we_opened() {
    let (proxy, phone) = (TlsProxy::start(&["127.0.0.1"]).await, phone("200 OK").await);
    let agent = SipAgent::start(&trusting(proxy.ca_file()), None).await.unwrap();
    let dialog = call(phone.address, format!("<sip:{};transport=tls;lr>", proxy.address));
    assert_eq!(refer(&agent, dialog).await, Outcome::Transferred);
    let seen = phone.finish().await;
    assert_sound(&seen);
    let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
    let contact = refer.lines().find(|line| line.starts_with("Contact: ")).unwrap();
    assert!(contact.starts_with("Contact: <sip:sentiment-sidecar@127.0.0.1:") && contact.ends_with(";transport=tls>"));
    assert!(!contact.contains(&format!(":{};", agent.listen().port())), "it is the connection's own port: {contact}");
}

#[tokio::test]
async fn a_refer_outside_of_the_dialog_goes_through_a_proxy_over_tls() {
    let proxy = TlsProxy::start(&["127.0.0.1"]).await;
    let phone = Sipp::start("target_dialog", SipTransport::Udp, 1, &[]).await;
    let sip = Sip { proxy: Some(proxy.address.to_string()), ..trusting(proxy.ca_file()) };
    let agent = SipAgent::start(&sip, None).await.unwrap();
    let route = Route::ReferTargetDialog { dialog: SipDialog { cseq: None, ..dialog(phone.address) } };
    assert_eq!(transfer(&agent, route, 10_000).await.0, Outcome::Transferred);
    assert!(phone.finish().await.passed);
}

#[tokio::test]
async fn a_secure_route_has_a_secure_contact() {
    let (proxy, phone) = (TlsProxy::start(&["127.0.0.1"]).await, phone("486 Busy Here").await);
    // The settings speak of UDP, the route of TLS.
    let sip = Sip { transport: SipTransport::Udp, ..trusting(proxy.ca_file()) };
    let agent = SipAgent::start(&sip, None).await.unwrap();
    assert_eq!(refer(&agent, call(phone.address, format!("<sips:{};lr>", proxy.address))).await, Outcome::Busy);
    let seen = phone.finish().await;
    let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
    assert!(refer.contains("Contact: <sips:sentiment-sidecar@127.0.0.1:"), "{refer}");
}

#[tokio::test]
async fn a_domain_s_tls_server_proves_to_be_the_domain() {
    let (proxy, phone) = (TlsProxy::start(&["voice.test"]).await, phone("200 OK").await);
    let dns = Dnsmasq::start(&[
        "naptr-record=voice.test,10,10,s,SIPS+D2T,,_sips._tcp.voice.test".to_owned(),
        "naptr-record=voice.test,20,10,s,SIP+D2U,,_sip._udp.voice.test".to_owned(),
        format!("srv-host=_sips._tcp.voice.test,a.pbx.test,{},10,0", free_port()),
        format!("srv-host=_sips._tcp.voice.test,b.pbx.test,{},20,0", proxy.address.port()),
        "host-record=a.pbx.test,127.0.0.1".to_owned(),
        "host-record=b.pbx.test,127.0.0.1".to_owned(),
    ])
    .await;
    let sip = Sip { transport: SipTransport::Udp, nameserver: Some(dns.address), ..trusting(proxy.ca_file()) };
    let agent = SipAgent::start(&sip, None).await.unwrap();
    assert_eq!(refer(&agent, call(phone.address, "<sip:voice.test;lr>".to_owned())).await, Outcome::Transferred);
    assert_sound(&phone.finish().await);
}

#[tokio::test]
async fn whoever_does_not_prove_to_be_the_hop_gets_nothing() {
    let (proxy, other) = (TlsProxy::start(&["other.test"]).await, TlsProxy::start(&["127.0.0.1"]).await);
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    for (hop, authority, what) in
        [(&proxy, proxy.ca_file(), "another name"), (&other, proxy.ca_file(), "another authority")]
    {
        let agent = SipAgent::start(&trusting(authority), None).await.unwrap();
        let outcome = refer(&agent, call(nobody, format!("<sip:{};transport=tls;lr>", hop.address))).await;
        let Outcome::Unreachable { reason } = outcome else { panic!("{what}: {outcome:?}") };
        assert!(reason.contains("did not prove to be 127.0.0.1"), "{what}: {reason}");
    }
}

#[tokio::test]
async fn tls_is_not_left_for_a_plain_transport() {
    let plain = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let agent = SipAgent::start(&settings(SipTransport::Tls), None).await.unwrap();
    let peer = plain.local_addr().unwrap();
    let outcome = refer(&agent, call(peer, format!("<sip:{peer};transport=udp;lr>"))).await;
    let Outcome::Unreachable { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("sentimentSipTransport is tls"), "{reason}");
    // Nor is a sips URI carried to a proxy that has no TLS.
    let sip = Sip { proxy: Some(format!("sip:{peer};transport=udp")), ..settings(SipTransport::Udp) };
    let agent = SipAgent::start(&sip, None).await.unwrap();
    let outcome = refer(&agent, call(peer, format!("<sips:{peer};lr>"))).await;
    assert!(matches!(outcome, Outcome::Rejected { .. }), "{outcome:?}");
    assert_eq!(lies_ready(&plain), None, "nothing was sent");
}

#[tokio::test]
async fn a_plain_datagram_cannot_speak_in_a_dialog_over_tls() {
    let proxy = TlsProxy::start(&["127.0.0.1"]).await;
    let phone = Sipp::start("silence", SipTransport::Udp, 1, &[]).await;
    let agent = SipAgent::start(&trusting(proxy.ca_file()), None).await.unwrap();
    let dialog = call(phone.address, format!("<sip:{};transport=tls;lr>", proxy.address));
    let liar = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let lie = async {
        let (from, to) = (liar.local_addr().unwrap(), agent.listen());
        let body = "SIP/2.0 200 OK\r\n";
        let notify = |n: u32| {
            format!(
                "NOTIFY sip:sentiment-sidecar@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKlie{n};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{from}>;tag=caller-tag\r\nTo: <sip:agent@127.0.0.1>;tag=agent-tag\r\n\
             Call-ID: handed-over@127.0.0.1\r\nCSeq: 1 NOTIFY\r\nEvent: refer\r\nSubscription-State: terminated\r\n\
             Content-Type: message/sipfrag\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        // Until the transfer is known: before, nobody has such a dialog, and who asks too often gets no answer.
        for n in 0.. {
            liar.send_to(notify(n).as_bytes(), to).await.unwrap();
            let mut answer = [0; 2048];
            let received = tokio::time::timeout(Duration::from_millis(100), liar.recv(&mut answer)).await;
            let Ok(Ok(len)) = received else { continue };
            let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
            if !answer.starts_with("SIP/2.0 481") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("it asks until it is heard");
    };
    let (route, cancel) = (Route::ReferInDialog { dialog }, CancellationToken::new());
    let transferring = agent.transfer(request(route, 30_000), mpsc::channel(64).0, cancel.clone());
    let (outcome, answer) = tokio::join!(transferring, async {
        let answer = lie.await;
        cancel.cancel();
        answer
    });
    assert!(answer.starts_with("SIP/2.0 403"), "{answer}");
    assert_eq!(outcome, Outcome::Cancelled, "it went on until it was called off");
}
