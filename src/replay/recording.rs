//! The recording format: JSON Lines with a header, room messages each with `at_ms`, pinned ratings, and what is
//! expected of the call.
//!
//! ```text
//! {"type":"recording","version":1,"room_name":"room_abc123","title":"…","agent":{"sentimentThreshold":3}}
//! {"at_ms":0,"type":"welcome", …}
//! {"at_ms":4200,"type":"transcript", …}
//! {"type":"rating","turn_id":"u2","sentiment":3.0}
//! {"type":"expect","escalate_at_turn":3,"action":"transfer"}
//! ```
//!
//! - The header may also carry `title` (for people), `agent` (settings, as in an agent document), and, for recordings
//!   without a `welcome`, the room's `participants` and `capabilities`.
//! - `at_ms` is in ms since the recording began and never decreases.
//! - A **pinned rating** stands in for the rater at one turn, so that a recording can be about arithmetic rather than
//!   about words. It is valid in recordings only. What it leaves out follows from its sentiment; `"unrated":true` says
//!   that the rater fails at that turn.
//! - Blank lines, unknown line types and unknown fields are ignored.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::expect::Expectation;
use super::problem::{Problem, RecordingError, kind_of};
use crate::call::event::Millis;
use crate::room::message::{MAX_FRAME, Participant, RoomMessage};
use crate::sentiment::{Cue, Label, RateError, Rating, RatingSource, Sentiment, Unit, Valence};

/// The version of the format that this program writes and reads.
pub const VERSION: u64 = 1;

/// Most bytes of a line: a whole frame, its `at_ms`, and the defaults that writing it out adds.
pub const MAX_LINE: usize = MAX_FRAME + 1024;

/// Latest `at_ms`: the largest whole number that every JSON reader keeps exactly.
pub const MAX_AT_MS: u64 = (1 << 53) - 1;

/// The first line of a recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The room.
    pub room_name: String,
    /// What the recording shows, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Settings as in an agent document; flags and files go before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Map<String, Value>>,
    /// Who is in the room, for recordings without a `welcome`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<Vec<Participant>>,
    /// What the room offers, for recordings without a `welcome`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
}

/// A room message and when it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Since the recording began.
    pub at: Millis,
    /// The message.
    pub message: RoomMessage,
}

/// A rating that a recording gives a turn in the rater's stead.
#[derive(Debug, Clone, PartialEq)]
pub struct PinnedRating {
    /// The turn.
    pub turn_id: String,
    /// Its rating, or why it has none.
    pub result: Result<Rating, RateError>,
}

impl PinnedRating {
    /// A rating of which only the sentiment is known: the rest follows from it, evenly on either side of 5.
    #[must_use]
    pub fn from_sentiment(sentiment: Sentiment) -> Rating {
        let value = sentiment.value();
        let valence = if value < 5.0 { (value - 5.0) / 4.0 } else { (value - 5.0) / 5.0 };
        Rating {
            sentiment,
            valence: Valence::clamped(valence),
            frustration: Unit::clamped(-valence),
            urgency: Unit::default(),
            label: Label::of(sentiment),
            confidence: Unit::clamped(1.0),
            filler: false,
            cues: Vec::new(),
            source: RatingSource::default(),
            description: None,
            embedded: None,
        }
    }
}

/// The fields of a `rating` line.
#[derive(Deserialize)]
struct RatingFields {
    turn_id: String,
    sentiment: Option<Sentiment>,
    valence: Option<Valence>,
    frustration: Option<Unit>,
    urgency: Option<Unit>,
    confidence: Option<Unit>,
    #[serde(default)]
    filler: bool,
    #[serde(default)]
    unrated: bool,
    #[serde(default)]
    cues: Vec<Cue>,
    description: Option<String>,
}

impl RatingFields {
    fn pinned(self) -> Result<PinnedRating, Problem> {
        let result = match (self.sentiment, self.unrated) {
            (None, true) => Err(RateError::Failed { detail: "the recording says that it fails here".to_owned() }),
            (Some(sentiment), false) => {
                let derived = PinnedRating::from_sentiment(sentiment);
                Ok(Rating {
                    valence: self.valence.unwrap_or(derived.valence),
                    frustration: self.frustration.unwrap_or(derived.frustration),
                    urgency: self.urgency.unwrap_or(derived.urgency),
                    confidence: self.confidence.unwrap_or(derived.confidence),
                    filler: self.filler,
                    cues: self.cues,
                    description: self.description,
                    ..derived
                })
            }
            (Some(_), true) => {
                return Err(Problem::field("rating", "unrated", "contradicts its \"sentiment\"; give one of them"));
            }
            (None, false) => {
                return Err(Problem::field(
                    "rating",
                    "sentiment",
                    "is missing; give a number from 1 to 10, or \"unrated\":true",
                ));
            }
        };
        Ok(PinnedRating { turn_id: self.turn_id, result })
    }
}

