//! What streams bring: messages in pieces and in heaps, what never ends, and what is no SIP.

use std::net::SocketAddr;
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::settings::SipTransport;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::ua::Message;
use super::{agent, dialog, transfer};

/// A request of the handed-over dialog, or of none when the tag is another.
fn text(agent: SocketAddr, method: &str, cseq: u32, tag: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} sip:sentiment-sidecar@{agent} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{method}{cseq};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:caller@127.0.0.1>;tag={tag}\r\nTo: <sip:agent@127.0.0.1>;tag=agent-tag\r\n\
         Call-ID: handed-over@127.0.0.1\r\nCSeq: {cseq} {method}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn notify(agent: SocketAddr, cseq: u32, sipfrag: &str) -> String {
    let state = if sipfrag.starts_with("SIP/2.0 1") { "active" } else { "terminated" };
    let headers =
        format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n");
    text(agent, "NOTIFY", cseq, "caller-tag", &headers, sipfrag)
}

/// The next message of a stream whose messages have no bodies; none when it ends.
async fn receive(stream: &mut TcpStream) -> Option<Message> {
    let (mut message, mut byte) = (Vec::new(), [0]);
    while !message.ends_with(b"\r\n\r\n") {
        if timeout(Duration::from_secs(60), stream.read(&mut byte)).await.expect("nothing came").unwrap_or(0) == 0 {
            return None;
        }
        message.push(byte[0]);
        if message == b"\r\n" {
            message.clear();
        }
    }
    Some(Message(String::from_utf8(message).unwrap()))
}

/// Whether the other side still takes a request, and answers it.
async fn answers(stream: &mut TcpStream, agent: SocketAddr, cseq: u32) -> bool {
    let options = text(agent, "OPTIONS", cseq, "someone", "", "");
    stream.write_all(options.as_bytes()).await.is_ok()
        && receive(stream).await.is_some_and(|answer| answer.status() == Some(200))
}

