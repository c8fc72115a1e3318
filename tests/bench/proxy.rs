//! What `proxy` adds to a frame's way to the app and back, on loopback: frames go to an app that says all back, by turns directly and
//! through the program, which hears and rates them. Goal: 99 of 100 within 1 ms of the direct way.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on should panic")]
#![expect(clippy::print_stdout, reason = "its findings")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many calls there are at once, in each round.
const ROUNDS: [usize; 2] = [1, 50];
const FRAMES: usize = 2000;
/// A model that speaks word by word sends no faster.
const PACE: Duration = Duration::from_millis(5);
/// So many frames are pieces of sentences, to one that the caller said.
const PIECES: usize = 100;
const GOAL: Duration = Duration::from_millis(1);
const TOKEN: &str = "t0ken";

/// The app: takes any handshake, and says all back as it came.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || say_back(stream.unwrap()));
        }
    });
    address
}

fn say_back(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    read_head(&mut stream);
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").unwrap();
    let mut chunk = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        if stream.write_all(&chunk[..len]).is_err() {
            return;
        }
    }
}

fn read_head(stream: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

/// A message as a client says it; the mask changes nothing.
fn frame(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap();
    let mut frame = vec![0x81];
    if len < 126 {
        frame.push(0x80 | len as u8);
    } else {
        frame.push(0x80 | 126);
        frame.extend(len.to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// A connection of a call.
struct Way(TcpStream);

impl Way {
    fn open(to: SocketAddr, path: &str, call: usize) -> Self {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: voice.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        read_head(&mut stream);
        let mut way = Self(stream);
        way.there_and_back(&frame(&format!(r#"{{"type":"setup","sessionId":"VX{call}","callSid":"CA{call}"}}"#)));
        way
    }

    fn there_and_back(&mut self, frame: &[u8]) -> Duration {
        let mut back = vec![0; frame.len()];
        let started = Instant::now();
        self.0.write_all(frame).unwrap();
        self.0.read_exact(&mut back).unwrap();
        let took = started.elapsed();
        assert_eq!(back, frame);
        took
    }
}

/// One call: what each frame took directly, and through the program.
fn call(app: SocketAddr, proxy: SocketAddr, number: usize) -> Vec<[Duration; 2]> {
    let mut ways = [Way::open(app, "/relay", number), Way::open(proxy, &format!("/{TOKEN}/relay"), number)];
    let piece = frame(r#"{"type":"text","token":" moment","last":true}"#);
    let prompt =
        frame(r#"{"type":"prompt","voicePrompt":"Nobody at your company seems to care.","lang":"en-US","last":true}"#);
    (0..FRAMES)
        .map(|n| {
            thread::sleep(PACE);
            let frame = if n % PIECES == 0 { &prompt } else { &piece };
            // Neither always goes first.
            let [direct, through] = &mut ways;
            if n % 2 == 0 {
                let direct = direct.there_and_back(frame);
                [direct, through.there_and_back(frame)]
            } else {
                let through = through.there_and_back(frame);
                [direct.there_and_back(frame), through]
            }
        })
        .collect()
}

fn program(app: SocketAddr, folder: &std::path::Path) -> (Child, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let agent = folder.join("agent.json");
    std::fs::write(&agent, r#"{"sentimentEscalationEnabled": true}"#).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
    command.args(["proxy", "--dialect", "telnyx", "--listen", &address.to_string(), "--agent"]).arg(agent);
    command.args(["--app-url", &format!("ws://{app}")]).env("SIDECAR_ROOM_TOKEN", TOKEN).env("SIDECAR_LOG", "error");
    command.env("SIDECAR_STORE", folder.join("store.db")).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.spawn().unwrap();
    while TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        thread::sleep(Duration::from_millis(10));
    }
    (child, address)
}

fn measure(app: SocketAddr, proxy: SocketAddr, calls: usize) {
    let running: Vec<_> =
        (0..calls).map(|number| thread::spawn(move || call(app, proxy, calls * 1000 + number))).collect();
    let took: Vec<[Duration; 2]> = running.into_iter().flat_map(|call| call.join().unwrap()).collect();
    let of = |way: usize| {
        let mut all: Vec<Duration> = took.iter().map(|both| both[way]).collect();
        all.sort();
        [all[all.len() / 2], all[all.len() * 99 / 100]]
    };
    let ([direct, through], names) = ([of(0), of(1)], ["p50", "p99"]);
    for (at, name) in names.into_iter().enumerate() {
        let added = through[at].saturating_sub(direct[at]);
        println!(
            "{calls} calls, {name}: directly {:?}, through the proxy {:?}, added {added:?}",
            direct[at], through[at]
        );
    }
    let added = through[1].saturating_sub(direct[1]);
    let verdict = if added <= GOAL { "within" } else { "MISSES" };
    println!("{calls} calls: there and back, {added:?} are added at p99: {verdict} the goal of {GOAL:?}");
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let app = echo();
    let (mut child, proxy) = program(app, folder.path());
    for calls in ROUNDS {
        measure(app, proxy, calls);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
