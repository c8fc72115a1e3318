//! A room that plays a script: the other side of the native dialect, for `room`, `demo` and tests.
//!
//! [`RoomServer::start`] listens and waits for a sidecar. The first `hello` starts the clock; from then on every
//! message of the [`Script`] goes out at its time. One thing is held back: a `command.result`, until the sidecar has
//! sent the command that it answers. Messages are numbered as they go out, and all are kept, so that a sidecar may
//! come back with `resume` or without.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tokio_util::task::AbortOnDropHandle;

use super::error::close_code;
use super::message::{
    About, CommandKind, CommandStatus, ErrorMessage, Resume, RoomMessage, SUBPROTOCOL, SidecarMessage, VERSION, Welcome,
};
use super::script::{Script, Speed};
use super::socket::{Frame, websocket_config};
use crate::config::secret::Secret;

/// What a room saw.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most events carry a message; a box for each would cost more")]
pub enum ServerEvent {
    /// Somebody dialled and was turned away.
    TurnedAway {
        /// The HTTP status, or the close code.
        code: u16,
        /// Why.
        reason: String,
    },
    /// A sidecar joined.
    Joined {
        /// Who.
        about: About,
        /// Where it goes on from, when it does.
        resumed_after: Option<u64>,
    },
    /// The room said something, for the first time.
    Said(RoomMessage),
    /// The sidecar said something other than `hello`.
    Heard(SidecarMessage),
    /// The sidecar sent something unusable.
    BadFrame {
        /// What does not fit.
        detail: String,
    },
    /// A sidecar's connection ended.
    Left {
        /// The close code, where one was given.
        code: Option<u16>,
    },
    /// `session.ended` went out and the sidecar has acked everything, or left, or kept silent for
    /// [`RoomServer::FAREWELL`].
    Over,
}

/// A listening room. Dropping it cuts every connection.
#[derive(Debug)]
pub struct RoomServer {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl RoomServer {
    /// How long the room waits for the last ack before it closes.
    pub const FAREWELL: Duration = Duration::from_secs(5);

    /// Listens on `address` (port 0 picks a free one) and plays `script` for whoever presents `token`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(
        address: SocketAddr,
        script: Script,
        speed: Speed,
        token: Option<Secret>,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<ServerEvent>)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (events, seen) = mpsc::unbounded_channel();
        let room = Arc::new(Room {
            welcome: script.welcome.clone(),
            answered: script.answered_commands(),
            token,
            events,
            stage: Mutex::new(Stage::default()),
            version: watch::Sender::new(0),
        });
        let task = tokio::spawn(run(listener, room, script.messages, speed));
        Ok((Self { address, _task: AbortOnDropHandle::new(task) }, seen))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to attach to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/room", self.address)
    }
}

