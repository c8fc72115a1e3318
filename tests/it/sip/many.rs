//! Many transfers in flight in one process: each gets its own outcome, and none is lost.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::settings::SipTransport;
use sentiment_sidecar::room::message::SipDialog;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::ua::Message;
use super::{agent, dialog, message, transfer};

const IN_FLIGHT: usize = 200;

/// What the phone of each caller reports, in turn.
const RESULTS: [&str; 5] = ["200 OK", "486 Busy Here", "603 Decline", "480 Temporarily Unavailable", "404 Not Found"];

fn expected(result: &str) -> Outcome {
    match result {
        "200 OK" => Outcome::Transferred,
        "486 Busy Here" => Outcome::Busy,
        "603 Decline" => Outcome::Declined,
        "404 Not Found" => Outcome::Rejected { code: "404".to_owned(), reason: "Not Found".to_owned() },
        _ => Outcome::NoAnswer,
    }
}

/// Where the agent's messages arrive.
enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

impl Socket {
    async fn receive(&mut self) -> Message {
        let mut chunk = [0; 4096];
        let text = match self {
            Self::Udp(socket) => loop {
                let len = socket.recv(&mut chunk).await.unwrap();
                if let Some(text) = message(&chunk[..len]) {
                    break text.into_bytes();
                }
            },
            // Nothing that the agent sends here has a body.
            Self::Tcp(stream, buffered) => loop {
                if let Some(at) = buffered.windows(4).position(|w| w == b"\r\n\r\n") {
                    break buffered.drain(..at + 4).collect();
                }
                let len = stream.read(&mut chunk).await.unwrap();
                assert_ne!(len, 0, "the agent hung up");
                buffered.extend_from_slice(&chunk[..len]);
            },
        };
        Message(String::from_utf8(text).unwrap())
    }

    async fn send(&mut self, text: &str, agent: SocketAddr) {
        match self {
            Self::Udp(socket) => {
                socket.send_to(text.as_bytes(), agent).await.unwrap();
            }
            Self::Tcp(stream, _) => stream.write_all(text.as_bytes()).await.unwrap(),
        }
    }
}

/// Accepts every REFER, and notifies only when all transfers are in flight.
async fn peer(mut socket: Socket, agent: SocketAddr) {
    let mut calls: HashMap<String, Message> = HashMap::new();
    while calls.len() < IN_FLIGHT {
        let refer = socket.receive().await;
        assert_eq!(refer.method(), "REFER");
        let copied: String =
            ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", refer.header(name))).concat();
        socket.send(&format!("SIP/2.0 202 Accepted\r\n{copied}Content-Length: 0\r\n\r\n"), agent).await;
        calls.insert(refer.header("Call-ID").to_owned(), refer);
    }
    let mut waiting: HashMap<String, String> = calls
        .into_iter()
        .map(|(call, refer)| {
            let number: usize = call.strip_prefix("call-").unwrap().parse().unwrap();
            let body = format!("SIP/2.0 {}\r\n", RESULTS[number % RESULTS.len()]);
            let notify = format!(
                "NOTIFY sip:sentiment-sidecar@{agent} SIP/2.0\r\n\
                 Via: SIP/2.0/{} 127.0.0.1;branch=z9hG4bKmany{number};rport\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
                 Call-ID: {call}\r\nCSeq: 1 NOTIFY\r\nEvent: refer\r\nSubscription-State: terminated;reason=noresource\r\n\
                 Content-Type: message/sipfrag\r\nContent-Length: {}\r\n\r\n{body}",
                if matches!(socket, Socket::Udp(_)) { "UDP" } else { "TCP" },
                refer.header("To"),
                refer.header("From"),
                body.len()
            );
            (call, notify)
        })
        .collect();
    // What is not answered is sent again, as peers do over UDP.
    while !waiting.is_empty() {
        for notify in waiting.values() {
            socket.send(notify, agent).await;
        }
        while let Ok(answer) = tokio::time::timeout(Duration::from_millis(500), socket.receive()).await {
            if answer.status().is_some() {
                assert_eq!(answer.status(), Some(200), "{}", answer.0);
                waiting.remove(answer.header("Call-ID"));
            }
            if waiting.is_empty() {
                break;
            }
        }
    }
}

async fn none_is_lost(transport: SipTransport) {
    let agent = Arc::new(agent(transport).await);
    let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = if transport == SipTransport::Udp { udp.local_addr() } else { tcp.local_addr() }.unwrap();
    let at = agent.listen();
    let peer = tokio::spawn(async move {
        let socket = match transport {
            SipTransport::Udp => Socket::Udp(udp),
            _ => Socket::Tcp(tcp.accept().await.unwrap().0, Vec::new()),
        };
        peer(socket, at).await;
    });
    let transfers: Vec<_> = (0..IN_FLIGHT)
        .map(|n| {
            let (agent, call) = (agent.clone(), SipDialog { call_id: format!("call-{n}"), ..dialog(address) });
            tokio::spawn(async move { transfer(&agent, Route::ReferInDialog { dialog: call }, 30_000).await.0 })
        })
        .collect();
    for (number, transfer) in transfers.into_iter().enumerate() {
        assert_eq!(transfer.await.unwrap(), expected(RESULTS[number % RESULTS.len()]), "call {number}");
    }
    peer.await.unwrap();
}

#[tokio::test]
async fn two_hundred_transfers_in_flight_lose_no_outcome_over_udp() {
    none_is_lost(SipTransport::Udp).await;
}

#[tokio::test]
async fn two_hundred_transfers_in_flight_lose_no_outcome_over_tcp() {
    none_is_lost(SipTransport::Tcp).await;
}
