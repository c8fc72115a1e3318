//! What everybody but the caller said in a recording.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::recording::Recording;
use crate::room::message::{Role, RoomMessage};

/// What somebody said.
#[derive(Debug, Clone, Copy)]
pub struct Spoken<'a> {
    /// When it arrived.
    pub at: Millis,
    /// What they are in the call.
    pub role: Role,
    /// The words.
    pub text: &'a str,
}

/// What everybody but the caller said: whole turns where the room tells of them, else final segments.
#[must_use]
pub fn others(recording: &Recording) -> Vec<Spoken<'_>> {
    let mut roles: HashMap<&str, Role> =
        HashMap::from([("agent", Role::Agent), ("supervisor", Role::Supervisor), ("observer", Role::Observer)]);
    let mut said: Vec<Said<'_>> = Vec::new();
    for timed in &recording.messages {
        match &timed.message {
            RoomMessage::Welcome(welcome) => {
                roles.extend(welcome.participants.iter().map(|p| (p.id.as_str(), p.role)));
            }
            RoomMessage::ParticipantJoined { participant, .. } => {
                roles.insert(&participant.id, participant.role);
            }
            RoomMessage::Transcript(t) if t.is_final && !t.text.is_empty() => {
                Said::put(&mut said, Said { at: timed.at, who: &t.participant_id, id: &t.segment_id, text: &t.text });
            }
            RoomMessage::TurnEnded(t) => {
                // The turn tells its segments' words again.
                if let Some(text) = &t.text {
                    said.retain(|s| s.who != t.participant_id || !t.segment_ids.iter().any(|id| id == s.id));
                    Said::put(&mut said, Said { at: timed.at, who: &t.participant_id, id: &t.turn_id, text });
                }
            }
            _ => {}
        }
    }
    let named = said.iter().filter_map(|s| Some((s, roles.get(s.who).copied()?)));
    named.filter(|(_, role)| *role != Role::Caller).map(|(s, role)| Spoken { at: s.at, role, text: s.text }).collect()
}

struct Said<'a> {
    at: Millis,
    who: &'a str,
    id: &'a str,
    text: &'a str,
}

impl<'a> Said<'a> {
    /// Said again under its id, it is revised.
    fn put(said: &mut Vec<Self>, new: Said<'a>) {
        match said.iter_mut().find(|s| s.who == new.who && s.id == new.id) {
            Some(old) => old.text = new.text,
            None => said.push(new),
        }
    }
}
