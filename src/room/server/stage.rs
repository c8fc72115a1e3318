//! What all connections to a room share: what was said and in which order, and who may come in.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};

use super::ServerEvent;
use crate::config::secret::Secret;
use crate::room::message::{CommandKind, CommandStatus, RoomMessage, SUBPROTOCOL, Welcome};
use crate::room::script::Script;

/// What all connections share.
pub(super) struct Room {
    pub(super) welcome: Welcome,
    answered: HashSet<String>,
    token: Option<Secret>,
    events: mpsc::UnboundedSender<ServerEvent>,
    stage: Mutex<Stage>,
    /// Changes whenever the stage does.
    pub(super) version: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Stage {
    /// Everything said so far; the message at index i has `seq` i + 1.
    pub(super) said: Vec<RoomMessage>,
    /// Results that were due before their command came.
    held: HashMap<String, Vec<RoomMessage>>,
    /// Commands that the sidecar has sent.
    commanded: HashSet<String>,
    /// The youngest connection's number; 0 before the first.
    pub(super) youngest: u64,
    pub(super) ended: bool,
    over: bool,
}

impl Room {
    pub(super) fn new(script: &Script, token: Option<Secret>, events: mpsc::UnboundedSender<ServerEvent>) -> Self {
        Self {
            welcome: script.welcome.clone(),
            answered: script.answered_commands(),
            token,
            events,
            stage: Mutex::new(Stage::default()),
            version: watch::Sender::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Stage> {
        // Nothing panics while it holds the lock, and the stage would be whole even then.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: ServerEvent) {
        // Nobody may be interested, which is fine.
        let _ = self.events.send(event);
    }

    pub(super) fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn say(&self, stage: &mut Stage, mut message: RoomMessage) {
        number(&mut message, stage.said.len() as u64 + 1);
        stage.ended |= matches!(message, RoomMessage::SessionEnded { .. });
        self.tell(ServerEvent::Said(message.clone()));
        stage.said.push(message);
    }

    /// A message of the script is due.
    pub(super) fn due(&self, message: RoomMessage) {
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
    pub(super) fn commanded(&self, command_id: &str, command: &CommandKind) {
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

    pub(super) fn over(&self) {
        let mut stage = self.lock();
        if !std::mem::replace(&mut stage.over, true) {
            self.tell(ServerEvent::Over);
        }
    }

    /// What an HTTP request for this room is answered.
    pub(super) fn admit(&self, request: &Request, mut response: Response) -> Result<Response, Box<ErrorResponse>> {
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
