//! The calls that importers made of a file, with their names, and their problems with the places.

use std::collections::VecDeque;

use super::call::{Call, Fault};
use super::made;
use super::source::Source;
use crate::recording::problem::{Problem, RecordingError};

/// Gives calls their names, and problems their places.
pub(super) struct Places {
    pub(super) file: String,
    caller: Option<String>,
    /// How many calls there were, those included that could not be read.
    pub(super) calls: u64,
}

impl Places {
    pub(super) fn new(file: &str, caller: Option<String>) -> Self {
        Self { file: file.to_owned(), caller, calls: 0 }
    }

    pub(super) fn source(
        &mut self,
        mut call: Call,
        format: &'static str,
        line: u64,
        at: &str,
        many: bool,
    ) -> Result<Source, RecordingError> {
        self.calls += 1;
        if many && call.id.is_none() {
            call.id = Some(self.calls.to_string());
        }
        made::source(call, &self.file, many, self.caller.as_deref())
            .map_err(|fault| self.fault(fault, format, line, at))
    }

    pub(super) fn fault(&self, fault: Fault, format: &'static str, line: u64, at: &str) -> RecordingError {
        let place = match (at, fault.path.as_str()) {
            ("", "") => String::new(),
            ("", path) => format!("\"{path}\" of "),
            (at, "") => format!("\"{at}\" of "),
            (at, path) => format!("\"{at}.{path}\" of "),
        };
        let problem = fault.problem;
        Problem::Foreign { format, place, problem }.at(&self.file, line)
    }
}

/// What was read at one place of a file: calls, or what is wrong there.
pub(super) struct Batch {
    pub(super) calls: Result<Vec<Call>, Fault>,
    pub(super) format: &'static str,
    pub(super) line: u64,
    /// The path to the place.
    pub(super) at: String,
    /// Whether the file holds other calls as well.
    pub(super) many: bool,
}

/// What was read and not yet given out. Calls become recordings one by one as they are asked for, as a recording takes
/// more memory than a call's words.
#[derive(Default)]
pub(super) struct Ready(VecDeque<Item>);

enum Item {
    Calls { calls: std::vec::IntoIter<Call>, format: &'static str, line: u64, at: String, many: bool },
    Fault(Fault, &'static str, u64, String),
    Error(RecordingError),
}

impl Ready {
    /// Adds what was read.
    pub(super) fn read(&mut self, batch: Batch) {
        let Batch { calls, format, line, at, many } = batch;
        self.0.push_back(match calls {
            Err(fault) => Item::Fault(fault, format, line, at),
            Ok(calls) => {
                let many = many || calls.len() > 1;
                Item::Calls { calls: calls.into_iter(), format, line, at, many }
            }
        });
    }

    /// Adds what is wrong in a call's place.
    pub(super) fn wrong(&mut self, error: RecordingError) {
        self.0.push_back(Item::Error(error));
    }

    /// The next call, or what is wrong in its place.
    pub(super) fn next(&mut self, places: &mut Places) -> Option<Result<Source, RecordingError>> {
        while let Some(item) = self.0.front_mut() {
            if let Item::Calls { calls, format, line, at, many } = item
                && let Some(call) = calls.next()
            {
                return Some(places.source(call, format, *line, at, *many));
            }
            match self.0.pop_front() {
                Some(Item::Fault(fault, format, line, at)) => {
                    places.calls += 1;
                    return Some(Err(places.fault(fault, format, line, &at)));
                }
                Some(Item::Error(error)) => return Some(Err(error)),
                Some(Item::Calls { .. }) | None => {}
            }
        }
        None
    }
}
