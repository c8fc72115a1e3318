//! Lines of a file, each a JSON object.

use std::io::{BufRead, Read};

use serde_json::{Map, Value};

use crate::recording::problem::{Problem, RecordingError, kind_of};
use crate::room::message::MAX_FRAME;

/// Most bytes of a line: a whole frame, its `at_ms`, and the defaults that writing it out adds.
pub const MAX_LINE: usize = MAX_FRAME + 1024;

/// What to do about a last line that stops in its middle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CutLine {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out.
    LeaveOut,
}

/// JSON objects, one per line, with the line kept for errors. Blank lines are skipped.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    file: String,
    cut: CutLine,
    buffer: Vec<u8>,
    pub(crate) line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, file: &str, cut: CutLine) -> Self {
        Self { input, file: file.to_owned(), cut, buffer: Vec::new(), line: 0 }
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
        let limit = MAX_LINE as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut self.buffer);
        match read {
            Err(error) => Err(self.problem(Problem::Unreadable(error))),
            Ok(0) => Ok(false),
            Ok(n) if n as u64 == limit && self.buffer.last() != Some(&b'\n') => {
                Err(self.problem(Problem::TooLong { limit: MAX_LINE }))
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
