//! One sidecar's connection to the room, from its handshake to its end.

use std::sync::Arc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::stage::Room;
use super::{RoomServer, ServerEvent};
use crate::room::error::close_code;
use crate::room::link::socket::{Frame, websocket_config};
use crate::room::message::{About, ErrorMessage, MAX_FRAME, Resume, RoomMessage, SidecarMessage, VERSION, Welcome};

type Socket = WebSocketStream<TcpStream>;

/// One connection, from its handshake to its end.
pub(super) async fn serve(room: Arc<Room>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    #[expect(clippy::result_large_err, reason = "the type is the library's")]
    let admit = |request: &Request, response: Response| room.admit(request, response).map_err(|boxed| *boxed);
    let handshake = accept_hdr_async_with_config(stream, admit, Some(websocket_config(MAX_FRAME)));
    let Ok(Ok(mut socket)) = timeout(RoomServer::FAREWELL, handshake).await else { return };
    let hello = match timeout(RoomServer::FAREWELL, first_message(&room, &mut socket)).await {
        Ok(Some(Ok(hello))) => hello,
        Ok(None) => return,
        Ok(Some(Err(reason))) => return turn_away(&room, &mut socket, reason).await,
        Err(_) => return turn_away(&room, &mut socket, "no hello came").await,
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

/// Says why somebody may not join, here and there.
async fn turn_away(room: &Room, socket: &mut Socket, reason: &'static str) {
    room.tell(ServerEvent::TurnedAway { code: close_code::PROTOCOL, reason: reason.to_owned() });
    let _ = timeout(RoomServer::FAREWELL, close(socket, close_code::PROTOCOL, reason)).await;
}

/// The hello, or why it is none. Nothing where the connection is over before.
async fn first_message(room: &Room, socket: &mut Socket) -> Option<Result<Hello, &'static str>> {
    while let Some(Ok(frame)) = socket.next().await {
        let Frame::Text(text) = frame else { continue };
        return match serde_json::from_str::<SidecarMessage>(&text) {
            Ok(SidecarMessage::Hello { versions, .. }) if !versions.contains(&VERSION) => {
                Some(Err("version 1 was not offered"))
            }
            Ok(SidecarMessage::Hello { room_name, .. }) if room_name != room.welcome.room_name => {
                Some(Err("hello asks for another room"))
            }
            Ok(SidecarMessage::Hello { about, resume, .. }) => Some(Ok(Hello { about, resume })),
            _ => Some(Err("hello comes first")),
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
        // It is told before what the room answers.
        self.room.tell(ServerEvent::Heard(message.clone()));
        match &message {
            SidecarMessage::Ack { seq } => self.acked = self.acked.max(*seq),
            SidecarMessage::Command { command_id, command, .. } => self.room.commanded(command_id, command),
            _ => {}
        }
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
