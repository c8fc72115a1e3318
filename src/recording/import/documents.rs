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
    done: bool,
}

impl<'a> Documents<'a> {
    pub(super) fn new(input: Box<dyn BufRead + 'a>, file: &str) -> Self {
        let input = Counted { input, line: 1, column: 0 };
        Self { input, file: file.to_owned(), keys: Keys::default(), arrays: 0, element: None, done: false }
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
        self.keys.begin();
        let mut deserializer = serde_json::Deserializer::from_reader(&mut self.input);
        match Seed(&mut self.keys).deserialize(&mut deserializer) {
            // A number's end is seen from what follows it, which is lost then; no transcript is a number.
            Ok(value @ (Json::Object(_) | Json::List(_))) => Ok(Document { line, element, held: self.held(), value }),
            // What somebody says, in a list of it.
            Ok(value @ Json::Text(_)) if element.is_some() => Ok(Document { line, element, held: self.held(), value }),
            Ok(other) => Err(self.broken(&format!("found {}, where a transcript is an object", other.shape()))),
            Err(_) if self.keys.is_over() => Err(Problem::TooLarge { limit: Keys::MOST_HELD as u64 }),
            Err(error) if error.is_io() => Err(Problem::Unreadable(error.into())),
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
        // After an error nothing that follows can be trusted.
        self.done = !matches!(next, Ok(Some(_)));
        next.map_err(|problem| problem.at(&self.file, self.input.line)).transpose()
    }
}

/// Counts lines and columns.
struct Counted<'a> {
    input: Box<dyn BufRead + 'a>,
    line: u64,
    column: usize,
}

impl Counted<'_> {
    /// The next byte that is no white space, left in its place.
    fn next_but_blanks(&mut self) -> Result<Option<u8>, Problem> {
        loop {
            let next = self.input.fill_buf().map_err(Problem::Unreadable)?.first().copied();
            match next {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x1e) => self.skip(),
                next => return Ok(next),
            }
        }
    }

    /// Takes the byte that was seen.
    fn skip(&mut self) {
        if let Some(byte) = self.input.fill_buf().ok().and_then(|buffer| buffer.first().copied()) {
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
        let n = self.input.read(out)?;
        self.count(&out[..n]);
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
    fn what_breaks_off_is_told_with_its_line_and_what_came_before_is_kept() {
        let found = documents("{\"a\":1}\n{\"a\":\n tru}\n{\"a\":3}\n");
        assert_eq!(found.len(), 2);
        let told = found[1].as_ref().unwrap_err().to_string();
        assert!(told.starts_with("f, line 3: ") && told.contains("column 5"), "{told}");
        assert!(documents("[{}").pop().unwrap().is_err());
    }
}