#[tokio::test]
async fn notifications_count_however_they_are_cut_and_whoever_opened_the_stream() {
    let agent = agent(SipTransport::Tcp).await;
    let (listen, peer) = (agent.listen(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let route = Route::ReferInDialog { dialog: dialog(peer.local_addr().unwrap()) };
    let phone = async {
        let (mut ours, _) = peer.accept().await.unwrap();
        let refer = receive(&mut ours).await.unwrap();
        let copied: String =
            ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", refer.header(name))).concat();
        // The acceptance and the first notification in one piece, behind a keep-alive.
        let accepted = format!("\r\n\r\nSIP/2.0 202 Accepted\r\n{copied}Content-Length: 0\r\n\r\n");
        let both = accepted + &notify(listen, 1, "SIP/2.0 100 Trying\r\n");
        ours.write_all(both.as_bytes()).await.unwrap();
        assert_eq!(receive(&mut ours).await.unwrap().status(), Some(200));
        // The result over a stream of its own, byte by byte.
        let mut theirs = TcpStream::connect(listen).await.unwrap();
        theirs.set_nodelay(true).unwrap();
        for byte in notify(listen, 2, "SIP/2.0 200 OK\n").into_bytes() {
            theirs.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(receive(&mut theirs).await.unwrap().status(), Some(200));
    };
    let (outcome, ()) = tokio::join!(transfer(&agent, route, 20_000), phone);
    assert_eq!(outcome.0, Outcome::Transferred);
}

#[tokio::test]
async fn a_stream_that_ends_before_any_answer_is_unreachable_at_once() {
    let agent = agent(SipTransport::Tcp).await;
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route::ReferInDialog { dialog: dialog(peer.local_addr().unwrap()) };
    let started = Instant::now();
    let (outcome, ()) = tokio::join!(transfer(&agent, route, 20_000), async {
        let (mut stream, _) = peer.accept().await.unwrap();
        assert_eq!(receive(&mut stream).await.unwrap().method(), "REFER");
    });
    assert!(matches!(outcome.0, Outcome::Unreachable { .. }), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "neither timer F nor the deadline is waited for");
}

#[tokio::test]
async fn what_is_out_of_step_ends_its_stream_and_no_other() {
    let agent = agent(SipTransport::Tcp).await;
    let listen = agent.listen();
    let mut good = TcpStream::connect(listen).await.unwrap();
    assert!(answers(&mut good, listen, 1).await);
    let whole = text(listen, "OPTIONS", 2, "someone", "", "");
    for garbage in [
        whole.replace("Content-Length: 0\r\n", ""),
        whole.replace("Content-Length: 0", "Content-Length: 0\r\nl: 5"),
        whole.replace("Content-Length: 0", "Content-Length: -1"),
        whole.replace("Content-Length: 0", "Content-Length: 4000000000"),
        whole.replace("Max-Forwards: 70\r\n", "Max-Forwards: 70\nX: y\r\n"),
        "x".repeat(20_000),
        format!("OPTIONS sip:a@b SIP/2.0\r\n{}", "X: y\r\n".repeat(4_000)),
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(listen).await.unwrap();
        stream.write_all(garbage.as_bytes()).await.ok();
        assert!(receive(&mut stream).await.is_none(), "not closed: {:?}", &garbage[..40.min(garbage.len())]);
    }
    assert!(answers(&mut good, listen, 3).await, "the others go on");
}

#[tokio::test]
async fn messages_that_are_wrong_in_themselves_are_skipped_and_many_of_them_end_the_stream() {
    let agent = agent(SipTransport::Tcp).await;
    let listen = agent.listen();
    let mut stream = TcpStream::connect(listen).await.unwrap();
    let odd = [
        "GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
        text(listen, "OPTIONS", 1, "someone", "", "").replace("Via:", "no colon"),
        text(listen, "OPTIONS", 1, "someone", "", "").replace(&format!("sentiment-sidecar@{listen}"), ""),
        "SIP/2.0 200 OK\r\nl: 0\r\n\r\n".to_owned(),
    ];
    stream.write_all(odd.concat().as_bytes()).await.unwrap();
    assert!(answers(&mut stream, listen, 2).await, "it goes on behind them");
    stream.write_all(odd[0].repeat(40).as_bytes()).await.unwrap();
    assert!(receive(&mut stream).await.is_none(), "enough is enough");
}

/// How long a stream stays open, in virtual time to half a second; `witness` is another one.
async fn is_closed_after(stream: &TcpStream, witness: &mut TcpStream, agent: SocketAddr, cseq: &mut u32) -> Duration {
    let started = Instant::now();
    loop {
        // What was due has happened once somebody who asked later is answered.
        *cseq += 1;
        assert!(answers(witness, agent, *cseq).await);
        match stream.try_read(&mut [0; 64]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return started.elapsed(),
        }
        tokio::time::advance(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_finishes_a_message_is_closed_in_ten_seconds() {
    // While something runs outside of the runtime the clock moves only as it is told to. By itself it would run ahead of
    // what is on its way between sockets.
    let (_running, stopped) = std::sync::mpsc::channel::<()>();
    let _outside = tokio::task::spawn_blocking(move || stopped.recv());
    let agent = agent(SipTransport::Tcp).await;
    let (listen, mut cseq) = (agent.listen(), 1);
    let mut witness = TcpStream::connect(listen).await.unwrap();
    for begun in ["", "OPTIONS sip:a@b SIP/2.0\r\nX: "] {
        let mut stream = TcpStream::connect(listen).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let took = is_closed_after(&stream, &mut witness, listen, &mut cseq).await;
        assert!((10..12).contains(&took.as_secs()), "{took:?} with {begun:?}");
    }
    // One that has spoken may be silent for long, but not in the middle of a message.
    let mut stream = TcpStream::connect(listen).await.unwrap();
    assert!(answers(&mut stream, listen, 1).await);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(answers(&mut stream, listen, 2).await);
    stream.write_all(b"OPTIONS sip:a@b SIP/2.0\r\n").await.unwrap();
    let took = is_closed_after(&stream, &mut witness, listen, &mut cseq).await;
    assert!((10..12).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn one_address_gets_so_many_streams_and_no_more() {
    let agent = agent(SipTransport::Tcp).await;
    let listen = agent.listen();
    let mut streams = Vec::new();
    for _ in 0..80 {
        streams.push(TcpStream::connect(listen).await.unwrap());
    }
    let mut open = 0;
    for stream in &mut streams {
        // A ping is answered by who listens.
        stream.write_all(b"\r\n\r\n").await.ok();
        let mut pong = [0; 2];
        open += u32::from(stream.read_exact(&mut pong).await.is_ok());
    }
    assert_eq!(open, 64);
    drop(streams);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(listen).await.unwrap();
            if answers(&mut stream, listen, 1).await {
                return;
            }
        }
    };
    timeout(Duration::from_secs(5), again).await.expect("the places are given back");
}
