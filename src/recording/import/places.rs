//! The calls that importers made of a file, with their names, and their problems with the places.

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

    pub(super) fn all(
        mut self,
        calls: Result<Vec<Call>, Fault>,
        format: &'static str,
        line: u64,
        at: &str,
    ) -> Vec<Result<Source, RecordingError>> {
        self.sources(calls, format, line, at, false)
    }

    /// The calls of a document or text. `many`: whether the file holds other calls as well.
    pub(super) fn sources(
        &mut self,
        calls: Result<Vec<Call>, Fault>,
        format: &'static str,
        line: u64,
        at: &str,
        many: bool,
    ) -> Vec<Result<Source, RecordingError>> {
        match calls {
            Err(fault) => {
                self.calls += 1;
                vec![Err(self.fault(fault, format, line, at))]
            }
            Ok(calls) => {
                let many = many || calls.len() > 1;
                calls.into_iter().map(|call| self.source(call, format, line, at, many)).collect()
            }
        }
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
        let name = match call.id.as_deref().filter(|_| many) {
            Some(id) => format!("{}#{id}", self.file),
            None => self.file.clone(),
        };
        made::source(call, &self.file, name, self.caller.as_deref())
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
