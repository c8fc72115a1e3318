//! What the shared connection asks of every dialect, asked of [`Livekit`].

use std::time::Duration;

use super::translator::{Livekit, Out};
use crate::room::link::dialect::{
    Credentials, Dialect, Greeting, Handshake, Heard, Limits, Received, Unsayable, Written,
};
use crate::room::message::{FrameError, SidecarMessage};

impl Dialect for Livekit {
    fn handshake(&self) -> Handshake {
        Handshake { subprotocol: None, credentials: Credentials::Bearer }
    }

    // The participant keeps its own connections alive and within bounds: these are for what is told of it.
    fn limits(&self) -> Limits {
        Limits { max_frame: 1024 * 1024, violation: 1002, heartbeat: Duration::from_secs(15), missed_heartbeats: 2 }
    }

    // A participant introduces itself when it joins.
    fn hello(&mut self, _: Greeting<'_>) -> Vec<Written> {
        Vec::new()
    }

    fn read(&mut self, frame: Received<'_>) -> Vec<Heard> {
        let Received::Livekit(seen) = frame else {
            let detail = "a frame of a WebSocket, where a participant was expected".to_owned();
            return vec![Heard::Bad { seq: None, error: FrameError::NotAMessage { detail } }];
        };
        self.see(seen).into_iter().map(heard).collect()
    }

    fn write(&mut self, message: &SidecarMessage) -> Result<Vec<Written>, Unsayable> {
        Ok(self.act(message).into_iter().map(|act| Written::Livekit(Box::new(act))).collect())
    }
}

fn heard(out: Out) -> Heard {
    match out {
        Out::Welcome(welcome) => Heard::Welcome(welcome),
        Out::Message(message) => Heard::Message { seq: None, message: Some(message) },
        Out::Bad(error) => Heard::Bad { seq: None, error },
        Out::Do(act) => Heard::Reply(Written::Livekit(Box::new(act))),
    }
}
