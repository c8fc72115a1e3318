//! The JSON documents of a file, one after the other and never all at once: one, many on lines of their own or not, or
//! the elements of an array.

use std::io::{BufRead, Read};

use serde::de::DeserializeSeed;

use super::json::{Json, Keys, Seed};
use crate::recording::problem::{Problem, RecordingError};

/// One document and where it stands.
#[derive(Debug)]
pub(super) struct Document {
    /// The line that it begins on, from 1.
    pub(super) line: u64,
    /// Which of the file's top-level arrays it is an element of, and which element; `None` where it stands by itself.
    pub(super) element: Option<(u64, u64)>,
    /// How many bytes of memory it takes.
    pub(super) held: usize,
    /// What it says.
    pub(super) value: Json,
}

/// Reads documents one by one.
pub(super) struct Documents<'a> {
    input: Counted<'a>,
    file: String,
    keys: Keys,
    arrays: u64,
    element: Option<u64>,
    /// Whether each document so far stands on a line of its own; `None` before the first.
    lines: Option<bool>,
    /// How many broken ones came one after the other.
    broken: usize,
    done: bool,
}

/// So many broken lines on end are no accident: the rest is something else.
const MOST_BROKEN: usize = 20;

impl<'a> Documents<'a> {
    pub(super) fn new(input: Box<dyn BufRead + 'a>, file: &str) -> Self {
        let input = Counted { input, line: 1, column: 0, last: None, back: None, skipped: None };
        let (file, keys) = (file.to_owned(), Keys::default());
        Self { input, file, keys, arrays: 0, element: None, lines: None, broken: 0, done: false }
    }

    fn read(&mut self) -> Result<Option<Document>, Problem> {
        loop {
            let next = self.input.next_but_blanks()?;
            match (next, self.element) {
                (None, None) => return Ok(None),
                (None, Some(_)) => return Err(self.broken("the array is not closed")),
                (Some(b']'), Some(_)) => {
                    self.element = None;
                    self.input.skip();
                }
                (Some(b','), Some(at)) if at > 0 => self.input.skip(),
                (Some(b'['), None) => {
                    self.element = Some(0);
                    self.arrays += 1;
                    self.input.skip();
                }
                (Some(_), Some(at)) => {
                    self.element = Some(at + 1);
                    return self.document(Some((self.arrays, at))).map(Some);
                }
                (Some(_), None) => return self.document(None).map(Some),
            }
        }
    }

    fn document(&mut self, element: Option<(u64, u64)>) -> Result<Document, Problem> {
        let (line, column) = (self.input.line, self.input.column);
        let in_lines = self.lines == Some(true) && element.is_none() && self.broken < MOST_BROKEN;
        self.keys.begin();
        let mut deserializer = serde_json::Deserializer::from_reader(&mut self.input);
        match Seed(&mut self.keys).deserialize(&mut deserializer) {
            // A number's end is seen from what follows it, which is lost then; no transcript is a number.
            Ok(value @ (Json::Object(_) | Json::List(_))) => {
                self.lines = Some(self.lines != Some(false) && element.is_none() && self.input.line == line);
                Ok(Document { line, element, held: self.held(), value })
            }
            // What somebody says, in a list of it.
            Ok(value @ Json::Text(_)) if element.is_some() => Ok(Document { line, element, held: self.held(), value }),
            Ok(other) => {
                let problem = self.broken(&format!("found {}, where a transcript is an object", other.shape()));
                if in_lines {
                    self.input.next_line(line).map_err(Problem::Unreadable)?;
                }
                Err(problem)
            }
            Err(_) if self.keys.is_over() => Err(Problem::TooLarge { limit: Keys::MOST_HELD as u64 }),
            Err(error) if error.is_io() => Err(Problem::Unreadable(error.into())),
            Err(error) if in_lines && self.input.line <= line + 1 => {
                let detail = error.to_string();
                let column = if error.line() > 1 { column + 1 } else { column + error.column() };
                self.input.next_line(line).map_err(Problem::Unreadable)?;
                let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
                Err(Problem::BrokenJson { column, detail })
            }
            Err(error) => {
                // The reader may be further on, as a number's end and an error are seen from what follows.
                let detail = error.to_string();
                self.input.column = if error.line() > 1 { error.column() } else { column + error.column() };
                self.input.line = line + error.line().saturating_sub(1) as u64;
                Err(self.broken(detail.split(" at line ").next().unwrap_or_default()))
            }
        }
    }

    /// Bytes of the document that was read, itself included: of many small ones, that is much of what they take.
    fn held(&self) -> usize {
        self.keys.held() + size_of::<Json>()
    }

    fn broken(&self, detail: &str) -> Problem {
        Problem::BrokenJson { column: self.input.column, detail: detail.to_owned() }
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read();
        // After an error nothing that follows can be trusted, unless the next line begins anew.
        let skipped = self.input.skipped.take();
        self.broken = if next.is_ok() { 0 } else { self.broken + 1 };
        self.done = !matches!(next, Ok(Some(_))) && skipped.is_none();
        next.map_err(|problem| problem.at(&self.file, skipped.unwrap_or(self.input.line))).transpose()
    }
}

