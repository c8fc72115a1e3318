//! What can be wrong with a recording or an imported transcript: where, what, and what would be right.

use crate::room::message::FrameError;

/// A recording that cannot be read: which file, which line, and what is wrong with it.
///
/// Nothing that a caller said is in it. What it shows of the file is fit for a terminal, and not longer than a few lines.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {}", at_line(*line), printable(problem))]
pub struct RecordingError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 when no single line is at fault.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

fn at_line(line: u64) -> String {
    if line == 0 { String::new() } else { format!(", line {line}") }
}

/// Longest text of a problem, in characters.
const SHOWN_CHARS: usize = 400;

/// Control characters escaped, cut when long.
fn printable(problem: &Problem) -> String {
    let mut shown = String::new();
    for (n, c) in problem.to_string().chars().enumerate() {
        if n == SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// What is wrong with a line or file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system could not read it.
    #[error("it cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// There is nothing in it.
    #[error("it is empty; a recording begins with {{\"type\":\"recording\",\"version\":1,\"room_name\":…}}")]
    Empty,
    /// A folder without files, or a pattern that fits none.
    #[error("there are no files in it")]
    NoRecordings,
    /// A line that no room message can be.
    #[error("the line is longer than {limit} bytes; a room message never is")]
    TooLong {
        /// The most bytes that a line may have.
        limit: usize,
    },
    /// Bytes that are no text.
    #[error("byte {column} is not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// Which byte of the line, from 1.
        column: usize,
    },
    /// Text that is no JSON.
    #[error("not JSON at column {column} ({detail}); every line must be one whole JSON object")]
    NotJson {
        /// Which character of the line, from 1.
        column: usize,
        /// What the parser missed.
        detail: String,
    },
    /// JSON, but not an object.
    #[error("found {found}, but every line must be a JSON object with a \"type\"")]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// The last line stops in its middle.
    #[error(
        "the last line is cut off, as by a crash while recording; delete it, or replay with --mend to leave it out"
    )]
    CutOff,
    /// The first line is no header.
    #[error("the first line must be {{\"type\":\"recording\",\"version\":1,\"room_name\":…}}, but it is {found}")]
    NoHeader {
        /// What the first line is.
        found: String,
    },
    /// A format that this version does not know.
    #[error("\"version\" is {found}; this program reads version 1")]
    Version {
        /// The version that the header names.
        found: String,
    },
    /// A line without a `type`.
    #[error("\"type\" is missing or no string; it says what the line is, e.g. \"transcript\"")]
    NoType,
    /// A field that is missing or wrong.
    #[error("\"{field}\" of this \"{kind}\" line {problem}")]
    Field {
        /// The line's type.
        kind: String,
        /// The field.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// Fields that do not fit, as the parser tells it.
    #[error("this \"{kind}\" line does not fit: {detail}")]
    Fields {
        /// The line's type.
        kind: String,
        /// What does not fit.
        detail: String,
    },
    /// Time runs backwards.
    #[error(
        "\"at_ms\" is {at_ms}, earlier than the {previous} of line {previous_line}; lines stand in the order of arrival"
    )]
    Backwards {
        /// This line's time.
        at_ms: u64,
        /// The latest time before.
        previous: u64,
        /// The line that had it.
        previous_line: u64,
    },
    /// Something that may be said only once.
    #[error("{what} stands on line {first} already; keep one of them")]
    Twice {
        /// What is said twice.
        what: String,
        /// Where it stands first.
        first: u64,
    },
    /// A room message that does not fit.
    #[error(transparent)]
    Message(#[from] FrameError),
    /// Text that begins as JSON and is none.
    #[error("not JSON at column {column} ({detail})")]
    BrokenJson {
        /// Which byte of the line, from 1.
        column: usize,
        /// What the parser missed.
        detail: String,
    },
    /// A file in no form that is known.
    #[error(
        "this is {found}, which is in no format that can be read; write \"Caller: …\" and \"Agent: …\" lines or one JSON \
         object a call, or name the format with --input-format"
    )]
    Unrecognised {
        /// What it looks like.
        found: String,
    },
    /// A document that is larger than any call.
    #[error(
        "it is one call that takes more than {} MiB to read; no call is as long, so give each call a document or file of its \
         own", limit / 1_048_576
    )]
    TooLarge {
        /// The most bytes that it may have.
        limit: u64,
    },
    /// Nothing to read in it.
    #[error("there is no call in it")]
    NothingSaid,
    /// A transcript in another form that does not fit.
    #[error("{place}this {format} transcript {problem}")]
    Foreign {
        /// The format that it was taken for.
        format: &'static str,
        /// The path to the place within it, and "of"; empty for all of it.
        place: String,
        /// What is wrong there, and what would be right.
        problem: String,
    },
    /// A setting in the header's `agent` object.
    #[error("\"agent\" in the header: {detail}")]
    Agent {
        /// What is wrong with it.
        detail: String,
    },
}

impl Problem {
    /// The problem at its place.
    #[must_use]
    pub fn at(self, file: &str, line: u64) -> RecordingError {
        RecordingError { file: file.to_owned(), line, problem: self }
    }

    /// Fields that do not fit a line of this type. serde quotes a string that is in the wrong place; somebody may have said it.
    pub(crate) fn fields(kind: &str, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let detail = match (text.find(": string \""), text.rfind("\", expected ")) {
            (Some(from), Some(to)) if from < to => format!("{}: a string{}", &text[..from], &text[to + 1..]),
            _ => text,
        };
        Self::Fields { kind: kind.to_owned(), detail }
    }

    /// A field that is missing or wrong.
    pub(crate) fn field(kind: &str, field: &str, problem: impl Into<String>) -> Self {
        Self::Field { kind: kind.to_owned(), field: field.to_owned(), problem: problem.into() }
    }
}

/// What a JSON value is, for people.
pub(crate) fn kind_of(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