async fn run(listener: TcpListener, room: Arc<Room>, messages: Vec<(u64, RoomMessage)>, speed: Speed) {
    // Dropped, and with it every task, when the server is.
    let mut tasks = JoinSet::new();
    tasks.spawn(play(Arc::clone(&room), messages, speed));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { tasks.spawn(serve(Arc::clone(&room), stream)); }
                // Too many open files, or a peer that left at once: neither is helped by spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// What all connections share.
struct Room {
    welcome: Welcome,
    answered: HashSet<String>,
    token: Option<Secret>,
    events: mpsc::UnboundedSender<ServerEvent>,
    stage: Mutex<Stage>,
    /// Changes whenever the stage does.
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct Stage {
    /// Everything said so far; the message at index i has `seq` i + 1.
    said: Vec<RoomMessage>,
    /// Results that were due before their command came.
    held: HashMap<String, Vec<RoomMessage>>,
    /// Commands that the sidecar has sent.
    commanded: HashSet<String>,
    /// The youngest connection's number; 0 before the first.
    youngest: u64,
    ended: bool,
    over: bool,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Stage> {
        // Nothing panics while it holds the lock, and the stage would be whole even then.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: ServerEvent) {
        // Nobody may be interested, which is fine.
        let _ = self.events.send(event);
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn say(&self, stage: &mut Stage, mut message: RoomMessage) {
        number(&mut message, stage.said.len() as u64 + 1);
        stage.ended |= matches!(message, RoomMessage::SessionEnded { .. });
        self.tell(ServerEvent::Said(message.clone()));
        stage.said.push(message);
    }

    /// A message of the script is due.
    fn due(&self, message: RoomMessage) {
        let mut stage = self.lock();
        match &message {
            RoomMessage::CommandResult { command_id, .. } if !stage.commanded.contains(command_id) => {
                stage.held.entry(command_id.clone()).or_default().push(message);
            }
            _ => self.say(&mut stage, message),
        }
        drop(stage);
        self.changed();
    }

    /// The sidecar sent a command: what the script says, or what any room would answer.
    fn commanded(&self, command_id: &str, command: &CommandKind) {
        let mut stage = self.lock();
        if !stage.commanded.insert(command_id.to_owned()) {
            return;
        }
        if self.answered.contains(command_id) {
            for message in stage.held.remove(command_id).unwrap_or_default() {
                self.say(&mut stage, message);
            }
        } else {
            let (status, code) = match command {
                CommandKind::Say { .. } | CommandKind::SetFlag { .. } => (CommandStatus::Done, None),
                CommandKind::Transfer { .. } | CommandKind::Hangup {} => (CommandStatus::Failed, Some("unsupported")),
            };
            let result = RoomMessage::CommandResult {
                seq: None,
                command_id: command_id.to_owned(),
                status,
                code: code.map(str::to_owned),
                detail: code.map(|_| "the recording does not say how this command fared".to_owned()),
            };
            self.say(&mut stage, result);
        }
        drop(stage);
        self.changed();
    }

    fn over(&self) {
        let mut stage = self.lock();
        if !std::mem::replace(&mut stage.over, true) {
            self.tell(ServerEvent::Over);
        }
    }

    /// What an HTTP request for this room is answered.
    fn admit(&self, request: &Request, mut response: Response) -> Result<Response, Box<ErrorResponse>> {
        let turn_away = |status: StatusCode, reason: &str| {
            self.tell(ServerEvent::TurnedAway { code: status.as_u16(), reason: reason.to_owned() });
            let mut response = ErrorResponse::new(Some(reason.to_owned()));
            *response.status_mut() = status;
            Err(Box::new(response))
        };
        if let Some(token) = &self.token {
            let given = request.headers().get(AUTHORIZATION).and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
            // Hashes of equal length take equal time to compare, wherever they differ first.
            if given.map(Sha256::digest) != Some(Sha256::digest(token.expose())) {
                return turn_away(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong");
            }
        }
        let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
        if !offered.flat_map(|v| v.split(',')).any(|v| v.trim() == SUBPROTOCOL) {
            return turn_away(StatusCode::BAD_REQUEST, "the subprotocol sentiment-sidecar.room.v1 was not offered");
        }
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    }
}

fn number(message: &mut RoomMessage, number: u64) {
    match message {
        RoomMessage::Transcript(t) => t.seq = Some(number),
        RoomMessage::TurnEnded(t) => t.seq = Some(number),
        RoomMessage::ParticipantJoined { seq, .. }
        | RoomMessage::ParticipantLeft { seq, .. }
        | RoomMessage::AgentState { seq, .. }
        | RoomMessage::ToolCall { seq, .. }
        | RoomMessage::CommandResult { seq, .. }
        | RoomMessage::SessionEnded { seq, .. } => *seq = Some(number),
        RoomMessage::Welcome(_) | RoomMessage::Ack { .. } | RoomMessage::Error(_) => {}
    }
}

/// Says what is due, from the first `hello` on.
async fn play(room: Arc<Room>, messages: Vec<(u64, RoomMessage)>, speed: Speed) {
    let mut version = room.version.subscribe();
    while room.lock().youngest == 0 {
        if version.changed().await.is_err() {
            return;
        }
    }
    let start = Instant::now();
    for (at_ms, message) in messages {
        if let Some(due) = start.checked_add(speed.scale(at_ms)) {
            sleep_until(due).await;
        }
        room.due(message);
    }
}

type Socket = WebSocketStream<TcpStream>;

/// One connection, from its handshake to its end.
async fn serve(room: Arc<Room>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    #[expect(clippy::result_large_err, reason = "the type is the library's")]
    let admit = |request: &Request, response: Response| room.admit(request, response).map_err(|boxed| *boxed);
    let handshake = accept_hdr_async_with_config(stream, admit, Some(websocket_config()));
    let Ok(Ok(mut socket)) = timeout(RoomServer::FAREWELL, handshake).await else { return };
    let hello = match timeout(RoomServer::FAREWELL, first_message(&room, &mut socket)).await {
        Ok(Some(hello)) => hello,
        outcome => {
            if outcome.is_err() {
                room.tell(ServerEvent::TurnedAway { code: close_code::PROTOCOL, reason: "no hello came".to_owned() });
            }
            let _ = timeout(RoomServer::FAREWELL, close(&mut socket, close_code::PROTOCOL, "hello comes first")).await;
            return;
        }
    };
    let (number, cursor, welcome) = join(&room, hello);
    let (sink, stream) = socket.split();
    let mut link = Link { room, number, cursor, acked: 0, sink, farewell: None };
    let code = link.run(RoomMessage::Welcome(welcome), stream).await;
    link.room.tell(ServerEvent::Left { code });
    if link.room.lock().ended && link.is_youngest() {
        link.room.over();
    }
}

struct Hello {
    about: About,
    resume: Option<Resume>,
}

async fn first_message(room: &Room, socket: &mut Socket) -> Option<Hello> {
    let turn_away = |reason: &str| {
        room.tell(ServerEvent::TurnedAway { code: close_code::PROTOCOL, reason: reason.to_owned() });
        None
    };
    while let Some(Ok(frame)) = socket.next().await {
        let Frame::Text(text) = frame else { continue };
        return match serde_json::from_str::<SidecarMessage>(&text) {
            Ok(SidecarMessage::Hello { versions, .. }) if !versions.contains(&VERSION) => {
                turn_away("version 1 was not offered")
            }
            Ok(SidecarMessage::Hello { room_name, .. }) if room_name != room.welcome.room_name => {
                turn_away("hello asks for another room")
            }
            Ok(SidecarMessage::Hello { about, resume, .. }) => Some(Hello { about, resume }),
            _ => turn_away("the first message is not a hello"),
        };
    }
    None
}

/// Makes the connection the youngest; returns its number, where it goes on from, and its welcome.
fn join(room: &Room, hello: Hello) -> (u64, usize, Welcome) {
    let mut stage = room.lock();
    stage.youngest += 1;
    let number = stage.youngest;
    let resumed = hello
        .resume
        .filter(|resume| resume.session_id == room.welcome.session_id)
        .and_then(|resume| usize::try_from(resume.last_seq).ok())
        .filter(|last| *last <= stage.said.len());
    drop(stage);
    room.tell(ServerEvent::Joined { about: hello.about, resumed_after: resumed.map(|last| last as u64) });
    room.changed();
    (number, resumed.unwrap_or(0), Welcome { resumed: resumed.is_some(), ..room.welcome.clone() })
}

async fn close<S>(sink: &mut S, code: u16, reason: &'static str) -> Result<(), S::Error>
where
    S: futures_util::Sink<Frame> + Unpin,
{
    sink.send(Frame::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))).await
}

/// A sidecar that has joined.
struct Link {
    room: Arc<Room>,
    number: u64,
    cursor: usize,
    acked: u64,
    sink: SplitSink<Socket, Frame>,
    /// When the room stops waiting for the last ack.
    farewell: Option<Instant>,
}

impl Link {
    fn is_youngest(&self) -> bool {
        self.room.lock().youngest == self.number
    }

    /// Returns the close code that ended it, where there was one.
    async fn run(&mut self, welcome: RoomMessage, mut stream: SplitStream<Socket>) -> Option<u16> {
        let mut version = self.room.version.subscribe();
        self.write(&welcome).await?;
        loop {
            if !self.is_youngest() {
                return self.part(close_code::SUPERSEDED, "another connection took over", &mut stream).await;
            }
            while let Some(message) = self.next_to_say() {
                self.write(&message).await?;
            }
            if self.is_done() {
                return self.part(close_code::NORMAL, "", &mut stream).await;
            }
            let farewell = self.farewell;
            tokio::select! {
                changed = version.changed() => changed.ok()?,
                frame = stream.next() => match frame?.ok()? {
                    Frame::Text(text) => self.heard(&text).await?,
                    Frame::Binary(_) => self.unusable("a binary frame").await?,
                    Frame::Close(close) => {
                        let _ = self.sink.flush().await;
                        return close.map(|close| close.code.into());
                    }
                    Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => self.sink.flush().await.ok()?,
                },
                () = async { sleep_until(farewell.unwrap_or_else(Instant::now)).await }, if farewell.is_some() => {
                    return self.part(close_code::NORMAL, "", &mut stream).await;
                }
            }
        }
    }

    fn next_to_say(&mut self) -> Option<RoomMessage> {
        let stage = self.room.lock();
        let message = stage.said.get(self.cursor).cloned();
        if message.is_some() {
            self.cursor += 1;
        } else if stage.ended && self.farewell.is_none() {
            self.farewell = Some(Instant::now() + RoomServer::FAREWELL);
        }
        message
    }

    fn is_done(&self) -> bool {
        let stage = self.room.lock();
        stage.ended && self.acked >= stage.said.len() as u64
    }

    async fn write<T: serde::Serialize>(&mut self, message: &T) -> Option<()> {
        let text = serde_json::to_string(message).ok()?;
        self.sink.send(Frame::text(text)).await.ok()
    }

    async fn heard(&mut self, text: &str) -> Option<()> {
        let message = match serde_json::from_str::<SidecarMessage>(text) {
            Ok(message) => message,
            Err(error) => return self.unusable(&error.to_string()).await,
        };
        match &message {
            SidecarMessage::Ack { seq } => self.acked = self.acked.max(*seq),
            SidecarMessage::Command { command_id, command, .. } => self.room.commanded(command_id, command),
            _ => {}
        }
        self.room.tell(ServerEvent::Heard(message));
        Some(())
    }

    async fn unusable(&mut self, detail: &str) -> Option<()> {
        self.room.tell(ServerEvent::BadFrame { detail: detail.to_owned() });
        let error = ErrorMessage {
            code: "bad_frame".to_owned(),
            message: detail.to_owned(),
            reference: None,
            retryable: false,
        };
        self.write(&RoomMessage::Error(error)).await
    }

    /// Closes, and reads on until the sidecar has closed as well: it may still have something to say.
    async fn part(&mut self, code: u16, reason: &'static str, stream: &mut SplitStream<Socket>) -> Option<u16> {
        close(&mut self.sink, code, reason).await.ok()?;
        let answer = async {
            while let Some(Ok(frame)) = stream.next().await {
                match frame {
                    Frame::Text(text) => {
                        if let Ok(message) = serde_json::from_str(&text) {
                            self.room.tell(ServerEvent::Heard(message));
                        }
                    }
                    Frame::Close(_) => break,
                    _ => {}
                }
            }
        };
        let _ = timeout(RoomServer::FAREWELL, answer).await;
        Some(code)
    }
}
