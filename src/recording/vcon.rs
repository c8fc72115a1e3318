//! A recording as a vCon (draft-ietf-vcon-vcon-core, unsigned form): parties, one text dialog per turn, and what
//! somebody made of it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Recording;
use super::import::rfc3339;
use crate::room::message::{Participant, Role, RoomMessage, Transcript};

/// What was said in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    turn_id: String,
    participant_id: String,
    text: String,
    start_ms: u64,
    end_ms: u64,
}

/// The analysis of a call's sentiment, turn by turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// What was found, for each turn by its id.
    pub turns: Vec<(String, Value)>,
    /// What was found of the call as a whole.
    pub call: Map<String, Value>,
}

/// Makes a vCon. `began` is when the call began, in ms since 1970; where nobody knows, it begins in 1970, as a vCon has
/// no other times. `created` is now.
#[must_use]
pub fn vcon(recording: &Recording, began: Option<u64>, created: u64, analysis: Option<Analysis>) -> Value {
    let people = people(recording);
    let index = |id: &str| people.iter().position(|one| one.id == id);
    let said = said(recording);
    let moment = |ms: u64| rfc3339(i64::try_from(began.unwrap_or(0).saturating_add(ms)).unwrap_or(i64::MAX / 2));
    let dialog: Vec<Value> = said
        .iter()
        .map(|said| {
            let parties: Vec<usize> = index(&said.participant_id).into_iter().collect();
            json!({"type": "text", "start": moment(said.start_ms), "duration": (said.end_ms - said.start_ms) as f64 / 1000.0,
                "parties": parties, "mediatype": "text/plain", "encoding": "none", "body": said.text})
        })
        .collect();
    let mut vcon = json!({"uuid": uuid(recording), "created_at": rfc3339(i64::try_from(created).unwrap_or(0)),
        "subject": recording.header.title.as_ref().unwrap_or(&recording.header.room_name),
        "parties": people.iter().map(|one| party(one, recording)).collect::<Vec<_>>(), "dialog": dialog, "analysis": []});
    if let Some(analysis) = analysis {
        vcon["analysis"] = json!([sentiment(analysis, &said)]);
    }
    vcon
}

/// Everyone who speaks or is announced, the caller first.
fn people(recording: &Recording) -> Vec<Participant> {
    let mut people: Vec<Participant> = recording.header.participants.clone().unwrap_or_default();
    let mut add = |one: &Participant| {
        if !people.iter().any(|known| known.id == one.id) {
            people.push(one.clone());
        }
    };
    for timed in &recording.messages {
        match &timed.message {
            RoomMessage::Welcome(welcome) => welcome.participants.iter().for_each(&mut add),
            RoomMessage::ParticipantJoined { participant, .. } => add(participant),
            RoomMessage::Transcript(Transcript { participant_id, .. }) => add(&unannounced(participant_id)),
            RoomMessage::TurnEnded(turn) => add(&unannounced(&turn.participant_id)),
            _ => {}
        }
    }
    people.sort_by_key(|one| one.role != Role::Caller);
    people
}

/// The participants that a recording without announcements has.
fn unannounced(id: &str) -> Participant {
    let role = match id {
        "caller" => Role::Caller,
        "agent" => Role::Agent,
        "supervisor" => Role::Supervisor,
        _ => Role::Observer,
    };
    Participant { id: id.to_owned(), role, name: None }
}

fn party(one: &Participant, recording: &Recording) -> Value {
    let role = serde_json::to_value(one.role).unwrap_or_default();
    let mut party = json!({"name": one.name.as_ref().unwrap_or(&one.id), "role": role});
    let number = recording.messages.iter().find_map(|timed| match &timed.message {
        RoomMessage::Welcome(welcome) if one.role == Role::Caller => welcome.call.from.clone(),
        _ => None,
    });
    // What was redacted is no number.
    if let Some(number) = number.filter(|number| number.contains(|c: char| c.is_ascii_digit())) {
        party["tel"] = json!(format!("tel:{number}"));
    }
    party
}

