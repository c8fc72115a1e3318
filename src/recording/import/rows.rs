//! Lists or lines of flat objects with a speaker and words, whoever wrote them: `{"speaker_role":…,"text":…,
//! "start_ms":…}`. They are read as the rows of a table are; a field with the call's id parts them into calls.

use super::call::{Call, Fault};
use super::columns::Columns;
use super::json::Json;

static NULL: Json = Json::Null;

/// The rows of an object that has a call's in one of its lists, whatever it is called.
fn wrapped(value: &Json) -> Option<&Json> {
    let lists = value.fields().iter().map(|(_, value)| value).filter(|value| value.is_list() && looks(value));
    lists.max_by_key(|list| list.list().len())
}

pub(super) fn looks_wrapped(value: &Json) -> bool {
    wrapped(value).is_some()
}

pub(super) fn read_wrapped(value: &Json) -> Result<Vec<Call>, Fault> {
    let id =
        value.any(&["call_id", "callId", "conversation_id", "conversationId", "contact_id", "session_id", "id"]).name();
    let mut calls = read(std::slice::from_ref(wrapped(value).unwrap_or(&NULL)))?;
    if let [call] = calls.as_mut_slice() {
        call.id = call.id.take().or(id);
    }
    Ok(calls)
}

pub(super) fn looks(value: &Json) -> bool {
    match value {
        Json::List(rows) => rows.first().is_some_and(|row| row.is_object() && looks(row)),
        row => columns(row).is_some(),
    }
}

/// The columns of a row whose words are words.
fn columns(row: &Json) -> Option<Columns> {
    let columns = Columns::of(row.keys())?;
    let words = row.fields().get(columns.text).map(|(_, value)| value);
    words.is_some_and(|words| words.text().is_some() || words.is_null()).then_some(columns)
}

pub(super) fn is_row(value: &Json) -> bool {
    value.is_object()
}

pub(super) fn read(rows: &[Json]) -> Result<Vec<Call>, Fault> {
    let rows = match rows {
        [Json::List(rows)] => rows,
        rows => rows,
    };
    let mut calls: Vec<Call> = Vec::new();
    for row in rows {
        // Each object may have its fields in another order, and lack some.
        let Some(columns) = columns(row) else { continue };
        let cell = |at: usize| row.fields().get(at).map_or(&NULL, |(_, value)| value);
        let id = columns.call.and_then(|at| cell(at).name());
        let at = calls.iter().rposition(|call| call.id == id).unwrap_or_else(|| {
            calls.push(Call { id, ..Call::default() });
            calls.len() - 1
        });
        columns.say(&mut calls[at], cell);
    }
    Ok(calls)
}
