//! Rooms: where calls happen, and the dialects that they speak.
//!
//! [`message`] is the vocabulary, and [`open`] the only way in: it keeps a connection to a room, come what may, and gives
//! the runtime a [`RoomHandle`]. [`link`] holds what all dialects share on the way (order, duplicates, acks, bounded queues,
//! heartbeat, reconnects); a dialect is a folder of its own with a pure translator ([`Dialect`]): [`native`] is ours, [`livekit`]
//! that of LiveKit's rooms, [`openai`] that of OpenAI's Realtime API, [`twilio`] that of Twilio's ConversationRelay.
//! [`dispatch`] is how calls are given out; [`server`] plays a recording as a live room. [`schema`]
//! describes the native dialect for people who build a platform side.
//!
//! # A dialect in one folder
//! A dialect says how it introduces itself, what its connections may carry, and how frames and messages translate into each
//! other; it has no clock and no I/O. Beside its folder it needs a name in [`DialectName`] and its [`Target`]. This one knows
//! callers that say one line a frame, over a connection that the room opens:
//! ```
//! use std::time::Duration;
//! use futures_util::SinkExt;
//! use sentiment_sidecar::room::error::RoomEvent;
//! use sentiment_sidecar::room::link::dialect::{
//!     Credentials, Dialect, Greeting, Handshake, Heard, Limits, Received, Unsayable, Written,
//! };
//! use sentiment_sidecar::room::message::{
//!     CallInfo, CommandKind, FrameError, Participant, Role, RoomMessage, SidecarMessage, TurnEnded, VERSION, Welcome,
//!     capability,
//! };
//! use sentiment_sidecar::room::{Target, Way, open};
//! use sentiment_sidecar::tls::Authorities;
//! use tokio_tungstenite::{MaybeTlsStream, accept_async, connect_async};
//!
//! #[derive(Default)]
//! struct Lines {
//!     turns: u64,
//! }
//!
//! impl Dialect for Lines {
//!     fn handshake(&self) -> Handshake {
//!         Handshake { subprotocol: None, credentials: Credentials::Bearer }
//!     }
//!
//!     fn limits(&self) -> Limits {
//!         Limits { max_frame: 4096, violation: 1002, heartbeat: Duration::from_secs(20), missed_heartbeats: 2 }
//!     }
//!
//!     // Such rooms wait for no greeting: the first frame is their welcome.
//!     fn hello(&mut self, _: Greeting<'_>) -> Vec<Written> {
//!         Vec::new()
//!     }
//!
//!     fn read(&mut self, frame: Received<'_>) -> Vec<Heard> {
//!         match frame {
//!             Received::Text(line) => match line.strip_prefix("room ") {
//!                 Some(name) => vec![Heard::Welcome(Welcome {
//!                     version: VERSION,
//!                     session_id: name.to_owned(),
//!                     room_name: name.to_owned(),
//!                     call: CallInfo::default(),
//!                     participants: vec![Participant { id: "caller".to_owned(), role: Role::Caller, name: None }],
//!                     capabilities: vec![capability::TURN_EVENTS.to_owned(), capability::SAY.to_owned()],
//!                     resumed: false,
//!                     alerts: Vec::new(),
//!                 })],
//!                 None => {
//!                     self.turns += 1;
//!                     let turn = TurnEnded {
//!                         seq: Some(self.turns),
//!                         turn_id: format!("u{}", self.turns),
//!                         index: None,
//!                         participant_id: "caller".to_owned(),
//!                         text: Some(line.to_owned()),
//!                         segment_ids: Vec::new(),
//!                         start_ms: None,
//!                         end_ms: None,
//!                         whole: false,
//!                         mended: Vec::new(),
//!                     };
//!                     vec![Heard::Message { seq: turn.seq, message: Some(RoomMessage::TurnEnded(turn)) }]
//!                 }
//!             },
//!             _ => {
//!                 let error = FrameError::NotAMessage { detail: "not text".to_owned() };
//!                 vec![Heard::Bad { seq: None, error }]
//!             }
//!         }
//!     }
//!
//!     // The room can say a sentence; it has no words for anything else.
//!     fn write(&mut self, message: &SidecarMessage) -> Result<Vec<Written>, Unsayable> {
//!         Ok(match message {
//!             SidecarMessage::Command { command: CommandKind::Say { text }, .. } => vec![Written::Text(text.clone())],
//!             _ => Vec::new(),
//!         })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // Whoever listens hands each accepted connection over.
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! let url = format!("ws://{}", listener.local_addr().unwrap());
//! let (accepted, connections) = tokio::sync::mpsc::channel(1);
//! tokio::spawn(async move {
//!     let (stream, _) = listener.accept().await.unwrap();
//!     accepted.send(accept_async(MaybeTlsStream::Plain(stream)).await.unwrap()).await.unwrap();
//! });
//! let mut room = open(Target::new(Lines::default(), Way::Accept(connections), "room_abc123"), &Authorities::default());
//!
//! let (mut caller, _) = connect_async(url).await.unwrap();
//! caller.send("room room_abc123".into()).await.unwrap();
//! caller.send("Nobody seems to care.".into()).await.unwrap();
//! assert!(matches!(room.next().await, RoomEvent::Message(RoomMessage::Welcome(_))));
//! assert!(matches!(room.next().await, RoomEvent::Message(RoomMessage::TurnEnded(_))));
//! # });
//! ```

