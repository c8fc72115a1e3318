//! A recording as a vCon (draft-ietf-vcon-vcon-core, unsigned form): parties, one text dialog per turn of the core's ([`Said`]),
//! and what somebody made of it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::call::said::Said;
use crate::clock::rfc3339;
use crate::recording::Recording;
use crate::room::message::{Participant, Role, RoomMessage};

/// The analysis of a call's sentiment, turn by turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// What was found, for each turn by its id.
    pub turns: Vec<(String, Value)>,
    /// What was found of the call as a whole.
    pub call: Map<String, Value>,
}

/// Makes a vCon of a recording and of what was said in it. `began` is when the call began, in ms since 1970; where nobody
/// knows, it begins in 1970, as a vCon has no other times. `created` is now.
#[must_use]
pub fn vcon(
    recording: &Recording,
    said: &[Said],
    began: Option<u64>,
    created: u64,
    analysis: Option<Analysis>,
) -> Value {
    let people = people(recording, said);
    let index = |id: &str| people.iter().position(|one| one.id == id);
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
        vcon["analysis"] = json!([sentiment(analysis, said)]);
    }
    vcon
}

/// Everyone who speaks or is announced, the caller first.
fn people(recording: &Recording, said: &[Said]) -> Vec<Participant> {
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
            _ => {}
        }
    }
    for one in said {
        add(&Participant { id: one.participant_id.clone(), role: one.role, name: None });
    }
    // Who somebody is may be known only later.
    let role = |id: &str| said.iter().find(|one| one.participant_id == id).map(|one| one.role);
    people.iter_mut().for_each(|one| one.role = role(&one.id).unwrap_or(one.role));
    people.sort_by_key(|one| one.role != Role::Caller);
    people
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

fn sentiment(analysis: Analysis, said: &[Said]) -> Value {
    let ids = |(at, said): (usize, &'_ Said)| said.ids.iter().map(move |id| (id.clone(), at)).collect::<Vec<_>>();
    let index: HashMap<String, usize> = said.iter().enumerate().flat_map(ids).collect();
    let mut dialogs: Vec<usize> = analysis.turns.iter().filter_map(|(id, _)| index.get(id).copied()).collect();
    dialogs.sort_unstable();
    dialogs.dedup();
    let turns: Vec<Value> = analysis
        .turns
        .into_iter()
        .map(|(id, mut turn)| {
            if let (Some(at), Value::Object(turn)) = (index.get(&id), &mut turn) {
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
