//! Transcripts in other forms, turned into recordings: QA has plain labelled calls and text exports as well.
//!
//! What a file is, its content says:
//! - a **recording** begins with its header;
//! - **labelled calls** are JSON Lines (or one JSON array), each `{"id":…,"turns":[{"role":"caller","text":…}]}`; a file
//!   holds many, and labels that ride along are ignored here;
//! - a **text transcript** has lines such as `Caller: …` and `Agent: …`; a line without a speaker goes on with the
//!   last one's turn.
//!
//! Such calls have no clock, so one is made: people speak about 150 words a minute.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::Millis;
use crate::recording::problem::{Problem, RecordingError, kind_of};
use crate::recording::{CutLine, Header, Lines, Recording, Timed};
use crate::room::message::{Participant, Role, RoomMessage, TurnEnded};

/// Most bytes of a labelled call or a text transcript's line.
pub(crate) const MAX_CALL: usize = 16 * 1024 * 1024;

/// Milliseconds that a spoken word takes at 150 words a minute.
const WORD_MS: u64 = 400;
/// Milliseconds between two people's turns.
const GAP_MS: u64 = 300;

/// One call out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The file, and for files of many calls the call's id after a `#`.
    pub name: String,
    /// The call.
    pub recording: Recording,
}

/// Reads all calls of a file, whichever form it has; `file` names it in errors.
///
/// # Errors
/// [`RecordingError`] names the line and what would be right.
pub fn read(mut input: impl BufRead, file: &str, cut: CutLine) -> Result<Vec<Source>, RecordingError> {
    match form(input.fill_buf().map_err(|error| Problem::Unreadable(error).at(file, 0))?) {
        Form::Recording => {
            let recording = Recording::read(input, file, cut)?;
            Ok(vec![Source { name: file.to_owned(), recording }])
        }
        Form::Calls => labelled_calls(input, file, cut),
        Form::Array => array_of_calls(input, file),
        Form::Text => text_transcript(input, file),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    Recording,
    Calls,
    Array,
    Text,
}

/// The form that a file's first bytes speak of. Whatever is no other form is a recording, whose reader tells what is
/// wrong with it.
fn form(head: &[u8]) -> Form {
    let text = String::from_utf8_lossy(head.get(..head.len().min(4096)).unwrap_or_default());
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let first_line = text.lines().next().unwrap_or_default();
    if text.starts_with('[') {
        Form::Array
    } else if text.starts_with('{') {
        let is_call = !first_line.contains("\"recording\"") && first_line.contains("\"turns\"");
        if is_call { Form::Calls } else { Form::Recording }
    } else if first_line.split_once(':').is_some_and(|(name, _)| role(name).is_some()) {
        Form::Text
    } else {
        Form::Recording
    }
}

/// Who speaks, by the names that transcripts use.
pub(crate) fn role(name: &str) -> Option<Role> {
    match name.trim().to_ascii_lowercase().as_str() {
        "caller" | "customer" | "user" | "client" | "human" => Some(Role::Caller),
        "agent" | "assistant" | "bot" | "ai" | "system" | "representative" => Some(Role::Agent),
        "supervisor" | "manager" => Some(Role::Supervisor),
        "observer" | "other" => Some(Role::Observer),
        _ => None,
    }
}

#[derive(Deserialize)]
struct LabelledCall {
    #[serde(default)]
    id: Option<Value>,
    turns: Vec<LabelledTurn>,
}

#[derive(Deserialize)]
struct LabelledTurn {
    role: String,
    #[serde(default, alias = "content")]
    text: String,
}

fn labelled_calls(input: impl BufRead, file: &str, cut: CutLine) -> Result<Vec<Source>, RecordingError> {
    let mut lines = Lines::new(input, file, cut).max_line(MAX_CALL);
    let mut calls = Vec::new();
    while let Some(object) = lines.next_object()? {
        let number = calls.len() + 1;
        calls.push(labelled_call(object, number, file).map_err(|problem| lines.problem(problem))?);
    }
    Ok(calls)
}

fn array_of_calls(mut input: impl BufRead, file: &str) -> Result<Vec<Source>, RecordingError> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|error| Problem::Unreadable(error).at(file, 0))?;
    let calls: Vec<Value> = serde_json::from_slice(&bytes).map_err(|error| {
        let detail = error.to_string().split(" at line ").next().unwrap_or_default().to_owned();
        Problem::NotJson { column: error.column(), detail }.at(file, error.line() as u64)
    })?;
    let call = |(index, call): (usize, Value)| match call {
        Value::Object(object) => labelled_call(object, index + 1, file).map_err(|problem| problem.at(file, 0)),
        other => Err(Problem::NotAnObject { found: kind_of(&other) }.at(file, 0)),
    };
    calls.into_iter().enumerate().map(call).collect()
}