/// Counts lines and columns.
struct Counted<'a> {
    input: Box<dyn BufRead + 'a>,
    line: u64,
    column: usize,
    /// The byte that was read last.
    last: Option<u8>,
    /// A byte that is to be read again.
    back: Option<u8>,
    /// The line that was given up last.
    skipped: Option<u64>,
}

impl Counted<'_> {
    /// Gives up the line that was being read, of which the first byte of the next one may be read already.
    fn next_line(&mut self, line: u64) -> std::io::Result<()> {
        self.skipped = Some(line);
        match (self.line > line, self.column) {
            (true, 0) => return Ok(()),
            (true, 1) => {
                (self.back, self.column) = (self.last, 0);
                return Ok(());
            }
            _ => {}
        }
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |at| at + 1);
            self.input.consume(taken);
            self.column += taken;
            if end.is_some() {
                (self.line, self.column) = (self.line + 1, 0);
                return Ok(());
            }
        }
    }

    /// The next byte that is no white space, left in its place.
    fn next_but_blanks(&mut self) -> Result<Option<u8>, Problem> {
        loop {
            let buffered = || self.input.fill_buf().map(|buffer| buffer.first().copied());
            let next = self.back.map_or_else(buffered, |byte| Ok(Some(byte))).map_err(Problem::Unreadable)?;
            match next {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x1e) => self.skip(),
                next => return Ok(next),
            }
        }
    }

    /// Takes the byte that was seen.
    fn skip(&mut self) {
        if let Some(byte) = self.back.take() {
            self.count(&[byte]);
        } else if let Some(byte) = self.input.fill_buf().ok().and_then(|buffer| buffer.first().copied()) {
            self.count(&[byte]);
            self.input.consume(1);
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                (self.line, self.column) = (self.line + 1, 0);
            } else {
                self.column += 1;
            }
        }
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = match (self.back.take(), out.first_mut()) {
            (Some(byte), Some(first)) => {
                *first = byte;
                1
            }
            (back, _) => {
                self.back = back;
                self.input.read(out)?
            }
        };
        self.count(&out[..n]);
        self.last = out[..n].last().copied().or(self.last);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn documents(text: &str) -> Vec<Result<Document, RecordingError>> {
        Documents::new(Box::new(text.as_bytes()), "f").collect()
    }

    #[test]
    fn documents_on_lines_in_arrays_and_pretty_printed_are_found_with_their_lines() {
        let found = documents("{\"a\":1}\n\n{\n \"a\": 2\n}{\"a\":3}\n[\n{\"a\":4}, {\"a\":5}]\n");
        let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
        let told: Vec<_> = found.iter().map(|d| (d.line, d.element, d.value.get("a").number().unwrap())).collect();
        let wanted = [(1, None, 1.0), (3, None, 2.0), (5, None, 3.0), (7, Some((1, 0)), 4.0), (7, Some((1, 1)), 5.0)];
        assert_eq!(told, wanted);
    }

    #[test]
    fn of_lines_a_broken_one_is_told_and_the_next_one_is_read() {
        let told = |text: &str| -> Vec<String> {
            let one = |found: Result<Document, RecordingError>| match found {
                Ok(document) => format!("{} {:?}", document.line, document.value.get("a").text()),
                Err(error) => error.to_string().split(" at ").next().unwrap().to_owned(),
            };
            documents(text).into_iter().map(one).collect()
        };
        let first = "{\"a\":\"1\"}\n";
        for broken in ["not json", "{\"a\":\"cut", "{\"a\":1", "{\"a\"}}", "7", "{\"a\":\"1\"} x"] {
            let text = format!("{first}{broken}\n{{\"a\":\"3\"}}\n");
            let wrong = "f, line 2: not JSON".to_owned();
            let told = told(&text);
            assert!(told.contains(&wrong), "{broken}: {told:?}");
            assert_eq!(told.last().map(String::as_str), Some("3 Some(\"3\")"), "{broken}");
            assert_eq!(told.iter().filter(|told| **told == wrong).count(), 1, "{broken}: {told:?}");
        }
        // What stands on many lines is no such file.
        assert_eq!(told("{\n\"a\":\"1\"}\n{\"a\" x}\n{\"a\":\"3\"}\n").len(), 2);
        assert_eq!(told(&format!("{first}{{\"a\":\n\n x}}\n{first}")).len(), 2);
        assert_eq!(told(&format!("{first}{}", "text\n".repeat(1000))).len(), 2 + MOST_BROKEN);
        assert_eq!(told("{\"a\"x}\n{\"a\":\"2\"}").len(), 1);
    }

    #[test]
    fn what_breaks_off_is_told_with_its_line_and_what_came_before_is_kept() {
        let found = documents("{\"a\":1}\n{\"a\":\n tru}\n{\"a\":3}\n");
        assert_eq!(found.len(), 2);
        let told = found[1].as_ref().unwrap_err().to_string();
        assert!(told.starts_with("f, line 3: ") && told.contains("column 5"), "{told}");
        assert!(documents("[{}").pop().unwrap().is_err());
    }
}
