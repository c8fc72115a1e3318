//! Labelled calls: plain calls as [`crate::recording::import`] reads them, with what a careful reader made of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::recording::import::{MAX_CALL, from_turns, role};
use crate::recording::problem::{Problem, RecordingError};
use crate::recording::{CutLine, Lines, Recording};
use crate::room::message::{Role, RoomMessage};
use crate::sentiment::Sentiment;

/// Kinds of calls in which the caller gets angry at us, for good or for a while; all others are calm.
const ANGRY_KINDS: [&str; 2] = ["sustained", "recovers"];

/// A call with its labels.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The call.
    pub recording: Recording,
    /// A careful reader's sentiment (1 to 10) of caller turns, by turn id.
    pub gold: BTreeMap<String, f64>,
    /// Whether a supervisor should be brought in, where that was judged.
    pub escalate: Option<bool>,
    /// From which caller turn on (0 is the first).
    pub at: Option<u32>,
    /// Whether nobody gets angry at us in it.
    pub calm: bool,
    style: Option<String>,
    kind: Option<String>,
}

impl Labelled {
    /// The groups that the call belongs to, as labels name them.
    pub fn groups(&self) -> impl Iterator<Item = String> {
        let style = self.style.iter().map(|style| format!("style {style}"));
        style.chain(self.kind.iter().map(|kind| format!("kind {kind}")))
    }
}

#[derive(Deserialize)]
struct CallFields {
    #[serde(default)]
    id: Option<serde_json::Value>,
    turns: Vec<TurnFields>,
    escalate: Option<bool>,
    at: Option<u32>,
    kind: Option<String>,
    style: Option<String>,
}

#[derive(Deserialize)]
struct TurnFields {
    role: String,
    #[serde(default, alias = "content")]
    text: String,
    sentiment: Option<f64>,
}

/// Reads the labelled calls of one file; `-` is the standard input.
///
/// # Errors
/// [`RecordingError`] names the file, the line, and what would be right.
pub fn open(path: &Path) -> Result<Vec<Labelled>, RecordingError> {
    if path.as_os_str() == "-" {
        return read(io::stdin().lock(), "-");
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Problem::Unreadable(error).at(&name, 0))?;
    read(BufReader::new(file), &name)
}

/// Reads labelled calls, a line each; `file` names them in errors.
///
/// # Errors
/// [`RecordingError`] names the line and what would be right.
pub fn read(input: impl BufRead, file: &str) -> Result<Vec<Labelled>, RecordingError> {
    let mut lines = Lines::new(input, file, CutLine::Refuse).max_line(MAX_CALL);
    let mut calls = Vec::new();
    while let Some(object) = lines.next_object()? {
        let kind = format!("call {}", calls.len() + 1);
        let fields =
            serde_json::from_value(serde_json::Value::Object(object)).map_err(|error| Problem::fields(&kind, &error));
        calls.push(fields.and_then(|fields| labelled(fields, &kind)).map_err(|problem| lines.problem(problem))?);
    }
    if calls.is_empty() {
        return Err(Problem::Empty.at(file, 0));
    }
    Ok(calls)
}

fn labelled(fields: CallFields, number: &str) -> Result<Labelled, Problem> {
    let mut turns = Vec::with_capacity(fields.turns.len());
    let mut golds = Vec::with_capacity(fields.turns.len());
    for (index, turn) in fields.turns.into_iter().enumerate() {
        let Some(role) = role(&turn.role) else {
            let problem = format!("is \"{}\"; give caller, agent, supervisor or observer", turn.role);
            return Err(Problem::field(number, &format!("turns[{index}].role"), problem));
        };
        let gold = turn.sentiment.map(|value| Sentiment::new(value).map(|_| value)).transpose();
        let gold =
            gold.map_err(|error| Problem::field(number, &format!("turns[{index}].sentiment"), error.to_string()))?;
        golds.push(gold.filter(|_| role == Role::Caller));
        turns.push((role, turn.text));
    }
    let name =
        fields.id.map_or_else(|| number.to_owned(), |id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    let recording = from_turns(&name, turns);
    let ids = recording.messages.iter().filter_map(|timed| match &timed.message {
        RoomMessage::TurnEnded(ended) => Some(ended.turn_id.clone()),
        _ => None,
    });
    let gold = ids.zip(golds).filter_map(|(id, gold)| Some((id, gold?))).collect();
    let calm = match &fields.kind {
        Some(kind) => !ANGRY_KINDS.contains(&kind.as_str()),
        None => fields.escalate == Some(false),
    };
    let at = fields.at.filter(|_| fields.escalate == Some(true));
    Ok(Labelled { recording, gold, escalate: fields.escalate, at, calm, style: fields.style, kind: fields.kind })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn labels_of_caller_turns_are_kept_by_turn() {
        let line = br#"{"id":7,"kind":"recovers","style":"lower","escalate":false,"at":2,"turns":[{"role":"agent","text":"hi","sentiment":9},{"role":"caller","text":"no","sentiment":2.5},{"role":"caller","text":"oh"}]}"#;
        let calls = read(&line[..], "calls.jsonl").unwrap();
        let [call] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!(call.gold, BTreeMap::from([("u2".to_owned(), 2.5)]));
        assert_eq!((call.escalate, call.at, call.calm), (Some(false), None, false));
        assert_eq!(call.groups().collect::<Vec<_>>(), ["style lower", "kind recovers"]);
    }

    #[test]
    fn a_label_outside_the_scale_is_named() {
        let lines = b"{\"turns\":[]}\n{\"turns\":[{\"role\":\"caller\",\"text\":\"no\",\"sentiment\":11}]}\n";
        let error = read(&lines[..], "calls.jsonl").unwrap_err().to_string();
        assert!(
            error.contains("calls.jsonl") && error.contains("turns[0].sentiment") && error.contains("11"),
            "{error}"
        );
    }

    #[test]
    fn a_file_without_calls_is_refused() {
        assert!(read(&b"\n"[..], "calls.jsonl").is_err());
    }
}