pub mod dispatch;
pub mod drive;
pub mod error;
pub mod link;
pub mod livekit;
pub mod message;
pub mod native;
pub mod openai;
pub mod samples;
pub mod schema;
pub mod script;
pub mod server;
pub mod twilio;

use clap::ValueEnum;
use tokio::sync::mpsc;
use url::Url;

pub use self::link::dialect::Dialect;
pub use self::link::{Patience, RoomHandle, Way};
use self::livekit::Livekit;
use self::livekit::token::Key;
use self::native::Native;
use self::openai::OpenAi;
use self::twilio::Twilio;
use self::twilio::tap::Tap;
use crate::config::secret::Secret;
use crate::tls::Authorities;

/// The dialects of rooms that we dial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DialectName {
    /// sentiment-sidecar.room.v1, described by `sentiment-sidecar schema asyncapi`.
    #[default]
    Native,
    /// LiveKit: joins as a hidden participant.
    Livekit,
    /// OpenAI's Realtime API, and Azure's: joins as a sideband of the call; --room is its id, and SIDECAR_CALLER the number of who
    /// calls.
    Openai,
}

/// Which room, in which dialect, over which connections, and how patiently.
pub struct Target {
    dialect: Box<dyn Dialect>,
    way: Way,
    /// The room to ask for.
    pub room_name: String,
    /// How long what may take.
    pub patience: Patience,
}

impl Target {
    /// A room that speaks `dialect`.
    #[must_use]
    pub fn new(dialect: impl Dialect, way: Way, room_name: impl Into<String>) -> Self {
        let patience = Patience::of(&dialect.limits());
        Self { dialect: Box::new(dialect), way, room_name: room_name.into(), patience }
    }

    /// A room of the native dialect that is dialled at `url` (`ws://` or `wss://`), with its token where it wants one.
    #[must_use]
    pub fn native(url: Url, room_name: impl Into<String>, token: Option<Secret>) -> Self {
        Self::new(Native, Way::Dial { url, token }, room_name)
    }

    /// A room of the LiveKit server at `url` (`ws://` or `wss://`); `caller` is the identity of the caller, where it is known.
    #[must_use]
    pub fn livekit(url: Url, room_name: impl Into<String>, key: Key, caller: Option<String>) -> Self {
        Self::new(Livekit::new(caller), Way::Join { url, key }, room_name)
    }

    /// A call that passes through this process; each of its connections has a tap.
    #[must_use]
    pub fn tapped(dialect: Twilio, taps: mpsc::Receiver<Tap>, call_id: impl Into<String>) -> Self {
        Self::new(dialect, Way::Tap(taps), call_id)
    }

    /// A call of OpenAI's Realtime API at `url` (`wss://…/v1/realtime`), with the API key; `caller` is the number or address of
    /// who calls, where it is known.
    #[must_use]
    pub fn openai(url: Url, call_id: impl Into<String>, key: Option<Secret>, caller: Option<Secret>) -> Self {
        let call_id = call_id.into();
        let url = OpenAi::address(url, &call_id);
        Self::new(OpenAi::at(&url).of_caller(caller), Way::Dial { url, token: key }, call_id)
    }
}

/// Starts to keep a connection to a room. Must be called inside a tokio runtime; what cannot work is the handle's first
/// event.
#[must_use]
pub fn open(target: Target, authorities: &Authorities) -> RoomHandle {
    let Target { dialect, way, room_name, patience } = target;
    link::keep(dialect, way, room_name, patience, authorities.clone())
}
