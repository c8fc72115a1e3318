//! Turns as the call knows them, and who speaks them.

use crate::room::message::TurnEnded;

/// The caller, of whom there is one.
pub(super) const CALLER: &str = "caller";
/// The agent.
pub(super) const AGENT: &str = "agent";

/// A turn that is said whole; an item is one.
pub(super) fn turn(participant_id: &str, turn_id: &str, index: Option<u64>, text: String) -> TurnEnded {
    TurnEnded {
        seq: None,
        turn_id: turn_id.to_owned(),
        index,
        participant_id: participant_id.to_owned(),
        text: Some(text),
        segment_ids: Vec::new(),
        start_ms: None,
        end_ms: None,
        whole: false,
        mended: Vec::new(),
    }
}
