//! What stands on the other side: a room written with plain tokio-tungstenite, a webhook receiver on a bare socket,
//! and the program itself as a child process. Everything is on loopback and dies with its test.

use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Longest wait for anything; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A signing secret for tests.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A room as someone else would write it.
pub(crate) struct Room {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Room {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// The next connection, up to and including its `hello`.
    pub(crate) async fn accept(&self) -> (Connection, Value) {
        let (stream, _) = soon("a connection to the room", self.listener.accept()).await.unwrap();
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let choose = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], "sentiment-sidecar.room.v1");
            let chosen = HeaderValue::from_static("sentiment-sidecar.room.v1");
            response.headers_mut().insert("sec-websocket-protocol", chosen);
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
        let mut connection = Connection { socket };
        let hello = connection.until("hello").await;
        (connection, hello)
    }
}

pub(crate) struct Connection {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Connection {
    pub(crate) async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// `welcome` with a caller `c` and an agent `a`.
    pub(crate) async fn welcome(&mut self, capabilities: &[&str], resumed: bool) {
        self.send(json!({"type": "welcome", "version": 1, "session_id": "session-1", "room_name": "room_abc123",
            "call": {"id": "call-1"}, "capabilities": capabilities, "resumed": resumed,
            "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]}))
            .await;
    }

    /// The seed's three caller turns, numbered from `seq` on.
    pub(crate) async fn seed_turns(&mut self, seq: u64) {
        for (n, text) in SEED_TURNS.iter().enumerate() {
            self.turn(seq + n as u64, n, text).await;
        }
    }

    pub(crate) async fn turn(&mut self, seq: u64, n: usize, text: &str) {
        self.send(json!({"type": "turn.ended", "seq": seq, "turn_id": format!("u{}", n + 1), "index": n,
            "participant_id": "c", "text": text}))
            .await;
    }

    /// The next message of a type; others are passed over.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.until_where(kind, |m| m["type"] == kind).await
    }

    /// The next command of a name.
    pub(crate) async fn command(&mut self, name: &str) -> Value {
        self.until_where(name, |m| m["type"] == "command" && m["name"] == name).await
    }

    async fn until_where(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        soon(what, async {
            loop {
                let frame = self.socket.next().await.expect("the sidecar closed").unwrap();
                if let Message::Text(text) = frame {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if fits(&message) {
                        return message;
                    }
                }
            }
        })
        .await
    }

    pub(crate) async fn result(&mut self, seq: u64, command: &Value, status: &str, code: Option<&str>) {
        let command_id = &command["command_id"];
        self.send(
            json!({"type": "command.result", "seq": seq, "command_id": command_id, "status": status, "code": code}),
        )
        .await;
    }

    /// Ends the session as a room does, and waits until the sidecar has closed.
    pub(crate) async fn end(mut self, seq: u64) {
        self.send(json!({"type": "session.ended", "seq": seq, "reason": "caller hung up"})).await;
        self.drain().await;
    }

    /// Closes with a code and a reason, and waits until the sidecar has closed.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.socket.close(Some(frame)).await.unwrap();
        self.drain().await;
    }

    /// Reads on until the connection is gone.
    pub(crate) async fn drain(&mut self) {
        soon("the sidecar to close", async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
    }
}

/// What the caller says in the seed.
pub(crate) const SEED_TURNS: [&str; 3] = [
    "This is ridiculous, I've been trying to fix this for three days!",
    "Nobody at your company seems to care.",
    "I want to speak to someone who can actually help.",
];

/// A webhook receiver that does nothing by itself.
pub(crate) struct Hook {
    listener: TcpListener,
    pub(crate) url: String,
}

/// One attempt, read and not yet answered.
pub(crate) struct Attempt {
    stream: TcpStream,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Self {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Reads one attempt whole and leaves it unanswered. One whose process was killed half-way is no attempt.
    pub(crate) async fn attempt(&self) -> Attempt {
        soon("a webhook", async {
            loop {
                let (stream, _) = self.listener.accept().await.unwrap();
                if let Some(attempt) = Attempt::read(stream).await {
                    return attempt;
                }
            }
        })
        .await
    }

    /// Whether nobody knocks for a while.
    pub(crate) async fn is_quiet_for(&self, time: Duration) -> bool {
        timeout(time, self.listener.accept()).await.is_err()
    }
}

impl Attempt {
    /// None where it breaks off.
    async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        loop {
            let mut chunk = [0; 4096];
            let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
            bytes.extend_from_slice(&chunk[..n]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let headers: Vec<(String, String)> = head
                .lines()
                .skip(1)
                .filter_map(|l| l.split_once(": "))
                .map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()))
                .collect();
            let length = headers.iter().find(|(k, _)| k == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
            if body.len() >= length {
                let body = body.to_owned();
                return Some(Self { stream, headers, body });
            }
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }

    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    /// Checks the signature with the published library of Standard Webhooks.
    pub(crate) fn verify(&self) {
        let mut headers = http_headers();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, HeaderValue::from_str(self.header(name)).unwrap());
        }
        standardwebhooks::Webhook::new(SECRET).unwrap().verify(self.body.as_bytes(), &headers).unwrap();
    }

    /// Checks it, answers 200, and returns its `webhook-id` and its body.
    pub(crate) async fn accept(self) -> (String, Value) {
        self.verify();
        let accepted = (self.id(), serde_json::from_str(&self.body).unwrap());
        self.answer(200).await;
        accepted
    }

    pub(crate) async fn answer(mut self, status: u16) {
        let text = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        // Who was killed meanwhile hears no answer.
        self.stream.write_all(text.as_bytes()).await.ok();
        self.stream.shutdown().await.ok();
    }
}

fn http_headers() -> tokio_tungstenite::tungstenite::http::HeaderMap {
    tokio_tungstenite::tungstenite::http::HeaderMap::new()
}

/// The program, with a store and settings of its own.
pub(crate) struct Program {
    pub(crate) folder: tempfile::TempDir,
    /// Secrets beside that of the webhook.
    pub(crate) secrets: Vec<(&'static str, &'static str)>,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), secrets: Vec::new() }
    }

    pub(crate) fn store(&self) -> String {
        self.folder.path().join("store.db").display().to_string()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
        command.args(args).env_clear().env("SIDECAR_WEBHOOK_SECRET", SECRET).env("HOME", self.folder.path());
        command.envs(self.secrets.iter().copied());
        command.env("SIDECAR_STORE", self.store()).env("SIDECAR_LOG", "info").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        command
    }

    /// Attaches to a room with settings beside `sentimentEscalationEnabled`.
    pub(crate) fn attach(&self, room: &Room, settings: Value) -> Running {
        Running::new(self.attach_command(room, settings))
    }

    /// What does that, for more flags.
    pub(crate) fn attach_command(&self, room: &Room, settings: Value) -> Command {
        let mut agent = json!({"name": "Support Agent", "sentimentEscalationEnabled": true});
        agent.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let file = self.folder.path().join("agent.json");
        std::fs::write(&file, agent.to_string()).unwrap();
        let file = file.display().to_string();
        self.command(&["attach", "--room-url", &room.url, "--room", "room_abc123", "--agent", &file])
    }

    pub(crate) fn run(&self, args: &[&str]) -> Running {
        Running::new(self.command(args))
    }

    /// Runs `deliver` to its end and returns its exit code.
    pub(crate) async fn deliver(&self, args: &[&str]) -> Option<i32> {
        let mut all = vec!["deliver"];
        all.extend(args);
        let mut running = self.run(&all);
        running.exit().await
    }
}

/// The program at work.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) seen: Vec<Value>,
}

impl Running {
    pub(crate) fn new(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// The next event of a type; all events are kept in `seen`.
    pub(crate) async fn event(&mut self, kind: &str) -> Value {
        soon(kind, async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("no more events; wanted {kind}; saw {:?}", self.seen));
                let event: Value = serde_json::from_str(&line).unwrap();
                self.seen.push(event.clone());
                if event["type"] == kind {
                    return event;
                }
            }
        })
        .await
    }

    /// SIGKILL, and gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Reads all remaining events and waits for the end.
    pub(crate) async fn exit(&mut self) -> Option<i32> {
        soon("the program to end", async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(serde_json::from_str(&line).unwrap());
            }
            self.child.wait().await.unwrap().code()
        })
        .await
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.seen.iter().filter(|e| e["type"] == kind).count()
    }
}
