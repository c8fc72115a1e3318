//! A room made of nothing but tokio-tungstenite: someone else's code, so that what both ends get wrong shows.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::room::error::RoomEvent;
use sentiment_sidecar::room::link::pace::Backoff;
use sentiment_sidecar::room::message::{RoomMessage, Transcript};
use sentiment_sidecar::room::{RoomHandle, Target, open};
use sentiment_sidecar::tls::Authorities;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

pub(crate) const SUBPROTOCOL: &str = "sentiment-sidecar.room.v1";
/// Long enough for the slowest machine; no test waits for it to pass.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("{what}: nothing happened"))
}

/// A place to listen, and a client's target for it that wastes no time.
pub(crate) async fn place() -> (TcpListener, Target) {
    place_with("ws", None).await
}

/// The same by another scheme, or with a token.
pub(crate) async fn place_with(scheme: &str, token: Option<&str>) -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://{}/room", listener.local_addr().unwrap());
    let mut target = Target::native(url.parse().unwrap(), "room_abc123", token.map(Secret::new));
    target.patience.backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
    (listener, target)
}

/// Opens a room, trusting whom the platform trusts.
pub(crate) fn connect(target: Target) -> RoomHandle {
    open(target, &Authorities::default())
}

/// One connection, seen from the room.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) authorization: Option<String>,
}

impl Peer {
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = in_time("dial", listener.accept()).await.unwrap();
        Self::over(stream).await
    }

    /// Accepts and answers `hello`, which is returned.
    pub(crate) async fn welcomed(listener: &TcpListener, session: &str, resumed: bool) -> (Self, Value) {
        let mut peer = Self::accept(listener).await;
        let hello = peer.hear().await;
        peer.say(&welcome(session, resumed)).await;
        (peer, hello)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    #[expect(clippy::result_large_err, reason = "the type is the library's")]
    pub(crate) async fn over(stream: S) -> Self {
        let mut authorization = None;
        let answer = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
            authorization = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        let socket = accept_hdr_async(stream, answer).await.unwrap();
        Self { socket, authorization }
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message from the sidecar; its pings are answered on the way.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match in_time("message from the sidecar", self.socket.next()).await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// The close code that the sidecar sends; messages before it are skipped.
    pub(crate) async fn hear_close(&mut self) -> u16 {
        loop {
            match in_time("close from the sidecar", self.socket.next()).await {
                Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
                Some(Ok(_)) => {}
                other => panic!("expected a close, got {other:?}"),
            }
        }
    }

    pub(crate) async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
    }
}

/// Answers one dial with a plain HTTP status.
#[expect(clippy::result_large_err, reason = "the type is the library's")]
pub(crate) async fn turn_away(listener: &TcpListener, status: u16) {
    let (stream, _) = in_time("dial", listener.accept()).await.unwrap();
    let refuse = |_: &Request, _: Response| {
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::from_u16(status).unwrap();
        Err(refusal)
    };
    assert!(accept_hdr_async(stream, refuse).await.is_err());
}

pub(crate) fn welcome(session: &str, resumed: bool) -> Value {
    json!({"type": "welcome", "version": 1, "session_id": session, "room_name": "room_abc123", "resumed": resumed})
}

/// A final transcript that is its own segment.
pub(crate) fn said(seq: u64) -> Value {
    json!({"type": "transcript", "seq": seq, "segment_id": format!("s{seq}"), "participant_id": "p", "text": "words",
           "final": true})
}

pub(crate) fn ended(seq: u64) -> Value {
    json!({"type": "session.ended", "seq": seq, "reason": "caller hung up"})
}

pub(crate) async fn next(room: &mut RoomHandle) -> RoomEvent {
    in_time("event from the client", room.next()).await
}

/// The next event in a few letters: `welcome`, `3` for the message with that number, `lost`, …
pub(crate) async fn brief(room: &mut RoomHandle) -> String {
    match next(room).await {
        RoomEvent::Message(RoomMessage::Welcome(w)) => format!("welcome {}", w.session_id),
        RoomEvent::Message(RoomMessage::Transcript(Transcript { seq: Some(seq), .. })) => seq.to_string(),
        RoomEvent::Message(RoomMessage::SessionEnded { .. }) => "ended".to_owned(),
        RoomEvent::Message(other) => format!("{other:?}"),
        RoomEvent::Lost { .. } => "lost".to_owned(),
        RoomEvent::Refused(error) => format!("refused: {error}"),
        RoomEvent::GaveUp(error) => format!("gave up: {error}"),
        RoomEvent::HistoryMissing { first } => format!("begins with {first}"),
        RoomEvent::BadFrame(error) => format!("bad: {error}"),
        RoomEvent::Broke => "broke".to_owned(),
        RoomEvent::Over => "over".to_owned(),
    }
}

pub(crate) async fn briefs(room: &mut RoomHandle, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(brief(room).await);
    }
    all
}
