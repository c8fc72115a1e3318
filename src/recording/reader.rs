//! Reads a recording line by line, and checks that the lines fit together.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::expect::Expectation;
use super::lines::{CutLine, Lines};
use super::pinned::RatingFields;
use super::{Header, Line, MAX_AT_MS, Recording, Timed, VERSION};
use crate::clock::Millis;
use crate::recording::problem::{Problem, RecordingError, kind_of};
use crate::room::message::RoomMessage;

/// Reads a recording line by line.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    latest: (u64, u64),
    once: BTreeMap<String, u64>,
    done: bool,
}

impl Recording {
    /// Reads a whole recording; `file` names it in errors.
    ///
    /// # Errors
    /// [`RecordingError`] names the line and what would be right.
    pub fn read(input: impl BufRead, file: &str, cut: CutLine) -> Result<Self, RecordingError> {
        let reader = Reader::new(input, file, cut)?;
        let mut recording = Self { header: reader.header().clone(), ..Self::default() };
        for line in reader {
            match line? {
                Line::Message(message) => recording.messages.push(message),
                Line::Rating(pin) => {
                    recording.pinned.insert(pin.turn_id, pin.result);
                }
                Line::Expect(expectation) => recording.expectation = Some(expectation),
            }
        }
        Ok(recording)
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header; `file` names the recording in errors.
    ///
    /// # Errors
    /// [`RecordingError`] when the first line is no header of version 1.
    pub fn new(input: R, file: &str, cut: CutLine) -> Result<Self, RecordingError> {
        let mut lines = Lines::new(input, file, cut);
        let header = match lines.next_object()? {
            None => return Err(Problem::Empty.at(file, 0)),
            Some(object) => header(object).map_err(|problem| lines.problem(problem))?,
        };
        Ok(Self { lines, header, latest: (0, 0), once: BTreeMap::new(), done: false })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn read(&mut self) -> Result<Option<Line>, RecordingError> {
        while let Some(object) = self.lines.next_object()? {
            if let Some(line) = self.line(object).map_err(|problem| self.lines.problem(problem))? {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// `None` for a line of a type that this version does not know.
    fn line(&mut self, mut object: Map<String, Value>) -> Result<Option<Line>, Problem> {
        let kind = object.get("type").and_then(Value::as_str).ok_or(Problem::NoType)?.to_owned();
        match kind.as_str() {
            "recording" => Err(Problem::Twice { what: "a header".to_owned(), first: 1 }),
            "expect" => {
                self.only_once("an expectation".to_owned())?;
                Expectation::from_object(&object).map(|e| Some(Line::Expect(e)))
            }
            "rating" => {
                let fields: RatingFields = fields(&kind, object)?;
                let pin = fields.pinned()?;
                self.only_once(format!("a rating of turn \"{}\"", pin.turn_id))?;
                Ok(Some(Line::Rating(pin)))
            }
            kind if RoomMessage::TYPES.contains(&kind) => {
                let at = self.at(kind, object.remove("at_ms"))?;
                let message = RoomMessage::from_value(Value::Object(object))?;
                Ok(message.map(|message| Line::Message(Timed { at, message })))
            }
            _ => Ok(None),
        }
    }

    fn at(&mut self, kind: &str, value: Option<Value>) -> Result<Millis, Problem> {
        const RIGHT: &str = "give the whole milliseconds since the recording began";
        let at_ms = match value {
            None => return Err(Problem::field(kind, "at_ms", format!("is missing; {RIGHT}"))),
            Some(value) => value.as_u64().filter(|at| *at <= MAX_AT_MS).ok_or_else(|| {
                let found = if value.is_number() { value.to_string() } else { kind_of(&value).to_owned() };
                Problem::field(kind, "at_ms", format!("is {found}; {RIGHT}"))
            })?,
        };
        let (previous, previous_line) = self.latest;
        if at_ms < previous {
            return Err(Problem::Backwards { at_ms, previous, previous_line });
        }
        self.latest = (at_ms, self.lines.line);
        Ok(Millis(at_ms))
    }

    fn only_once(&mut self, what: String) -> Result<(), Problem> {
        match self.once.get(&what) {
            Some(first) => Err(Problem::Twice { what, first: *first }),
            None => {
                self.once.insert(what, self.lines.line);
                Ok(())
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Line, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        // After an error nothing that follows can be trusted.
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

fn header(object: Map<String, Value>) -> Result<Header, Problem> {
    match object.get("type") {
        Some(Value::String(kind)) if kind == "recording" => {}
        Some(Value::String(kind)) => return Err(Problem::NoHeader { found: format!("a \"{kind}\"") }),
        _ => return Err(Problem::NoHeader { found: "an object without a \"type\"".to_owned() }),
    }
    match object.get("version") {
        Some(version) if version.as_u64() == Some(VERSION) => {}
        Some(version) if version.is_number() => return Err(Problem::Version { found: version.to_string() }),
        other => return Err(Problem::Version { found: other.map_or("missing", kind_of).to_owned() }),
    }
    let header: Header = fields("recording", object)?;
    if header.room_name.is_empty() {
        return Err(Problem::field("recording", "room_name", "is empty; give the room's name"));
    }
    Ok(header)
}

fn fields<T: for<'de> Deserialize<'de>>(kind: &str, object: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(object)).map_err(|error| Problem::fields(kind, &error))
}