fn labelled_call(object: Map<String, Value>, number: usize, file: &str) -> Result<Source, Problem> {
    let call: LabelledCall = serde_json::from_value(Value::Object(object))
        .map_err(|error| Problem::fields(&format!("call {number}"), &error))?;
    let id = match call.id {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        _ => number.to_string(),
    };
    let mut turns = Vec::with_capacity(call.turns.len());
    for (index, turn) in call.turns.into_iter().enumerate() {
        let Some(role) = role(&turn.role) else {
            let problem = format!("is \"{}\"; give caller, agent, supervisor or observer", turn.role);
            return Err(Problem::field(&format!("call {id}"), &format!("turns[{index}].role"), problem));
        };
        turns.push((role, turn.text));
    }
    Ok(Source { name: format!("{file}#{id}"), recording: from_turns(&id, turns) })
}

fn text_transcript(input: impl BufRead, file: &str) -> Result<Vec<Source>, RecordingError> {
    let mut turns: Vec<(Role, String)> = Vec::new();
    for (index, line) in input.lines().enumerate() {
        let line = line.map_err(|error| Problem::Unreadable(error).at(file, index as u64 + 1))?;
        let line = line.trim_start_matches('\u{feff}').trim();
        let spoken = line.split_once(':').and_then(|(name, text)| Some((role(name)?, text.trim().to_owned())));
        match (spoken, turns.last_mut()) {
            (Some(turn), _) => turns.push(turn),
            (None, Some((_, text))) if !line.is_empty() => {
                text.push(' ');
                text.push_str(line);
            }
            (None, _) => {}
        }
    }
    Ok(vec![Source { name: file.to_owned(), recording: from_turns(file, turns) }])
}

/// A recording of plain turns, with a made clock and the room's turn events. A supervisor joins when they first speak.
#[must_use]
pub fn from_turns(room_name: &str, turns: impl IntoIterator<Item = (Role, String)>) -> Recording {
    let mut at = 0;
    let mut messages = Vec::new();
    for (index, (role, text)) in (0_u64..).zip(turns) {
        let participant_id = match role {
            Role::Caller => "caller",
            Role::Agent => "agent",
            Role::Supervisor => "supervisor",
            Role::Observer => "observer",
        };
        let start = at + GAP_MS;
        if role == Role::Supervisor {
            let participant = Participant { id: participant_id.to_owned(), role, name: None };
            let message = RoomMessage::ParticipantJoined { seq: None, participant };
            messages.push(Timed { at: Millis(start), message });
        }
        at = start + WORD_MS * text.split_whitespace().count() as u64;
        let ended = TurnEnded {
            seq: Some(index + 1),
            turn_id: format!("u{}", index + 1),
            index: Some(index),
            participant_id: participant_id.to_owned(),
            text: Some(text),
            segment_ids: Vec::new(),
            start_ms: Some(start),
            end_ms: Some(at),
        };
        messages.push(Timed { at: Millis(at), message: RoomMessage::TurnEnded(ended) });
    }
    let header = Header { room_name: room_name.to_owned(), ..Header::default() };
    Recording { header, messages, ..Recording::default() }
}
