//! From the decision to transfer to the REFER at the peer, on loopback; and how long 200 transfers at once take to their
//! outcomes. Goal: 99 of 100 REFERs within 3 ms.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on should panic")]
#![expect(clippy::print_stdout, reason = "its findings")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::{Route, TransferRequest};
use sentiment_sidecar::config::settings::{Settings, Sip, SipTransport};
use sentiment_sidecar::room::message::SipDialog;
use sentiment_sidecar::transfer::sip::SipAgent;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const TRANSFERS: usize = 2000;
const AT_ONCE: usize = 200;
const GOAL: Duration = Duration::from_millis(3);

/// The value of a header, as the agent writes it.
fn header<'a>(message: &'a str, name: &str) -> &'a str {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

/// What a phone says to a REFER: that it tries, and that the human has answered.
fn answers(refer: &str, transport: &str, agent: SocketAddr) -> [String; 2] {
    let copied: String =
        ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(refer, name))).concat();
    let call = header(refer, "Call-ID");
    [
        format!("SIP/2.0 202 Accepted\r\n{copied}Content-Length: 0\r\n\r\n"),
        format!(
            "NOTIFY sip:sentiment-sidecar@{agent} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1;branch=z9hG4bK{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: 1 NOTIFY\r\nEvent: refer\r\n\
             Subscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\nContent-Length: 16\r\n\r\n\
             SIP/2.0 200 OK\r\n",
            header(refer, "To"),
            header(refer, "From"),
        ),
    ]
}

/// Tells when each REFER came; in a thread of its own, so that nothing of the agent's runtime is in the figure.
fn phone(transport: SipTransport, agent: SocketAddr, came: std_mpsc::Sender<Instant>) -> SocketAddr {
    let at = (Ipv4Addr::LOCALHOST, 0);
    if transport == SipTransport::Udp {
        let socket = UdpSocket::bind(at).unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((len, _)) = socket.recv_from(&mut buffer) {
                let now = Instant::now();
                let text = String::from_utf8_lossy(&buffer[..len]);
                if text.starts_with("REFER ") && came.send(now).is_ok() {
                    for answer in answers(&text, "UDP", agent) {
                        socket.send_to(answer.as_bytes(), agent).unwrap();
                    }
                }
            }
        });
        return address;
    }
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener.accept().unwrap().0, agent, &came));
    address
}

fn serve(mut stream: TcpStream, agent: SocketAddr, came: &std_mpsc::Sender<Instant>) {
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        let now = Instant::now();
        buffer.extend_from_slice(&chunk[..len]);
        while let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let message: Vec<u8> = buffer.drain(..at + 4).collect();
            let text = String::from_utf8_lossy(&message);
            if text.starts_with("REFER ") && came.send(now).is_ok() {
                stream.write_all(answers(&text, "TCP", agent).concat().as_bytes()).unwrap();
            }
        }
    }
}

async fn transfer(agent: &SipAgent, peer: SocketAddr, call: String) -> Outcome {
    let dialog = SipDialog {
        call_id: call,
        local_tag: "agent".to_owned(),
        remote_tag: "caller".to_owned(),
        local_uri: Some("sip:agent@127.0.0.1".to_owned()),
        remote_uri: Some(format!("sip:caller@{peer}")),
        remote_target: Some(format!("sip:caller@{peer}")),
        route_set: Vec::new(),
        cseq: Some(7),
    };
    let request = TransferRequest {
        alert_id: "alert_bench".to_owned(),
        target: "+14155551234".parse().unwrap(),
        route: Route::ReferInDialog { dialog },
        deadline_ms: 30_000,
        ringing_timeout_ms: 30_000,
        severity: None,
    };
    agent.transfer(request, mpsc::channel(64).0, CancellationToken::new()).await
}

async fn measure(transport: SipTransport) {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let agent = Rc::new(SipAgent::start(&Sip { transport, listen, ..Settings::default().sip }, None).await.unwrap());
    let (came, arrivals) = std_mpsc::channel();
    let peer = phone(transport, agent.listen(), came);
    let mut took = Vec::with_capacity(TRANSFERS);
    for number in 0..TRANSFERS {
        let decided = Instant::now();
        assert_eq!(transfer(&agent, peer, format!("one-{number}")).await, Outcome::Transferred);
        took.push(arrivals.recv().unwrap() - decided);
    }
    took.sort();
    let (p50, p99) = (took[TRANSFERS / 2], took[TRANSFERS * 99 / 100]);
    let verdict = if p99 < GOAL { "within" } else { "MISSES" };
    println!("{transport:?}: decision to REFER at the peer: p50 {p50:?}, p99 {p99:?}, {verdict} the goal of {GOAL:?}");

    let started = Instant::now();
    let all = (0..AT_ONCE).map(|number| transfer(&agent, peer, format!("many-{number}")));
    let outcomes = futures_util::future::join_all(all).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Transferred), "{outcomes:?}");
    println!("{transport:?}: {AT_ONCE} transfers at once, all outcomes in {:?}", started.elapsed());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for transport in [SipTransport::Udp, SipTransport::Tcp] {
        runtime.block_on(measure(transport));
    }
}
