//! Labelled calls: `{"id":…,"escalate":true,"at":3,"turns":[{"role":"caller","text":…,"sentiment":2.5},…]}`, one a
//! line or in an array. Their turns are turns, and `sentiment`, `escalate`, `at`, `kind` and `style` are labels.

use super::call::{Call, Fault, Labels, Piece};
use super::json::Json;
use super::roles::party;
use crate::sentiment::Sentiment;

pub(super) fn looks(value: &Json) -> bool {
    let turns = value.get("turns");
    turns.is_list() && (turns.list().is_empty() || turns.first().has("role"))
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call { id: value.get("id").name(), turns_as_they_stand: true, ..Call::default() };
    for (index, turn) in value.get("turns").list().iter().enumerate() {
        let said = turn.get("role").name().unwrap_or_default();
        let Some(party) = party(&said) else {
            let problem = format!("is \"{said}\"; give caller, agent, supervisor or observer");
            return Err(Fault::new(format!("turns[{index}].role"), problem));
        };
        let words = turn.any(&["text", "content"]);
        let Some(text) = words.text().or_else(|| words.is_null().then_some("")) else {
            let problem = format!("is {}; give the words as a string", words.shape());
            return Err(Fault::new(format!("turns[{index}].text"), problem));
        };
        let speaker = call.speaker(&said.to_lowercase(), Some(party));
        let gold =
            gold(turn.get("sentiment")).map_err(|problem| Fault::new(format!("turns[{index}].sentiment"), problem))?;
        call.pieces.push(Piece { speaker: Some(speaker), text: text.to_owned(), start: None, end: None, gold });
    }
    call.labels = Some(labels(value)?);
    Ok(vec![call])
}

fn gold(value: &Json) -> Result<Option<f64>, String> {
    match value {
        Json::Null => Ok(None),
        Json::Number(number) => match Sentiment::new(*number) {
            Ok(_) => Ok(Some(*number)),
            Err(error) => Err(error.to_string()),
        },
        other => Err(format!("is {}; give a number from 1 to 10", other.shape())),
    }
}

fn labels(value: &Json) -> Result<Labels, Fault> {
    let wrong = |field: &str, right: &str| Fault::new(field, format!("is {}; give {right}", value.get(field).shape()));
    let escalate = match value.get("escalate") {
        Json::Null => None,
        escalate => Some(escalate.flag().ok_or_else(|| wrong("escalate", "true or false"))?),
    };
    let at = match value.get("at") {
        Json::Null => None,
        // Whole and in range, so the cast keeps it.
        Json::Number(at) if at.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(at) => Some(*at as u32),
        _ => return Err(wrong("at", "a caller turn from 0")),
    };
    let rest = value.fields().iter().filter(|(key, _)| !matches!(&**key, "id" | "turns" | "escalate" | "at"));
    let fields = rest.filter_map(|(key, value)| Some((key.to_string(), value.name()?))).collect();
    Ok(Labels { escalate, at, fields, ..Labels::default() })
}
