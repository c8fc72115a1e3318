//! Where answers go when a Via names a place that leads nowhere (RFC 3261 section 18.2.2, RFC 3581).

use std::time::Duration;

use sentiment_sidecar::config::settings::{Sip, SipTransport};
use sentiment_sidecar::transfer::sip::SipAgent;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::settings;
use super::ua::Message;

#[tokio::test]
async fn an_answer_goes_where_the_request_came_from_and_says_so() {
    for ip in ["127.0.0.1", "[::1]"] {
        let listen = format!("{ip}:0");
        let sip = Sip { listen: listen.parse().unwrap(), ..settings(SipTransport::Udp) };
        let agent = SipAgent::start(&sip, None).await.unwrap();
        let peer = UdpSocket::bind(&listen).await.unwrap();
        let notify = format!(
            "NOTIFY sip:sentiment-sidecar@{} SIP/2.0\r\nVia: SIP/2.0/UDP host.invalid;branch=z9hG4bKone\r\n\
             Via: SIP/2.0/UDP other.invalid;received=[::2];branch=z9hG4bKtwo\r\nMax-Forwards: 70\r\n\
             From: <sip:a@host.invalid>;tag=a\r\nTo: <sip:b@host.invalid>;tag=b\r\nCall-ID: nobody\r\nCSeq: 1 NOTIFY\r\n\
             Event: refer\r\nSubscription-State: active\r\nContent-Length: 0\r\n\r\n",
            agent.listen()
        );
        // The second time it is a retransmission, which the stack answers by itself.
        for _ in 0..2 {
            peer.send_to(notify.as_bytes(), agent.listen()).await.unwrap();
            let mut buffer = [0; 2000];
            let received = timeout(Duration::from_secs(5), peer.recv(&mut buffer)).await;
            let length = received.unwrap_or_else(|_| panic!("no answer to {ip}")).unwrap();
            let answer = Message(String::from_utf8_lossy(&buffer[..length]).into_owned());
            assert_eq!(answer.status(), Some(481), "{}", answer.0);
            let vias = answer.headers("Via");
            let bare = ip.trim_matches(['[', ']']);
            assert!(vias[0].split(';').any(|param| param == format!("received={bare}")), "{vias:?}");
            assert_eq!(vias[1], "SIP/2.0/UDP other.invalid;received=[::2];branch=z9hG4bKtwo");
        }
    }
}
