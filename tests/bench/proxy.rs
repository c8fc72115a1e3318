//! What `proxy` adds to a frame's way on loopback, to the app and back from it: frames go to an app that says all back, by turns
//! directly and through the program, which hears and rates them. Goal: 99 of 100 within 1 ms of the direct way, where calls speak
//! as calls do; what it is with twenty times as many words tells what there is to spare. Calls, app and program share the cores.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on should panic")]
#![expect(clippy::print_stdout, reason = "its findings")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// Calls side by side, and how long each waits between two frames: a model that speaks says some twenty pieces a second.
const ROUNDS: [(usize, Duration); 3] =
    [(1, Duration::from_millis(50)), (50, Duration::from_millis(50)), (50, Duration::from_micros(2500))];
/// Of all calls of a round.
const FRAMES: usize = 20_000;
const MOST_OF_A_CALL: usize = 1000;
/// So many frames are pieces of sentences, to one that the caller said.
const PIECES: usize = 100;
const GOAL_MS: f64 = 1.0;
const TOKEN: &str = "t0ken";

/// When the app had the last frame of each connection, in ns since the bench began.
type Arrivals = Arc<Vec<AtomicU64>>;

fn now_ns() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap()
}

/// The app: takes any handshake, and says all back as it came.
fn echo(arrivals: Arrivals) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let arrivals = Arc::clone(&arrivals);
            thread::spawn(move || say_back(stream.unwrap(), &arrivals));
        }
    });
    address
}

fn say_back(mut stream: TcpStream, arrivals: &Arrivals) {
    stream.set_nodelay(true).unwrap();
    let head = read_head(&mut stream);
    let number = head.split_once("?way=").and_then(|(_, rest)| rest.split(' ').next()).unwrap();
    let arrived = &arrivals[number.parse::<usize>().unwrap()];
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").unwrap();
    let mut chunk = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        arrived.store(now_ns(), Ordering::Release);
        if stream.write_all(&chunk[..len]).is_err() {
            return;
        }
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
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
struct Way {
    stream: TcpStream,
    number: usize,
    arrivals: Arrivals,
}

impl Way {
    fn open(to: SocketAddr, path: &str, number: usize, arrivals: &Arrivals) -> Self {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!(
            "GET {path}?way={number} HTTP/1.1\r\nHost: voice.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        read_head(&mut stream);
        let mut way = Self { stream, number, arrivals: Arc::clone(arrivals) };
        way.there_and_back(&frame(&format!(r#"{{"type":"setup","sessionId":"VX{number}","callSid":"CA{number}"}}"#)));
        way
    }

    /// How long a frame was on its way to the app, and back, in ns.
    fn there_and_back(&mut self, frame: &[u8]) -> [u64; 2] {
        let mut back = vec![0; frame.len()];
        let sent = now_ns();
        self.stream.write_all(frame).unwrap();
        self.stream.read_exact(&mut back).unwrap();
        let returned = now_ns();
        assert_eq!(back, frame);
        let arrived = self.arrivals[self.number].load(Ordering::Acquire);
        [arrived - sent, returned - arrived]
    }
}

/// What a frame took, directly and through the program.
struct Took {
    directly: [u64; 2],
    through: [u64; 2],
}

/// One call: what each of its frames took.
fn call(
    [app, proxy]: [SocketAddr; 2],
    [first, second]: [usize; 2],
    pace: Duration,
    frames: usize,
    at: &Arrivals,
) -> Vec<Took> {
    let mut direct = Way::open(app, "/relay", first, at);
    let mut through = Way::open(proxy, &format!("/{TOKEN}/relay"), second, at);
    let piece = frame(r#"{"type":"text","token":" moment","last":true}"#);
    let prompt =
        frame(r#"{"type":"prompt","voicePrompt":"Nobody at your company seems to care.","lang":"en-US","last":true}"#);
    (0..frames)
        .map(|n| {
            thread::sleep(pace);
            let frame = if n % PIECES == 0 { &prompt } else { &piece };
            // Neither always goes first.
            if n % 2 == 0 {
                Took { directly: direct.there_and_back(frame), through: through.there_and_back(frame) }
            } else {
                let through = through.there_and_back(frame);
                Took { directly: direct.there_and_back(frame), through }
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
    let mut child = command.spawn().unwrap();
    while TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        assert_eq!(child.try_wait().unwrap(), None, "the program ended at its start");
        thread::sleep(Duration::from_millis(10));
    }
    (child, address)
}

/// The median, and what 99 of 100 are within, in ms.
fn figures(mut all: Vec<u64>) -> [f64; 2] {
    all.sort_unstable();
    [all[all.len() / 2], all[all.len() * 99 / 100]].map(|ns| ns as f64 / 1e6)
}

fn measure(ends: [SocketAddr; 2], calls: usize, pace: Duration, ways: &mut std::ops::RangeFrom<usize>, at: &Arrivals) {
    let frames = (FRAMES / calls).min(MOST_OF_A_CALL);
    let running: Vec<_> = (0..calls)
        .map(|_| {
            let (ways, at) = ([(); 2].map(|()| ways.next().unwrap()), Arc::clone(at));
            thread::spawn(move || call(ends, ways, pace, frames, &at))
        })
        .collect();
    let took: Vec<Took> = running.into_iter().flat_map(|call| call.join().unwrap()).collect();
    for (leg, name) in ["to the app", "back from it"].into_iter().enumerate() {
        let [directly, through] = [
            figures(took.iter().map(|took| took.directly[leg]).collect()),
            figures(took.iter().map(|took| took.through[leg]).collect()),
        ];
        let [p50, p99] = [0, 1].map(|at| through[at] - directly[at]);
        let verdict = if p99 <= GOAL_MS { "" } else { "  (over the goal)" };
        println!(
            "{calls:5} {pace:>8.1?} {name:12} {:6.2} {:6.2}   {:6.2} {:6.2}   {p50:6.2} {p99:6.2}{verdict}",
            directly[0], directly[1], through[0], through[1]
        );
    }
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let most: usize = ROUNDS.iter().map(|(calls, _)| 2 * calls).sum();
    let arrivals: Arrivals = Arc::new((0..most).map(|_| AtomicU64::new(0)).collect());
    let app = echo(Arc::clone(&arrivals));
    let (mut child, proxy) = program(app, folder.path());
    println!("ms a frame             directly        through         added (goal: p99 {GOAL_MS:.0})");
    println!("calls     pace              p50    p99      p50    p99      p50    p99");
    let mut ways = 0..;
    for (calls, pace) in ROUNDS {
        measure([app, proxy], calls, pace, &mut ways, &arrivals);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
