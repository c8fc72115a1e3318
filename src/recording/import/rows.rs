//! Lists or lines of flat objects with a speaker and words, whoever wrote them: `{"speaker_role":…,"text":…,
//! "start_ms":…}`. They are read as the rows of a table are; a field with the call's id parts them into calls.

use super::call::{Call, Fault};
use super::columns::{Columns, Pace};
use super::json::Json;
use super::open::{Open, SCATTERED};

static NULL: Json = Json::Null;

/// The rows of an object that has a call's in one of its lists, whatever it is called.
fn wrapped(value: &Json) -> Option<&Json> {
    // What a recogniser found in the words is not them.
    let named = value.fields().iter().filter(|(key, _)| !key.to_lowercase().contains("entities"));
    let lists = named.map(|(_, value)| value).filter(|value| value.is_list() && looks(value));
    lists.max_by_key(|list| list.list().len())
}

pub(super) fn looks_wrapped(value: &Json) -> bool {
    wrapped(value).is_some()
}

/// The lists of an object that is nothing but calls by their ids: `{"call-1":[…],"call-2":[…]}`.
fn by_id(value: &Json) -> Option<&[(std::sync::Arc<str>, Json)]> {
    let fields = value.fields();
    let is_id = |key: &str| key.contains(|c: char| c.is_ascii_digit());
    let calls = fields.len() > 1 && fields.iter().all(|(key, list)| is_id(key) && list.is_list() && looks(list));
    calls.then_some(fields)
}

pub(super) fn read_wrapped(value: &Json) -> Result<Vec<Call>, Fault> {
    if let Some(calls) = by_id(value) {
        let named = |(key, list): &(std::sync::Arc<str>, Json)| {
            let calls = read(std::slice::from_ref(list))?.into_iter();
            Ok(calls.map(move |call| Call { id: call.id.or_else(|| Some(key.to_string())), ..call }).collect())
        };
        let calls: Result<Vec<Vec<Call>>, Fault> = calls.iter().map(named).collect();
        return Ok(calls?.concat());
    }
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
    let (key, words) = row.fields().get(columns.text)?;
    // What people remark on a call is none; a table's column of comments has a chat's words.
    let is_remark = key.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("comment"));
    (!is_remark && (words.text().is_some() || words.is_null())).then_some(columns)
}

pub(super) fn read(rows: &[Json]) -> Result<Vec<Call>, Fault> {
    let rows = match rows {
        [Json::List(rows)] => rows,
        rows => rows,
    };
    let mut read = Rows::default();
    read.settle(rows.get(..ROWS_THAT_TELL).unwrap_or(rows));
    for row in rows {
        read.say(row)?;
    }
    let mut calls = Vec::new();
    while let Some(call) = read.open.oldest() {
        calls.push(call);
    }
    Ok(calls)
}

/// How many rows tell what their times are.
const ROWS_THAT_TELL: usize = 20;

/// Rows read one by one, of any number of calls.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) open: Open,
    /// Those that tell what times are, until there are enough of them; `None` when that is known.
    waiting: Vec<Json>,
    settled: bool,
    millis: bool,
}

impl Rows {
    /// Takes a row in.
    ///
    /// # Errors
    /// A [`Fault`] when its call was taken for over.
    pub(super) fn take(&mut self, row: Json) -> Result<(), Fault> {
        if self.settled {
            return self.say(&row);
        }
        self.waiting.push(row);
        if self.waiting.len() < ROWS_THAT_TELL { Ok(()) } else { self.finish() }
    }

    /// Reads the rows that wait for more.
    ///
    /// # Errors
    /// As for [`Rows::take`].
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        let waiting = std::mem::take(&mut self.waiting);
        if !self.settled {
            self.settle(&waiting);
        }
        waiting.iter().try_for_each(|row| self.say(row))
    }

    fn settle(&mut self, rows: &[Json]) {
        let mut pace = Pace::default();
        for row in rows {
            if let Some(columns) = columns(row) {
                pace.hear(&columns, |at| cell(row, at));
            }
        }
        (self.settled, self.millis) = (true, pace.is_of_millis());
    }

    fn say(&mut self, row: &Json) -> Result<(), Fault> {
        // Each object may have its fields in another order, and lack some.
        let Some(columns) = columns(row) else { return Ok(()) };
        let columns = if self.millis { columns.in_millis() } else { columns };
        let id = columns.call.and_then(|at| cell(row, at).name());
        let Some(call) = self.open.call(id.clone()) else {
            return Err(Fault::new(format!("call {}", id.unwrap_or_default()), SCATTERED));
        };
        columns.say(call, |at| cell(row, at));
        self.open.heard(cell(row, columns.text).text().map_or(0, str::len));
        Ok(())
    }
}

fn cell(row: &Json, at: usize) -> &Json {
    row.fields().get(at).map_or(&NULL, |(_, value)| value)
}

/// Whether a row says which call it is of.
pub(super) fn names_its_call(row: &Json) -> bool {
    columns(row).is_some_and(|columns| columns.call.is_some())
}
