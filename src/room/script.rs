//! What [`super::server`] plays, and how fast: [`Script`] and [`Speed`].

use std::collections::HashSet;
use std::time::Duration;

use super::message::{CallInfo, Participant, RoomMessage, VERSION, Welcome, capability};

/// How fast a script is played: 1 is real time, 10 ten times as fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

/// A speed that nothing can be played at.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("speed is {0}, but it must be a number above 0, at most 1000000")]
pub struct BadSpeed(f64);

impl Speed {
    /// Real time.
    pub const REAL: Self = Self(1.0);

    /// # Errors
    /// [`BadSpeed`] unless `factor` lies above 0 and is at most a million.
    pub fn new(factor: f64) -> Result<Self, BadSpeed> {
        if factor > 0.0 && factor <= 1_000_000.0 { Ok(Self(factor)) } else { Err(BadSpeed(factor)) }
    }

    pub(super) fn scale(self, at_ms: u64) -> Duration {
        // A Duration need not hold what a small speed makes of a large time.
        Duration::try_from_secs_f64(Duration::from_millis(at_ms).as_secs_f64() / self.0).unwrap_or(Duration::MAX)
    }
}

/// What a room plays.
#[derive(Debug, Clone)]
pub struct Script {
    /// The answer to `hello`.
    pub welcome: Welcome,
    /// Messages with their times in ms since the first `hello`. A `welcome` among them is skipped.
    pub messages: Vec<(u64, RoomMessage)>,
}

impl Script {
    /// A script from a recording's messages: its first `welcome` is the room's, or one is made that offers what the
    /// messages need. A call whose end was not recorded ends with the last message.
    ///
    /// `participants` and `capabilities` are for a recording without a `welcome` that names them elsewhere.
    #[must_use]
    pub fn new(
        room_name: &str,
        messages: Vec<(u64, RoomMessage)>,
        participants: Option<Vec<Participant>>,
        capabilities: Option<Vec<String>>,
    ) -> Self {
        let recorded = messages.iter().find_map(|(_, message)| match message {
            RoomMessage::Welcome(welcome) => Some(welcome.clone()),
            _ => None,
        });
        let welcome = recorded.unwrap_or_else(|| Welcome {
            version: VERSION,
            session_id: format!("session-{room_name}"),
            room_name: room_name.to_owned(),
            call: CallInfo::default(),
            participants: participants.unwrap_or_default(),
            capabilities: capabilities.unwrap_or_else(|| usual_capabilities(&messages)),
            resumed: false,
            alerts: Vec::new(),
        });
        let mut messages: Vec<_> =
            messages.into_iter().filter(|(_, message)| !matches!(message, RoomMessage::Welcome(_))).collect();
        // Stable, so that messages of one moment keep their order.
        messages.sort_by_key(|(at_ms, _)| *at_ms);
        if !messages.iter().any(|(_, message)| matches!(message, RoomMessage::SessionEnded { .. })) {
            let at_ms = messages.last().map_or(0, |(at_ms, _)| *at_ms);
            messages.push((at_ms, RoomMessage::SessionEnded { seq: None, reason: "end of recording".to_owned() }));
        }
        Self { welcome, messages }
    }

    /// The commands that the script itself answers.
    pub(super) fn answered_commands(&self) -> HashSet<String> {
        self.messages
            .iter()
            .filter_map(|(_, message)| match message {
                RoomMessage::CommandResult { command_id, .. } => Some(command_id.clone()),
                _ => None,
            })
            .collect()
    }
}

/// What any recording can be played with.
fn usual_capabilities(messages: &[(u64, RoomMessage)]) -> Vec<String> {
    let mut capabilities = vec![capability::SAY, capability::SET_FLAG, capability::TOOLS];
    if messages.iter().any(|(_, message)| matches!(message, RoomMessage::TurnEnded(_))) {
        capabilities.push(capability::TURN_EVENTS);
    }
    capabilities.into_iter().map(str::to_owned).collect()
}
