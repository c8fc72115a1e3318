//! What the room is told to do, where it offers that.

use super::Call;
use super::latch::STORE_PATIENCE_MS;
use super::odd::Odd;
use crate::room::message::{CommandKind, SidecarMessage, capability};

impl Call {
    /// Whether the room says that it can do this.
    pub(super) fn offers(&self, what: &str) -> bool {
        self.welcome.as_ref().is_some_and(|w| w.capabilities.iter().any(|c| c == what))
    }

    /// Sends a command, where the room offers it. Returns whether it does.
    pub(super) fn command(&mut self, command_id: String, command: CommandKind, deadline_ms: u64) -> bool {
        let (what, so) = match &command {
            CommandKind::Say { .. } => (capability::SAY, "the caller is told nothing"),
            CommandKind::SetFlag { .. } => (capability::SET_FLAG, "flags are in the store alone"),
            CommandKind::Transfer { .. } => (capability::TRANSFER, "nobody is transferred by it"),
            CommandKind::Hangup { .. } => return false,
        };
        if !self.offers(what) {
            self.odd(Odd::NotOffered { what, so });
            return false;
        }
        if let CommandKind::Say { text } = &command {
            self.own_words.said(self.now, text);
        }
        self.tell(SidecarMessage::Command { command_id, command, deadline_ms });
        true
    }

    /// Marks the call in the room.
    pub(super) fn set_flag(&mut self, key: &str) {
        let Some(active) = &self.latch.active else { return };
        let command = CommandKind::SetFlag {
            alert_id: active.alert.id.to_string(),
            severity: active.alert.severity.name().to_owned(),
            description: active.alert.description.clone(),
        };
        self.command(format!("set_flag-{key}"), command, STORE_PATIENCE_MS);
    }
}