/// One line of a recording after its header.
#[expect(clippy::large_enum_variant, reason = "nearly every line is a message, and none is kept")]
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A room message.
    Message(Timed),
    /// A pinned rating.
    Rating(PinnedRating),
    /// What is expected of the call.
    Expect(Expectation),
}

/// A whole recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// Its header.
    pub header: Header,
    /// What the room said, in the order of arrival.
    pub messages: Vec<Timed>,
    /// Ratings that stand in for the rater, by turn id.
    pub pinned: BTreeMap<String, Result<Rating, RateError>>,
    /// What is expected of the call.
    pub expectation: Option<Expectation>,
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

/// What to do about a last line that stops in its middle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CutLine {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out.
    LeaveOut,
}

/// Reads a recording line by line.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    latest: (u64, u64),
    once: BTreeMap<String, u64>,
    done: bool,
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
    serde_json::from_value(Value::Object(object))
        .map_err(|error| Problem::Fields { kind: kind.to_owned(), detail: error.to_string() })
}

/// JSON objects, one per line, with the line kept for errors. Blank lines are skipped.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    file: String,
    cut: CutLine,
    max_line: usize,
    buffer: Vec<u8>,
    pub(crate) line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, file: &str, cut: CutLine) -> Self {
        Self { input, file: file.to_owned(), cut, max_line: MAX_LINE, buffer: Vec::new(), line: 0 }
    }

    /// Allows lines other than the usual length.
    pub(crate) fn max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    pub(crate) fn problem(&self, problem: Problem) -> RecordingError {
        problem.at(&self.file, self.line)
    }

    pub(crate) fn next_object(&mut self) -> Result<Option<Map<String, Value>>, RecordingError> {
        loop {
            if !self.fill()? {
                return Ok(None);
            }
            match self.object() {
                Ok(Some(object)) => return Ok(Some(object)),
                Ok(None) => {}
                Err(Problem::CutOff) if self.cut == CutLine::LeaveOut && self.line > 1 => return Ok(None),
                Err(problem) => return Err(self.problem(problem)),
            }
        }
    }

    /// Reads the next line into the buffer, its end included; false at the end of the input.
    fn fill(&mut self) -> Result<bool, RecordingError> {
        self.buffer.clear();
        self.line += 1;
        let limit = self.max_line as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut self.buffer);
        match read {
            Err(error) => Err(self.problem(Problem::Unreadable(error))),
            Ok(0) => Ok(false),
            Ok(n) if n as u64 == limit && self.buffer.last() != Some(&b'\n') => {
                Err(self.problem(Problem::TooLong { limit: self.max_line }))
            }
            Ok(_) => Ok(true),
        }
    }

    /// `None` for a blank line.
    fn object(&self) -> Result<Option<Map<String, Value>>, Problem> {
        let whole = self.buffer.last() == Some(&b'\n');
        let bytes = match self.line {
            1 => self.buffer.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.buffer),
            _ => &self.buffer,
        };
        let text = std::str::from_utf8(bytes).map_err(|error| match error.error_len() {
            None if !whole => Problem::CutOff,
            _ => Problem::NotUtf8 { column: error.valid_up_to() + 1 },
        })?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            Ok(other) => Err(Problem::NotAnObject { found: kind_of(&other) }),
            Err(error) if error.is_eof() && !whole => Err(Problem::CutOff),
            Err(error) => {
                let detail = error.to_string();
                let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
                Err(Problem::NotJson { column: error.column(), detail })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r#"{"type":"recording","version":1,"room_name":"r"}"#;

    fn read(text: impl AsRef<[u8]>) -> Result<Recording, RecordingError> {
        Recording::read(text.as_ref(), "call.jsonl", CutLine::Refuse)
    }

    fn refused(lines: &[&str]) -> String {
        read(lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap_err().to_string()
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_what_would_be_right() {
        let transcript = r#"{"at_ms":7,"type":"transcript","segment_id":"s1","participant_id":"c","text":"hi"}"#;
        let told = [
            refused(&[]),
            refused(&["", r#"{"type":"transcript"}"#]),
            refused(&[r#"{"version":1}"#]),
            refused(&[r#"{"type":"recording","version":2,"room_name":"r"}"#]),
            refused(&[r#"{"type":"recording","room_name":"r"}"#]),
            refused(&[r#"{"type":"recording","version":1}"#]),
            refused(&[r#"{"type":"recording","version":1,"room_name":""}"#]),
            refused(&[r#"{"type":"recording","version":1,"room_name":"r","agent":3}"#]),
            refused(&[HEADER, HEADER]),
            refused(&[HEADER, "[]"]),
            refused(&[HEADER, r#"{"at_ms":0}"#]),
            refused(&[HEADER, transcript, r#"{"at_ms":0,"type":"agent.state" "state":"speaking"}"#]),
            refused(&[HEADER, r#"{"type":"agent.state","state":"speaking"}"#]),
            refused(&[HEADER, r#"{"at_ms":1.5,"type":"agent.state","state":"speaking"}"#]),
            refused(&[HEADER, r#"{"at_ms":"now","type":"agent.state","state":"speaking"}"#]),
            refused(&[HEADER, transcript, "", r#"{"at_ms":6,"type":"agent.state","state":"speaking"}"#]),
            refused(&[HEADER, r#"{"at_ms":1,"type":"transcript","segment_id":"s1","text":"my secret words"}"#]),
            refused(&[HEADER, r#"{"at_ms":1,"type":"transcript","segment_id":"s1","text":["my secret words"]}"#]),
            refused(&[HEADER, r#"{"type":"rating","turn_id":"u1"}"#]),
            refused(&[HEADER, r#"{"type":"rating","turn_id":"u1","sentiment":11}"#]),
            refused(&[HEADER, r#"{"type":"rating","turn_id":"u1","sentiment":1,"unrated":true}"#]),
            refused(&[
                HEADER,
                r#"{"type":"rating","turn_id":"u1","sentiment":1}"#,
                r#"{"type":"rating","turn_id":"u1","sentiment":2}"#,
            ]),
            refused(&[HEADER, r#"{"type":"expect"}"#]),
            refused(&[HEADER, r#"{"type":"expect","escalate_at_trun":3}"#]),
            refused(&[HEADER, r#"{"type":"expect","escalate_at_turn":"third"}"#]),
            refused(&[HEADER, r#"{"type":"expect","escalate_at_turn":3,"action":"tranfer"}"#]),
            refused(&[HEADER, r#"{"type":"expect","outcome":"engaged"}"#]),
            refused(&[HEADER, r#"{"type":"expect","turns":1}"#, r#"{"type":"expect","turns":1}"#]),
            read(format!("{HEADER}\n{{\"type\":\"expect\",\"esca")).unwrap_err().to_string(),
            read([HEADER.as_bytes(), b"\n{\"type\":\"\xc3\x28\"}\n"].concat()).unwrap_err().to_string(),
            refused(&[HEADER, &"x".repeat(MAX_LINE + 1)]),
        ];
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn what_is_unknown_is_ignored() {
        let recording = read(format!(
            "\u{feff}{HEADER}\r\n\r\n{}\n{}\n{}",
            r#"{"type":"dtmf","digits":"1"}"#,
            r#"{"at_ms":3,"type":"agent.state","state":"speaking","mood":"good"}"#,
            r#"{"type":"expect","escalate_at_turn":null,"weather":"fine"}"#,
        ))
        .unwrap();
        assert_eq!(recording.messages.len(), 1);
        assert!(recording.expectation.is_some());
    }

    #[test]
    fn a_pinned_rating_follows_from_its_sentiment() {
        let recording = read(format!(
            "{HEADER}\n{}\n{}\n{}\n",
            r#"{"type":"rating","turn_id":"a","sentiment":1}"#,
            r#"{"type":"rating","turn_id":"b","sentiment":9.96,"frustration":0.5,"filler":true}"#,
            r#"{"type":"rating","turn_id":"c","unrated":true}"#,
        ))
        .unwrap();
        let a = recording.pinned["a"].clone().unwrap();
        assert_eq!((a.valence.value(), a.frustration.value(), a.label), (-1.0, 1.0, Label::Negative));
        let b = recording.pinned["b"].clone().unwrap();
        assert_eq!((b.sentiment.value(), b.frustration.value(), b.filler), (10.0, 0.5, true));
        assert!(recording.pinned["c"].is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), after_header in any::<bool>()) {
            let head = if after_header { format!("{HEADER}\n") } else { String::new() };
            let _ = read([head.as_bytes(), &bytes].concat());
        }

        #[test]
        fn no_damage_to_a_recording_makes_it_panic(at in any::<prop::sample::Index>(), with in any::<u8>(), cut: bool) {
            let mut bytes = include_bytes!("../../fixtures/agent-tool-call.jsonl").to_vec();
            let at = at.index(bytes.len());
            bytes[at] = with;
            if cut {
                bytes.truncate(at);
            }
            if let Err(error) = read(&bytes) {
                let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count() as u64;
                // A line feed in the place of another byte breaks the line after it as well.
                prop_assert!(error.line == 0 || error.line.abs_diff(line) <= 1, "{error}: damaged at line {line}");
            }
        }
    }
}