/// What was said, in order of time: turns as the room ended them, and segments that belong to none.
fn said(recording: &Recording) -> Vec<Said> {
    let mut turns: Vec<Said> = Vec::new();
    let mut pending: BTreeMap<(String, String), (u64, &Transcript)> = BTreeMap::new();
    for timed in &recording.messages {
        match &timed.message {
            RoomMessage::Transcript(piece) if piece.is_final => {
                let key = (piece.participant_id.clone(), piece.segment_id.clone());
                if pending.get(&key).is_none_or(|(_, known)| known.rev <= piece.rev) {
                    pending.insert(key, (timed.at.0, piece));
                }
            }
            RoomMessage::TurnEnded(turn) => {
                let listed = |id: &String| turn.segment_ids.is_empty() || turn.segment_ids.contains(id);
                let of_turn = |(who, id): &(String, String)| *who == turn.participant_id && listed(id);
                let mut own: Vec<(u64, &Transcript)> = Vec::new();
                pending.retain(|key, piece| {
                    let kept = !of_turn(key);
                    own.extend((!kept).then_some(*piece));
                    kept
                });
                own.sort_by_key(|(at, piece)| piece.start_ms.unwrap_or(*at));
                let text = turn
                    .text
                    .clone()
                    .unwrap_or_else(|| own.iter().map(|(_, piece)| piece.text.as_str()).collect::<Vec<_>>().join(" "));
                let end_ms = turn.end_ms.unwrap_or(timed.at.0);
                let start_ms = turn.start_ms.or_else(|| own.first()?.1.start_ms).unwrap_or(end_ms).min(end_ms);
                turns.retain(|known| known.turn_id != turn.turn_id);
                turns.push(Said {
                    turn_id: turn.turn_id.clone(),
                    participant_id: turn.participant_id.clone(),
                    text,
                    start_ms,
                    end_ms,
                });
            }
            _ => {}
        }
    }
    turns.extend(pending.into_values().map(|(at, piece)| {
        let end_ms = piece.end_ms.unwrap_or(at);
        Said {
            turn_id: format!("t-{}", piece.segment_id),
            participant_id: piece.participant_id.clone(),
            text: piece.text.clone(),
            start_ms: piece.start_ms.unwrap_or(end_ms).min(end_ms),
            end_ms,
        }
    }));
    turns.retain(|said| !said.text.trim().is_empty());
    turns.sort_by_key(|said| said.start_ms);
    turns
}

fn sentiment(analysis: Analysis, said: &[Said]) -> Value {
    let index: HashMap<&str, usize> = said.iter().enumerate().map(|(at, said)| (said.turn_id.as_str(), at)).collect();
    let mut dialogs: Vec<usize> = analysis.turns.iter().filter_map(|(id, _)| index.get(id.as_str()).copied()).collect();
    dialogs.sort_unstable();
    dialogs.dedup();
    let turns: Vec<Value> = analysis
        .turns
        .into_iter()
        .map(|(id, mut turn)| {
            if let (Some(at), Value::Object(turn)) = (index.get(id.as_str()), &mut turn) {
                turn.insert("dialog".to_owned(), json!(at));
            }
            turn
        })
        .collect();
    let mut body = analysis.call;
    body.insert("turns".to_owned(), Value::Array(turns));
    json!({"type": "sentiment", "dialog": dialogs, "vendor": env!("CARGO_PKG_NAME"), "product": env!("CARGO_PKG_VERSION"),
        "schema": "sentiment-sidecar.turns.v1", "mediatype": "application/json", "encoding": "json", "body": body})
}

/// A version 8 UUID that follows from what the recording says: the same call has the same one each time.
fn uuid(recording: &Recording) -> String {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = recording.write(&mut bytes);
    let mut id = [0_u8; 16];
    id.copy_from_slice(&Sha256::digest(&bytes)[..16]);
    id[6] = (id[6] & 0x0f) | 0x80;
    id[8] = (id[8] & 0x3f) | 0x80;
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
